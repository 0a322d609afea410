"""The YAML of a data set in YOLO-pose layout: where pictures lie, what they show."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tinypose.data.coco_skeleton import keypoint_names, named_skeleton
from tinypose.data.records import brief, expect_mapping, spellings
from tinypose.errors import TinyposeError
from tinypose.files import explain_os_errors, read_lines, read_yaml, require_file
from tinypose.images import HEIF_SUFFIXES, PICTURE_SUFFIXES
from tinypose.skeletons import COCO, Skeleton

SPLITS = ("train", "val", "test")
_WHAT = "the YAML of a YOLO-pose data set (data.yaml)"


class YoloData(NamedTuple):
    """What a YAML says of one split.

    ``num_values`` are those of a keypoint, 2 or 3; ``classes`` are the numbers
    of the named ones, None where none are named.
    """

    path: Path
    root: Path
    pictures: tuple[Path, ...]
    skeleton: Skeleton
    num_values: int
    classes: frozenset[int] | None


def read_yolo_yaml(path: Path, split: str) -> YoloData:
    """Read the YAML and list the pictures of one split.

    Args:
        path: The YAML.
        split: One of ``SPLITS``.

    Raises:
        TinyposeError: it is no such YAML, or the split has no pictures.
    """
    content = expect_mapping(read_yaml(path, _WHAT), str(path))
    count, num_values = _keypoint_shape(path, content)
    skeleton = _skeleton(path, content, count)
    classes = _classes(path, content.get("names"))
    root = _root(path, content.get("path"))
    pictures = _pictures(path, root, content, split)
    return YoloData(path, root, pictures, skeleton, num_values, classes)


def label_path(picture: Path) -> Path:
    """Return where a picture's labels are: in ``labels`` in place of ``images``."""
    parts = list(picture.parts)
    if "images" in parts[:-1]:
        last = max(i for i, part in enumerate(parts[:-1]) if part == "images")
        parts[last] = "labels"
    return Path(*parts).with_suffix(".txt")


def _keypoint_shape(path: Path, content: Mapping[str, Any]) -> tuple[int, int]:
    shape: Any = content.get("kpt_shape")
    valid = isinstance(shape, list) and len(shape) == 2
    valid = valid and all(type(number) is int for number in shape)
    if not valid or shape[0] < 1 or shape[1] not in (2, 3):
        raise TinyposeError(
            f"{path}: expected 'kpt_shape' as the number of keypoints and 2 (x, y) or "
            f"3 (x, y, v), such as [17, 3], found {brief(shape)}; without it, the data "
            "are for detection or segmentation and have no keypoints"
        )
    return shape[0], shape[1]


def _classes(path: Path, names: Any) -> frozenset[int] | None:
    if names is None:
        return None
    if isinstance(names, list):
        return frozenset(range(len(names)))
    if not isinstance(names, Mapping) or any(type(key) is not int for key in names):
        raise TinyposeError(
            f"{path}: expected the classes under 'names', such as {{0: person}}, "
            f"found {brief(names)}"
        )
    return frozenset(names)


def _skeleton(path: Path, content: Mapping[str, Any], count: int) -> Skeleton:
    flip = _flip_index(path, content.get("flip_idx"), count)
    names = _names(path, content.get("kpt_names"), count)
    if names is None:
        if count != COCO.num_keypoints or flip not in (None, _flips(COCO)):
            raise _names_needed(path, count)
        return COCO
    skeleton = named_skeleton(path.stem, names, None, f"{path}: 'kpt_names'")
    if flip is None:
        return skeleton
    return skeleton.with_pairs(
        [(names[i], names[j]) for i, j in enumerate(flip) if i < j]
    )


def _names(path: Path, value: Any, count: int) -> tuple[str, ...] | None:
    """Return the names of the keypoints, which all classes share; None for none."""
    if not value:
        return None
    lists = dict(value) if isinstance(value, Mapping) else {"all": value}
    where = f"{path}: 'kpt_names'"
    found = {
        key: keypoint_names(names, f"{where} of {key}") for key, names in lists.items()
    }
    if len(set(found.values())) > 1:
        raise TinyposeError(
            f"{where}: expected the same keypoints for all classes, found "
            f"{len(set(found.values()))} lists in classes "
            f"{', '.join(map(str, found))}; make a YAML for each kind"
        )
    names = next(iter(found.values()))
    if len(names) != count:
        raise TinyposeError(
            f"{where}: expected {count} names, as 'kpt_shape' says, found {len(names)}"
        )
    return names


def _names_needed(path: Path, count: int) -> TinyposeError:
    example = ["nose", "left_wrist", "right_wrist"][:count]
    rest = ", ..." if count > len(example) else ""
    found = "none"
    if count == COCO.num_keypoints:
        found = "none, and a 'flip_idx' that is not that of COCO's 17"
    return TinyposeError(
        f"{path}: expected the names of the {count} keypoints under 'kpt_names', as "
        f"keypoints are matched by name, found {found}; add them to the YAML:  "
        f"kpt_names: {{0: [{', '.join(example)}{rest}]}}"
    )


def _flip_index(path: Path, value: Any, count: int) -> list[int] | None:
    """Return where each keypoint goes in a mirrored picture; None if untold."""
    if value is None:
        return None
    valid = isinstance(value, list) and all(type(i) is int for i in value)
    valid = valid and sorted(value) == list(range(count))
    if not valid or any(value[j] != i for i, j in enumerate(value)):
        raise TinyposeError(
            f"{path}: expected 'flip_idx' to have each of 0 to {count - 1} once, and "
            "two that swap at each other's place, such as [0, 2, 1], found "
            f"{brief(value)}"
        )
    return list(value)


def _flips(skeleton: Skeleton) -> list[int]:
    return [int(i) for i in skeleton.flip_indices]


def _root(path: Path, named: Any) -> Path:
    """Return the folder that the splits count from."""
    with explain_os_errors(path, "find"):  # the working folder may be gone
        home = Path(os.path.abspath(path)).parent
    if named is None:
        return home
    if not isinstance(named, str):
        raise TinyposeError(f"{path}: expected a folder as 'path', found {named!r}")
    # Mostly a folder of whoever wrote the YAML, which then lies in its own.
    return _there((home,), named) or home


def _pictures(
    path: Path, root: Path, content: Mapping[str, Any], split: str
) -> tuple[Path, ...]:
    value = content.get(split)
    places: list[Any] = value if isinstance(value, list) else [value]
    if not value or not all(isinstance(place, str) for place in places):
        known = [name for name in SPLITS if content.get(name)]
        raise TinyposeError(
            f"{path}: expected the folder of pictures of the split {split!r}, found "
            f"{brief(value)}; the YAML has {' and '.join(known) or 'no split at all'}"
        )
    found: list[Path] = []
    for place in places:
        there = _there((root,), place)
        if there is None:
            raise TinyposeError(
                f"{path}: expected a folder of pictures or a list of them as {split!r}"
                f", found nothing at {root / place}; correct {split!r} or 'path'"
            )
        is_folder = os.path.isdir(there)
        found += _in_folder(there) if is_folder else _in_list(there, root)
    if not any(map(os.path.isfile, found)):
        named = f" that is there of {len(found)}, such as {found[0]}" if found else ""
        raise TinyposeError(
            f"{path}: expected pictures of the split {split!r} in "
            f"{', '.join(places)}, found none{named}"
        )
    return tuple(dict.fromkeys(found))


def _in_folder(folder: Path) -> list[Path]:
    """Return the pictures in a folder and those below it, in their order."""
    suffixes = (*PICTURE_SUFFIXES, *HEIF_SUFFIXES)
    return sorted(
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(suffixes) and not name.startswith(".")
    )


def _in_list(path: Path, root: Path) -> list[Path]:
    """Return the pictures that a text file names, one a line, there or not."""
    if path.suffix.lower() != ".txt":
        raise TinyposeError(
            f"{path}: expected a folder of pictures or a .txt list of them, found "
            "another file"
        )
    require_file(path, "a list of pictures")
    lines = read_lines(path, "a list of pictures in UTF-8")
    names = [line.strip() for line in lines if line.strip()]
    folders = (path.parent, root)
    return [
        _there(folders, name) or _joined(path.parent, spellings(name)[-1])
        for name in names
    ]


def _there(folders: Sequence[Path], name: str) -> Path | None:
    """Return what a name points to from the first folder that has it, if any does.

    A ``../`` too many is dropped: Roboflow writes
    it before the folders that lie beside the YAML.
    """
    for text in spellings(name):
        for folder in folders:
            for tail in (text, text.removeprefix("../")):
                place = _joined(folder, tail)
                if os.path.exists(place):
                    return place
    return None


def _joined(folder: Path, name: str) -> Path:
    return Path(os.path.normpath(folder / os.path.expanduser(name)))
