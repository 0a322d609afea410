"""tinypose: train, shrink and ship 2D pose estimators on your own photos."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Pose": "tinypose.inference.pose",
    "Predictor": "tinypose.inference.predictor",
    "Skeleton": "tinypose.skeletons",
    "TinyposeError": "tinypose.errors",
    "Tracker": "tinypose.inference.tracking",
    "build_model": "tinypose.models",
    "load_config": "tinypose.config",
}

# What needs the training extra is there by name, but not in a star import.
_TRAINING = {"build_model", "load_config"}
__all__ = ["__version__", *sorted(_PUBLIC.keys() - _TRAINING)]


def __getattr__(name: str) -> Any:
    # Names resolve on first use, so that `import tinypose` stays instant and
    # prediction never loads the training stack.
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tinypose' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", *_PUBLIC])
