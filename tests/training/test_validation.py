"""Validation while training: the figures that ``tinypose evaluate`` finds."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.data.crops import CropDataset
from tinypose.data.sample import Sample
from tinypose.evaluation.evaluate import evaluate
from tinypose.inference.predictor import Predictor
from tinypose.metadata import Metadata, write_metadata
from tinypose.training.task import PoseTask
from tinypose.training.validation import Validator

HW, STRIDE = (48, 32), 4


def move(person: Sample, number: int) -> Sample:
    """Return the person twice as large, somewhere in a picture of 150x130.

    Their first keypoint is labelled 0.3 of the box above where it is.
    """
    left, top = 5 + 3 * number, 40 - 2 * number
    picture = np.full((150, 130, 3), 80, np.uint8)
    pixels = person.load_image().repeat(2, axis=0).repeat(2, axis=1)
    picture[top : top + 96, left : left + 64] = pixels
    keypoints_xy = 2 * person.keypoints_xy + 0.5 + (left, top)
    side = 96 / 1.25 * (1 + number / 40)
    keypoints_xy[0, 1] -= 0.3 * side
    box_xywh = np.array([left + 32 - side / 3, top + 48 - side / 2, side / 1.5, side])
    return replace(
        person,
        picture=lambda: picture,
        keypoints_xy=keypoints_xy,
        box_xywh=box_xywh,
    )


@pytest.fixture(scope="module")
def people(dots: CropDataset) -> list[Sample]:
    """Twenty people, more than a batch: none has its crop where another has."""
    return [move(person, i) for i, person in enumerate(dots.samples[:20])]


def finder() -> keras.Model:
    """Return a network that finds red, green and blue."""
    images = keras.Input((*HW, 3))
    conv = keras.layers.Conv2D(3, 1, activation="relu")
    pooled = keras.layers.AveragePooling2D(STRIDE)(images)
    net = keras.Model(images, {"heatmaps_1": conv(pooled)})
    conv.set_weights([np.eye(3)[None, None] * 0.75 - 0.25, np.zeros(3)])
    return net


@pytest.mark.parametrize("padding", [1.25, 1.5])
def test_validation_agrees_with_evaluate(people, tmp_path, padding: float) -> None:
    net = finder()
    codec = HeatmapCodec(
        input_hw=HW, heatmap_hw=(HW[0] // STRIDE, HW[1] // STRIDE), sigma_cells=1.0
    )
    crops = CropDataset(people, HW, padding=padding)
    found = Validator(crops).validate(
        PoseTask(net, {"heatmaps_1": codec}), "heatmaps_1"
    )
    net.save(tmp_path / "finder.keras")
    metadata = Metadata(
        name="finder",
        family="tiny_hourglass",
        skeleton=crops.skeleton,
        input_hw=HW,
        padding=padding,
        **codec.description(),
    )
    write_metadata(tmp_path / "finder.keras", metadata)
    evaluation = evaluate(Predictor(tmp_path / "finder.keras"), people, batch_size=8)
    assert found.pck == pytest.approx(evaluation.accuracy.headline.mean, abs=0.01)
    # One keypoint of three is labelled elsewhere; hardly another is not found.
    assert 60 < found.pck < 67
    scores = [person.pose.score for person in evaluation.people]
    assert found.score == pytest.approx(np.mean(scores), abs=0.01)
    assert found.score > 0.2


def test_people_without_a_labelled_torso_are_scored_by_their_boxes(people) -> None:
    skeleton = replace(people[0].skeleton, torso=people[0].skeleton.names[:2])
    visible = np.array([0, 1, 1], np.uint8)
    upper = [replace(person, skeleton=skeleton, visible=visible) for person in people]
    codec = HeatmapCodec(
        input_hw=HW, heatmap_hw=(HW[0] // STRIDE, HW[1] // STRIDE), sigma_cells=1.0
    )
    task = PoseTask(finder(), {"heatmaps_1": codec})
    found = Validator(CropDataset(upper, HW)).validate(task, "heatmaps_1")
    assert found.pck is not None and found.pck > 90
    assert found.pck_label == "PCK@0.2 of the box side"
