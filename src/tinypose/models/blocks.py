"""The tiny model's building blocks: functions from tensor to tensor.

Layer names are public: checkpoints, pruning and reports address layers by them.
Shapes at the line ends are (batch, height, width, channels).
"""

from keras import KerasTensor, initializers, layers

from tinypose.models.layers import BatchNormalization

NORM_MOMENTUM = 0.97
"""Of the statistics that batch norm uses after training.

Keras' 0.99 needs 500 steps to forget where it started: on a small data set the
first dozen validations would be of a network that never was.
"""


def separable_conv(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Apply a depthwise 3x3 and a 1x1 convolution, each followed by batch norm.

    Args:
        x: (B, H, W, C).
        filters: Channels of the result.
        name: Prefix of the layers' names.

    Returns:
        (B, H, W, filters).
    """
    x = depthwise_norm(x, name)
    x = conv(x, filters, 1, name=f"{name}_pointwise")
    return batch_norm(x, name=f"{name}_pointwise_norm")


def depthwise_norm(
    x: KerasTensor, name: str, strides: int = 1, kernel_size: int = 3
) -> KerasTensor:
    """Apply a depthwise convolution and batch norm, without ReLU."""
    # No bias: the batch norm that follows directly has one.
    x = layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise",
    )(x)
    return batch_norm(x, name=f"{name}_depthwise_norm")


def batch_norm(x: KerasTensor, name: str) -> KerasTensor:
    """Normalise over all but the channels."""
    return BatchNormalization(momentum=NORM_MOMENTUM, name=name)(x)


def conv(
    x: KerasTensor, filters: int, kernel_size: int, name: str, strides: int = 1
) -> KerasTensor:
    """Apply a convolution with 'same' padding and ReLU."""
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )(x)


def conv_norm(
    x: KerasTensor,
    filters: int,
    name: str,
    *,
    kernel_size: int = 3,
    strides: int = 1,
    relu: bool = True,
    normalise: bool = True,
) -> KerasTensor:
    """Apply a convolution, batch norm instead of a bias, and ReLU.

    Norm before ReLU: the exporter folds it into the convolution.

    Args:
        x: (B, H, W, C).
        filters: Channels of the result.
        name: Prefix of the layers' names.
        kernel_size: Of the convolution.
        strides: Of the convolution.
        relu: Whether ReLU follows.
        normalise: False for a bias and no batch norm.

    Returns:
        (B, H / strides, W / strides, filters).
    """
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=not normalise,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    if normalise:
        x = batch_norm(x, name=f"{name}_norm")
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def reception(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Bring the picture to a quarter of its size (B, H, W, 3) -> (B, H/4, W/4, C)."""
    x = conv(x, filters, 7, strides=2, name=f"{name}_conv")  # (B, H/2, W/2, C)
    x = batch_norm(x, name=f"{name}_norm")
    x = separable_conv(x, filters, name)
    return layers.MaxPooling2D(3, 2, "same", name=f"{name}_pool")(x)


def downsample(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Look closer, then halve the size (B, H, W, C) -> (B, H/2, W/2, filters)."""
    x = separable_conv(x, filters, name)
    return layers.MaxPooling2D(3, 2, "same", name=f"{name}_pool")(x)


def upsample(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Double the size, then look closer (B, H, W, C) -> (B, 2H, 2W, filters)."""
    x = layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_resize")(x)
    return separable_conv(x, filters, name)


def hourglass(x: KerasTensor, filters: int, depth: int, name: str) -> KerasTensor:
    """Go down ``depth`` steps and up again, adding a skip at every lower size.

    The skip of each step starts from that step's result, so there is none at
    the size of the input.

    Args:
        x: (B, H, W, C); H and W must divide by 2**depth.
        filters: Channels inside and of the result.
        depth: Number of steps.
        name: Prefix of the layers' names.

    Returns:
        (B, H, W, filters).
    """
    skips = []
    for step in range(1, depth + 1):
        x = downsample(x, filters, name=f"{name}_down_{step}")
        skips.append(x)
    x = separable_conv(x, filters, name=f"{name}_bottom")
    for step in range(depth, 0, -1):
        skip = conv(skips.pop(), filters, 1, name=f"{name}_skip_{step}")
        x = layers.Add(name=f"{name}_add_{step}")([x, skip])
        x = upsample(x, filters, name=f"{name}_up_{step}")
    return x


def output(
    x: KerasTensor, num_keypoints: int, name: str, dropout: float = 0.0
) -> KerasTensor:
    """Predict one heatmap per keypoint (B, H, W, C) -> (B, H, W, num_keypoints)."""
    # Targets are almost empty: a head that starts near zero does not have to
    # unlearn its noise first.
    x = layers.Conv2D(
        num_keypoints,
        1,
        kernel_initializer=initializers.RandomNormal(stddev=0.001),
        name=f"{name}_conv",
    )(x)
    return layers.Dropout(dropout, name=name)(x)
