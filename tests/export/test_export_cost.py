import keras
import pytest
from keras import layers

from tinypose.models import build_model
from tinypose.models.cost import count_macs, count_parameters

MAPS = (8, 6, 4)


def model_of(layer, input_shape=MAPS):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize(
    ("layer", "input_shape", "macs"),
    [
        # 4 x 3 positions, each 3 * 3 * 4 inputs times 5 filters
        (layers.Conv2D(5, 3, strides=2, padding="same"), MAPS, 12 * 36 * 5),
        # 6 x 4 positions without padding
        (layers.Conv2D(5, 3), MAPS, 24 * 36 * 5),
        # each filter sees 4 / 2 channels
        (layers.Conv2D(6, 1, groups=2), MAPS, 48 * 2 * 6),
        # 6 x 4 positions, 9 weights for each of 4 * 2 channels
        (layers.DepthwiseConv2D(3, depth_multiplier=2), MAPS, 24 * 9 * 8),
        # 48 positions: 9 * 4 depthwise, 4 * 7 pointwise
        (layers.SeparableConv2D(7, 3, padding="same"), MAPS, 48 * (36 + 28)),
        # every one of 48 inputs is spread over 2 x 2 cells and 3 filters
        (layers.Conv2DTranspose(3, 2, strides=2), MAPS, 48 * 4 * 4 * 3),
        (layers.Conv1D(5, 3, padding="same"), (8, 4), 8 * 12 * 5),
        (layers.Dense(7), (6,), 42),
        # a dense layer works on the last axis at each of 4 places
        (layers.Dense(7), (4, 6), 4 * 42),
        (layers.BatchNormalization(), MAPS, 0),
        (layers.UpSampling2D(2, interpolation="bilinear"), MAPS, 0),
    ],
    ids=[
        "conv_stride",
        "conv_valid",
        "conv_groups",
        "depthwise",
        "separable",
        "transpose",
        "conv_1d",
        "dense",
        "dense_on_maps",
        "batch_norm",
        "resize",
    ],
)
def test_macs_of_one_layer(layer, input_shape, macs):
    assert count_macs(model_of(layer, input_shape)) == macs


def test_a_shared_layer_counts_as_often_as_it_is_called():
    conv = layers.Conv2D(4, 1)
    large, small = keras.Input((8, 6, 4)), keras.Input((4, 3, 4))
    net = keras.Model([large, small], [conv(large), conv(small), conv(conv(small))])
    # 16 weights at 48, 12, and (the first call on the small map again) 12 + 12
    assert count_macs(net) == 16 * (48 + 12 + 12 + 12)
    assert count_parameters(net) == 20


def test_nested_models_count_with_what_they_hold():
    inner = model_of(layers.Conv2D(4, 1))
    stack = keras.Sequential(
        [
            keras.Input(MAPS),
            layers.Conv2D(4, 1),
            layers.MaxPooling2D(2),
            layers.Conv2D(2, 1),
        ]
    )
    inputs = keras.Input(MAPS)
    net = keras.Model(inputs, stack(inner(inner(inputs))))
    # inner: twice 48 * 16; stack: 48 * 16, then its head 12 * 4 * 2
    assert count_macs(net) == 3 * 48 * 16 + 12 * 8


def test_operations_between_layers_cost_nothing():
    inputs = keras.Input(MAPS)
    x = keras.ops.relu(layers.Conv2D(4, 1)(inputs * 2.0)) + inputs
    assert count_macs(keras.Model(inputs, x)) == 48 * 16


def test_an_open_size_is_an_error():
    net = model_of(layers.Conv2D(2, 3, name="first"), (None, None, 3))
    with pytest.raises(ValueError, match=r"fixed input size .* 'first'"):
        count_macs(net)


def test_tiny_hourglass_of_the_course():
    # A separable conv, 32 to 32 channels, costs 9 * 32 + 32 * 32 = 1312 a cell.
    first = 128 * 128 * 7 * 7 * 3 * 32
    separable = 1312 * (128**2 + 64**2 + 32**2 + 16**2 + 8**2 + 16**2 + 32**2 + 64**2)
    skips = 32 * 32 * (8**2 + 16**2 + 32**2)
    output = 64 * 64 * 32 * 14
    assert count_macs(build_model()) == first + separable + skips + output
