"""Clean labels with the predictions of other models, the teachers.

Where teachers agree with each other they are nearly always right, so they can
vouch for a label, replace an outlier and fill a gap. Where they disagree they
know no better than the label, which then stays; and so it does where as many
share it, itself included, as agree on another place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tinypose.data.sample import NOT_LABELLED, VISIBLE, Sample, labelled_box
from tinypose.data.teachers import Teacher
from tinypose.geometry import FloatArray

ACTIONS = {
    "confirmed": "labels that the teachers confirm, kept",
    "kept": "labels that teachers neither confirm nor outvote, kept",
    "doubted": "labels that no teacher shares, kept with less weight",
    "replaced": "labels far from where the teachers agree, replaced",
    "filled": "missing labels on which the teachers agree, filled",
    "filled_alone": "missing labels that one trusted teacher gives, filled",
    "empty": "keypoints that stay without a label",
}
"""Everything that can happen to a keypoint, as it reads after a number."""

CHANGES = frozenset({"replaced", "filled", "filled_alone"})
"""Actions after which a keypoint is elsewhere."""

TOLERANCE = 0.2
"""Distance, in torso lengths, within which two positions are the same."""

DOUBT_WEIGHT = 0.5
"""Of a label that no teacher shares, and of a gap filled by one teacher."""

SWAP_GAIN = 0.5
"""Left and right swap when that brings the labels this much closer, at least."""

MAX_REPLACED = 0.5
"""Labels of a person are replaced only where no larger part would be."""

MIN_SWAP_KEYPOINTS = 4
MIN_SCALE = 0.2
"""Least reference length as a fraction of the box: a foreshortened torso would
make every distance look large."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CleanedSample:
    """A person before and after.

    Args:
        before: As labelled.
        after: As cleaned: keypoints, visibility, weights and, where the labels
            changed, the box.
        actions: (num_keypoints,) what happened to each keypoint, a key of
            ``ACTIONS``.
        swapped: Whether left and right were swapped first.
    """

    before: Sample
    after: Sample
    actions: tuple[str, ...]
    swapped: bool


def clean_samples(
    samples: Sequence[Sample],
    teachers: Sequence[Teacher],
    *,
    tolerance: float = TOLERANCE,
    progress: Callable[[int], None] | None = None,
) -> list[CleanedSample]:
    """Clean the labels of people with what the teachers say about them.

    Args:
        samples: The people.
        teachers: Their predictions, one row per person each.
        tolerance: In torso lengths; see ``TOLERANCE``.
        progress: Called with the number of people done so far.

    Raises:
        ValueError: a teacher has not one row per person.
    """
    for teacher in teachers:
        if len(teacher.keypoints_xy) != len(samples):
            raise ValueError(
                f"expected {len(samples)} rows of {teacher.name}, received "
                f"{len(teacher.keypoints_xy)}"
            )
    cleaned = []
    for row, sample in enumerate(samples):
        said = np.stack([teacher.keypoints_xy[row] for teacher in teachers])
        cleaned.append(_clean(sample, said, tolerance))
        if progress:
            progress(row + 1)
    return cleaned


class _Opinion(NamedTuple):
    """What the teachers say about one person; nan where they say nothing.

    ``said`` (num_teachers, num_keypoints, 2); ``agreed_xy`` (num_keypoints, 2)
    and ``spread`` (num_keypoints,) from ``agreement``; ``alone_xy``
    (num_keypoints, 2) from ``_alone``; ``limit`` in pixels.
    """

    said: FloatArray
    agreed_xy: FloatArray
    spread: FloatArray
    alone_xy: FloatArray
    limit: float


def _clean(sample: Sample, said: FloatArray, tolerance: float) -> CleanedSample:
    """Clean one person; ``said`` is (num_teachers, num_keypoints, 2)."""
    limit = tolerance * _reference(sample, said)
    agreed_xy, spread = agreement(said, limit)
    alone_xy = _alone(said, agreed_xy, limit)
    opinion = _Opinion(said, agreed_xy, spread, alone_xy, limit)
    swapped = _is_swapped(sample, agreed_xy, limit)
    start = _swap(sample) if swapped else sample
    actions = _decide(start, opinion)
    after = _apply(start, opinion, actions)
    changed = swapped or not CHANGES.isdisjoint(actions)
    if changed and (after.visible > 0).sum() > 1 and _is_labelled_box(sample):
        box_xywh = labelled_box(after.keypoints_xy, after.visible)
        after = replace(after, box_xywh=box_xywh)
    return CleanedSample(before=sample, after=after, actions=actions, swapped=swapped)


def _swap(sample: Sample) -> Sample:
    """Return the person with left and right swapped, where they are."""
    order = sample.skeleton.flip_indices
    return replace(
        sample,
        keypoints_xy=sample.keypoints_xy[order],
        visible=sample.visible[order],
        weights=None if sample.weights is None else sample.weights[order],
    )


def _decide(sample: Sample, opinion: _Opinion) -> tuple[str, ...]:
    """Return what is to happen to each keypoint, keys of ``ACTIONS``."""
    labelled = sample.visible != NOT_LABELLED
    off = np.linalg.norm(opinion.agreed_xy - sample.keypoints_xy, axis=-1)
    away = labelled & (off > opinion.limit)  # False where no two agree
    distances = np.linalg.norm(opinion.said - sample.keypoints_xy, axis=-1)  # (T, K)
    shares = distances <= opinion.limit
    elsewhere = np.linalg.norm(opinion.said - opinion.agreed_xy, axis=-1)
    # The label has a vote, too: a draw leaves it where it is.
    outvoted = (elsewhere <= opinion.limit).sum(axis=0) > shares.sum(axis=0) + 1
    outlier = away & outvoted
    agree = np.isfinite(opinion.spread) & ~(away & ~outvoted)
    # Where most labels differ, the teachers saw somebody else or a body that
    # is beyond them (people upside down): the labels may well be right.
    num_compared = (labelled & agree).sum()
    disputed = bool(outlier.sum() > MAX_REPLACED * num_compared)
    contested = ~shares.any(axis=0) & (np.isfinite(distances).sum(axis=0) > 1)
    alone = np.isfinite(opinion.alone_xy[:, 0])
    first_that_holds = [
        (outlier & (not disputed), "replaced"),
        (outlier, "doubted"),
        (labelled & agree, "confirmed"),
        (labelled & contested, "doubted"),
        (labelled, "kept"),
        (agree & (not disputed), "filled"),
        (alone & (not disputed), "filled_alone"),
    ]
    conditions, actions = zip(*first_that_holds, strict=True)
    return tuple(np.select(conditions, actions, "empty").tolist())


def _apply(sample: Sample, opinion: _Opinion, actions: Sequence[str]) -> Sample:
    """Return the person with the actions done to its keypoints."""
    done = np.array(actions)
    agreed, alone = np.isin(done, ("replaced", "filled")), done == "filled_alone"
    weights = np.ones(len(done)) if sample.weights is None else sample.weights.copy()
    weights[done == "doubted"] *= DOUBT_WEIGHT
    # The further apart the teachers are, the less they know.
    spread = opinion.spread[agreed] / opinion.limit
    weights[agreed] = 1.0 - (1.0 - DOUBT_WEIGHT) * spread
    weights[alone] = DOUBT_WEIGHT
    keypoints_xy, visible = sample.keypoints_xy.copy(), sample.visible.copy()
    keypoints_xy[agreed] = opinion.agreed_xy[agreed]
    keypoints_xy[alone] = opinion.alone_xy[alone]
    visible[agreed | alone] = VISIBLE
    return replace(sample, keypoints_xy=keypoints_xy, visible=visible, weights=weights)


def agreement(said: FloatArray, limit: float) -> tuple[FloatArray, FloatArray]:
    """Return where teachers agree on each keypoint, and how well.

    Two teachers agree within ``limit``. Of more, the two that are closest
    decide, and all others within ``limit`` of their middle join in.

    Args:
        said: (num_teachers, num_keypoints, 2); nan where a teacher says nothing.
        limit: In the same unit.

    Returns:
        The mean (num_keypoints, 2) of those that agree and the distance
        (num_keypoints,) of the closest two; nan where no two agree.
    """
    count = said.shape[1]
    best_xy = np.full((count, 2), np.nan)
    spread = np.full(count, np.nan)
    for first in range(len(said)):
        for second in range(first):
            distance = np.linalg.norm(said[first] - said[second], axis=-1)
            better = (distance <= limit) & ~(distance >= spread)
            spread[better] = distance[better]
            best_xy[better] = (said[first] + said[second])[better] / 2
    near = np.linalg.norm(said - best_xy, axis=-1) <= limit  # False where nan
    count_near = near.sum(axis=0)
    total = np.where(near[..., None], said, 0.0).sum(axis=0)
    mean = total / np.maximum(count_near, 1)[:, None]
    return np.where(np.isfinite(spread)[:, None], mean, np.nan), spread


def _reference(sample: Sample, said: FloatArray) -> float:
    """Return the person's torso length, from the labels and the teachers."""
    floor = MIN_SCALE * max(float(sample.box_xywh[2:].max()), 8.0)
    torso = sample.skeleton.torso
    if torso is None:
        return floor
    a, b = (sample.skeleton.index(name) for name in torso)
    lengths = list(np.linalg.norm(said[:, a] - said[:, b], axis=-1))
    if sample.visible[a] and sample.visible[b]:
        lengths.append(
            float(np.linalg.norm(sample.keypoints_xy[a] - sample.keypoints_xy[b]))
        )
    known = [length for length in lengths if np.isfinite(length)]
    return max(float(np.median(known)), floor) if known else floor


def _is_swapped(sample: Sample, agreed_xy: FloatArray, limit: float) -> bool:
    """Return whether the labels fit much better with left and right swapped.

    Labels that are within ``limit`` pixels as they are, as those of people seen from
    the side may be either way, stay.
    """
    order = sample.skeleton.flip_indices
    paired = order != np.arange(len(order))
    flip_xy, flip_visible = sample.keypoints_xy[order], sample.visible[order]
    used = (
        paired
        & (sample.visible > 0)
        & (flip_visible > 0)
        & np.isfinite(agreed_xy).all(axis=-1)
    )
    if used.sum() < MIN_SWAP_KEYPOINTS:
        return False
    straight = np.linalg.norm(agreed_xy - sample.keypoints_xy, axis=-1)[used].sum()
    crossed = np.linalg.norm(agreed_xy - flip_xy, axis=-1)[used].sum()
    return bool(crossed < SWAP_GAIN * straight and straight > limit * used.sum())


def _alone(said: FloatArray, agreed_xy: FloatArray, limit: float) -> FloatArray:
    """Return keypoints (num_keypoints, 2) that one trusted teacher alone gives.

    A teacher is trusted with a person when half of its keypoints lie where the
    teachers agree.
    """
    distance = np.linalg.norm(said - agreed_xy, axis=-1)  # (T, K)
    alone = np.isfinite(said[..., 0]).sum(axis=0) == 1
    result = np.full(agreed_xy.shape, np.nan)
    for teacher_xy, found in zip(said, distance, strict=True):
        known = found[np.isfinite(found)]
        if len(known) and np.median(known) <= limit:
            mine = alone & np.isfinite(teacher_xy[:, 0])
            result[mine] = teacher_xy[mine]
    return result


def _is_labelled_box(sample: Sample) -> bool:
    """Return whether the box is no more than the tight box of the labels."""
    box = labelled_box(sample.keypoints_xy, sample.visible)
    # Files hold hundredths of a pixel, in the box and in the labels.
    return bool(np.allclose(box, sample.box_xywh, rtol=0, atol=0.02))
