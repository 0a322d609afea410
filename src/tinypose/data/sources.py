"""Data sets by name on the command line: ``lsp=PATH:1-700`` and its kin."""

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
from tinypose.errors import TinyposeError, UsageError, did_you_mean
from tinypose.skeletons import Skeleton

Reader = Callable[[Path, Path | None], list[Sample]]

READERS: dict[str, Reader] = {
    "ai_challenger": read_ai_challenger,
    "coco": read_coco,
    "lsp": read_lsp,
    "lspet": read_lspet,
    "mpii": read_mpii,
}
SYNTHETIC = "stick_people"
SYNTHETIC_COUNT = 1000

_SPEC = re.compile(
    r"(?P<name>[^=:,]+)"
    r"(?:=(?P<path>.+?)(?:,images=(?P<images>.+?))?)?"
    r"(?::(?P<split>\d+-\d+(?:,\d+-\d+)*))?"
)
_FORM = "NAME=PATH, NAME=PATH:1-700 or NAME=PATH,images=FOLDER"


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """A data set as named on the command line.

    Args:
        name: A key of ``READERS``, or ``stick_people``.
        path: Its file or folder; None for ``stick_people``.
        images: Folder of its pictures, if given.
        ranges: First and last record of each range, from 1; empty for all.
    """

    name: str
    path: Path | None
    images: Path | None
    ranges: tuple[tuple[int, int], ...]


def load_data(
    specs: Sequence[str], skeleton: Skeleton | None = None, limit: int | None = None
) -> list[Sample]:
    """Read and join the data sets that ``specs`` name.

    Args:
        specs: Each ``NAME=PATH[,images=FOLDER][:FIRST-LAST[,...]]``, where NAME
            is a key of ``READERS`` and the ranges count records from 1; or
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
    for spec in specs:
        found = _load_one(spec)
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
    known = [*READERS, SYNTHETIC]
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
        path=Path(path) if path else None,
        images=Path(match["images"]) if match["images"] else None,
        ranges=_ranges(match["split"], spec),
    )


def absolute_spec(spec: str) -> str:
    """Return a data set's name with absolute paths, good from any folder."""
    parsed = parse_spec(spec)
    text = parsed.name
    if parsed.path is not None:
        text += f"={parsed.path.absolute()}"
    if parsed.images is not None:
        text += f",images={parsed.images.absolute()}"
    ranges = ",".join(f"{low}-{high}" for low, high in parsed.ranges)
    return f"{text}:{ranges}" if ranges else text


def describe_spec(spec: str) -> str:
    """Return a data set's name and range without its path, such as lsp 1-700."""
    parsed = parse_spec(spec)
    ranges = ",".join(f"{low}-{high}" for low, high in parsed.ranges)
    return f"{parsed.name} {ranges}".strip()


def _load_one(spec: str) -> list[Sample]:
    parsed = parse_spec(spec)
    if parsed.path is None:
        return stick_people(_numbers(parsed.ranges or ((1, SYNTHETIC_COUNT),)))
    if not parsed.path.exists():
        raise TinyposeError(
            f"{parsed.path}: expected the data set {parsed.name}, found nothing there"
        )
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
    shared = set(samples[0].skeleton.names) & set(skeleton.names)
    if not shared:
        raise TinyposeError(
            f"{spec}: its skeleton ({', '.join(samples[0].skeleton.names)}) shares "
            f"no keypoint name with the skeleton {skeleton.name!r} "
            f"({', '.join(skeleton.names)})"
        )
    return [sample.with_skeleton(skeleton) for sample in samples]
