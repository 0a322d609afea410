"""Networks small enough to export in a test, shared by its module."""

import keras
import numpy as np
import pytest

from tinypose.metadata import Metadata
from tinypose.models import build_model
from tinypose.skeletons import Skeleton

INPUT_HW = (64, 48)


@pytest.fixture(scope="session")
def metadata():
    """What all the nets here have in common."""
    return Metadata(
        name="test",
        family="tiny_hourglass",
        skeleton=Skeleton(name="test", names=("red", "green", "blue")),
        input_hw=INPUT_HW,
        output="heatmaps",
        heatmap_hw=(INPUT_HW[0] // 4, INPUT_HW[1] // 4),
        sigma_cells=2.0,
        refinement="dark",
        padding=1.1,
        training_data=("lsp=somewhere", "stick_people"),
        licence="for research",
        accuracy={"PCK@0.2": 47.5},
        config={"training": {"epochs": 3}},
    )


@pytest.fixture(scope="session")
def dot_net():
    """A net whose heatmap k is colour channel k, from 0 to 1, in 4x4 cells."""
    images = keras.Input((*INPUT_HW, 3), name="images")
    x = keras.layers.AveragePooling2D(4)(images)
    conv = keras.layers.Conv2D(3, 1, name="heatmaps_1")
    net = keras.Model(images, {"features": x, "heatmaps_1": conv(x)})
    conv.set_weights([np.eye(3)[None, None] / 2, np.full(3, 0.5)])
    return net


@pytest.fixture(scope="session")
def hourglass():
    """A tiny_hourglass with batch norm statistics as after a training."""
    keras.utils.set_random_seed(1)
    net = build_model(
        "tiny_hourglass", input_hw=INPUT_HW, num_keypoints=3, channels=8, depth=2
    )
    rng = np.random.default_rng(1)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(rng.uniform(0.5, 1.5, shape))
            layer.beta.assign(rng.normal(0, 0.3, shape))
            layer.moving_mean.assign(rng.normal(0, 0.3, shape))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, shape))
    head = net.get_layer("heatmaps_1_conv")
    head.kernel.assign(100 * head.kernel)
    return net


@pytest.fixture(scope="session")
def dot_hourglass(dot_net, hourglass):
    """The sum of both, models within a model: an hourglass with clear peaks."""
    images = keras.Input((*INPUT_HW, 3), name="images")
    dots = dot_net(images)["heatmaps_1"]
    return keras.Model(
        images, {"heatmaps_1": dots + 0.1 * hourglass(images)["heatmaps_1"]}
    )


@pytest.fixture(scope="session")
def dots():
    """Return a function that paints one Gaussian dot per colour channel.

    Takes centres (pictures, 3, 2) as x, y in pixels; the dots are as wide as
    the targets, sigma 2 cells of 4 pixels.
    """

    def paint(centres_xy):
        y, x = np.mgrid[: INPUT_HW[0], : INPUT_HW[1]]
        squares = (x - centres_xy[..., 0, None, None]) ** 2
        squares = squares + (y - centres_xy[..., 1, None, None]) ** 2
        pictures = 255 * np.exp(-0.5 * squares / 8**2)
        return np.rint(np.moveaxis(pictures, 1, -1)).astype(np.uint8)

    return paint


@pytest.fixture(scope="session")
def dot_centres():
    """(4, 3, 2) places at all phases of a cell, away from the border."""
    return np.random.default_rng(2).uniform([21, 21], [27, 43], (4, 3, 2))
