"""Folders that an export may replace."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tinypose.errors import UsageError
from tinypose.files import explain_os_errors


def require_free(
    folder: Path, kind: str, foreign: Callable[[Sequence[str]], Sequence[str]]
) -> None:
    """Check that nobody's work is lost when a folder is replaced.

    Args:
        folder: The folder, there or not.
        kind: What an export into it is, as it reads after "an earlier export".
        foreign: Returns which of the files, named relative to the folder, no
            earlier export has written.

    Raises:
        UsageError: it holds more than an earlier export, or is a file.
        TinyposeError: it cannot be read.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder to write, found a file")
    with explain_os_errors(folder, "read"):
        found = sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if not path.is_dir()
        )
    others = foreign(found)
    if others:
        raise UsageError(
            f"{folder}: expected a new folder, an empty one or an earlier export "
            f"{kind}, found {others[0]!r} in it; choose another folder"
        )
