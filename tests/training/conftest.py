"""Synthetic people for the trainer: three coloured dots on noise."""

import numpy as np
import pytest

from helpers.runs import with_values
from tinypose.config import Config, apply_overrides
from tinypose.data.crops import CropDataset
from tinypose.data.sample import Sample
from tinypose.skeletons import Skeleton

DOTS = Skeleton(
    name="dots",
    names=("middle", "left_dot", "right_dot"),
    edges=(("middle", "left_dot"), ("middle", "right_dot")),
    flip_pairs=(("left_dot", "right_dot"),),
)
COLOURS = np.array([[255, 40, 40], [40, 255, 40], [40, 40, 255]])
HW = (48, 32)


def dot_sample(number: int) -> Sample:
    """Render sample ``number``: each keypoint is a disc of its own colour."""
    generator = np.random.default_rng([7, number])
    image = generator.integers(60, 110, size=(*HW, 3)).astype(np.uint8)
    size = np.array(HW[::-1])
    points = generator.uniform([5, 5], size - 6, size=(3, 2))
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    for point, colour in zip(points, COLOURS, strict=True):
        inside = np.hypot(columns - point[0], rows - point[1]) <= 3
        image[inside] = colour
    return Sample(
        sample_id=f"dots/{number}",
        picture=lambda: image,
        skeleton=DOTS,
        keypoints_xy=points,
        visible=np.full(3, 2, np.uint8),
        # Its plain crop is the picture.
        box_xywh=np.concatenate([(size - size / 1.25) / 2 - 0.5, size / 1.25]),
    )


@pytest.fixture(scope="session")
def dots() -> CropDataset:
    """Forty-eight people of the skeleton ``dots``."""
    return CropDataset([dot_sample(i) for i in range(48)], HW)


@pytest.fixture(scope="session")
def config() -> Config:
    """A net that learns the dots in seconds; mirroring would swap colours."""
    return apply_overrides(
        {},
        [
            f"model.input_hw={list(HW)}",
            "model.num_keypoints=3",
            "model.channels=8",
            "model.depth=1",
            "model.sigma_cells=1.0",
            "augment.flip_probability=0",
            "augment.rotation_degrees=10",
            "augment.cutout_probability=0",
            "augment.upside_down_probability=0",
            "augment.colour=0",
            "training.batch_size=8",
            "training.epochs=2",
            "training.warmup_steps=5",
            "training.learning_rate=0.01",
            "training.ema=0.9",
        ],
        "test",
    )


@pytest.fixture(scope="session")
def conv_config(config: Config) -> Config:
    """The same with plain convolutions, which eight bits and zeros are made for."""
    return with_values(
        config,
        "family=conv_hourglass",
        "model={input_hw: [48, 32], num_keypoints: 3, stem_channels: 8, "
        "channels: [8, 8], encoder_blocks: [0, 1], decoder_convs: [1], "
        "sigma_cells: 1.0}",
    )
