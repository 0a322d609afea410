"""Layers: the fused batch norm equals Keras' own and a NumPy version."""

import os
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from tinypose.models.blocks import separable_conv
from tinypose.models.layers import BatchNormalization, normalize_images

X = np.random.default_rng(0).normal(1.5, 2.0, (3, 6, 5, 4)).astype("float32")


def test_normalize_images() -> None:
    values = np.array([[[[0, 255, 51]]]], np.uint8)
    expected = [-1, 1, -0.6]  # 51 / 127.5 - 1
    np.testing.assert_allclose(np.ravel(normalize_images(values)), expected, atol=1e-6)


def make(cls: type) -> keras.layers.Layer:
    layer = cls(momentum=0.9)
    layer.build(X.shape)
    layer.gamma.assign([1.0, 2.0, 0.5, -1.0])
    layer.beta.assign([0.0, 1.0, -1.0, 3.0])
    return layer


def test_training_equals_numpy_and_moves_the_statistics() -> None:
    layer = make(BatchNormalization)
    mean, variance = X.mean((0, 1, 2)), X.var((0, 1, 2))
    expected = (X - mean) / np.sqrt(variance + 1e-3) * layer.gamma + layer.beta
    np.testing.assert_allclose(layer(X, training=True), expected, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5)


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_statistics_are_the_same_on_torch() -> None:
    code = (
        "import keras, numpy as np\n"
        "from tinypose.models.layers import BatchNormalization\n"
        "x = np.random.default_rng(0).normal(1.5, 2, (3, 6, 5, 4)).astype('float32')\n"
        "layer = BatchNormalization(momentum=0.9)\n"
        "y = layer(keras.ops.convert_to_tensor(x), training=True)\n"
        "mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))\n"
        "pairs = [(y, (x - mean) / np.sqrt(variance + 1e-3))]\n"
        "pairs += [(layer.moving_mean, 0.1 * mean)]\n"
        "pairs += [(layer.moving_variance, 0.9 + 0.1 * variance)]\n"
        "for found, expected in pairs:\n"
        "    found = keras.ops.convert_to_numpy(found)\n"
        "    np.testing.assert_allclose(found, expected, atol=1e-4)\n"
        "assert keras.backend.backend() == 'torch'\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_equal_those_of_keras(training: bool) -> None:
    import tensorflow as tf

    results = []
    for cls in (BatchNormalization, keras.layers.BatchNormalization):
        layer, x = make(cls), tf.constant(X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.sin(y))
        sources = [x, layer.gamma.value, layer.beta.value]
        results.append([y, *tape.gradient(loss, sources), *layer.weights])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_other_ranks_take_keras_path() -> None:
    layer = BatchNormalization()
    flat = X.reshape(-1, 4)
    expected = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-3)
    np.testing.assert_allclose(layer(flat, training=True), expected, atol=1e-4)


def test_separable_conv_equals_numpy() -> None:
    inputs = keras.Input((6, 5, 4))
    net = keras.Model(inputs, separable_conv(inputs, 3, "block"))
    generator = np.random.default_rng(1)
    for layer in net.layers[1:]:
        layer.set_weights(
            [generator.uniform(0.1, 1, w.shape) for w in layer.get_weights()]
        )
    depthwise, pointwise = (net.get_layer(f"block_{n}") for n in _KINDS)
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = np.asarray(depthwise.kernel)[..., 0]
    y = sum(
        padded[:, i : i + 6, j : j + 5] * kernel[i, j]
        for i in range(3)
        for j in range(3)
    )
    y = normalise(y, net.get_layer("block_depthwise_norm"))
    y = y @ np.asarray(pointwise.kernel)[0, 0] + np.asarray(pointwise.bias)
    y = normalise(np.maximum(y, 0), net.get_layer("block_pointwise_norm"))
    np.testing.assert_allclose(net(X), y, rtol=1e-4, atol=1e-4)


_KINDS = ("depthwise", "pointwise")


def normalise(y: np.ndarray, norm: keras.layers.Layer) -> np.ndarray:
    gamma, beta, mean, variance = norm.get_weights()
    return (y - mean) / np.sqrt(variance + 1e-3) * gamma + beta
