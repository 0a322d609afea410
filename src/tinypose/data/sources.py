"""Data sets by name on the command line: ``lsp=PATH:1-700`` and its kin."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tinypose.data.ai_challenger import read_ai_challenger
from tinypose.data.coco import read_coco
from tinypose.data.lsp import read_lsp, read_lspet
from tinypose.data.mpii import read_mpii
from tinypose.data.sample import Sample
from tinypose.data.selection import spread_evenly
from tinypose.data.stick_people import stick_people
from tinypose.data.yolo_pose import read_yolo_pose
from tinypose.data.yolo_yaml import SPLITS
from tinypose.errors import TinyposeError, UsageError, did_you_mean
from tinypose.skeletons import Skeleton

Reader = Callable[[Path, Path | None], list[Sample]]
SplitReader = Callable[[Path, str], list[Sample]]

READERS: dict[str, Reader] = {
    "ai_challenger": read_ai_challenger,
    "coco": read_coco,
    "lsp": read_lsp,
    "lspet": read_lspet,
    "mpii": read_mpii,
}
SPLIT_READERS: dict[str, SplitReader] = {"yolo_pose": read_yolo_pose}
"""Sets whose file says itself where the pictures of each split lie."""
SYNTHETIC = "stick_people"
SYNTHETIC_COUNT = 1000

_SPEC = re.compile(
    r"(?P<name>[^=:,]+)"
    r"(?:=(?P<path>.+?)(?:,images=(?P<images>.+?))?(?:,split=(?P<split>.*?))?)?"
    r"(?::(?P<ranges>\d+-\d+(?:,\d+-\d+)*))?"
)
_FORM = "NAME=PATH, NAME=PATH:1-700, NAME=PATH,images=FOLDER or NAME=PATH,split=SPLIT"


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """A data set as named on the command line.

    Args:
        name: A key of ``READERS`` or ``SPLIT_READERS``, or ``stick_people``.
        path: Its file or folder; None for ``stick_people``.
        images: Folder of its pictures, if given.
        split: Which of its splits, where its reader is told.
        ranges: First and last record of each range, from 1; empty for all.
    """

    name: str
    path: Path | None
    images: Path | None
    split: str | None
    ranges: tuple[tuple[int, int], ...]


def load_data(
    specs: Sequence[str], skeleton: Skeleton | None = None, limit: int | None = None
) -> list[Sample]:
    """Read and join the data sets that ``specs`` name.

    Args:
        specs: Each ``NAME=PATH[,images=FOLDER][:FIRST-LAST[,...]]``, where NAME
            is a key of ``READERS`` and the ranges count records from 1; likewise
            ``NAME=PATH[,split=SPLIT]`` for a key of ``SPLIT_READERS``; or
            ``stick_people[:FIRST-LAST]``, the synthetic people.
        skeleton: Match all keypoints by name to this skeleton.
        limit: Keep at most this many samples, spread evenly over the whole.

    Raises:
        UsageError: a spec is malformed or names no known data set.
        TinyposeError: a file does not load, a set is empty, or it shares no
            keypoint with ``skeleton``.
    """
    if not specs:
        raise UsageError(f"expected at least one data set ({_FORM}), found none")
    samples: list[Sample] = []
    places: dict[str, str] = {}
    for spec in specs:
        found = _distinct(_load_one(spec), parse_spec(spec), places)
        if not found:
            raise TinyposeError(f"{spec}: expected labelled people, found none")
        if skeleton is not None:
            found = _match(found, skeleton, spec)
        samples += found
    if limit is not None and limit < len(samples):
        if limit < 1:
            raise UsageError(f"--limit: expected at least 1, found {limit}")
        samples = [samples[i] for i in spread_evenly(len(samples), limit)]
    return samples


def parse_spec(spec: str) -> DataSpec:
    """Return what a data set's name on the command line says.

    Raises:
        UsageError: it is malformed or names no known data set.
    """
    match = _SPEC.fullmatch(spec)
    known = [*READERS, *SPLIT_READERS, SYNTHETIC]
    if match is None:
        raise UsageError(f"expected a data set as {_FORM}, found {spec!r}")
    name, path = match["name"], match["path"]
    if name not in known:
        hint = did_you_mean(name, known)
        raise UsageError(
            f"expected a data set of the kind {', '.join(known)}, found {name!r} "
            f"in {spec!r}{hint}"
        )
    if name == SYNTHETIC and path is not None:
        raise UsageError(f"{SYNTHETIC} takes no path: {SYNTHETIC}:1-1000")
    if name != SYNTHETIC and path is None:
        raise UsageError(f"{spec!r}: expected a path, as in {name}=PATH")
    return DataSpec(
        name=name,
        path=_path(path),
        images=_path(match["images"]),
        split=_split(match, spec),
        ranges=_ranges(match["ranges"], spec),
    )


def _split(match: re.Match[str], spec: str) -> str | None:
    """Return the split that a spec names, or means; None where there is none."""
    if match["split"] is None:
        split, images = None, match["images"]
    else:
        # In the other order, images= is read as part of the split.
        split, _, later = match["split"].partition(",images=")
        images = match["images"] or later
    if match["name"] not in SPLIT_READERS:
        if split is None:
            return None
        raise UsageError(
            f"{spec!r}: expected no split=, found {split!r}; only "
            f"{', '.join(SPLIT_READERS)} has splits"
        )
    if images:
        raise UsageError(
            f"{spec!r}: expected no images=, as the file says where the pictures "
            f"lie, found {images!r}"
        )
    if split not in (None, *SPLITS):
        raise UsageError(
            f"{spec!r}: expected split={', '.join(SPLITS)}, found "
            f"{split!r}{did_you_mean(split, SPLITS)}"
        )
    return split or SPLITS[0]


def _path(text: str | None) -> Path | None:
    # The shell leaves ~ alone behind an = sign.
    return Path(os.path.expanduser(text)) if text else None


def absolute_spec(spec: str) -> str:
    """Return a data set's name with absolute paths, good from any folder."""
    parsed = parse_spec(spec)
    text = parsed.name
    if parsed.path is not None:
        text += f"={parsed.path.absolute()}"
    if parsed.images is not None:
        text += f",images={parsed.images.absolute()}"
    if parsed.split is not None:
        text += f",split={parsed.split}"
    ranges = ",".join(f"{low}-{high}" for low, high in parsed.ranges)
    return f"{text}:{ranges}" if ranges else text


def describe_spec(spec: str) -> str:
    """Return a data set's name and range without its path, such as lsp 1-700."""
    parsed = parse_spec(spec)
    ranges = ",".join(f"{low}-{high}" for low, high in parsed.ranges)
    return " ".join(part for part in (parsed.name, parsed.split, ranges) if part)


def _load_one(spec: str) -> list[Sample]:
    parsed = parse_spec(spec)
    if parsed.path is None:
        return stick_people(_numbers(parsed.ranges or ((1, SYNTHETIC_COUNT),)))
    if not os.path.exists(parsed.path):
        raise TinyposeError(
            f"{parsed.path}: expected the data set {parsed.name}, found nothing there"
        )
    if parsed.split is not None:
        samples = SPLIT_READERS[parsed.name](parsed.path, parsed.split)
    else:
        samples = READERS[parsed.name](parsed.path, parsed.images)
    # Names repeat between sets: both LSP and LSPET start at 1.
    samples = [replace(s, sample_id=f"{parsed.name}/{s.sample_id}") for s in samples]
    if not parsed.ranges:
        return samples
    last = max(high for _, high in parsed.ranges)
    if last > len(samples):
        raise UsageError(
            f"{spec!r}: expected a range within 1-{len(samples)}, found {last}"
        )
    return [samples[number - 1] for number in _numbers(parsed.ranges)]


def _distinct(
    samples: list[Sample], spec: DataSpec, places: dict[str, str]
) -> list[Sample]:
    """Return a set's people, renamed where another set has people of their names.

    Args:
        samples: Of one set.
        spec: The set.
        places: The set of each name so far, to which these are added.
    """
    # However the file is named, its people are the same.
    place = os.path.realpath(spec.path) if spec.path else ""
    number = 2
    own = samples
    while any(places.get(s.sample_id, place) != place for s in own):
        prefix = f"{spec.name}{number}/"
        names = (s.sample_id.removeprefix(f"{spec.name}/") for s in samples)
        own = [
            replace(s, sample_id=prefix + name)
            for s, name in zip(samples, names, strict=True)
        ]
        number += 1
    places.update((s.sample_id, place) for s in own)
    return own


def undistinct_id(sample_id: str) -> str:
    """Return a person's name as it was before sets of the same names had others."""
    return re.sub(rf"^({'|'.join([*READERS, *SPLIT_READERS])})\d+/", r"\1/", sample_id)


def _ranges(text: str | None, spec: str) -> tuple[tuple[int, int], ...]:
    ranges = []
    for part in text.split(",") if text else []:
        low, high = (int(number) for number in part.split("-"))
        if not 1 <= low <= high:
            raise UsageError(f"{spec!r}: expected FIRST-LAST from 1 up, found {part}")
        ranges.append((low, high))
    return tuple(ranges)


def _numbers(ranges: Sequence[tuple[int, int]]) -> list[int]:
    numbers = [n for low, high in ranges for n in range(low, high + 1)]
    return list(dict.fromkeys(numbers))


def _match(samples: list[Sample], skeleton: Skeleton, spec: str) -> list[Sample]:
    own = samples[0].skeleton
    if not (own.mapping_to(skeleton) >= 0).any():
        raise TinyposeError(
            f"{spec}: its skeleton ({', '.join(own.names)}) shares "
            f"no keypoint name with the skeleton {skeleton.name!r} "
            f"({', '.join(skeleton.names)}); name one that has them, such as a YAML "
            f"file of your own:  --set skeleton=FILE --set model.num_keypoints="
            f"{own.num_keypoints}"
        )
    return [sample.with_skeleton(skeleton) for sample in samples]
