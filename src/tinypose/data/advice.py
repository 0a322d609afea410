"""What to tell before training: labels that mirror wrongly, pictures held out badly."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinypose.data.sample import Sample
from tinypose.skeletons import Skeleton, shows_sides


def training_advice(
    training: Sequence[Sample], validation: Sequence[Sample], flip_probability: float
) -> Iterator[str]:
    """Yield a line for whatever spoils a training without stopping it.

    Args:
        training: People of one skeleton.
        validation: The held-out people; empty for none.
        flip_probability: How often pictures are mirrored.
    """
    for text in (
        mirror_advice(training[0].skeleton, flip_probability),
        overlap_advice(training, validation),
    ):
        if text:
            yield text


def mirror_advice(skeleton: Skeleton, flip_probability: float) -> str | None:
    """Return what to do where mirrored pictures get wrong labels, if they do.

    Names that speak of left or right but make no pair stay with their places.
    """
    names = skeleton.names
    if not flip_probability or skeleton.flip_pairs or len(names) < 2:
        return None
    if not shows_sides(names):
        return None
    return (
        f"the skeleton {skeleton.name!r} ({', '.join(names[:3])}"
        f"{', ...' if len(names) > 3 else ''}) has no flip_pairs: in mirrored pictures "
        "its labels keep their names, so left is learned as right; name the pairs in "
        "the skeleton's YAML file, as in  flip_pairs: [[left_ear, right_ear]], or set "
        "augment.flip_probability=0"
    )


def overlap_advice(
    training: Sequence[Sample], validation: Sequence[Sample]
) -> str | None:
    """Return what to do where pictures are both trained on and held out, if any."""
    trained, held_out = (
        {picture_key(picture): picture for picture in _files(samples)}
        for samples in (training, validation)
    )
    shared = [picture for key, picture in held_out.items() if key in trained]
    if not shared:
        return None
    return (
        f"{len(shared)} of {len(held_out)} pictures of --val are in --data, too (the "
        f"first: {shared[0]}): the PCK will look better than it is; divide by picture "
        "with  tinypose data split"
    )


def picture_key(picture: Path) -> tuple[int, int] | str:
    """Return what is the same for the same file, however it is named."""
    try:
        status = os.stat(picture)
    except OSError:
        return os.path.abspath(picture)
    # Some file systems number no files.
    known = status.st_dev, status.st_ino
    return known if status.st_ino else os.path.realpath(picture)


def _files(samples: Sequence[Sample]) -> dict[Path, None]:
    return dict.fromkeys(s.picture for s in samples if isinstance(s.picture, Path))
