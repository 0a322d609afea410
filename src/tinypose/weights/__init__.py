"""The models that come with the package: one ``.tflite`` file each."""

from pathlib import Path


def shipped() -> dict[str, Path]:
    """Return the shipped models' files by name, sorted by name."""
    folder = Path(__file__).parent
    return {path.stem: path for path in sorted(folder.glob("*.tflite"))}
