"""Follow one person through a video, and steady the keypoints.

Reference:
    Casiez, Roussel & Vogel, "1 euro filter: a simple speed-based low-pass
    filter for noisy input in interactive systems", CHI 2012,
    https://doi.org/10.1145/2207676.2208639.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.geometry import FloatArray, image_box
from tinypose.images import Image
from tinypose.inference.inputs import check_box, image_hw
from tinypose.inference.pose import LEAST_MEAN_SCORE, Pose
from tinypose.inference.search import (
    CLEARLY_BETTER,
    LEAST_SCORE,
    enlarge_box,
    overlap,
    person_box,
)

LOST_SHARE = 0.7
"""Below this share of the usual mean score the person is lost, too.

Scores differ from model to model and from scene to scene, so the usual one is
learned while the person is followed.
"""

LEARN = 0.1
"""How far the usual mean score moves with each frame."""

SEARCH_EVERY = 5
"""While nobody is found, the costly search runs on every so many frames."""

LOOK_AROUND_EVERY = 10
"""A followed person, too, is searched anew on every so many frames.

A weak model can creep, box by box, onto a part of the person, and be content.
"""

KEEP_CHOSEN = 10
"""Frames in which a person whom the user chose is not given up for another one.

Behind a tree, or in one blurred frame, they score too little.
"""

NEARBY = 0.5
"""They are looked for around their last box, by this fraction of its side."""

SAME_PERSON = 0.2
"""Boxes that overlap this much are of the same person."""

SLENDER = 0.3
"""For that, the shorter side counts as at least this fraction of the longer one.

The box of keypoints in a row is as thin as they tremble, and overlaps nothing.
"""

MARGIN = 0.2
"""The box is enlarged by this fraction of its side for the motion to come."""

FOLLOW = 0.4
"""How far the box moves to where the person is seen, from frame to frame."""


class PredictPose(Protocol):
    """Predicts one person: a ``Predictor``, or a stand-in of the same shape."""

    def __call__(self, image: Image, box_xywh: ArrayLike | None = None) -> Pose:
        """Return the pose in a box, or of whoever is found without one."""
        ...


class Tracker:
    """Predict the frames of one video, each from where the person was before.

    Args:
        predict: A ``Predictor``.
        smooth: Steady the keypoints with a ``OneEuroFilter``.
        box_xywh: (4,), the person's box in the first frame, picture pixels;
            None searches the first frame. Who is lost for ``KEEP_CHOSEN`` frames
            is given up: then anyone is followed.
        least_score: Below this mean score nobody is there; None takes what the
            predictor says of its model, its ``least_score``, or else
            ``LEAST_MEAN_SCORE``.
    """

    def __init__(
        self,
        predict: PredictPose,
        *,
        smooth: bool = True,
        box_xywh: ArrayLike | None = None,
        least_score: float | None = None,
    ) -> None:
        if least_score is None:
            least_score = getattr(predict, "least_score", LEAST_MEAN_SCORE)
        self._predict = predict
        self._least_score = least_score
        self._filter = OneEuroFilter() if smooth else None
        self._box = None if box_xywh is None else check_box(box_xywh)
        if self._box is not None:
            # Of no height, as keypoints in a row have it, it overlaps nothing.
            self._box[2:] = np.maximum(self._box[2:], 1.0)
        self._seen: FloatArray | None = None
        self._is_chosen = box_xywh is not None
        self._is_found = False
        self._frames_lost = 0
        self._frames_followed = 0
        self._usual_score = 0.0

    @property
    def found(self) -> bool:
        """Whether somebody was found in the latest frame."""
        return self._is_found

    def __call__(self, image: Image, time_s: float) -> Pose:
        """Return the pose in the next frame.

        Args:
            image: (height, width, 3) uint8 RGB.
            time_s: When the frame is shown, in seconds; must grow.

        Returns:
            The pose, to be believed if the tracker then says ``found``.

        Raises:
            UsageError: the given box lies beside the first frame.
        """
        is_first = self._frames_followed == self._frames_lost == 0
        if self._box is not None and is_first:
            check_box(self._box, image_hw(image))
        followed = self._follow(image)
        if followed is not None:
            pose = self._look_around(image, followed)
            self._is_found = True
        elif self._is_chosen and self._box is not None:
            pose = self._look_nearby(image, self._box)
            self._is_found = not self._is_lost(pose) and self._is_same(pose)
        else:
            pose = self._look(image)
            self._is_found = not self._is_lost(pose)
        is_same = self._is_same(pose) or (pose is followed and _tight(pose) is None)
        if self._filter is not None and not (self._is_found and is_same):
            # The keypoints of two people have no mean.
            self._filter.reset()
        if self._is_found:
            self._keep(pose)
        else:
            self._lose()
        return self._steady(pose, time_s)

    def _keep(self, pose: Pose) -> None:
        """Note that the person was found."""
        self._frames_lost = 0
        self._frames_followed += 1
        self._box = self._next_box(pose)
        seen = _tight(pose)
        self._seen = self._seen if seen is None else seen
        usual = self._usual_score or pose.score
        self._usual_score = usual + LEARN * (pose.score - usual)

    def _lose(self) -> None:
        """Note that nobody was found."""
        self._frames_lost += 1
        self._frames_followed = 0
        if self._frames_lost >= SEARCH_EVERY:
            # Whoever comes next may be harder to see.
            self._usual_score = 0.0
        if not self._is_chosen or self._frames_lost >= KEEP_CHOSEN:
            self._box = self._seen = None
            self._is_chosen = False

    def _is_lost(self, pose: Pose) -> bool:
        return pose.score < max(self._least_score, LOST_SHARE * self._usual_score)

    def _follow(self, image: Image) -> Pose | None:
        """Predict in the box of the frame before; None where that is no use."""
        if self._box is None or not overlap(self._box, image_box(image_hw(image))):
            return None
        pose = self._predict(image, self._box)
        # A neighbour in the same crop may be easier to see than the chosen person.
        # (Too few keypoints that count say nothing of where it is.)
        can_tell = self._seen is not None and _tight(pose) is not None
        is_other = self._is_chosen and can_tell and not self._is_same(pose)
        return None if is_other or self._is_lost(pose) else pose

    def _look_around(self, image: Image, pose: Pose) -> Pose:
        """Return a clearly better pose than the followed one, if it is time."""
        if self._frames_followed % LOOK_AROUND_EVERY != LOOK_AROUND_EVERY - 1:
            return pose
        other = self._predict(image)
        # A person whom the user chose is not left for another one.
        same = not self._is_chosen or self._is_same(other)
        return other if same and other.score > CLEARLY_BETTER * pose.score else pose

    def _look_nearby(self, image: Image, box: FloatArray) -> Pose:
        """Look for the person around their last box; then closer."""
        picture = image_box(image_hw(image))
        around = enlarge_box(box, 2 * NEARBY * float(box[2:].max()))
        if not overlap(around, picture):
            return self._predict(image, picture)
        pose = self._predict(image, around)
        seen = _tight(pose)
        if seen is None or not overlap(seen, picture):
            return pose
        closer = self._predict(image, seen)
        return closer if closer.score > pose.score else pose

    def _is_same(self, pose: Pose) -> bool:
        """Return whether a pose is where the person was seen before."""
        seen = _tight(pose)
        before = self._box if self._seen is None else self._seen
        if seen is None or before is None:
            return False
        return overlap(_thick(seen), _thick(before)) >= SAME_PERSON

    def _look(self, image: Image) -> Pose:
        """Look for the person anywhere; thoroughly on some frames only."""
        if self._frames_lost % SEARCH_EVERY == 0:
            return self._predict(image)
        return self._predict(image, image_box(image_hw(image)))

    def _next_box(self, pose: Pose) -> FloatArray:
        """Return the box in which the person is expected next."""
        seen = _tight(pose)
        if seen is None:
            return pose.box_xywh
        seen = enlarge_box(seen, MARGIN * float(seen[2:].max()))
        return pose.box_xywh + FOLLOW * (seen - pose.box_xywh)

    def _steady(self, pose: Pose, time_s: float) -> Pose:
        if self._filter is None or not self._is_found:
            return pose
        size = float(pose.box_xywh[2:].max())
        steadied = self._filter(pose.keypoints_xy, time_s, size)
        return replace(pose, keypoints_xy=steadied.astype(np.float32))


def _tight(pose: Pose) -> FloatArray | None:
    """Return the box of the confident keypoints, None for too few.

    A single keypoint has no box; around it is one with which the size stays.
    """
    if len(pose.scores) != 1 or pose.scores[0] < LEAST_SCORE:
        return person_box(pose.keypoints_xy, pose.scores)
    size = pose.box_xywh[2:] / (1 + MARGIN)
    return np.concatenate([pose.keypoints_xy[0] - size / 2, size]).astype(np.float64)


def _thick(box_xywh: FloatArray) -> FloatArray:
    """Return a box (4,), of keypoints in a row perhaps, that can overlap another."""
    centre, size = box_xywh[:2] + box_xywh[2:] / 2, box_xywh[2:]
    size = np.maximum(size, SLENDER * size.max())
    return np.concatenate([centre - size / 2, size])


class OneEuroFilter:
    """Low-pass filter of moving points: steady at rest, quick in motion.

    The cutoff frequency grows with each point's own speed, so that resting
    points do not tremble and fast ones do not lag. Speeds are relative to the
    person's size, so the same settings fit near and far.

    Args:
        min_cutoff: Cutoff at rest, in Hz; lower is steadier.
        beta: Growth of the cutoff, in Hz per person size per second.
        speed_cutoff: Cutoff for the speed itself, in Hz.
    """

    def __init__(
        self, *, min_cutoff: float = 1.5, beta: float = 6.0, speed_cutoff: float = 1.0
    ) -> None:
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.speed_cutoff = speed_cutoff
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next points pass unchanged."""
        self._time_s = 0.0
        self._points: FloatArray | None = None
        self._velocity: FloatArray | None = None

    def __call__(
        self, points_xy: NDArray[np.floating], time_s: float, size: float
    ) -> FloatArray:
        """Return the filtered points.

        Args:
            points_xy: (num_points, 2), pixels.
            time_s: When, in seconds; must grow from call to call.
            size: The person's size, in pixels.
        """
        points = np.asarray(points_xy, np.float64)
        if self._points is None or self._velocity is None:
            self._points, self._velocity = points, np.zeros_like(points)
            self._time_s = time_s
            return points
        seconds = max(time_s - self._time_s, 1e-3)
        velocity = (points - self._points) / seconds
        share = _share(np.array(self.speed_cutoff), seconds)
        self._velocity = self._velocity + share * (velocity - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=1) / max(size, 1.0)
        cutoff = self.min_cutoff + self.beta * speed
        share = _share(cutoff, seconds)[:, None]
        self._points = self._points + share * (points - self._points)
        self._time_s = time_s
        return self._points


def _share(cutoff_hz: FloatArray, seconds: float) -> FloatArray:
    """Return how much of a new value a low-pass filter of that cutoff takes."""
    time_constant = 1 / (2 * np.pi * cutoff_hz)
    return np.asarray(1 / (1 + time_constant / seconds), np.float64)
