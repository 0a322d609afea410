"""deeppose: a network that looks at the whole person and names all coordinates.

Five convolutions and three dense layers, built to classify pictures, end in two
numbers per keypoint. There is no map of where a keypoint might be, so there is
no way to be unsure, and all positions share one code.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import KerasTensor, initializers, layers

from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.models.blocks import batch_norm
from tinypose.models.checks import require_at_least, require_numbers, require_rate
from tinypose.models.layers import LocalResponseNormalization

KERNEL_SIZES = (11, 5, 3, 3, 3)
POOLED = (1, 2, 5)
"""The convolutions that a pooling follows, counted from 1."""

NORMS = ("local_response", "batch")


@dataclass(frozen=True, kw_only=True)
class DeepPoseConfig:
    """Configuration of ``deeppose``.

    Args:
        input_hw: Height and width of the picture, at least 60.
        num_keypoints: Keypoints whose coordinates are predicted.
        channels: Of the five convolutions.
        dense: Units of each of the two dense layers before the last.
        dropout: Rate at which dense units are dropped in training.
        norm: ``local_response`` after the first two convolutions, as in the
            paper, or ``batch`` after all five and the dense layers.
    """

    input_hw: tuple[int, int] = (128, 128)
    num_keypoints: int = 14
    channels: tuple[int, ...] = (48, 96, 128, 128, 96)
    dense: int = 512
    dropout: float = 0.0
    norm: str = "batch"

    def __post_init__(self) -> None:
        check_regressor(self, "input_hw", "channels", "dense")


def check_regressor(config: Any, input_hw: str, channels: str, dense: str) -> None:
    """Raise a ValueError where a configuration gives no network.

    Args:
        config: With ``num_keypoints``, ``dropout`` and ``norm``.
        input_hw: The key of what the network looks at.
        channels: The key of its convolutions' channels.
        dense: The key of its dense layers' units.
    """
    require_numbers(config, len(KERNEL_SIZES), channels)
    require_at_least(config, 1, "num_keypoints", dense)
    require_rate(config, "dropout")
    if config.norm not in NORMS:
        raise ValueError(
            f"model.norm: expected {' or '.join(NORMS)}, found {config.norm!r}"
        )
    # Less than that, and the third pooling finds nothing to pool.
    require_numbers(config, 2, input_hw, low=60)


def build_deeppose(config: DeepPoseConfig) -> keras.Model:
    """Build the network.

    Its input is (batch, height, width, 3) float32 from ``normalize_images``;
    its output is ``{"coordinates_1": (batch, num_keypoints, 2)}``, relative to
    the crop.

    Reference:
        Toshev & Szegedy, "DeepPose: human pose estimation via deep neural
        networks", CVPR 2014, https://arxiv.org/abs/1312.4659: equation 1
        (normalised coordinates), section 3.1 (the layers and their sizes at an
        input of 220 x 220, dropout 0.6, squared error).

    Differs from the paper:
        - ``norm: batch`` normalises by the batch: without it this trains for
          days, which the paper did.
    """
    images = keras.Input((*config.input_hw, 3), name="images")  # (B, H, W, 3)
    x = regressor(images, config, 2 * config.num_keypoints, "stage_1")
    shape = (config.num_keypoints, 2)
    coordinates = layers.Reshape(shape, name="coordinates_1")(x)  # (B, K, 2)
    return keras.Model(images, {"coordinates_1": coordinates}, name="deeppose")


def deeppose_codecs(config: DeepPoseConfig) -> dict[str, CoordinateCodec]:
    """Return the codec of each output."""
    return {"coordinates_1": CoordinateCodec(input_hw=config.input_hw)}


def regressor(
    x: KerasTensor, config: DeepPoseConfig, units: int, name: str
) -> KerasTensor:
    """Regress numbers from a picture (B, H, W, 3) -> (B, units).

    Args:
        x: The picture.
        config: Sizes of the layers.
        units: Numbers that are predicted; near 0 before the training.
        name: Prefix of the layers' names.
    """
    by_batch = config.norm == "batch"
    sizes = zip(config.channels, KERNEL_SIZES, strict=True)
    for number, (channels, kernel_size) in enumerate(sizes, 1):
        x = layers.Conv2D(
            channels,
            kernel_size,
            strides=4 if number == 1 else 1,
            padding="same",
            use_bias=not by_batch,
            kernel_initializer="he_normal",
            name=f"{name}_conv_{number}",
        )(x)
        if by_batch:
            x = batch_norm(x, name=f"{name}_norm_{number}")
        x = layers.ReLU(name=f"{name}_relu_{number}")(x)
        if not by_batch and number <= 2:
            x = LocalResponseNormalization(name=f"{name}_norm_{number}")(x)
        if number in POOLED:
            x = layers.MaxPooling2D(3, 2, name=f"{name}_pool_{number}")(x)
    x = layers.Flatten(name=f"{name}_flatten")(x)
    for number in (1, 2):
        x = layers.Dense(
            config.dense,
            use_bias=not by_batch,
            kernel_initializer="he_normal",
            name=f"{name}_dense_{number}",
        )(x)
        if by_batch:
            x = batch_norm(x, name=f"{name}_dense_{number}_norm")
        x = layers.ReLU(name=f"{name}_dense_{number}_relu")(x)
        x = layers.Dropout(config.dropout, name=f"{name}_dropout_{number}")(x)
    near_zero = initializers.RandomNormal(stddev=0.001)
    return layers.Dense(units, kernel_initializer=near_zero, name=f"{name}_numbers")(x)
