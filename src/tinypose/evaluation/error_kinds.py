"""Kinds of error: where wrong keypoints lie, and so what a model confuses.

A keypoint is wrong when its error exceeds the threshold. It is then of the
first kind that fits:

- ``swap``: within the threshold of its mirrored partner's place.
- ``other``: within the threshold of another keypoint's place.
- ``jitter``: within ``JITTER_FACTOR`` thresholds of its own place.
- ``miss``: elsewhere, or not predicted.

Only places of the same person that are labelled are known.

Reference:
    Ronchi & Perona, "Benchmarking and error diagnosis in multi-instance pose
    estimation", ICCV 2017, section 3.

Differs from the paper:
    - Distances are those of PCK instead of OKS, and ``other`` is new.
    - ``swap`` is what the paper calls an inversion. Its swaps are between people,
      of whom one at a time is evaluated here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.evaluation.pck import FloatArray, normalised_errors, percent
from tinypose.skeletons import Skeleton

KINDS = ("swap", "other", "jitter", "miss")

JITTER_FACTOR = 2.0
"""The paper's jitter ends at the similarity 0.5 and what is right at 0.85, which
are distances of 2.07 to 1."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ErrorKinds:
    """How many keypoints are wrong in which way.

    Args:
        threshold: Largest error that is right, in reference lengths.
        counts: (num_kinds, num_keypoints) wrong keypoints, in the order of
            ``KINDS``.
    """

    threshold: float
    counts: NDArray[np.int64]

    @property
    def wrong(self) -> NDArray[np.int64]:
        """Number (num_keypoints,) of wrong ones."""
        return np.asarray(self.counts.sum(axis=0), np.int64)

    @property
    def shares(self) -> FloatArray:
        """Percent (num_kinds, num_keypoints) of the wrong ones; nan for none."""
        return percent(self.counts, self.wrong)

    @property
    def total_shares(self) -> FloatArray:
        """Percent (num_kinds,) of all wrong keypoints; nan for none."""
        return percent(self.counts.sum(axis=1), self.counts.sum())

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return plain values by keypoint name: None where none is wrong."""
        return {
            "threshold": self.threshold,
            "jitter_up_to": JITTER_FACTOR * self.threshold,
            "all": _plain(self.counts.sum(axis=1)),
            "per_keypoint": {
                name: _plain(column)
                for name, column in zip(names, self.counts.T, strict=True)
            },
        }


def error_kinds(
    predicted_xy: ArrayLike,
    true_xy: ArrayLike,
    visible: ArrayLike,
    reference: ArrayLike,
    skeleton: Skeleton,
    threshold: float = 0.2,
) -> ErrorKinds:
    """Return the kinds of the errors that PCK counts.

    Args:
        predicted_xy: (num_people, num_keypoints, 2), (x, y) in pixels; NaN
            where nothing was predicted, which is a miss.
        true_xy: (num_people, num_keypoints, 2), (x, y) in pixels.
        visible: (num_people, num_keypoints), 0 where not labelled.
        reference: (num_people,) pixels, of PCK; nan leaves a person out.
        skeleton: Its ``flip_pairs`` say who is whose mirrored partner.
        threshold: Largest error that is right, in reference lengths.

    Raises:
        ValueError: the shapes do not fit together.
    """
    true, labelled = np.asarray(true_xy, np.float64), np.asarray(visible)
    own = normalised_errors(predicted_xy, true, labelled, reference)
    swap = np.zeros(own.shape, bool)
    other = np.zeros(own.shape, bool)
    for place, partner in enumerate(skeleton.flip_indices):
        there = np.broadcast_to(true[:, [place]], true.shape)
        known = np.broadcast_to(labelled[:, [place]], labelled.shape)
        near = normalised_errors(predicted_xy, there, known, reference) <= threshold
        swap[:, partner] = near[:, partner]
        other |= near
    kind = np.select([swap, other, own <= JITTER_FACTOR * threshold], [0, 1, 2], 3)
    wrong = own > threshold
    counts = [(wrong & (kind == number)).sum(axis=0) for number in range(len(KINDS))]
    return ErrorKinds(threshold=threshold, counts=np.array(counts, np.int64))


def _plain(counts: NDArray[np.int64]) -> dict[str, Any]:
    wrong = int(counts.sum())
    shares = [round(float(100 * n / wrong), 4) if wrong else None for n in counts]
    return {"wrong": wrong, **dict(zip(KINDS, shares, strict=True))}
