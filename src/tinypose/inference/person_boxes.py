"""The people's boxes in many pictures, as detectors and labelling tools write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tinypose.coco_format import identifier, is_crowd
from tinypose.errors import TinyposeError, UsageError
from tinypose.files import read_json
from tinypose.geometry import FloatArray
from tinypose.inference.inputs import check_box

PERSON = "person"
"""The category that counts unless told, where there is one of this name."""

MIN_BOX_SCORE = 0.3
"""Below it a detector's boxes are of anything."""


@dataclass(eq=False, kw_only=True)
class _Picture:
    """What the file says about one picture."""

    image_hw: tuple[int, int] | None
    boxes_xywh: list[FloatArray] = field(default_factory=list)
    path: Path | None = None


class PersonBoxes:
    """Look up the boxes of a picture's people in COCO-style JSON.

    ``images`` name the pictures, ``annotations`` give each person's ``bbox`` from
    the corner of the picture. Crowds and boxes of no size are left out, what a
    detector gives a lower ``score`` than asked for, and what is of another category.

    Args:
        path: The file.
        min_score: Least ``score``, 0 to 1, of records that have one.
        categories: Names of those that count, in any letters; unless told, that of
            people, where the file's ``categories`` name it.

    Attributes:
        num_unsure: Boxes that were left out for their score.
        num_others: Boxes that were left out for their category.

    Raises:
        TinyposeError: no such file, not of this form, or annotations of several
            categories of which none is known to be the one.
        UsageError: the file has no category of such a name.
    """

    def __init__(
        self,
        path: str | Path,
        min_score: float = MIN_BOX_SCORE,
        categories: Sequence[str] = (),
    ) -> None:
        self.path = Path(path)
        self.num_unsure = self.num_others = 0
        content = read_json(path, "people's boxes")
        pictures: dict[int | str, _Picture] = {}
        self._pictures: dict[tuple[str, ...], _Picture] = {}
        for where, record in _records(content, self.path, "images"):
            name = _name_parts(record, where)
            picture = _Picture(image_hw=_size(record))
            # Of several entries for one picture, all people count.
            picture = self._pictures.setdefault(name, picture)
            key = _key(record, "id", where)
            if pictures.setdefault(key, picture) is not picture:
                raise TinyposeError(
                    f"{where}: expected an 'id' of its own, found {key!r}, which "
                    "another picture has; where files were joined, number the pictures "
                    "of one anew"
                )
        names = _category_names(content, self.path)
        wanted = _wanted(names, categories, self.path)
        kinds: set[str] = set()
        for where, record in _records(content, self.path, "annotations"):
            if is_crowd(record):
                continue
            kind = None
            if record.get("category_id") is not None:
                # Some write 1 here and "1" there.
                kind = str(_key(record, "category_id", where))
            if wanted and kind not in (None, *wanted):
                self.num_others += 1
                continue
            key = _key(record, "image_id", where)
            if key not in pictures:
                raise TinyposeError(
                    f"{where}: expected the 'id' of an entry of 'images' as "
                    f"'image_id', found {key!r}"
                )
            box = _box(record, where)
            if box is None:
                continue
            if _score(record, where) < min_score:
                self.num_unsure += 1
                continue
            pictures[key].boxes_xywh.append(box)
            if kind is not None and not wanted:
                kinds.add(kind)
        if len(kinds) > 1:
            self._require_one(kinds, names)

    def _require_one(self, kinds: set[str], names: dict[str, str]) -> None:
        """Say what to do where boxes are of several categories, none of people.

        Raises:
            TinyposeError: always.
        """
        found = ", ".join(sorted(names.get(kind, kind) for kind in kinds)[:5])
        if names:
            raise TinyposeError(
                f"{self.path}: expected boxes of one category, or of 'person', found "
                f"{found}; say which count with --box-category NAME"
            )
        raise TinyposeError(
            f"{self.path}: expected 'categories' that name the person, as there "
            f"are annotations of the 'category_id' {found}; "
            'add  "categories": [{"id": 1, "name": "person"}]  with the id of yours'
        )

    def __call__(self, path: Path, image_hw: tuple[int, int]) -> list[FloatArray]:
        """Return the boxes (4,) of a picture's people, in picture pixels.

        Args:
            path: The picture; its name and as many of its folders as the file
                names must be the same.
            image_hw: Its height and width.

        Raises:
            TinyposeError: the file does not know it, or another of the name, or
                one of another size.
        """
        path = path.absolute()
        parts = path.parts
        names = (parts[start:] for start in range(len(parts)))
        picture = next((self._pictures[n] for n in names if n in self._pictures), None)
        if picture is None:
            raise TinyposeError(
                f"expected an entry of 'images' in {self.path} for {path.name}, found "
                "none"
            )
        if picture.path not in (None, path):
            raise TinyposeError(
                f"expected one picture for each entry of 'images' in {self.path}, "
                f"found {picture.path} and {path}; name their folders in it"
            )
        if picture.image_hw not in (None, image_hw):
            height, width = picture.image_hw
            raise TinyposeError(
                f"expected a picture of {width} x {height} pixels, as {self.path} "
                f"says, found {image_hw[1]} x {image_hw[0]}"
            )
        picture.path = path
        return picture.boxes_xywh


def _records(content: Any, path: Path, key: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the entries under a key, each with its place in the file."""
    if isinstance(content, list):
        raise TinyposeError(
            f"{path}: expected COCO-style JSON with the lists 'images' and "
            "'annotations', found a list, which does not tell the pictures' names; "
            "put a detector's results under 'annotations', under 'images' the 'id' and "
            "'file_name' of each picture, and under 'categories' the 'id' and 'name' "
            "of a person"
        )
    records = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(records, list):
        raise TinyposeError(
            f"{path}: expected COCO-style JSON with the lists 'images' and "
            f"'annotations', found no list {key!r}"
        )
    for number, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise TinyposeError(
                f"{path}: {key}[{number}]: expected keys and values, found "
                f"{type(record).__name__}"
            )
    return [(f"{path}: {key}[{n}]", record) for n, record in enumerate(records)]


def _key(record: Mapping[str, Any], key: str, where: str) -> int | str:
    value = identifier(record.get(key))
    if value is None:
        raise TinyposeError(f"{where}: expected a whole number or text under {key!r}")
    return value


def _name_parts(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the folders and the name of a picture, without steps upwards."""
    name = record.get("file_name")
    if not isinstance(name, str) or not name:
        raise TinyposeError(f"{where}: expected a picture's name under 'file_name'")
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return tuple(part for part in parts if part != "..")


def _size(record: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return a picture's height and width; None where the file does not tell."""
    height, width = record.get("height"), record.get("width")
    # Tools write 0 or text for what they do not know.
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        return None
    return height, width


def _category_names(content: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Return the names of categories by their ids, as text."""
    if content.get("categories") is None:
        return {}
    records = _records(content, path, "categories")
    return {
        str(_key(record, "id", where)): str(record.get("name")).strip()
        for where, record in records
        if record.get("id") is not None
    }


def _wanted(
    names: Mapping[str, str], categories: Sequence[str], path: Path
) -> list[str]:
    """Return the ids of the categories that count; none where all do.

    Raises:
        UsageError: there is no such category.
    """
    wanted = [category.strip().lower() for category in categories or [PERSON]]
    have = {name.lower() for name in names.values()}
    missing = [name for name in wanted if name not in have]
    if categories and missing:
        known = ", ".join(sorted(names.values())) or "no categories"
        raise UsageError(
            f"--box-category: expected a category of {path}, found {missing[0]!r}; "
            f"there are {known}"
        )
    return [key for key, name in names.items() if name.lower() in wanted]


def _score(record: Mapping[str, Any], where: str) -> float:
    """Return how sure a detector is; 1 where nobody says it."""
    score = record.get("score")
    if score is None:
        return 1.0
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        raise TinyposeError(
            f"{where}: expected a number under 'score', found {score!r}"
        )
    return float(score)


def _box(record: Mapping[str, Any], where: str) -> FloatArray | None:
    """Return a person's box (4,), None for one of no size."""
    values = record.get("bbox")
    if isinstance(values, list) and len(values) == 4 and values[2:] == [0, 0]:
        return None
    try:
        corner = check_box(record.get("bbox"))  # type: ignore[arg-type]
    except TinyposeError as error:
        raise TinyposeError(f"{where}: 'bbox': {error}") from error
    # COCO counts from the picture's corner, we from the first pixel's centre.
    box: FloatArray = corner - np.array([0.5, 0.5, 0, 0])
    return box
