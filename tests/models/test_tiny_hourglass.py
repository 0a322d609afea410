"""tiny_hourglass: every layer's shape and size as in the course's table."""

import keras
import numpy as np
import pytest

from tinypose.models import build_model
from tinypose.models.tiny_hourglass import TinyHourglassConfig, build_tiny_hourglass

# A separable convolution from C to C channels: depthwise 9 C, batch norm 4 C,
# 1x1 convolution C^2 + C, batch norm 4 C.
SEPARABLE = 9 * 32 + 4 * 32 + (32 * 32 + 32) + 4 * 32
SKIP = 32 * 32 + 32

# (prefix of the layers, name of the last, output shape, parameters)
TABLE = [
    ("reception_conv", "reception_conv", (128, 128, 32), 7 * 7 * 3 * 32 + 32),
    ("reception_norm", "reception_norm", (128, 128, 32), 4 * 32),
    ("reception_", "reception_pointwise_norm", (128, 128, 32), SEPARABLE),
    ("reception_pool", "reception_pool", (64, 64, 32), 0),
    ("hourglass_1_down_1", "hourglass_1_down_1_pool", (32, 32, 32), SEPARABLE),
    ("hourglass_1_down_2", "hourglass_1_down_2_pool", (16, 16, 32), SEPARABLE),
    ("hourglass_1_down_3", "hourglass_1_down_3_pool", (8, 8, 32), SEPARABLE),
    ("hourglass_1_bottom", "hourglass_1_bottom_pointwise_norm", (8, 8, 32), SEPARABLE),
    ("hourglass_1_skip_3", "hourglass_1_skip_3", (8, 8, 32), SKIP),
    ("hourglass_1_add_3", "hourglass_1_add_3", (8, 8, 32), 0),
    ("hourglass_1_up_3", "hourglass_1_up_3_pointwise_norm", (16, 16, 32), SEPARABLE),
    ("hourglass_1_skip_2", "hourglass_1_skip_2", (16, 16, 32), SKIP),
    ("hourglass_1_add_2", "hourglass_1_add_2", (16, 16, 32), 0),
    ("hourglass_1_up_2", "hourglass_1_up_2_pointwise_norm", (32, 32, 32), SEPARABLE),
    ("hourglass_1_skip_1", "hourglass_1_skip_1", (32, 32, 32), SKIP),
    ("hourglass_1_add_1", "hourglass_1_add_1", (32, 32, 32), 0),
    ("hourglass_1_up_1", "hourglass_1_up_1_pointwise_norm", (64, 64, 32), SEPARABLE),
    ("heatmaps_1", "heatmaps_1", (64, 64, 14), 32 * 14 + 14),
]


@pytest.fixture(scope="module")
def net() -> keras.Model:
    return build_tiny_hourglass(TinyHourglassConfig())


@pytest.mark.parametrize(
    ("prefix", "last", "shape", "parameters"), TABLE, ids=[row[1] for row in TABLE]
)
def test_table(net: keras.Model, prefix, last, shape, parameters) -> None:
    assert net.get_layer(last).output.shape == (None, *shape)
    others = ("reception_conv", "reception_norm") if prefix == "reception_" else ()
    counted = [
        layer.count_params()
        for layer in net.layers
        if layer.name.startswith(prefix) and layer.name not in others
    ]
    assert sum(counted) == parameters


def test_total_number_of_parameters(net: keras.Model) -> None:
    # 4,736 + 128 + 8 x 1,600 + 3 x 1,056 + 462: about 21 thousand.
    assert net.count_params() == 21_294
    assert sum(row[3] for row in TABLE) == 21_294


def test_activations_and_strides(net: keras.Model) -> None:
    def activation(name: str) -> str:
        return net.get_layer(name).activation.__name__

    assert activation("reception_conv") == "relu"
    assert activation("reception_depthwise") == "linear"
    assert activation("reception_pointwise") == "relu"
    assert activation("hourglass_1_skip_2") == "relu"
    assert activation("heatmaps_1_conv") == "linear"
    assert net.get_layer("reception_conv").strides == (2, 2)
    for pool in (x for x in net.layers if isinstance(x, keras.layers.MaxPooling2D)):
        assert (pool.pool_size, pool.strides, pool.padding) == ((3, 3), (2, 2), "same")


def test_skips_join_where_the_table_says(net: keras.Model) -> None:
    for step in (1, 2, 3):
        skip = net.get_layer(f"hourglass_1_skip_{step}")
        source = skip.input._keras_history.operation.name
        assert source == f"hourglass_1_down_{step}_pool"


def test_upsampling_is_bilinear_with_pixel_centres() -> None:
    net = build_model(input_hw=(64, 48), depth=2, channels=8, num_keypoints=5)
    resize = net.get_layer("hourglass_1_up_1_resize")
    ramp = np.arange(4, dtype="float32").reshape(1, 1, 4, 1)
    row = np.asarray(resize(np.repeat(ramp, 2, axis=1)))[0, 0, :, 0]
    # Half-pixel centres: output i is at (i + 0.5) / 2 - 0.5, cut at the ends.
    np.testing.assert_allclose(row, [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
