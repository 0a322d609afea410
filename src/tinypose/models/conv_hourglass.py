"""conv_hourglass: one hourglass of plain 3x3 convolutions, thin where it is wide.

Quantised to eight bits, a dense 3x3 convolution of few channels runs faster on
phones' and laptops' CPUs than the depthwise pairs that save multiplications,
and it learns more per hour of training. Most parameters sit at the lowest
resolutions, where they cost little time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import KerasTensor, layers

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.models.blocks import conv_norm, depthwise_norm, output
from tinypose.models.checks import (
    require_at_least,
    require_divisible,
    require_numbers,
    require_positive,
)
from tinypose.models.layers import NearestUpsampling

ConvNorm = Callable[..., KerasTensor]
"""``conv_norm`` or ``separable_norm``."""


@dataclass(frozen=True, kw_only=True)
class ConvHourglassConfig:
    """Configuration of ``conv_hourglass``; every shape follows from it.

    Level 1 has a quarter of the picture's size; each further level has half
    the size of the one before.

    Args:
        input_hw: Height and width of the picture; each must divide by
            2 * 2**levels.
        num_keypoints: Number of heatmaps.
        stem_channels: Channels at half the picture's size.
        channels: Channels of each level.
        encoder_blocks: Residual blocks of two convolutions at each level, on
            the way down.
        decoder_convs: Convolutions at each level but the last, on the way up.
        separable_from: The first level whose 3x3 convolutions are depthwise
            separable: a tenth of the parameters, where a file must be tiny. 0
            for none.
        sigma_cells: Standard deviation of the target Gaussians, in cells.
    """

    input_hw: tuple[int, int] = (128, 128)
    num_keypoints: int = 14
    stem_channels: int = 24
    channels: tuple[int, ...] = (40, 72, 96, 128)
    encoder_blocks: tuple[int, ...] = (0, 1, 1, 1)
    decoder_convs: tuple[int, ...] = (1, 1, 1)
    separable_from: int = 0
    sigma_cells: float = 1.5

    def __post_init__(self) -> None:
        levels = len(self.channels)
        require_numbers(self, max(levels, 2), "channels")
        require_numbers(self, levels, "encoder_blocks", low=0)
        require_numbers(self, levels - 1, "decoder_convs", low=0)
        require_at_least(self, 1, "num_keypoints", "stem_channels")
        if not 0 <= self.separable_from <= levels:
            raise ValueError(
                f"model.separable_from: expected a level of 1 to {levels}, or 0, "
                f"found {self.separable_from}"
            )
        require_divisible(self, 2 * 2**levels, "2 * 2**levels")
        require_positive(self, "sigma_cells")

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of the heatmaps: a quarter of the input's."""
        return self.input_hw[0] // 4, self.input_hw[1] // 4


def build_conv_hourglass(config: ConvHourglassConfig) -> keras.Model:
    """Build the network.

    Its input is (batch, height, width, 3) float32 from ``normalize_images``;
    its output is ``{"heatmaps_1": (batch, height/4, width/4, num_keypoints)}``.

    Reference:
        The hourglass follows Newell, Yang & Deng, "Stacked hourglass networks
        for human pose estimation", ECCV 2016, https://arxiv.org/abs/1603.06937;
        the residual block follows He et al., "Deep residual learning for image
        recognition", CVPR 2016, https://arxiv.org/abs/1512.03385, figure 5; the
        separable convolution follows Howard et al., "MobileNets", 2017,
        https://arxiv.org/abs/1704.04861, section 3.1.
    """
    images = keras.Input((*config.input_hw, 3), name="images")  # (B, H, W, 3)
    x = conv_norm(images, config.stem_channels, "stem", strides=2)  # (B, H/2, W/2, .)
    skips = []
    for level, channels in enumerate(config.channels, 1):
        conv = _conv_of(config, level)
        x = conv(x, channels, f"encoder_{level}_down", strides=2)
        for block in range(1, config.encoder_blocks[level - 1] + 1):
            x = residual_block(x, channels, f"encoder_{level}_block_{block}", conv)
        skips.append(x)  # level 1: (B, H/4, W/4, .)
    for level in range(len(config.channels) - 1, 0, -1):
        channels = config.channels[level - 1]
        x = conv_norm(
            x, channels, f"decoder_{level}_lateral", kernel_size=1, relu=False
        )
        x = NearestUpsampling(2, name=f"decoder_{level}_resize")(x)
        x = layers.Add(name=f"decoder_{level}_add")([x, skips[level - 1]])
        for number in range(1, config.decoder_convs[level - 1] + 1):
            conv = _conv_of(config, level)
            x = conv(x, channels, f"decoder_{level}_conv_{number}")
    heatmaps = output(x, config.num_keypoints, "heatmaps_1")
    return keras.Model(images, {"heatmaps_1": heatmaps}, name="conv_hourglass")


def conv_hourglass_codecs(config: ConvHourglassConfig) -> dict[str, HeatmapCodec]:
    """Return the codec of each output."""
    codec = HeatmapCodec(
        input_hw=config.input_hw,
        heatmap_hw=config.heatmap_hw,
        sigma_cells=config.sigma_cells,
    )
    return {"heatmaps_1": codec}


def _conv_of(config: ConvHourglassConfig, level: int) -> ConvNorm:
    separable = config.separable_from and level >= config.separable_from
    return separable_norm if separable else conv_norm


def separable_norm(
    x: KerasTensor, filters: int, name: str, *, strides: int = 1, relu: bool = True
) -> KerasTensor:
    """Apply a depthwise 3x3 and a 1x1 convolution, each with batch norm."""
    x = depthwise_norm(x, name, strides)
    return conv_norm(x, filters, name, kernel_size=1, relu=relu)


def residual_block(
    x: KerasTensor, filters: int, name: str, conv: ConvNorm = conv_norm
) -> KerasTensor:
    """Add what two 3x3 convolutions make of (B, H, W, filters) to it."""
    y = conv(x, filters, f"{name}_1")
    y = conv(y, filters, f"{name}_2", relu=False)
    x = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu")(x)
