"""The families of the lessons: sizes as in the papers, and what is refused."""

import keras
import numpy as np
import pytest

from tinypose.config import load_config
from tinypose.models import FAMILIES, build_model
from tinypose.models.cost import count_macs
from tinypose.models.layers import CentreMap, LocalResponseNormalization


def paper(name: str, configs) -> keras.Model:
    config = load_config(configs / f"{name}_paper.yaml")
    return FAMILIES[name].build(config.model)


@pytest.fixture(scope="module")
def configs(request):
    return request.config.rootpath / "configs"


def conv(size: int, inputs: int, outputs: int) -> int:
    return size * size * inputs * outputs + outputs


def test_deeppose_has_the_papers_size(configs) -> None:
    net = paper("deeppose", configs)
    # Section 3.1: 55 x 55 x 96, 27 x 27 x 256, three of 13 x 13, then 4096 twice.
    for layer, shape in [
        ("stage_1_conv_1", (55, 55, 96)),
        ("stage_1_conv_2", (27, 27, 256)),
        ("stage_1_conv_3", (13, 13, 384)),
        ("stage_1_conv_4", (13, 13, 384)),
        ("stage_1_conv_5", (13, 13, 256)),
        ("stage_1_pool_5", (6, 6, 256)),
        ("stage_1_dense_2", (4096,)),
    ]:
        assert net.get_layer(layer).output.shape == (None, *shape), layer
    expected = (
        conv(11, 3, 96)
        + conv(5, 96, 256)
        + conv(3, 256, 384)
        + conv(3, 384, 384)
        + conv(3, 384, 256)
        + conv(1, 6 * 6 * 256, 4096)
        + conv(1, 4096, 4096)
        + conv(1, 4096, 2 * 14)
    )
    assert net.count_params() == expected == 58_396_060


def test_pose_machine_has_the_papers_size(configs) -> None:
    net = paper("pose_machine", configs)
    # Figure 2: 368 x 368 in, maps of 46 x 46; six stages as in section 4.
    assert list(net.output) == [f"heatmaps_{stage}" for stage in range(1, 7)]
    for maps in net.output.values():
        assert maps.shape == (None, 46, 46, 14)
    trunk = conv(9, 3, 128) + 2 * conv(9, 128, 128) + conv(5, 128, 32)
    first = trunk + conv(9, 32, 512) + conv(1, 512, 512) + conv(1, 512, 14)
    later = conv(11, 32 + 14 + 1, 128) + 2 * conv(11, 128, 128) + conv(1, 128, 128)
    later += conv(1, 128, 14)
    # The later stages share one trunk.
    assert net.count_params() == first + trunk + 5 * later == 30_731_540


def test_stacked_hourglass_has_the_papers_size(configs) -> None:
    net = paper("stacked_hourglass", configs)
    # Section 3.2: 256 x 256 in, 64 x 64 out, 256 features, eight stacks.
    assert list(net.output) == [f"heatmaps_{stack}" for stack in range(1, 9)]
    for maps in net.output.values():
        assert maps.shape == (None, 64, 64, 16)
    assert net.get_layer("hourglass_1_bottom_add").output.shape == (None, 4, 4, 256)

    def norm(channels: int) -> int:
        return 4 * channels

    def residual(inputs: int, outputs: int) -> int:
        half = outputs // 2
        total = norm(inputs) + conv(1, inputs, half)
        total += norm(half) + conv(3, half, half) + norm(half) + conv(1, half, outputs)
        return total + (conv(1, inputs, outputs) if inputs != outputs else 0)

    stem = 7 * 7 * 3 * 64 + norm(64)
    stem += residual(64, 128) + residual(128, 128) + residual(128, 256)
    # Skip, down and up of each of four halvings, and one at the bottom.
    hourglass = 13 * residual(256, 256)
    head = residual(256, 256) + conv(1, 256, 256) + norm(256) + conv(1, 256, 16)
    injection = conv(1, 256, 256) + conv(1, 16, 256)
    expected = stem + 8 * (hourglass + head) + 7 * injection
    # 25.6 million is what the authors' network is usually said to have.
    assert net.count_params() == expected == 25_554_624


def test_part_heatmap_has_the_papers_size(configs) -> None:
    net = paper("part_heatmap", configs)
    vgg = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]
    vgg += [(256, 256), (256, 512), (512, 512), (512, 512)] + 3 * [(512, 512)]

    def normed(size: int, inputs: int, outputs: int) -> int:
        return size * size * inputs * outputs + 4 * outputs

    detection = sum(normed(3, *pair) for pair in vgg)
    detection += normed(7, 512, 4096) + normed(1, 4096, 4096) + conv(1, 4096, 16)
    regression = normed(9, 16 + 3, 64) + normed(13, 64, 64) + normed(13, 64, 128)
    regression += normed(15, 128, 256) + normed(1, 256, 512) + normed(1, 512, 512)
    regression += conv(1, 512, 16)
    assert net.count_params() == detection + regression
    assert net.output["part_masks"].shape == (None, 64, 64, 16)
    assert net.output["heatmaps_1"].shape == (None, 64, 64, 16)
    assert net.get_layer("regression_input").output.shape == (None, 256, 256, 19)


@pytest.mark.parametrize(
    "name", ["deeppose", "part_heatmap", "pose_machine", "stacked_hourglass"]
)
def test_small_configs_fit_a_laptop(name: str, configs) -> None:
    config = load_config(configs / f"{name}_small.yaml")
    net = FAMILIES[name].build(config.model)
    assert config.model.input_hw == (128, 128)
    assert net.count_params() < 1.5e6
    assert count_macs(net) < 0.5e9


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("deeppose", {"channels": (8, 8)}, r"model.channels: expected 5 numbers"),
        ("deeppose", {"dense": 0}, r"model.dense: expected at least 1"),
        ("deeppose", {"dropout": 1.0}, r"model.dropout: expected 0 or more"),
        ("deeppose", {"norm": "none"}, r"model.norm: expected local_response or"),
        (
            "deeppose",
            {"input_hw": (64, 48)},
            r"model.input_hw: expected 2 numbers of at least 60, found \[64, 48\]",
        ),
        *(
            ("deeppose_cascade", {key: value}, rf"^model.{key}: expected {expected}")
            for key, value, expected in [
                ("channels", (8, 8), "5 numbers of at least 1"),
                ("window_channels", (8, 8, 0, 8, 8), "5 numbers of at least 1"),
                ("dense", 0, "at least 1"),
                ("window_dense", 0, "at least 1"),
                ("stage_hw", (32, 32), "2 numbers of at least 60, found"),
                ("window_hw", (64, 59), "2 numbers of at least 60, found"),
                ("window_hw", (64, 80), "the aspect ratio of model.input_hw, 256x256"),
            ]
        ),
        ("pose_machine", {"input_hw": (100, 96)}, r"model.input_hw: .* divide by 8"),
        ("pose_machine", {"num_stages": 0}, r"model.num_stages: expected at least 1"),
        ("pose_machine", {"sigma_cells": 0.0}, r"model.sigma_cells"),
        ("stacked_hourglass", {"features": 30}, r"model.features: .* divides by 4"),
        ("stacked_hourglass", {"input_hw": (128, 48)}, r"4 \* 2\*\*depth = 32"),
        ("stacked_hourglass", {"num_stacks": 0}, r"model.num_stacks"),
        ("part_heatmap", {"regression_scale": 3}, r"expected 1, 2 or 4, found 3"),
        ("part_heatmap", {"regression_kernels": (3,)}, r"expected 4 numbers"),
        ("part_heatmap", {"occluded_weight": 2.0}, r"expected 0 to 1, found 2.0"),
        ("part_heatmap", {"radius_cells": 0.0}, r"model.radius_cells"),
        ("part_heatmap", {"input_hw": (100, 96)}, r"divide by 8"),
    ],
)
def test_what_cannot_be_built_is_refused(family, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        FAMILIES[family].config_class(**changes)


def test_later_stages_share_one_look_at_the_picture() -> None:
    two = build_model("pose_machine", num_stages=2)
    three = build_model("pose_machine", num_stages=3)
    stage = sum(
        weight.shape.num_elements()
        if hasattr(weight.shape, "num_elements")
        else int(np.prod(weight.shape))
        for layer in three.layers
        if layer.name.startswith(("stage_3_", "heatmaps_3"))
        for weight in layer.weights
    )
    assert three.count_params() - two.count_params() == stage


def test_part_masks_start_empty() -> None:
    net = build_model("part_heatmap")
    pictures = np.random.default_rng(0).uniform(-1, 1, (1, 128, 128, 3))
    outputs = net(pictures.astype("float32"))
    logits = keras.ops.convert_to_numpy(outputs["part_masks"])
    assert logits.max() < -3


def test_the_centre_map_is_highest_in_the_middle() -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype("float32")
    outputs = np.asarray(CentreMap(sigma=0.25)(inputs))
    np.testing.assert_array_equal(outputs[..., :3], inputs)
    assert outputs[0, 2, 3, 3] == pytest.approx(1.0)
    # A cell off the middle along x is 1 / 7 of the map: exp(-(1 / 7 / 0.25)^2 / 2).
    assert outputs[1, 2, 4, 3] == pytest.approx(np.exp(-((4 / 7) ** 2) / 2), rel=1e-5)


def test_local_response_normalisation_equals_a_loop() -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype("float32")
    layer = LocalResponseNormalization(radius=2, bias=2.0, alpha=0.1, beta=0.75)
    expected = np.empty_like(inputs)
    for channel in range(6):
        near = inputs[..., max(channel - 2, 0) : channel + 3]
        divisor = (2.0 + 0.1 * (near**2).sum(-1)) ** 0.75
        expected[..., channel] = inputs[..., channel] / divisor
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-5)
