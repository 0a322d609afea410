"""The models that come with the package: one ``.tflite`` file each.

Some come with an ``.npz`` of their weights beside it, to start trainings from.
"""

import warnings
from pathlib import Path


class SameNameWarning(UserWarning):
    """A shipped model and a file or folder have one name."""


def shipped() -> dict[str, Path]:
    """Return the shipped models' files by name, sorted by name."""
    folder = Path(__file__).parent
    return {path.stem: path for path in sorted(folder.glob("*.tflite"))}


def shipped_weights() -> dict[str, Path]:
    """Return the shipped models' weights to start from by name, sorted by name."""
    folder = Path(__file__).parent
    return {path.stem: path for path in sorted(folder.glob("*.npz"))}


def is_shipped(name: str | Path) -> bool:
    """Return whether a shipped model is meant, as everywhere in tinypose.

    Its name goes before a file or folder of that name, which a longer path names; a
    warning says so where there is one.
    """
    if str(name) not in shipped():
        return False
    if Path(name).exists():
        warnings.warn(
            f"{name}: the shipped model is taken; what lies here under that name is "
            f"{Path(name).absolute()}",
            SameNameWarning,
            stacklevel=1,  # of one name it is said once
        )
    return True
