"""Write a folder for browsers: a page, a module and an exported file."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from tinypose.errors import UsageError
from tinypose.export.folders import require_free
from tinypose.export.litert import batch_of, require_tflite_path
from tinypose.files import atomic_folder, explain_os_errors, write_text
from tinypose.metadata import Metadata, read_metadata, replace_metadata

MODEL = "model.tflite"
PAGES = ("index.html", "tinypose.js")
"""Written as they are here, whatever the model, and sealed."""

_SOURCES = files("tinypose.export") / "web_sources"


def export_web(
    model: str | Path,
    folder: str | Path,
    *,
    name: str | None = None,
    licence: str | None = None,
) -> Metadata:
    """Write a folder that any web server serves: camera in, skeletons out.

    ``tinypose.js`` runs the file with LiteRT.js, looks for the person and follows
    them as ``tinypose predict`` does; ``index.html`` shows how.

    Args:
        model: A complete ``.tflite`` file for one picture at a time.
        folder: The folder; an earlier export there is replaced, unless its pages
            were changed.
        name: The model's name, if not the file's.
        licence: Its terms of use, if not the file's; those of its origins stay.

    Returns:
        The metadata as written.

    Raises:
        UsageError: the file is of another kind, or there is something else in the
            folder.
        TinyposeError: the file cannot be read, or the folder not be written.
    """
    model, folder = require_tflite_path(model), Path(folder)
    metadata = _require_usable(model)
    require_free(folder, "for browsers", lambda found: _foreign(folder, found))
    metadata = replace(metadata, name=name or metadata.name)
    if licence:
        metadata = metadata.with_licence(licence)
    with atomic_folder(folder) as temporary:
        for page in PAGES:
            write_text(temporary / page, _page(page))
        with explain_os_errors(folder, "write"):
            shutil.copyfile(model, temporary / MODEL)
        replace_metadata(temporary / MODEL, metadata)
    return metadata


def _require_usable(model: Path) -> Metadata:
    """Return the metadata of a file that the module can run.

    Raises:
        UsageError: it gives no keypoints, or takes several pictures at once.
    """
    metadata = read_metadata(model)
    if metadata.output != "keypoints":
        raise UsageError(
            f"{model}: expected a file that gives keypoints, found one that gives "
            f"{metadata.output}; export it without --heads"
        )
    if (batch := batch_of(model)) != 1:
        raise UsageError(
            f"{model}: expected a file for one picture at a time, found one for "
            f"{batch}; export it without --batch"
        )
    return metadata


def _page(name: str) -> str:
    """Return a page as it is written: its last line says that nobody changed it."""
    text = (_SOURCES / name).read_text("utf-8")
    return text + _seal(name, text)


def _seal(name: str, text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    mark = f"written by tinypose: {digest}"
    return f"<!-- {mark} -->\n" if name.endswith(".html") else f"// {mark}\n"


def _foreign(folder: Path, found: Sequence[str]) -> list[str]:
    """Return the files that are not of an export, or were changed since."""
    own = [name for name in found if _is_own(folder, name)]
    # Beside pages alone the model is theirs.
    return [name for name in found if name not in own and not (own and name == MODEL)]


def _is_own(folder: Path, name: str) -> bool:
    """Return whether a page is as some version wrote it."""
    if name not in PAGES:
        return False
    lines = (folder / name).read_text("utf-8", "replace").splitlines(keepends=True)
    return bool(lines) and lines[-1] == _seal(name, "".join(lines[:-1]))
