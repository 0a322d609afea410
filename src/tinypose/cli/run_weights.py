"""The weights of a run folder, as commands take them."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinypose.errors import TinyposeError, UsageError


def model_stem(model: str | Path) -> str:
    """Return a model's name as part of a file name: runs/a -> a, a.tflite -> a."""
    stem = Path(model).resolve().name
    for suffix in (".tflite", ".keras", ".onnx", ".npz"):
        stem = stem.removesuffix(suffix)
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "model"


@contextmanager
def open_weights(run: Path) -> Iterator[Path]:
    """Yield the ``.keras`` file of a run folder, a file or a shipped model.

    Weights alone become a network again, in a file that lasts as long as the
    block.

    Raises:
        TinyposeError: nothing there, no network in it, or weights of another.
    """
    weights = _weights_alone(run)
    if weights is None:
        yield find_weights(run)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{weights.stem}.keras"
        _build_network(weights, file)
        yield file


def _weights_alone(run: Path) -> Path | None:
    """Return the ``.npz`` file that is meant; None for anything else.

    Raises:
        TinyposeError: there is nothing of that name.
    """
    from tinypose.weights import is_shipped, shipped_weights

    known, name_is_shipped = shipped_weights(), is_shipped(run)
    if name_is_shipped and str(run) in known:
        return known[str(run)]
    if name_is_shipped or not run.exists():
        raise TinyposeError(
            f"{run}: expected a run folder, a .keras or .npz file or a shipped model "
            f"with weights ({', '.join(known) or 'none here'}), found "
            f"{'one without' if name_is_shipped else 'nothing there'}"
        )
    return run if run.is_file() and run.suffix.lower() == ".npz" else None


def _build_network(weights: Path, file: Path) -> None:
    """Write the network of weights alone, which their metadata describe."""
    from tinypose.config import Config
    from tinypose.metadata import read_metadata, write_metadata
    from tinypose.models import FAMILIES
    from tinypose.models.weight_files import read_weights
    from tinypose.quiet import quiet_stderr

    metadata = read_metadata(weights)
    config = Config.from_dict(metadata.config, str(weights))
    values = read_weights(weights)
    net = FAMILIES[config.family].build(config.model)
    try:
        for layer in net.layers:
            layer.set_weights(values.get(layer.name, []))
    except ValueError as error:
        raise TinyposeError(
            f"{weights}: expected weights of the {config.family} in its metadata, "
            f"found others ({' '.join(str(error).split())[:200]}); was it written by "
            "another version?"
        ) from error
    with quiet_stderr():  # on other backends, TensorFlow is loaded only now
        net.save(file)
    write_metadata(file, metadata)


def find_weights(run: Path) -> Path:
    """Return the ``.keras`` file of a run folder, or the file itself.

    Raises:
        TinyposeError: nothing there, no run folder, or no weights in it yet.
    """
    from tinypose.training.run_dir import RunDir

    if not run.exists():
        raise TinyposeError(
            f"{run}: expected a run folder or a .keras file, found nothing there"
        )
    if run.is_file():
        if run.suffix.lower() != ".keras":
            raise UsageError(
                f"{run}: expected a run folder or a file ending in .keras, found "
                f"{run.suffix or 'no suffix'!r}"
            )
        return run
    files = RunDir(run)
    if files.best.exists():
        return files.best
    if files.config.exists():
        raise TinyposeError(
            f"{run}: expected a trained run, found one without {files.best.name}; "
            f"train it first:  tinypose train --resume {run}"
        )
    raise TinyposeError(
        f"{run}: expected a run folder of `tinypose train` (with {files.config.name} "
        f"and {files.best.name}), found another folder"
    )
