"""Train in bfloat16 what bears it: convolutions and what lies between them."""

import keras
from keras import layers

from tinypose.models.layers import NearestUpsampling

BEARS_IT = (
    layers.Conv2D,
    layers.BatchNormalization,
    layers.ReLU,
    layers.Add,
    layers.MaxPooling2D,
    NearestUpsampling,
)
"""All other layers stay in float32: what they give is rounded too coarsely, as
coordinates are, or gains nothing, as depthwise convolutions do. So do those of
these that give no maps: a sum may be one of coordinates."""


def mix_bfloat16(net: keras.Model) -> None:
    """Make a network compute its convolutions in bfloat16, in place.

    Weights, and the statistics of batch norm, stay in float32, so the network
    has the variables that it had.

    Args:
        net: The network; also one whose weights are set.

    Reference:
        Micikevicius et al., "Mixed precision training", ICLR 2018,
        https://arxiv.org/abs/1710.03740; Kalamkar et al., "A study of BFLOAT16
        for deep learning training", 2019, https://arxiv.org/abs/1905.12322:
        bfloat16 has the range of float32, so losses need no scaling.
    """
    for layer in net.layers:
        # Depthwise convolutions are no Conv2D in Keras.
        if isinstance(layer, BEARS_IT) and len(layer.output.shape) == 4:
            layer.dtype_policy = "mixed_bfloat16"
