"""The folder that ``tinypose export --target micro`` writes, as others see it."""

from dataclasses import dataclass
from pathlib import Path

from tinypose.errors import TinyposeError
from tinypose.files import read_json

REPORT = "report.json"
KIND = "tinypose microcontroller export"


@dataclass(frozen=True)
class MicroFolder:
    """What a folder for microcontrollers says about itself.

    Args:
        file: The network as a ``.tflite`` file, int8 in and out.
        files: Names of all files that the export wrote.
        model_bytes: Size of the model in flash.
        arena_bytes: Memory that it needs; None if it was never run.
        scale: Heatmap value of one step of the output.
        zero_point: Step of the output that stands for zero.
    """

    file: Path
    files: tuple[str, ...]
    model_bytes: int
    arena_bytes: int | None
    scale: float
    zero_point: int


def read_micro_folder(path: str | Path) -> MicroFolder | None:
    """Return what a folder for microcontrollers holds; None for anything else."""
    path = Path(path)
    if not (path / REPORT).is_file():
        return None
    try:
        report = read_json(path / REPORT)
        name, arena_bytes = str(report["name"]), report["arena_bytes"]
        # A stranger's report names no file elsewhere.
        if report["kind"] != KIND or not name.isidentifier():
            return None
        return MicroFolder(
            file=path / f"{name}.tflite",
            files=tuple(map(str, report["files"])),
            model_bytes=int(report["model_bytes"]),
            arena_bytes=None if arena_bytes is None else int(arena_bytes),
            scale=float(report["output"]["scale"]),
            zero_point=int(report["output"]["zero_point"]),
        )
    except (TinyposeError, KeyError, TypeError, ValueError):
        return None
