"""part_heatmap: first detect what can be seen, then regress everything.

A detection network marks the parts that it sees; a regression network with
large kernels looks at the picture and at those marks, and infers from the
parts that were found where the hidden ones must be.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import KerasTensor, initializers, layers

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.codecs.part_masks import PartMaskCodec
from tinypose.models.blocks import conv_norm, output
from tinypose.models.checks import (
    require_at_least,
    require_divisible,
    require_numbers,
    require_positive,
    require_sigma,
)

NUM_POOLED = 3
"""Groups that a pooling follows: the detection works at an eighth."""


@dataclass(frozen=True, kw_only=True)
class PartHeatmapConfig:
    """Configuration of ``part_heatmap``.

    Args:
        input_hw: Height and width of the picture; each must divide by 8.
        num_keypoints: Number of masks and of heatmaps.
        detection_channels: Of the five groups of 3x3 convolutions.
        detection_convs: Convolutions of each group.
        detection_wide: Channels of the two last layers of the detection.
        regression_channels: Of the four large convolutions and the two 1x1.
        regression_kernels: Sizes of the four large convolutions.
        regression_scale: The regression sees the picture and the masks at this
            fraction of the picture's size, as 1, 2 or 4.
        radius_cells: Radius of the masks' discs, in cells of a quarter.
        occluded_weight: Weight of hidden keypoints in the detection.
        sigma_cells: Standard deviation of the target Gaussians, in cells.
        normalise: Batch norm after each convolution; the paper starts from a
            network that was trained to classify instead.
    """

    input_hw: tuple[int, int] = (128, 128)
    num_keypoints: int = 14
    detection_channels: tuple[int, ...] = (16, 32, 48, 64, 64)
    detection_convs: tuple[int, ...] = (1, 1, 2, 2, 2)
    detection_wide: int = 96
    regression_channels: tuple[int, ...] = (24, 24, 32, 48, 64, 64)
    regression_kernels: tuple[int, ...] = (7, 9, 9, 9)
    regression_scale: int = 4
    radius_cells: float = 2.0
    occluded_weight: float = 0.0
    sigma_cells: float = 1.5
    normalise: bool = True

    def __post_init__(self) -> None:
        require_numbers(self, 5, "detection_channels", "detection_convs")
        require_numbers(self, 6, "regression_channels")
        require_numbers(self, 4, "regression_kernels")
        require_at_least(self, 1, "num_keypoints", "detection_wide")
        if self.regression_scale not in (1, 2, 4):
            raise ValueError(
                "model.regression_scale: expected 1, 2 or 4, found "
                f"{self.regression_scale}"
            )
        require_positive(self, "radius_cells")
        require_sigma(self, "sigma_cells")
        if not 0 <= self.occluded_weight <= 1:
            raise ValueError(
                f"model.occluded_weight: expected 0 to 1, found {self.occluded_weight}"
            )
        require_divisible(self, 8)

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of masks and heatmaps: a quarter of the input's."""
        return self.input_hw[0] // 4, self.input_hw[1] // 4


def build_part_heatmap(config: PartHeatmapConfig) -> keras.Model:
    """Build the network.

    Its input is (batch, height, width, 3) float32 from ``normalize_images``;
    its outputs are ``part_masks``, logits, and ``heatmaps_1``, both (batch,
    height/4, width/4, num_keypoints).

    Reference:
        Bulat & Tzimiropoulos, "Human pose estimation via convolutional part
        heatmap regression", ECCV 2016, https://arxiv.org/abs/1609.01743,
        section 3: the detection network on VGG-16's convolutions, then the
        regression network of kernels 9, 13, 13 and 15.

    Differs from the paper:
        - The detection starts from random weights, with batch norm, not from a
          network trained on ImageNet.
        - Masks and heatmaps have a quarter of the picture's size, where the
          paper learns to enlarge them; peaks are refined instead.
        - Both networks are trained together from the start.
    """
    images = keras.Input((*config.input_hw, 3), name="images")  # (B, H, W, 3)
    masks = detection(images, config)  # (B, H/4, W/4, K)
    scale = config.regression_scale
    x = images
    if scale > 1:
        x = layers.AveragePooling2D(scale, name="regression_picture")(x)
    seen = layers.Activation("sigmoid", name="regression_parts")(masks)
    if scale < 4:
        seen = layers.UpSampling2D(
            4 // scale, interpolation="bilinear", name="regression_resize"
        )(seen)
    x = layers.Concatenate(name="regression_input")([x, seen])
    sizes = (*config.regression_kernels, 1, 1)
    for number, (channels, size) in enumerate(
        zip(config.regression_channels, sizes, strict=True), 1
    ):
        x = conv_norm(
            x,
            channels,
            f"regression_{number}",
            kernel_size=size,
            normalise=config.normalise,
        )
        if scale < 4:
            x = layers.MaxPooling2D(2, name=f"regression_{number}_pool")(x)
            scale *= 2
    heatmaps = output(x, config.num_keypoints, "heatmaps_1")
    outputs = {"part_masks": masks, "heatmaps_1": heatmaps}
    return keras.Model(images, outputs, name="part_heatmap")


def part_heatmap_codecs(config: PartHeatmapConfig) -> dict[str, Any]:
    """Return the codec of each output."""
    return {
        "part_masks": PartMaskCodec(
            input_hw=config.input_hw,
            mask_hw=config.heatmap_hw,
            radius_cells=config.radius_cells,
            occluded_weight=config.occluded_weight,
        ),
        "heatmaps_1": HeatmapCodec(
            input_hw=config.input_hw,
            heatmap_hw=config.heatmap_hw,
            sigma_cells=config.sigma_cells,
        ),
    }


def detection(x: KerasTensor, config: PartHeatmapConfig) -> KerasTensor:
    """Mark the parts that are seen (B, H, W, 3) -> (B, H/4, W/4, K), logits."""
    normalise = config.normalise
    groups = zip(config.detection_channels, config.detection_convs, strict=True)
    for group, (channels, count) in enumerate(groups, 1):
        for number in range(1, count + 1):
            name = f"detection_{group}_{number}"
            x = conv_norm(x, channels, name, normalise=normalise)
        if group <= NUM_POOLED:
            x = layers.MaxPooling2D(2, name=f"detection_{group}_pool")(x)
    for number, size in enumerate((7, 1), 1):
        name = f"detection_wide_{number}"
        wide = config.detection_wide
        x = conv_norm(x, wide, name, kernel_size=size, normalise=normalise)
    x = layers.Conv2D(
        config.num_keypoints,
        1,
        kernel_initializer=initializers.RandomNormal(stddev=0.001),
        # Most cells are empty: a head that starts by saying so learns sooner.
        bias_initializer=initializers.Constant(-4.0),
        name="detection_masks",
    )(x)  # (B, H/8, W/8, K)
    return layers.UpSampling2D(2, interpolation="bilinear", name="part_masks")(x)
