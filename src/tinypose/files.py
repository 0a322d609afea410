"""Read and write files safely: atomic writes, size limits, one-line errors."""

import csv
import errno
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinypose.errors import TinyposeError

MAX_TEXT_BYTES = 2 * 1024**3


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` when the block succeeds.

    The temporary file lies in the same folder (created when missing), so the
    final rename is atomic. When the block fails or is interrupted, the
    temporary file is removed and an existing ``path`` stays as it was.

    Raises:
        TinyposeError: the folder or disk does not take the file.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        with explain_os_errors(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            # The suffix is kept because writers choose the format by it.
            handle, name = tempfile.mkstemp(
                prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent
            )
            os.close(handle)
            temporary = Path(name)
            os.chmod(temporary, 0o666 & ~_umask())
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of ``path`` on success.

    It lies beside ``path``. What stood there before is removed only when the
    new folder is complete; on failure it stays.

    Raises:
        TinyposeError: the disk does not take the folder.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        with explain_os_errors(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(
                tempfile.mkdtemp(prefix=f".{path.name[:40]}-", dir=path.parent)
            )
            os.chmod(temporary, 0o777 & ~_umask())
            yield temporary
            _replace_folder(temporary, path)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(new: Path, path: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    # Renaming over a folder works for empty ones only.
    before = new.with_name(f"{new.name}-before")
    os.rename(path, before)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(before, path)
        raise
    shutil.rmtree(before, ignore_errors=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: str | Path, header: Sequence[str], rows: Sequence[Any]) -> None:
    """Write a header and rows to ``path`` atomically as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_json(path: str | Path, what: str = "JSON file") -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        what: What the file is to the user, for the error message.

    Raises:
        TinyposeError: missing, unreadable, too large or not JSON.
    """
    path = require_file(path, what)
    try:
        with explain_os_errors(path, "read"):
            return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TinyposeError(
            f"{path}: expected {what} in JSON, found something that does not "
            f"parse ({error}); is the file truncated or of another format?"
        ) from error


def read_yaml(path: str | Path, what: str = "YAML file") -> Any:
    """Read a YAML file of plain values (no tags, no code).

    Raises:
        TinyposeError: missing, unreadable, or not YAML.
    """
    try:
        import yaml
    except ImportError as error:
        from tinypose.errors import MissingDependencyError

        raise MissingDependencyError("pyyaml", f"reading {path}") from error
    path = require_file(path, what, max_bytes=10 * 1024**2)
    try:
        with explain_os_errors(path, "read"):
            return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise TinyposeError(
            f"{path}: expected {what} in YAML, found something that does not "
            f"parse ({reason})"
        ) from error


def require_file(
    path: str | Path, what: str = "file", max_bytes: int = MAX_TEXT_BYTES
) -> Path:
    """Return ``path`` as a Path after checking that it is a readable file.

    Raises:
        TinyposeError: it does not exist, is a folder, is empty or too large.
    """
    path = Path(path)
    with explain_os_errors(path, "read"):
        if not path.exists():
            raise TinyposeError(f"{path}: expected {what}, found no such file")
        if path.is_dir():
            raise TinyposeError(f"{path}: expected {what}, found a folder")
        size = path.stat().st_size
    if size == 0:
        raise TinyposeError(f"{path}: expected {what}, found an empty file")
    if size > max_bytes:
        raise TinyposeError(
            f"{path}: expected {what} of at most {max_bytes:,} bytes, found {size:,}"
        )
    return path


@contextmanager
def explain_os_errors(path: str | Path, verb: str) -> Iterator[None]:
    """Turn an OSError about ``path`` into a one-line TinyposeError."""
    try:
        yield
    except OSError as error:
        raise TinyposeError(f"cannot {verb} {path}: {describe(error)}") from error


def describe(error: OSError) -> str:
    """Return what an OSError means and what to do about it."""
    advice = {
        errno.ENOSPC: "the disk is full; free some space or choose another folder",
        errno.EDQUOT: "the disk quota is used up; free some space",
        errno.EACCES: "no permission; choose a folder that you may use",
        errno.EPERM: "no permission; choose a folder that you may use",
        errno.EROFS: "the disk is read-only; choose another folder",
        errno.ENOENT: "no such file or folder",
        errno.ENOTDIR: "part of the path is a file, not a folder",
        errno.EISDIR: "it is a folder, not a file",
        errno.EEXIST: "a file of that name is in the way; choose another name",
        errno.ENAMETOOLONG: "the name is too long",
    }
    return advice.get(error.errno or 0, error.strerror or str(error))


def _umask() -> int:
    # The only portable way to read the umask is to set it.
    current = os.umask(0)
    os.umask(current)
    return current
