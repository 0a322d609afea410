"""Read and write files safely: atomic writes, size limits, one-line errors."""

import csv
import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinypose.errors import TinyposeError

MAX_TEXT_BYTES = 2 * 1024**3

_TRIES, _PAUSE_S = (20, 0.1) if os.name == "nt" else (0, 0.0)
"""How often a file that another program holds is tried again."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` when the block succeeds.

    The temporary file lies in the same folder (created when missing), so the
    final rename is atomic. When the block fails or is interrupted, the
    temporary file is removed and an existing ``path`` stays as it was. A link
    stays: the file that it names is replaced. A device or a pipe is written to.

    Raises:
        TinyposeError: the folder or disk does not take the file.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        with explain_os_errors(path, "write"):
            special = is_special(path)
            target = path if special else real_path(path)
            folder = Path(tempfile.gettempdir()) if special else target.parent
            folder.mkdir(parents=True, exist_ok=True)
            # The suffix is kept because writers choose the format by it.
            unused = _unused_path(folder, target.stem, path.suffix)
            unused.touch(exist_ok=False)
            temporary = unused
            yield temporary
            if special:
                with open(temporary, "rb") as written, open(path, "wb") as device:
                    shutil.copyfileobj(written, device)
                return
            # Windows flushes only what is open for writing.
            with open(temporary, "r+b") as written:
                os.fsync(written.fileno())
            _replace_file(temporary, target)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _replace_file(new: Path, path: Path) -> None:
    """Rename a file over another; wait where a program holds that for a moment."""
    for _ in range(_TRIES):
        try:
            os.replace(new, path)
        except PermissionError:
            # Windows alone refuses so, as for virus scanners.
            time.sleep(_PAUSE_S)
        else:
            return
    os.replace(new, path)


def is_special(path: str | Path) -> bool:
    """Return whether something that is no file and no folder has this name."""
    path = Path(path)
    return path.exists() and not path.is_file() and not path.is_dir()


def real_path(path: str | Path) -> Path:
    """Return what a link points to, there or not; any other path as it is."""
    path = Path(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _unused_path(folder: Path, stem: str, suffix: str = "") -> Path:
    # Created by ``touch`` or ``mkdir``, it has the mode of every new file; to ask
    # for the umask is to set it, for all threads.
    return folder / f".{stem[:40]}-{secrets.token_hex(6)}{suffix}"


def named_path(path: str | Path) -> Path:
    """Return a path that ends in a name; ``.`` and ``..`` become the folder's.

    Raises:
        TinyposeError: the working directory is gone.
    """
    path = Path(path)
    with explain_os_errors(path, "find"):
        return path.resolve() if path.name in ("", "..") else path


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits.

    Raises:
        TinyposeError: it cannot be read.
    """
    with explain_os_errors(path, "read"), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of ``path`` on success.

    It lies beside ``path``. What stood there before is removed only when the
    new folder is complete; on failure it stays. A link stays, too: the folder
    that it names is replaced. Of the working directory, the content is.

    Raises:
        TinyposeError: the disk does not take the folder.
    """
    path = real_path(path)
    temporary: Path | None = None
    try:
        with explain_os_errors(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            unused = _unused_path(path.parent, path.name)
            unused.mkdir()
            temporary = unused
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
    if os.path.samefile(path, os.curdir):
        _replace_content(new, path, before)
        return
    os.rename(path, before)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(before, path)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _replace_content(new: Path, path: Path, before: Path) -> None:
    """Replace what is in a folder; a shell in it would stay with the old folder."""
    before.mkdir()
    moved: list[tuple[Path, Path]] = []
    try:
        for source, target in ((path, before), (new, path)):
            for entry in list(source.iterdir()):
                os.rename(entry, target / entry.name)
                moved.append((entry, target / entry.name))
    except BaseException:
        for old, current in reversed(moved):
            os.rename(current, old)
        before.rmdir()
        raise
    shutil.rmtree(before, ignore_errors=True)


def require_writable(path: str | Path) -> None:
    """Raise now, not after all the work, if a file cannot be written.

    Its folder is made when it is missing.

    Raises:
        TinyposeError: the folder or disk does not take the file.
    """
    path = Path(path)
    with explain_os_errors(path, "write"):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not is_special(path):
            folder = real_path(path).parent
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON.

    File names with stray bytes, which UTF-8 cannot hold, read back as they were.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if printable(text) != text:
        text = json.dumps(value, indent=2)
    write_text(path, text + "\n")


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
            # Some editors put a byte-order mark before the text.
            return json.loads(path.read_text(encoding="utf-8-sig"))
    # A ValueError: not JSON, not UTF-8, or a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise TinyposeError(
            f"{path}: expected {what} in JSON, found something that does not "
            f"parse ({error}); is the file truncated or of another format?"
        ) from error


def read_yaml(path: str | Path, what: str = "YAML file") -> Any:
    """Read a YAML file of plain values (no tags, no code).

    Raises:
        TinyposeError: missing, unreadable, not YAML, or a key is there twice.
    """
    try:
        import yaml
    except ImportError as error:
        from tinypose.errors import MissingDependencyError

        raise MissingDependencyError("pyyaml", f"reading {path}") from error
    path = require_file(path, what, max_bytes=10 * 1024**2)
    try:
        with explain_os_errors(path, "read"):
            return parse_yaml(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise TinyposeError(
            f"{path}: expected {what} in YAML, found something that does not "
            f"parse ({reason})"
        ) from error


def parse_yaml(text: str) -> Any:
    """Return the plain values of YAML text, in which no key is there twice.

    Raises:
        yaml.YAMLError, ValueError, RecursionError: it is something else.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            seen = set()
            for key in keys:
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value!r} twice, of which one would be lost,",
                        problem_mark=key.start_mark,
                    )
                seen.add((key.tag, key.value))
            return node

    return yaml.load(text, Loader)  # a safe one: no code, no objects


def read_lines(path: str | Path, what: str) -> list[str]:
    """Return the lines of a text file in UTF-8.

    Args:
        path: The file.
        what: What the file is to hold, for the error message.

    Raises:
        TinyposeError: it cannot be read or is not UTF-8.
    """
    try:
        with explain_os_errors(path, "read"):
            # Some editors put a byte-order mark before the text.
            return Path(path).read_text(encoding="utf-8-sig").splitlines()
    except ValueError as error:
        raise TinyposeError(
            f"{path}: expected {what}, found other bytes ({error})"
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
        errno.EACCES: "no permission; choose a folder that you may use, or close the "
        "program that has it open",
        errno.EPERM: "no permission; choose a folder that you may use",
        errno.EROFS: "the disk is read-only; choose another folder",
        errno.ENOENT: "no such file or folder",
        errno.ENOTDIR: "part of the path is a file, not a folder",
        errno.EISDIR: "it is a folder, not a file",
        errno.EEXIST: "a file of that name is in the way; choose another name",
        errno.ENAMETOOLONG: "the name is too long",
    }
    return advice.get(error.errno or 0, error.strerror or str(error))


def printable(text: str) -> str:
    """Return text that UTF-8 can hold: file names may carry stray bytes.

    These are written as escapes.
    """
    return text.encode("utf-8", "backslashreplace").decode()
