"""Operations and layers that have mathematics or state of their own."""

from typing import Any

import keras
from keras import ops


def normalize_images(images: Any) -> Any:
    """Return uint8 pictures as the float32 input of the networks.

    Args:
        images: (batch, height, width, 3), RGB, values 0..255.

    Returns:
        The same shape as float32, values -1..1.
    """
    return ops.cast(images, "float32") / 127.5 - 1.0


@keras.saving.register_keras_serializable(package="tinypose")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch norm that trains through the backend's fused operation.

    The mathematics, arguments and variables are those of Keras' own layer,
    which computes the statistics and their gradient in a dozen passes over the
    data; on a CPU the tiny model spends half of each step there. The fused
    operation needs 4D inputs with the channels last; all others, and backends
    without one, take Keras' path.

    Reference:
        Ioffe & Szegedy, "Batch normalization", ICML 2015,
        https://arxiv.org/abs/1502.03167.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise (batch, height, width, channels) over all but the channels."""
        fused = _FUSED.get(keras.backend.backend())
        plain = (
            getattr(self, "renorm", False)
            or self.synchronized
            or not (self.scale and self.center)
        )
        if (
            fused is None
            or not training
            or not self.trainable
            or plain
            or mask is not None
            or len(inputs.shape) != 4
            or self.axis not in (-1, 3)
            or keras.backend.standardize_dtype(inputs.dtype) != "float32"
        ):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = fused(inputs, self.gamma, self.beta, self.epsilon)
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return outputs


@keras.saving.register_keras_serializable(package="tinypose")
class NearestUpsampling(keras.layers.UpSampling2D):
    """Repeat each value ``size`` times along height and width.

    The result is that of Keras' own layer, which tiles: an operation that
    microcontrollers' runtimes lack. This one resizes, which they have.
    """

    def call(self, inputs: Any) -> Any:
        """Return (batch, height * size, width * size, channels)."""
        height, width = ops.shape(inputs)[1:3]
        size = (height * self.size[0], width * self.size[1])
        return ops.image.resize(inputs, size, interpolation="nearest")


def _fused_tensorflow(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    import tensorflow as tf

    gamma, beta = ops.convert_to_tensor(gamma), ops.convert_to_tensor(beta)
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x, gamma, beta, epsilon=epsilon, is_training=True
    )
    # The operation returns the unbiased variance; Keras keeps the biased one.
    count = tf.cast(tf.size(x) // tf.shape(x)[-1], x.dtype)
    return y, mean, tf.stop_gradient(variance * (count - 1) / count)


def _fused_torch(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    import torch

    with torch.no_grad():
        variance, mean = torch.var_mean(x.detach(), dim=(0, 1, 2), correction=0)
    y = torch.nn.functional.batch_norm(
        x.permute(0, 3, 1, 2),
        None,
        None,
        ops.convert_to_tensor(gamma),
        ops.convert_to_tensor(beta),
        training=True,
        eps=epsilon,
    )
    return y.permute(0, 2, 3, 1), mean, variance


_FUSED = {"tensorflow": _fused_tensorflow, "torch": _fused_torch}
