"""Pose: what a predictor says about one person."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.skeletons import Skeleton

LEAST_MEAN_SCORE = 0.2
"""Below this mean score nobody is there, where no better bound is known."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pose:
    """The keypoints of one person.

    Args:
        keypoints_xy: (num_keypoints, 2) float32, (x, y) in picture pixels;
            integers are pixel centres.
        scores: (num_keypoints,) float32, confidence, about 0 to 1.
        skeleton: The order and meaning of the keypoints.
        box_xywh: (4,) float64, the person's box that the model was shown,
            before padding, in picture pixels.
    """

    keypoints_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    skeleton: Skeleton
    box_xywh: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = self.skeleton.num_keypoints
        if self.keypoints_xy.shape != (count, 2):
            raise ValueError(
                f"expected keypoints_xy of shape {(count, 2)}, "
                f"received {self.keypoints_xy.shape}"
            )
        if self.scores.shape != (count,):
            raise ValueError(
                f"expected scores of shape {(count,)}, received {self.scores.shape}"
            )

    @property
    def score(self) -> float:
        """Mean confidence of the keypoints."""
        return float(self.scores.mean())

    def keypoint(self, name: str) -> tuple[float, float, float]:
        """Return x, y and score of the keypoint of that name."""
        index = self.skeleton.index(name)
        x, y = self.keypoints_xy[index]
        return float(x), float(y), float(self.scores[index])

    def to_dict(self) -> dict[str, Any]:
        """Return the pose as plain values, as in the JSON that predict writes."""
        return {
            "box_xywh": [round(float(v), 2) for v in self.box_xywh],
            "score": round(self.score, 4),
            "keypoints": [
                {
                    "name": name,
                    "x": round(float(x), 2),
                    "y": round(float(y), 2),
                    "score": round(float(score), 4),
                }
                for name, (x, y), score in zip(
                    self.skeleton.names, self.keypoints_xy, self.scores, strict=True
                )
            ],
        }
