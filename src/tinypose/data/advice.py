"""What to tell before training: labels that mirror wrongly, pictures held out badly."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinypose.data.sample import Sample
from tinypose.files import printable
from tinypose.keypoint_names import plain_names
from tinypose.skeletons import Skeleton, unpaired_sides

FEW_STEPS = 200
"""Fewer steps than this are hardly a training."""

MANY_LEFT_OUT = 0.1

_NUMBERED = re.compile(r"(p|k|j|kp|pt|point|keypoint|joint|landmark|node)?_?\d+")


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
        pair_advice(training, flip_probability),
        overlap_advice(training, validation),
    ):
        if text:
            yield text


def step_advice(num_people: int, batch_size: int, epochs: int) -> str | None:
    """Return what to do where a training has few steps, or leaves many people out.

    Args:
        num_people: Who can be trained on.
        batch_size: How many of them make a step.
        epochs: How often everybody is seen.
    """
    batch = min(batch_size, num_people)
    steps = num_people // batch
    total, left_out = steps * epochs, num_people - steps * batch
    if total < FEW_STEPS and epochs > 1:
        return (
            f"the network will be changed {total} times in all, {steps} an epoch: that "
            "is little; set more training.epochs or a smaller training.batch_size"
        )
    if left_out > MANY_LEFT_OUT * num_people:
        return (
            f"each epoch leaves out {left_out} of {num_people} people, other ones each "
            "time, who fill no batch; set a smaller training.batch_size"
        )
    return None


def size_advice(other_size: Sequence[str]) -> str | None:
    """Return what to tell of people whose pictures have changed since their labels.

    Args:
        other_size: A line for each of them; see ``Sample.other_size``.
    """
    if not other_size:
        return None
    return (
        f"{len(other_size)} people's labels do not fit their pictures: "
        f"{printable(other_size[0])}  tinypose data check  names all"
    )


def mirror_advice(skeleton: Skeleton, flip_probability: float) -> str | None:
    """Return what to do where mirrored pictures get wrong labels, if they do.

    Names that speak of left or right but make no pair stay with their places, and so
    do mere numbers, which say nothing of sides; whoever declares that there are no
    pairs at all knows.
    """
    names = unpaired_sides(skeleton)
    is_told = skeleton.declares_pairs and not skeleton.flip_pairs
    if not flip_probability or is_told or skeleton.num_keypoints < 2:
        return None
    numbered = all(map(_NUMBERED.fullmatch, plain_names(skeleton.names)))
    if not names and not skeleton.flip_pairs and numbered:
        return (
            f"the skeleton {skeleton.name!r} has numbers for names and no flip_pairs: "
            "in mirrored pictures every keypoint keeps its number; where some are the "
            "left and the right of something, pair them in the skeleton's YAML file, "
            "as in  flip_pairs: [[p1, p2]]; where none are, say so with  flip_pairs: []"
        )
    if not names:
        return None
    return (
        f"the skeleton {skeleton.name!r} has no flip_pairs for {_few(names)}: in "
        "mirrored pictures labels keep their names, so left is learned as right; name "
        "the pairs in the skeleton's YAML file, as in  flip_pairs: [[left_ear, "
        "right_ear]]; where a side has no other, set augment.flip_probability=0, or "
        "flip_pairs: []  if it may be learned from both"
    )


def pair_advice(training: Sequence[Sample], flip_probability: float) -> str | None:
    """Return what to do where data swap keypoints that the skeleton does not, if any.

    The skeleton's pairs are those that count in mirrored pictures.
    """
    target = training[0].skeleton
    data = {id(s.labelled_skeleton): s.labelled_skeleton for s in training}
    missing: dict[tuple[str, str], None] = {}
    for own in data.values():
        if own is None or not flip_probability:
            continue
        places = [int(i) for i in own.mapping_to(target)]
        for first, second in own.flip_pairs:
            pair = own.index(first), own.index(second)
            # The data may have keypoints that are not learned.
            if all(i in places for i in pair):
                a, b = (places.index(i) for i in pair)
                if target.flip_indices[a] != b:
                    missing[target.names[a], target.names[b]] = None
    if not missing:
        return None
    pairs = [f"[{a}, {b}]" for a, b in missing]
    return (
        f"the data swap {_few(pairs)} in mirrored pictures (flip_idx or flip_pairs), "
        f"the skeleton {target.name!r}, which counts, does not: name them under "
        "flip_pairs in the skeleton's YAML file, or set augment.flip_probability=0"
    )


def _few(names: Sequence[str]) -> str:
    return f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"


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
