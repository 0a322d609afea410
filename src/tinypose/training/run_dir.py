"""The run folder: configuration, environment, checkpoint, history, best model.

A checkpoint is one ``.npz`` file of plain arrays (no pickle), written to a
temporary name and renamed, so a kill at any moment leaves the one before.
"""

import io
import json
import platform
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose import __version__
from tinypose.config import Config, save_config
from tinypose.errors import TinyposeError, UsageError
from tinypose.files import (
    atomic_path,
    explain_os_errors,
    read_json,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from tinypose.metadata import Metadata, write_metadata
from tinypose.skeletons import Skeleton, load_skeleton

HISTORY_COLUMNS = (
    "epoch",
    "step",
    "loss",
    "learning_rate",
    "images_per_second",
    "validation_loss",
    "pck",
)


@dataclass(kw_only=True)
class Progress:
    """Where a run stands.

    Args:
        epoch: The epoch under way, from 0.
        step: Steps of it that are done.
        losses: The loss of each of them.
        best: The best validation figure so far, or None.
        figure: Its name, with what it is a share of unless that is the torso.
        history: One row per finished epoch, in ``HISTORY_COLUMNS``.
        phase: What is trained, and in which epochs where there are several phases;
            None in checkpoints of before this was written.
    """

    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    best: float | None = None
    figure: str = "PCK@0.2"
    history: list[list[float | None]] = field(default_factory=list)
    phase: str | None = None


class RunDir:
    """The files of one training run.

    Args:
        path: The run folder; it need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.run = self.path / "run.json"
        # The user's own skeleton as it was: there is none for a built-in one.
        self.skeleton = self.path / "skeleton.yaml"
        # Where it is there, the run trains this network instead of a new one.
        self.network = self.path / "network.keras"
        self.checkpoint = self.path / "checkpoint.npz"
        self.history = self.path / "history.csv"
        self.curve = self.path / "curve.png"
        self.best = self.path / "best.keras"
        self.tensorboard = self.path / "tensorboard"

    def require_new(self) -> None:
        """Check that the folder holds no run yet.

        Raises:
            UsageError: there is a run in it already.
        """
        if self.run.exists():
            raise UsageError(
                f"{self.path}: expected a new folder, found a run; go on with  "
                f"tinypose train --resume {self.path}  or choose another --out"
            )

    def require_other(self, file: Path) -> None:
        """Check that the run would not overwrite a file of the user's.

        Raises:
            UsageError: ``file`` is where the run keeps its own of that kind.
        """
        if file.resolve() in (self.config.resolve(), self.skeleton.resolve()):
            raise UsageError(
                f"{self.path}: expected a new folder, found {file.name}, which the run "
                "would overwrite; choose another --out"
            )

    def create(
        self,
        record: dict[str, Any],
        config: Config,
        skeleton: Skeleton | None = None,
        network: Path | None = None,
    ) -> None:
        """Make the folder and write what the run is started with.

        Args:
            record: What was asked for, and what was found.
            config: The resolved configuration.
            skeleton: The keypoints, kept where ``config`` names a file of one's own.
            network: File of the network that the run trains on instead of a new one.

        Raises:
            UsageError: there is a run in it already.
        """
        self.require_new()
        save_config(self.config, config)
        if skeleton:
            self.keep_skeleton(config, skeleton)
        if network:
            with atomic_path(self.network) as temporary:
                shutil.copyfile(network, temporary)
        write_json(self.path / "environment.json", environment())
        # Last: its presence makes the folder a run.
        write_json(self.run, record)

    def keep_skeleton(self, config: Config, skeleton: Skeleton) -> None:
        """Write the keypoints, where ``config`` names a file of one's own."""
        if is_own(config.skeleton):
            import yaml

            text = yaml.safe_dump(skeleton.to_dict(), sort_keys=False)
            write_text(self.skeleton, text)

    def load_skeleton(self, config: Config) -> Skeleton:
        """Return the run's keypoints, its own copy of them where it has one.

        Raises:
            TinyposeError: no such skeleton or file, or the file is not a skeleton.
        """
        kept = is_own(config.skeleton) and self.skeleton.exists()
        return load_skeleton(self.skeleton if kept else config.skeleton)

    def write_run(self, record: dict[str, Any]) -> None:
        """Write where a run that goes on has its data now."""
        write_json(self.run, record)

    def read_run(self) -> dict[str, Any]:
        """Return what the run was started with.

        Raises:
            TinyposeError: the folder is no run.
        """
        if not self.path.is_dir():
            raise TinyposeError(
                f"{self.path}: expected a run folder, found no such folder"
            )
        value = read_json(self.run, "the record of a training run")
        keys = {"data", "validation", "limit", "init", "fingerprint", "left_out"}
        if not isinstance(value, dict) or not keys <= set(value):
            raise TinyposeError(
                f"{self.run}: expected a record with {', '.join(sorted(keys))}, "
                "found something else; start a new run"
            )
        return value

    def remove_leftovers(self) -> None:
        """Remove half-written files that a kill has left behind."""
        for file in (self.checkpoint, self.best):
            for leftover in self.path.glob(f".{file.stem}-*{file.suffix}"):
                leftover.unlink(missing_ok=True)

    def save_checkpoint(
        self, arrays: dict[str, NDArray[Any]], progress: Progress
    ) -> None:
        """Write the variables and where the run stands, atomically."""
        state = np.frombuffer(json.dumps(vars(progress)).encode(), np.uint8)
        buffer = io.BytesIO()
        named: dict[str, Any] = {"progress": state, **arrays}
        np.savez(buffer, **named)
        write_bytes(self.checkpoint, buffer.getvalue())

    def load_checkpoint(self) -> tuple[dict[str, NDArray[Any]], Progress] | None:
        """Return the checkpoint, or None if the run has none yet.

        Raises:
            TinyposeError: the file is damaged.
        """
        if not self.checkpoint.exists():
            return None
        try:
            with (
                explain_os_errors(self.checkpoint, "read"),
                np.load(self.checkpoint, allow_pickle=False) as archive,
            ):
                arrays = {key: archive[key] for key in archive.files}
            progress = Progress(**json.loads(arrays.pop("progress").tobytes()))
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise TinyposeError(
                f"{self.checkpoint}: expected a checkpoint, found a damaged file "
                f"({error}); start anew in another folder"
            ) from error
        return arrays, progress

    def write_history(self, progress: Progress) -> None:
        """Write the finished epochs as CSV."""
        write_csv(self.history, HISTORY_COLUMNS, progress.history)

    def save_best(self, net: Any, metadata: Metadata) -> None:
        """Write the network with its metadata as ``best.keras``, atomically."""
        with atomic_path(self.best) as temporary:
            net.save(temporary)
            write_metadata(temporary, metadata)


def is_own(skeleton: str) -> bool:
    """Return whether a configuration's skeleton is a file, not a built-in one."""
    return skeleton.endswith((".yaml", ".yml"))


def environment() -> dict[str, str]:
    """Return the versions and the machine that a run used."""
    import keras

    backend = keras.backend.backend()
    versions = {
        "tinypose": __version__,
        "python": platform.python_version(),
        "keras": keras.version(),
        "numpy": np.__version__,
        "backend": backend,
        "system": platform.platform(),
        "machine": platform.machine(),
    }
    module = __import__(backend)
    versions[backend] = str(module.__version__)
    return versions
