"""Which kinds of people and keypoints a figure is about."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinypose.data.facing import trunk_turns
from tinypose.data.sample import Sample
from tinypose.evaluation.result import HEADLINE

SIDES = ("left", "right")

FROM_THE_SIDE = 0.3
"""Up to this turn of the shoulders, in trunk lengths, nobody shows a front."""


def right_share(errors: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
    """Return how many of the chosen keypoints are right, in percent.

    Args:
        errors: (num_people, num_keypoints), in units of the reference, NaN where
            nothing is labelled.
        chosen: Of the same shape.
    """
    counted = chosen & ~np.isnan(errors)
    return 100 * float(np.mean(errors[counted] <= HEADLINE)) if counted.any() else 0.0


def turned(sample: Sample) -> float:
    """Return by how many degrees a person's torso is off the vertical, 0 to 180."""
    names = list(sample.skeleton.names)
    points = {
        part: np.mean(
            [sample.keypoints_xy[names.index(f"{side}_{part}")] for side in SIDES],
            axis=0,
        )
        for part in ("shoulder", "hip")
    }
    right, down = points["hip"] - points["shoulder"]
    return float(np.degrees(np.arctan2(abs(right), down)))


def by_angle(samples: Sequence[Sample]) -> dict[str, NDArray[np.bool_]]:
    """Return who is upright, who leans and who is inverted."""
    angles = np.array([turned(sample) for sample in samples])
    return {
        "upright (to 30 degrees)": angles <= 30,
        "leaning (30 to 90 degrees)": (angles > 30) & (angles <= 90),
        "inverted (from 90 degrees)": angles > 90,
    }


def by_facing(samples: Sequence[Sample]) -> dict[str, NDArray[np.bool_]]:
    """Return who is seen from the front, from the side and from behind.

    People whose trunk is not labelled are of no kind.
    """
    turns = [trunk_turns(sample) for sample in samples]
    shoulders = np.array([np.nan if turn is None else turn[0] for turn in turns])
    return {
        "facing the camera": shoulders > FROM_THE_SIDE,
        "from the side": np.abs(shoulders) <= FROM_THE_SIDE,
        "from behind": shoulders < -FROM_THE_SIDE,
    }
