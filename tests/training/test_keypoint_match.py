"""Weights that another network starts from: keypoints are matched by name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from helpers.families import SMALL
from tinypose.metadata import write_metadata
from tinypose.models import build_model
from tinypose.skeletons import Skeleton
from tinypose.training.initial import load_initial_weights
from tinypose.training.keypoint_match import find_heads

TWO_STACKS = {**SMALL["conv_hourglass"], "num_stacks": 2}
OF_MAPS = {
    "conv_hourglass": {**TWO_STACKS, "later_channels": (6, 8, 8)},
    **{
        family: SMALL[family]
        for family in (
            *("multi_resolution", "part_heatmap", "pose_machine"),
            *("stacked_hourglass", "tiny_hourglass"),
        )
    },
}
SOURCE = Skeleton(name="source", names=("a", "b", "c", "d", "e"))
MIRRORED = Skeleton(name="mirrored", names=("b", "a", "e", "d", "c"))
OTHER = Skeleton(name="other", names=("new", "d", "a", "newer", "newest", "b"))

Donor = Callable[[str, dict], tuple[keras.Model, Path]]


@pytest.fixture
def donor(dot_metadata, tmp_path) -> Donor:
    """Return a function that gives a network of ``SOURCE`` and its file."""

    def make(family: str, size: dict) -> tuple[keras.Model, Path]:
        net = build_model(family, **size)
        generator = np.random.default_rng(0)
        for name in find_heads(net):  # they start near zero
            layer = net.get_layer(name)
            layer.set_weights(
                [generator.normal(0, 0.3, w.shape) for w in layer.get_weights()]
            )
        path = tmp_path / "donor.keras"
        net.save(path)
        write_metadata(path, replace(dot_metadata, skeleton=SOURCE))
        return net, path

    return make


def predict(net: keras.Model) -> dict[str, np.ndarray]:
    height, width = net.input_shape[1:3]
    generator = np.random.default_rng(1)
    pictures = generator.uniform(-1, 1, (2, height, width, 3)).astype("float32")
    outputs = net(pictures)
    return {key: keras.ops.convert_to_numpy(value) for key, value in outputs.items()}


@pytest.mark.parametrize("family", OF_MAPS)
def test_the_same_keypoints_in_another_order_say_the_same(donor, family) -> None:
    before, path = donor(family, OF_MAPS[family])
    net = build_model(family, **OF_MAPS[family])
    assert load_initial_weights(net, path, MIRRORED).keypoints == 5
    order = SOURCE.mapping_to(MIRRORED)
    expected, received = predict(before), predict(net)
    for key, value in expected.items():
        value = value.take(order, 1 if key.startswith("coordinates") else -1)
        size = np.abs(value).max()
        np.testing.assert_allclose(received[key] / size, value / size, atol=1e-5)


@pytest.mark.parametrize("family", OF_MAPS)
def test_keypoints_of_another_skeleton_keep_their_heads(donor, family) -> None:
    before, path = donor(family, OF_MAPS[family])
    net = build_model(family, **{**OF_MAPS[family], "num_keypoints": 6})
    fresh = {name: net.get_layer(name).get_weights() for name in find_heads(net)}
    assert load_initial_weights(net, path, OTHER).keypoints == 3
    first = next(iter(net.output))  # later ones see keypoints that are new
    expected, received = predict(before)[first], predict(net)[first]
    for name in ("a", "b", "d"):
        np.testing.assert_allclose(
            received[..., OTHER.index(name)],
            expected[..., SOURCE.index(name)],
            atol=1e-5,
        )
    for name, own in fresh.items():
        for value, start in zip(net.get_layer(name).get_weights(), own, strict=True):
            if value.shape[-1] == 6:
                new = [0, 3, 4]
                np.testing.assert_array_equal(value[..., new], start[..., new])


def test_a_later_stack_takes_the_maps_of_the_keypoints_that_it_knows(donor) -> None:
    before, path = donor("stacked_hourglass", SMALL["stacked_hourglass"])
    size = {**SMALL["stacked_hourglass"], "num_keypoints": 6}
    net = build_model("stacked_hourglass", **size)
    fresh = net.get_layer("inject_1_heatmaps").get_weights()[0]
    load_initial_weights(net, path, OTHER)
    old, new = (
        n.get_layer("inject_1_heatmaps").get_weights()[0] for n in (before, net)
    )
    np.testing.assert_array_equal(new[:, :, [1, 2, 5]], old[:, :, [3, 0, 1]])
    np.testing.assert_array_equal(new[:, :, [0, 3, 4]], fresh[:, :, [0, 3, 4]])


@pytest.mark.parametrize("family", ["deeppose", "deeppose_cascade"])
def test_heads_of_coordinates_start_fresh(donor, family) -> None:
    _, path = donor(family, SMALL[family])
    net = build_model(family, **SMALL[family])
    heads = find_heads(net)
    fresh = {name: net.get_layer(name).get_weights() for name in heads}
    found = load_initial_weights(net, path, MIRRORED)
    assert found.keypoints == 0
    assert found.copied == sum(bool(layer.weights) for layer in net.layers) - len(heads)
    for name, own in fresh.items():
        for value, start in zip(net.get_layer(name).get_weights(), own, strict=True):
            np.testing.assert_array_equal(value, start)


def test_a_wider_network_of_other_keypoints(donor) -> None:
    size = SMALL["conv_hourglass"]
    before, path = donor("conv_hourglass", size)
    wider = {**size, "channels": (12, 16, 16), "num_keypoints": 6}
    net = build_model("conv_hourglass", **wider)
    found = load_initial_weights(net, path, OTHER)
    assert found.widened > 0 and found.keypoints == 3
    expected, received = predict(before)["heatmaps_1"], predict(net)["heatmaps_1"]
    difference = np.abs(received[..., [1, 2, 5]] - expected[..., [3, 0, 1]])
    assert difference.mean() < 0.2 * np.abs(expected).mean()
