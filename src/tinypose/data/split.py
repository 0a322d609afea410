"""Hold people out of training, all people of a picture together."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tinypose.data.advice import picture_key
from tinypose.data.sample import Sample
from tinypose.errors import TinyposeError


def split_by_picture(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Divide people into two sets that share no picture.

    The seed and the pictures' names without their folders decide, so labels that are
    added later, in whatever folder, move few pictures to the other side. Of pictures
    of one name, their order by folder tells which is which.

    Args:
        samples: People in picture files.
        share: Of the pictures that the second set gets, 0..1; one at least.
        seed: Another one holds out other pictures.

    Returns:
        The people of the first and of the second set, in their order.

    Raises:
        TinyposeError: there is only one picture, or the share leaves none.
    """
    keys = [picture_key(Path(str(sample.picture))) for sample in samples]
    places: dict[tuple[int, int] | str, tuple[str, ...]] = {}
    for key, sample in zip(keys, samples, strict=True):
        place = Path(os.path.abspath(str(sample.picture))).parts
        places[key] = min(places.get(key, place), place, key=_order)
    count = max(round(share * len(places)), 1)
    if count >= len(places):
        raise TinyposeError(
            f"expected pictures for both sets, found {len(places)} in all, of which "
            f"{count} would be held out; label more or hold out a smaller share"
        )
    numbers: Counter[str] = Counter()
    ranks = {}
    for key in sorted(places, key=lambda key: _order(places[key])):
        name = places[key][-1]
        ranks[key] = _rank(f"{name}/{numbers[name]}" if numbers[name] else name, seed)
        numbers[name] += 1
    held_out = set(sorted(ranks, key=lambda key: ranks[key])[:count])
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
