"""Hold people out of training, all people of a picture together."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from tinypose.data.advice import picture_key
from tinypose.data.sample import Sample
from tinypose.errors import TinyposeError


def split_by_picture(
    samples: Sequence[Sample], share: float, seed: int, folder: Path
) -> tuple[list[Sample], list[Sample]]:
    """Divide people into two sets that share no picture.

    The seed and the pictures' names alone decide, so labels that are added later
    move few pictures to the other side.

    Args:
        samples: People in picture files.
        share: Of the pictures that the second set gets, 0..1; one at least.
        seed: Another one holds out other pictures.
        folder: The pictures' folder; their names are relative to it.

    Returns:
        The people of the first and of the second set, in their order.

    Raises:
        TinyposeError: there is only one picture, or the share leaves none.
    """
    keys = [picture_key(Path(str(sample.picture))) for sample in samples]
    names: dict[object, str] = {}
    for key, sample in zip(keys, samples, strict=True):
        name = os.path.relpath(str(sample.picture), folder)
        names[key] = min(names.get(key, name), name)
    count = max(round(share * len(names)), 1)
    if count >= len(names):
        raise TinyposeError(
            f"expected pictures for both sets, found {len(names)} in all, of which "
            f"{count} would be held out; label more or hold out a smaller share"
        )
    ordered = sorted(names, key=lambda key: _rank(names[key], seed))
    held_out = set(ordered[:count])
    return (
        [s for key, s in zip(keys, samples, strict=True) if key not in held_out],
        [s for key, s in zip(keys, samples, strict=True) if key in held_out],
    )


def _rank(name: str, seed: int) -> bytes:
    text = f"{seed}/{name.replace(os.sep, '/')}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
