"""PCP: the percentage of correct parts, in its strict form.

References:
    Ferrari, Marin-Jimenez & Zisserman, "Progressive search space reduction for
    human pose estimation", CVPR 2008; the strict form: Pishchulin et al.,
    "Articulated people detection and pose estimation", CVPR 2012.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.evaluation.pck import (
    MIN_REFERENCE,
    FloatArray,
    mean_known,
    normalised_errors,
    percent,
)
from tinypose.skeletons import Skeleton

STRICT_FRACTION = 0.5
"""Largest error of either end of a correct limb, in limb lengths."""


@dataclass(frozen=True, eq=False)
class PCP:
    """The percentage of correct parts.

    Args:
        limbs: The two keypoint names of each limb.
        per_limb: (num_limbs,) percent; nan where never labelled.
        counts: (num_limbs,) number of labelled limbs behind it.
    """

    limbs: tuple[tuple[str, str], ...]
    per_limb: FloatArray
    counts: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """Mean over the limbs that were ever labelled; nan for none."""
        return mean_known(self.per_limb)


def pcp(
    predicted_xy: ArrayLike, true_xy: ArrayLike, visible: ArrayLike, skeleton: Skeleton
) -> PCP:
    """Return the percentage of limbs whose ends are both correct.

    An end is correct within half the true length of its limb. A limb counts
    where both its ends are labelled and at least a pixel apart.

    Args:
        predicted_xy: (num_people, num_keypoints, 2), (x, y) in pixels; NaN
            where nothing was predicted, which is wrong.
        true_xy: (num_people, num_keypoints, 2), (x, y) in pixels.
        visible: (num_people, num_keypoints), 0 where not labelled.
        skeleton: Its limbs are scored; all edges where it names none.

    Raises:
        ValueError: the shapes do not fit together.
    """
    predicted, true = np.asarray(predicted_xy), np.asarray(true_xy)
    labelled = np.asarray(visible) > 0
    pairs = skeleton.limb_indices
    right = np.zeros(len(pairs))
    counts = np.zeros(len(pairs), np.int64)
    for index, pair in enumerate(pairs):
        ends = list(pair)
        lengths = np.linalg.norm(true[:, ends[0]] - true[:, ends[1]], axis=-1)
        usable = labelled[:, ends].all(axis=1) & (lengths >= MIN_REFERENCE)
        errors = normalised_errors(
            predicted[:, ends],
            true[:, ends],
            labelled[:, ends],
            np.where(usable, lengths, np.nan),
        )
        counts[index] = usable.sum()
        right[index] = (errors <= STRICT_FRACTION).all(axis=1).sum()
    limbs = tuple((skeleton.names[a], skeleton.names[b]) for a, b in pairs)
    return PCP(limbs, percent(right, counts), counts)
