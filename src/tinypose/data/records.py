"""What the JSON readers share: checked fields and the pictures' folder."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.data.selection import spread_evenly
from tinypose.errors import TinyposeError
from tinypose.files import explain_os_errors

_PROBES = 20
"""Pictures, spread over the file, that are looked for in each folder."""


def brief(value: Any) -> str:
    """Return a value as text that is short enough for an error message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def expect_mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Return ``value`` if it holds keys and values.

    Raises:
        TinyposeError: it does not; the message begins with ``where``.
    """
    if not isinstance(value, Mapping):
        raise TinyposeError(
            f"{where}: expected keys and values ({{...}}), found {brief(value)}"
        )
    return value


def expect_records(value: Any, where: str, what: str) -> Sequence[Any]:
    """Return ``value`` if it is a list with something in it.

    Raises:
        TinyposeError: it is not; the message names ``where`` and ``what``.
    """
    if not isinstance(value, list):
        raise TinyposeError(f"{where}: expected a list of {what}, found {brief(value)}")
    if not value:
        raise TinyposeError(
            f"{where}: expected at least one of {what}, found an empty list"
        )
    return value


def expect_text(record: Mapping[str, Any], key: str, where: str) -> str:
    """Return the text under ``key``, which must not be empty.

    Raises:
        TinyposeError: it is missing or no text.
    """
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise TinyposeError(
            f"{where}: expected a text under {key!r}, found {brief(value)}"
        )
    return value


def expect_numbers(
    value: Any, count: int, where: str, what: str
) -> NDArray[np.float64]:
    """Return a list of ``count`` finite numbers as an array (count,).

    Raises:
        TinyposeError: it is no such list; the message names ``what``.
    """
    if not isinstance(value, list) or len(value) != count:
        found = f"{len(value)} values" if isinstance(value, list) else brief(value)
        raise TinyposeError(
            f"{where}: expected {count} numbers as {what}, found {found}"
        )
    for number in value:
        # bool is an int in Python, but never a coordinate.
        if type(number) not in (int, float) or not abs(number) < 1e9:
            raise TinyposeError(
                f"{where}: expected finite numbers as {what}, found {brief(number)}"
            )
    return np.array(value, np.float64)


def expect_positive(value: Any, where: str, what: str) -> float | None:
    """Return a number above 0, or None for a missing or zero one.

    Raises:
        TinyposeError: it is negative, not finite or no number.
    """
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value < 1e18:
        raise TinyposeError(
            f"{where}: expected a number of 0 or more as {what}, found {brief(value)}"
        )
    return float(value) or None


def expect_picture_name(record: Mapping[str, Any], key: str, where: str) -> str:
    """Return the picture's name under ``key``, which may have folders in it.

    Raises:
        TinyposeError: it is missing, no text or leads out of the pictures'
            folder.
    """
    name = expect_text(record, key, where)
    paths = PurePosixPath(name), PureWindowsPath(name)
    outside = any(p.is_absolute() or p.drive or ".." in p.parts for p in paths)
    if outside or "\0" in name:
        raise TinyposeError(
            f"{where}: expected a picture's name inside the pictures' folder under "
            f"{key!r}, found {brief(name)}; export the labels together with their "
            "pictures, or keep the names alone, without the folders"
        )
    return name


def spellings(name: str) -> tuple[str, ...]:
    r"""Return a file's name as it is and, where it has ``\``, with ``/`` in its place.

    Files written on Windows separate folders so; elsewhere names may contain it.
    """
    return (name, name.replace("\\", "/")) if "\\" in name else (name,)


def picture_path(folder: Path, name: str) -> Path:
    r"""Return the file of a picture's name, from ``expect_picture_name``.

    A ``\`` in it separates folders unless there is a picture of that very name.
    """
    *others, last = (folder / text for text in spellings(name))
    return next(filter(os.path.isfile, others), last)


def find_pictures(
    kind: str, annotations: Path, names: Sequence[str], images: Path | None = None
) -> Path:
    """Return the folder in which the pictures of an annotation file lie.

    Args:
        kind: What the data set is called on the command line, such as ``coco``.
        annotations: The annotation file.
        names: The pictures' names, from ``expect_picture_name``; not empty.
        images: The folder, where the user names it. Otherwise the annotation
            file's own folder is tried, its subfolders and its siblings, and the
            subfolders of those called images, one for each split as CVAT has
            them: the one with most of the pictures counts.

    Raises:
        TinyposeError: ``images`` is no folder, no folder holds a picture, or
            several hold as many of them.
    """
    if images is not None:
        with explain_os_errors(images, "read"):
            if not images.is_dir():
                raise TinyposeError(
                    f"{images}: expected the folder with the pictures of "
                    f"{annotations.name}, found no such folder"
                )
        return images
    with explain_os_errors(annotations, "find"):  # the working folder may be gone
        home = Path(os.path.abspath(annotations)).parent
    probes = [names[i] for i in spread_evenly(len(names), min(len(names), _PROBES))]
    levels = [
        [home],
        [home / "images"],
        _subfolders(home),
        [folder for folder in _subfolders(home.parent) if folder != home],
        [*_subfolders(home / "images"), *_subfolders(home.parent / "images")],
    ]
    counts = {
        folder: sum(os.path.isfile(picture_path(folder, name)) for name in probes)
        for level in levels
        for folder in level
    }
    most = max(counts.values())
    if not most:
        raise TinyposeError(
            f"{annotations}: expected the pictures beside it or in a folder near it, "
            f"found no {probes[0]} there; name their folder:  "
            f"{kind}={annotations},images=FOLDER"
        )
    best = [[f for f in level if counts[f] == most] for level in levels]
    folders = _likeliest([f for level in best for f in level], annotations.stem)
    if not folders:
        folders = next(level for level in best if level)
    if len(folders) > 1:
        raise TinyposeError(
            f"{annotations}: expected one folder with its pictures, found "
            f"{' and '.join(str(folder) for folder in folders[:3])}, which have as "
            f"many of them; name the right one:  {kind}={annotations},images=FOLDER"
        )
    return folders[0]


def _likeliest(folders: Sequence[Path], stem: str) -> list[Path]:
    """Return the folder that is named after the file, or is called images."""
    # A file of a split, such as person_keypoints_val2017.json, and val2017.
    named = [folder for folder in folders if folder.name in stem]
    longest = max((len(folder.name) for folder in named), default=0)
    named = [folder for folder in named if len(folder.name) == longest]
    return named or [folder for folder in folders if folder.name == "images"][:1]


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder; none where there is none to look into."""
    try:
        return sorted(path for path in folder.iterdir() if os.path.isdir(path))
    except (PermissionError, FileNotFoundError, NotADirectoryError):
        return []
