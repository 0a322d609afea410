"""conv_hourglass: shapes, size, and what its configuration refuses."""

import itertools

import keras
import numpy as np
import pytest

from tinypose.models import FAMILIES, build_model
from tinypose.models.conv_hourglass import ConvHourglassConfig, build_conv_hourglass


@pytest.fixture(scope="module")
def net() -> keras.Model:
    return build_conv_hourglass(ConvHourglassConfig())


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("stem_relu", (64, 64, 24)),
        ("encoder_1_down_relu", (32, 32, 40)),
        ("encoder_2_block_1_relu", (16, 16, 72)),
        ("encoder_3_block_1_relu", (8, 8, 96)),
        ("encoder_4_block_1_relu", (4, 4, 128)),
        ("decoder_3_conv_1_relu", (8, 8, 96)),
        ("decoder_2_conv_1_relu", (16, 16, 72)),
        ("decoder_1_conv_1_relu", (32, 32, 40)),
        ("heatmaps_1", (32, 32, 14)),
    ],
)
def test_shapes(net: keras.Model, name: str, shape: tuple[int, ...]) -> None:
    assert net.get_layer(name).output.shape == (None, *shape)


def test_number_of_parameters(net: keras.Model) -> None:
    def conv(size: int, inputs: int, outputs: int) -> int:
        return size * size * inputs * outputs + 4 * outputs  # with batch norm

    stem, channels = 24, (40, 72, 96, 128)
    expected = conv(3, 3, stem) + conv(3, stem, 40)
    for before, here in itertools.pairwise(channels):
        # down and one block of two; lateral and one convolution on the way up
        expected += conv(3, before, here) + 2 * conv(3, here, here)
        expected += conv(1, here, before) + conv(3, before, before)
    expected += 40 * 14 + 14
    assert net.count_params() == expected


def test_separable_levels_save_parameters_and_change_no_shape(net) -> None:
    thin = build_model("conv_hourglass", separable_from=3)
    kinds = {
        layer.name.split("_depthwise")[0]
        for layer in thin.layers
        if isinstance(layer, keras.layers.DepthwiseConv2D)
    }
    assert kinds == {
        "encoder_3_down",
        "encoder_3_block_1_1",
        "encoder_3_block_1_2",
        "encoder_4_down",
        "encoder_4_block_1_1",
        "encoder_4_block_1_2",
        "decoder_3_conv_1",
    }
    assert thin.output_shape == net.output_shape
    assert thin.count_params() < 0.35 * net.count_params()


def test_larger_kernels_are_only_for_separable_levels() -> None:
    small, large = (
        build_model("conv_hourglass", separable_from=4, separable_kernel=side)
        for side in (3, 5)
    )
    sides = {
        layer.kernel.shape[0]
        for layer in large.layers
        if isinstance(layer, keras.layers.DepthwiseConv2D)
    }
    assert sides == {5}
    # encoder_4: down sees 96 channels, both convolutions of its block 128.
    more = (25 - 9) * (96 + 128 + 128)
    assert large.count_params() == small.count_params() + more
    assert large.output_shape == small.output_shape


def test_a_second_hourglass_sees_what_the_first_one_says() -> None:
    thin = {"channels": (16, 24), "encoder_blocks": (0, 1), "decoder_convs": (1,)}
    one = build_model("conv_hourglass", **thin)
    two = build_model("conv_hourglass", **thin, num_stacks=2)
    assert {name: maps.shape for name, maps in two.output.items()} == {
        "heatmaps_1": (None, 32, 32, 14),
        "heatmaps_2": (None, 32, 32, 14),
    }
    config = ConvHourglassConfig(**thin, num_stacks=2)
    assert list(FAMILIES["conv_hourglass"].codecs(config)) == list(two.output)
    names = {layer.name for layer in two.layers}
    assert {layer.name for layer in one.layers} < names  # so --init finds its weights

    pictures = np.random.default_rng(0).uniform(-1, 1, (1, 128, 128, 3))
    before = keras.ops.convert_to_numpy(two(pictures)["heatmaps_2"])
    head = two.get_layer("heatmaps_1_conv")
    head.set_weights([value + 1 for value in head.get_weights()])
    after = keras.ops.convert_to_numpy(two(pictures)["heatmaps_2"])
    assert np.abs(after - before).max() > 0.01


def test_later_hourglasses_may_be_thinner() -> None:
    size = {"channels": (16, 24), "encoder_blocks": (0, 1), "decoder_convs": (1,)}
    one = build_model("conv_hourglass", **size)
    two = build_model("conv_hourglass", **size, num_stacks=2, later_channels=(8, 12))
    names = {layer.name for layer in two.layers}
    assert {layer.name for layer in one.layers} < names
    assert two.output["heatmaps_2"].shape == one.output["heatmaps_1"].shape
    for layer in ("inject_1_input_conv", "stack_2_decoder_1_conv_1_conv"):
        assert two.get_layer(layer).output.shape[-1] == 8
    # Three injections with norm; the hourglass; its head.
    inject = (16 + 14 + 16) * 8 + 3 * 4 * 8
    down = 9 * 8 * 12 + 2 * 9 * 12 * 12 + 3 * 4 * 12
    up = 12 * 8 + 9 * 8 * 8 + 2 * 4 * 8
    head = 8 * 14 + 14
    assert two.count_params() - one.count_params() == inject + down + up + head


def test_the_head_starts_near_zero(net: keras.Model) -> None:
    pictures = np.random.default_rng(0).uniform(-1, 1, (1, 128, 128, 3))
    maps = keras.ops.convert_to_numpy(net(pictures.astype("float32"))["heatmaps_1"])
    assert np.abs(maps).max() < 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": (24,)}, r"model.channels: expected 2 numbers"),
        ({"channels": (40, 0, 8, 8)}, r"model.channels: .* at least 1"),
        ({"encoder_blocks": (1, 1)}, r"model.encoder_blocks: expected 4 numbers"),
        ({"decoder_convs": (1, 1)}, r"model.decoder_convs: expected 3 numbers"),
        ({"input_hw": (112, 128)}, r"model.input_hw: .* divide by .* = 32"),
        ({"separable_from": 5}, r"model.separable_from: expected a level of 1 to 4"),
        ({"separable_kernel": 4}, r"model.separable_kernel: expected an odd number"),
        ({"num_keypoints": 0}, r"model.num_keypoints: expected at least 1"),
        ({"stem_channels": 0}, r"model.stem_channels: expected at least 1"),
        ({"later_channels": (8, 8)}, r"model.later_channels: expected 4 numbers"),
        ({"later_channels": (8,) * 4}, r"later_channels: expected none .*; set model"),
        ({"num_stacks": 0}, r"model.num_stacks: expected at least 1"),
        ({"sigma_cells": 0.0}, r"model.sigma_cells: expected at least 0.001"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        ConvHourglassConfig(**changes)


def test_codec_fits_the_network(net: keras.Model) -> None:
    config = ConvHourglassConfig()
    (codec,) = FAMILIES["conv_hourglass"].codecs(config).values()
    assert codec.heatmap_hw == net.output["heatmaps_1"].shape[1:3]
    assert codec.sigma_cells == config.sigma_cells
