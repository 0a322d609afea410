"""Hold people out of training, all people of a picture together."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tinypose.data.advice import picture_key
from tinypose.data.sample import Sample
from tinypose.errors import TinyposeError

_COPY = re.compile(r"\.rf\.[0-9a-zA-Z]{16,}(?=\.)")
"""What Roboflow puts into the names of its copies of a picture."""


def split_by_picture(
    samples: Sequence[Sample], share: float, seed: int, *, by_folder: bool = False
) -> tuple[list[Sample], list[Sample]]:
    """Divide people into two sets that share no picture.

    The seed, the pictures' names and those of the folders that they lie in decide, so
    labels that are added later move few pictures to the other side. The copies that
    Roboflow makes of a picture, ``NAME.rf.HASH.jpg``, stay together.

    Args:
        samples: People in picture files.
        share: Of the pictures that the second set gets, 0..1; one at least.
        seed: Another one holds out other pictures.
        by_folder: Keep all pictures of a folder together, such as frames of a video.

    Returns:
        The people of the first and of the second set, in their order.

    Raises:
        TinyposeError: there is only one picture or folder, or the share leaves none.
    """
    keys = [picture_key(Path(str(sample.picture))) for sample in samples]
    places: dict[tuple[int, int] | str, tuple[str, ...]] = {}
    for key, sample in zip(keys, samples, strict=True):
        place = Path(os.path.abspath(str(sample.picture))).parts
        places[key] = min(places.get(key, place), place, key=_order)
    together: dict[tuple[str, ...], list[tuple[int, int] | str]] = {}
    for key, place in places.items():
        last = () if by_folder else (_COPY.sub("", place[-1]),)
        together.setdefault((*place[:-1], *last), []).append(key)
    numbers: Counter[str] = Counter()
    ranks = {}
    for unit in sorted(together, key=_order):
        name = "/".join(unit[-2:])
        ranks[unit] = _rank(f"{name}/{numbers[name]}" if numbers[name] else name, seed)
        numbers[name] += 1
    count = max(round(share * len(places)), 1)
    if count >= len(places) or len(together) < 2:
        what = f"{len(together)} folders of " if by_folder else ""
        raise TinyposeError(
            f"expected pictures for both sets, found {what}{len(places)} in all, of "
            f"which {count} would be held out; label more or hold out a smaller share"
        )
    held_out: set[tuple[int, int] | str] = set()
    for unit in sorted(ranks, key=lambda unit: ranks[unit]):
        more = len(held_out) + len(together[unit])
        # Folders are of all sizes: those that lead past the share stay.
        if more < len(places) and abs(more - count) < abs(len(held_out) - count):
            held_out.update(together[unit])
    if not held_out:
        smallest = min(together, key=lambda unit: len(together[unit]))
        held_out.update(together[smallest])
    return (
        [s for key, s in zip(keys, samples, strict=True) if key not in held_out],
        [s for key, s in zip(keys, samples, strict=True) if key in held_out],
    )


def _order(parts: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """Return the sort key of a place: folders above come first."""
    return len(parts), parts


def _rank(name: str, seed: int) -> bytes:
    text = f"{seed}/{name}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
