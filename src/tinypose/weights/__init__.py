"""The models that come with the package: one ``.tflite`` file each.

Some come with an ``.npz`` of their weights beside it, to start trainings from.
"""

from pathlib import Path


def shipped() -> dict[str, Path]:
    """Return the shipped models' files by name, sorted by name."""
    folder = Path(__file__).parent
    return {path.stem: path for path in sorted(folder.glob("*.tflite"))}


def shipped_weights() -> dict[str, Path]:
    """Return the shipped models' weights to start from by name, sorted by name."""
    folder = Path(__file__).parent
    return {path.stem: path for path in sorted(folder.glob("*.npz"))}
