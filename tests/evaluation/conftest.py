"""People and a predictor with known errors, so that metrics follow by hand."""

import numpy as np
import pytest

from tinypose.data.sample import Sample, labelled_box
from tinypose.inference.pose import Pose
from tinypose.metadata import Metadata
from tinypose.skeletons import Skeleton

IMAGE_HW = (60, 90)

ARM = Skeleton(
    name="arm",
    names=("left_shoulder", "right_hip", "left_elbow", "left_wrist"),
    edges=(("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
    oks_sigmas=(0.1, 0.2, 0.1, 0.05),
    torso=("left_shoulder", "right_hip"),
    head=("left_elbow", "left_wrist"),
)
# Torso 10, box 20 x 8, "head" (elbow to wrist) 5.
ARM_XY = np.array([[30.0, 20.0], [36.0, 28.0], [45.0, 20.0], [50.0, 20.0]])


class FakePredictor:
    """Predicts the given keypoints, person by person."""

    def __init__(self, predictions, skeleton=ARM, name="fake", scores=None):
        self.predictions = [np.asarray(p, np.float32) for p in predictions]
        self.scores = scores or [1.0] * len(self.predictions)
        self.skeleton = skeleton
        self.name = name
        self.flip_test = False
        self.metadata = Metadata(
            name=name,
            family="tiny_hourglass",
            skeleton=skeleton,
            input_hw=(64, 48),
            output="keypoints",
            heatmap_hw=(16, 12),
            sigma_cells=1.0,
            refinement="dark",
            training_data=("arms",),
        )
        self.calls = []

    def predict_batch(self, images, boxes_xywh):
        done = sum(len(boxes) for boxes in self.calls)
        self.calls.append([np.array(box) for box in boxes_xywh])
        count = self.skeleton.num_keypoints
        return [
            Pose(
                keypoints_xy=self.predictions[done + index],
                scores=np.full(count, self.scores[done + index], np.float32),
                skeleton=self.skeleton,
                box_xywh=np.asarray(box, np.float64),
            )
            for index, box in enumerate(boxes_xywh)
        ]


def _make_person(
    keypoints_xy=ARM_XY, visible=None, skeleton=ARM, sample_id="person", **fields
):
    points = np.array(keypoints_xy, np.float64)
    flags = np.array([2] * len(points) if visible is None else visible, np.uint8)
    return Sample(
        sample_id=sample_id,
        picture=lambda: np.full((*IMAGE_HW, 3), 90, np.uint8),
        skeleton=skeleton,
        keypoints_xy=points,
        visible=flags,
        box_xywh=fields.pop("box_xywh", labelled_box(points, flags)),
        **fields,
    )


@pytest.fixture
def arm():
    return ARM


@pytest.fixture
def arm_xy():
    return ARM_XY.copy()


@pytest.fixture
def make_person():
    return _make_person


@pytest.fixture
def make_predictor():
    return FakePredictor
