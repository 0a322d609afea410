"""Operations and layers that have mathematics or state of their own."""

from typing import Any

import keras
import numpy as np
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
        dtype = keras.backend.standardize_dtype(inputs.dtype)
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
            or dtype not in ("float32", "bfloat16")
        ):
            return super().call(inputs, training=training, mask=mask)
        # In bfloat16, CPUs take three times as long as with both conversions.
        outputs, mean, variance = fused(
            ops.cast(inputs, "float32"), self.gamma, self.beta, self.epsilon
        )
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return ops.cast(outputs, dtype)


@keras.saving.register_keras_serializable(package="tinypose")
class NearestUpsampling(keras.layers.UpSampling2D):
    """Repeat each value ``size`` times along height and width.

    The result is that of Keras' own layer, which tiles: an operation that
    microcontrollers' runtimes lack. This one resizes, which they have.
    """

    def call(self, inputs: Any) -> Any:
        """Return (batch, height * size, width * size, channels)."""
        if keras.backend.backend() == "jax":
            # There, the gradient of resizing is a slow scatter.
            return super().call(inputs)
        height, width = ops.shape(inputs)[1:3]
        size = (height * self.size[0], width * self.size[1])
        return ops.image.resize(inputs, size, interpolation="nearest")


@keras.saving.register_keras_serializable(package="tinypose")
class CentreMap(keras.layers.Layer):
    """Append a map that says where the person is: in the middle of the crop.

    Args:
        sigma: Standard deviation of the Gaussian, as a fraction of the map.

    Reference:
        Wei et al., "Convolutional pose machines", CVPR 2016,
        https://arxiv.org/abs/1602.00134, section 4: a Gaussian on the person
        of interest tells the network whom to look at.
    """

    def __init__(self, sigma: float = 0.25, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.sigma = sigma

    def call(self, inputs: Any) -> Any:
        """Return (batch, height, width, channels + 1)."""
        height, width = inputs.shape[1:3]
        profiles = [
            np.exp(-0.5 * (((np.arange(size) + 0.5) / size - 0.5) / self.sigma) ** 2)
            for size in (height, width)
        ]
        centre = np.outer(*profiles)[None, :, :, None].astype("float32")
        shape = (ops.shape(inputs)[0], height, width, 1)
        return ops.concatenate([inputs, ops.broadcast_to(centre, shape)], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with one channel more."""
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "sigma": self.sigma}


@keras.saving.register_keras_serializable(package="tinypose")
class LocalResponseNormalization(keras.layers.Layer):
    """Divide each value by what its neighbours in the channels amount to.

    Args:
        radius: Channels on either side.
        bias: Added to the sum.
        alpha: Times the sum of squares.
        beta: Exponent of the divisor.

    Reference:
        Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep
        convolutional neural networks", NIPS 2012, section 3.3, whose constants
        are the defaults.
    """

    def __init__(
        self,
        radius: int = 2,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.radius, self.bias, self.alpha, self.beta = radius, bias, alpha, beta

    def call(self, inputs: Any) -> Any:
        """Return the same shape (..., channels)."""
        channels = inputs.shape[-1]
        room = [(0, 0)] * (len(inputs.shape) - 1) + [(self.radius, self.radius)]
        squares = ops.pad(ops.square(inputs), room)
        total: Any = sum(
            squares[..., start : start + channels]
            for start in range(2 * self.radius + 1)
        )
        return inputs / ops.power(self.bias + self.alpha * total, self.beta)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        names = ("radius", "bias", "alpha", "beta")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="tinypose")
class LocalContrastNormalization(keras.layers.Layer):
    """Subtract each neighbourhood's mean and divide by its standard deviation.

    Args:
        size: Side of the neighbourhood, in cells.
        least: Smaller deviations are not enlarged: a wall stays a wall.

    Reference:
        Jarrett, Kavukcuoglu, Ranzato & LeCun, "What is the best multi-stage
        architecture for object recognition?", ICCV 2009, section 2; here with
        equal weights over a square.
    """

    def __init__(self, size: int = 9, least: float = 0.1, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.size, self.least = size, least

    def call(self, inputs: Any) -> Any:
        """Return the same shape (batch, height, width, channels)."""
        mean = self._mean(inputs)
        variance = self._mean(ops.square(inputs)) - ops.square(mean)
        deviation = ops.sqrt(ops.maximum(variance, self.least**2))
        return (inputs - mean) / deviation

    def _mean(self, inputs: Any) -> Any:
        return ops.average_pool(inputs, self.size, strides=1, padding="same")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "size": self.size, "least": self.least}


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
