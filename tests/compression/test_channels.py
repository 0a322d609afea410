"""Which channels belong together: by hand, by kind of layer, by family."""

import keras
import numpy as np
import pytest
from keras import layers

from tinypose.compression.channels import find_channels
from tinypose.errors import TinyposeError
from tinypose.models import FAMILIES
from tinypose.models.layers import (
    BatchNormalization,
    CentreMap,
    LocalContrastNormalization,
    LocalResponseNormalization,
    NearestUpsampling,
)


def test_a_small_graph_by_hand() -> None:
    images = keras.Input((4, 6, 3), name="images")
    a = layers.Conv2D(2, 1, name="a")(images)
    b = layers.Conv2D(2, 3, padding="same", name="b")(images)
    c = layers.Conv2D(3, 1, name="c")(images)
    x = layers.Add(name="add")([a, b])  # channels 0 and 1
    x = layers.Concatenate(name="both")([c, x])  # those of c, then 0 and 1
    x = BatchNormalization(name="norm")(x)
    x = layers.MaxPooling2D(2)(x)  # 2 x 3 positions
    x = layers.Flatten()(x)
    d = layers.Dense(7, activation="relu", name="d")(x)
    net = keras.Model(images, {"numbers": layers.Dense(4, name="e")(d)})

    found = find_channels(net)
    assert list(found.groups) == ["a", "c", "d", "e"]
    assert list(found.prunable) == ["a", "c", "d"]
    a, c, d, e = found.groups.values()
    assert (a.size, a.layers, a.consumers) == (2, ("a", "b", "norm"), ("d",))
    assert (c.size, c.layers, c.consumers) == (3, ("c", "norm"), ("d",))
    assert (d.size, d.layers, d.consumers) == (7, ("d",), ("e",))
    assert (e.size, e.fixed) == (4, "reaches the output 'e'")
    np.testing.assert_array_equal(found.outputs["b"], found.outputs["a"])
    five = [*c.channels, *a.channels]
    np.testing.assert_array_equal(found.outputs["norm"], five)
    np.testing.assert_array_equal(found.inputs["d"], six_times(five))
    # Three of the picture, 2 + 3 + 7 + 4 of the layers.
    assert found.num_channels == 19


def six_times(values: list[int]) -> list[int]:
    return 6 * values


def test_depthwise_channels_are_those_of_the_input() -> None:
    images = keras.Input((4, 6, 3))
    x = layers.Conv2D(2, 1, name="first")(images)
    x = layers.DepthwiseConv2D(3, depth_multiplier=3, name="depthwise")(x)
    net = keras.Model(images, layers.Conv2D(4, 1, name="last")(x))
    found = find_channels(net)
    one, two = found.groups["first"].channels
    expected = [one, one, one, two, two, two]
    np.testing.assert_array_equal(found.outputs["depthwise"], expected)
    np.testing.assert_array_equal(found.inputs["last"], expected)
    assert found.groups["first"].layers == ("first", "depthwise")


def test_a_shared_layer_unites_what_it_is_given() -> None:
    images = keras.Input((4, 6, 3))
    a = layers.Conv2D(5, 1, name="a")(images)
    b = layers.Conv2D(5, 1, name="b")(images)
    shared, norm = layers.Conv2D(2, 1, name="shared"), layers.BatchNormalization()
    outputs = [layers.Conv2D(3, 1)(norm(shared(x))) for x in (a, b)]
    found = find_channels(keras.Model(images, outputs))
    assert list(found.prunable) == ["a", "shared"]
    assert found.groups["a"].layers == ("a", "b")
    assert len(found.groups["shared"].consumers) == 2


def test_a_layer_that_is_fed_its_own_output_is_one_with_its_input() -> None:
    images = keras.Input((4, 6, 3), name="images")
    shared = layers.Conv2D(3, 1, name="shared")
    net = keras.Model(images, layers.Conv2D(2, 1)(shared(shared(images))))
    # Its weights along the outputs' channels meet the picture's.
    assert find_channels(net).groups["shared"].fixed == "comes from the input 'images'"


def test_added_pieces_make_one_group() -> None:
    images = keras.Input((4, 6, 3))
    parts = [layers.Conv2D(n, 1, name=f"part_{n}")(images) for n in (2, 3)]
    whole = layers.Conv2D(5, 1, name="whole")(images)
    x = layers.Add()([layers.Concatenate()(parts), whole])
    found = find_channels(keras.Model(images, layers.Conv2D(4, 1)(x)))
    group = found.groups["part_2"]
    assert (group.size, group.layers) == (5, ("part_2", "part_3", "whole"))


class MyConv(layers.Conv2D):
    """A convolution that may do anything."""


PASSED = [
    layers.ReLU(),
    layers.Activation("sigmoid"),
    layers.Dropout(0.5),
    layers.SpatialDropout2D(0.5),
    layers.MaxPooling2D(2),
    layers.AveragePooling2D(2),
    layers.UpSampling2D(2, interpolation="bilinear"),
    layers.ZeroPadding2D(1),
    layers.GlobalAveragePooling2D(),
    layers.Flatten(),
    layers.Rescaling(0.5),
    layers.BatchNormalization(),
    BatchNormalization(),
    NearestUpsampling(2),
    LocalContrastNormalization(),
    CentreMap(),
]
NOT_FOLLOWED = [
    layers.Reshape((6, 4, 8)),
    layers.Permute((2, 1, 3)),
    layers.Softmax(),
    layers.Activation("softmax"),
    layers.BatchNormalization(axis=1),
    layers.Rescaling([0.5] * 8),
    layers.Dropout(0.5, noise_shape=(None, 1, 1, 8)),
    layers.Conv2D(8, 1, groups=2),
    layers.Conv2D(8, 1, activation="softmax"),
    layers.Lambda(lambda x: x[..., ::-1], output_shape=(4, 6, 8)),
    LocalResponseNormalization(),
    MyConv(8, 1),
]


def through(layer) -> keras.Model:
    """Return a network with a layer between two others."""
    images = keras.Input((4, 6, 3))
    x = layer(layers.Conv2D(8, 1, name="before")(images))
    return keras.Model(images, layers.Dense(2, name="after")(x))


def class_and_number(layer) -> str:
    return type(layer).__name__


@pytest.mark.parametrize("layer", PASSED, ids=class_and_number)
def test_what_treats_channels_one_by_one_is_followed(layer) -> None:
    net = through(layer.from_config(layer.get_config()))
    assert list(find_channels(net).prunable) == ["before"]


@pytest.mark.parametrize("layer", NOT_FOLLOWED, ids=class_and_number)
def test_what_is_not_understood_fixes_its_channels(layer) -> None:
    if not isinstance(layer, layers.Lambda):
        layer = layer.from_config(layer.get_config())
    groups = find_channels(through(layer)).groups
    assert set(groups) == {"before", "after"}
    assert f"{layer.name!r} ({type(layer).__name__})" in groups["before"].fixed


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(lambda x, y: x * 2.0, id="a bare operation"),
        pytest.param(lambda x, y: layers.Add()([x, y[..., :1]]), id="a broadcast"),
        pytest.param(
            lambda x, y: layers.Attention()([x, y]), id="an attention over positions"
        ),
    ],
)
def test_operations_that_are_not_understood_fix_their_channels(operation) -> None:
    images = keras.Input((4, 6, 3))
    x = layers.Conv2D(8, 1, name="x")(images)
    y = layers.Conv2D(8, 1, name="y")(images)
    z = layers.Conv2D(2, 1, name="z")(layers.ReLU()(operation(x, y)))
    found = find_channels(keras.Model(images, [z, layers.Conv2D(2, 1)(y)]))
    assert found.groups["x"].fixed.startswith("reaches the layer")


def test_a_nested_network_is_not_opened() -> None:
    inner = keras.Input((4, 6, 8))
    nested = keras.Model(inner, layers.Conv2D(8, 1)(inner), name="nested")
    images = keras.Input((4, 6, 3))
    x = nested(nested(layers.Conv2D(8, 1, name="before")(images)))
    x = layers.Conv2D(8, 1, name="after")(x)
    found = find_channels(keras.Model(images, layers.Conv2D(2, 1)(x)))
    assert list(found.prunable) == ["after"]
    assert "'nested'" in found.groups["before"].fixed


def test_merges_along_other_axes_unite() -> None:
    images = keras.Input((4, 6, 3))
    x, y = (layers.Conv2D(8, 1, name=name)(images) for name in "xy")
    x = layers.Concatenate(axis=1)([x, y])
    found = find_channels(keras.Model(images, layers.Conv2D(2, 1)(x)))
    assert found.groups["x"].layers == ("x", "y")


# What of each network cannot be pruned; everything else can.
FIXED = {
    "conv_hourglass": {"heatmaps_1_conv"},
    "conv_hourglass-stacked": {"heatmaps_1_conv", "heatmaps_2_conv"},
    "tiny_hourglass": {"heatmaps_1_conv"},
    "deeppose": {"stage_1_numbers"},
    "deeppose-local_response": {"stage_1_conv_1", "stage_1_conv_2", "stage_1_numbers"},
    "deeppose_cascade": {"stage_1_numbers", "stage_2_numbers"},
    "multi_resolution": {"heatmaps_1_conv", "fine_all_conv"},
    "part_heatmap": {"detection_masks", "heatmaps_1_conv"},
    "pose_machine": {"heatmaps_1_conv", "heatmaps_2_conv", "heatmaps_3_conv"},
    "pose_machine-plain": {"heatmaps_1_conv", "heatmaps_2_conv"},
    "stacked_hourglass": {"heatmaps_1_conv", "heatmaps_2_conv"},
}


def test_no_family_is_left_out() -> None:
    assert {name.split("-")[0] for name in FIXED} == set(FAMILIES)


def test_only_outputs_and_what_mixes_channels_is_fixed(small_name, small_net) -> None:
    found = find_channels(small_net(small_name))
    assert found.groups.keys() - found.prunable.keys() == FIXED[small_name]
    for group in found.groups.values():
        assert group.size > 0 and (group.fixed or group.consumers)


@pytest.mark.parametrize(
    ("name", "group", "layers_of_group", "consumers"),
    [
        # A residual stream from the stem on: every module adds to it.
        (
            "conv_hourglass",
            "encoder_1_down_conv",
            {
                "encoder_1_down_conv",
                "encoder_1_down_norm",
                "encoder_1_block_1_2_conv",
                "encoder_1_block_1_2_norm",
                "decoder_1_lateral_conv",
                "decoder_1_lateral_norm",
            },
            {
                "encoder_1_block_1_1_conv",
                "encoder_2_down_conv",
                "decoder_1_conv_1_conv",
            },
        ),
        # The windows have the channels of the maps that they are cut out of.
        (
            "multi_resolution",
            "bank_2_1_conv",
            {"bank_2_1_conv", "bank_2_1_norm"},
            {"bank_2_2_conv", "fine_1_conv"},
        ),
        # One trunk for all later stages, beside the beliefs.
        (
            "pose_machine",
            "shared_4_conv",
            {"shared_4_conv", "shared_4_norm"},
            {"stage_2_1_conv", "stage_3_1_conv"},
        ),
        # Re-injection makes one stream of both hourglasses.
        (
            "stacked_hourglass",
            "head_1_conv",
            {"head_1_conv", "head_1_norm"},
            {"heatmaps_1_conv", "inject_1_features"},
        ),
    ],
)
def test_groups_of_the_families(
    name, group, layers_of_group, consumers, small_net
) -> None:
    found = find_channels(small_net(name)).groups[group]
    assert set(found.layers) == layers_of_group
    assert set(found.consumers) == consumers


def test_only_graphs_of_layers_are_read() -> None:
    net = keras.Sequential([keras.Input((4, 6, 3)), layers.Conv2D(2, 1)])
    with pytest.raises(TinyposeError, match=r"functional network.*Sequential"):
        find_channels(net)
