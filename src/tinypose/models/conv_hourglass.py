"""conv_hourglass: hourglasses of plain 3x3 convolutions, thin where they are wide.

Quantised to eight bits, a dense 3x3 convolution of few channels runs faster on
phones' and laptops' CPUs than the depthwise pairs that save multiplications,
and it learns more per hour of training. Most parameters sit at the lowest
resolutions, where they cost little time. One hourglass unless told otherwise; a
second one starts from the first one's features and heatmaps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
from keras import KerasTensor, layers

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.models.blocks import conv_norm, depthwise_norm, output
from tinypose.models.checks import (
    require_at_least,
    require_divisible,
    require_numbers,
    require_sigma,
)
from tinypose.models.layers import NearestUpsampling

ConvNorm = Callable[..., KerasTensor]
"""``conv_norm`` or ``separable_norm`` of a kernel's size."""


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
        separable_kernel: Side of the depthwise kernels, odd.
        num_stacks: Hourglasses, one after the other.
        later_channels: Channels of each level in those after the first, which
            only have to put right what the first says; as in the first, if empty.
        sigma_cells: Standard deviation of the target Gaussians, in cells.
    """

    input_hw: tuple[int, int] = (128, 128)
    num_keypoints: int = 14
    stem_channels: int = 24
    channels: tuple[int, ...] = (40, 72, 96, 128)
    encoder_blocks: tuple[int, ...] = (0, 1, 1, 1)
    decoder_convs: tuple[int, ...] = (1, 1, 1)
    separable_from: int = 0
    separable_kernel: int = 3
    num_stacks: int = 1
    later_channels: tuple[int, ...] = ()
    sigma_cells: float = 1.5

    def __post_init__(self) -> None:
        levels = len(self.channels)
        require_numbers(self, max(levels, 2), "channels")
        if self.later_channels:
            require_numbers(self, levels, "later_channels")
            if self.num_stacks == 1:
                raise ValueError(
                    "model.later_channels: expected none where model.num_stacks is 1, "
                    f"found {list(self.later_channels)}; set model.num_stacks to 2"
                )
        require_numbers(self, levels, "encoder_blocks", low=0)
        require_numbers(self, levels - 1, "decoder_convs", low=0)
        require_at_least(self, 1, "num_keypoints", "stem_channels", "num_stacks")
        if not 0 <= self.separable_from <= levels:
            raise ValueError(
                f"model.separable_from: expected a level of 1 to {levels}, or 0, "
                f"found {self.separable_from}"
            )
        if self.separable_kernel < 1 or self.separable_kernel % 2 == 0:
            raise ValueError(
                "model.separable_kernel: expected an odd number of at least 1, "
                f"found {self.separable_kernel}"
            )
        require_divisible(self, 2 * 2**levels, "2 * 2**levels")
        require_sigma(self, "sigma_cells")

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of the heatmaps: a quarter of the input's."""
        return self.input_hw[0] // 4, self.input_hw[1] // 4


def build_conv_hourglass(config: ConvHourglassConfig) -> keras.Model:
    """Build the network.

    Its input is (batch, height, width, 3) float32 from ``normalize_images``;
    its outputs are ``heatmaps_1`` to ``heatmaps_S``, each (batch, height/4,
    width/4, num_keypoints).

    Reference:
        The hourglass, and how one follows another, follow Newell, Yang & Deng,
        "Stacked hourglass networks for human pose estimation", ECCV 2016,
        https://arxiv.org/abs/1603.06937, sections 3.1 and 3.3; the residual block
        follows He et al., "Deep residual learning for image recognition", CVPR
        2016, https://arxiv.org/abs/1512.03385, figure 5; the separable convolution
        follows Howard et al., "MobileNets", 2017,
        https://arxiv.org/abs/1704.04861, section 3.1.
    """
    images = keras.Input((*config.input_hw, 3), name="images")  # (B, H, W, 3)
    x = conv_norm(images, config.stem_channels, "stem", strides=2)  # (B, H/2, W/2, .)
    conv = _conv_of(config, 1)
    x = conv(x, config.channels[0], "encoder_1_down", strides=2)  # (B, H/4, W/4, .)
    outputs = {}
    for stack in range(1, config.num_stacks + 1):
        y = hourglass_of_convolutions(x, config, stack)
        heatmaps = output(y, config.num_keypoints, f"heatmaps_{stack}")
        outputs[f"heatmaps_{stack}"] = heatmaps
        if stack < config.num_stacks:
            x = inject(x, y, heatmaps, config, f"inject_{stack}")
    return keras.Model(images, outputs, name="conv_hourglass")


def conv_hourglass_codecs(config: ConvHourglassConfig) -> dict[str, HeatmapCodec]:
    """Return the codec of each output."""
    codec = HeatmapCodec(
        input_hw=config.input_hw,
        heatmap_hw=config.heatmap_hw,
        sigma_cells=config.sigma_cells,
    )
    return {f"heatmaps_{stack}": codec for stack in range(1, config.num_stacks + 1)}


def inject(
    x: KerasTensor,
    y: KerasTensor,
    heatmaps: KerasTensor,
    config: ConvHourglassConfig,
    name: str,
) -> KerasTensor:
    """Return what the next hourglass sees: the last one's input, result and maps.

    Args:
        x: What the last hourglass saw (B, H/4, W/4, C).
        y: What it made of that, the same shape.
        heatmaps: What it says (B, H/4, W/4, num_keypoints).
        config: Channels of the next one.
        name: What the layers' names begin with.
    """
    thin = (config.later_channels or config.channels)[0]
    parts = {"features": y, "heatmaps": heatmaps}
    if x.shape[-1] != thin:
        parts["input"] = x
    seen = [
        conv_norm(part, thin, f"{name}_{key}", kernel_size=1, relu=False)
        for key, part in parts.items()
    ]
    if "input" not in parts:
        seen = [x, *seen]
    x = layers.Add(name=f"{name}_add")(seen)
    return layers.ReLU(name=f"{name}_relu")(x)


def hourglass_of_convolutions(
    x: KerasTensor, config: ConvHourglassConfig, stack: int = 1
) -> KerasTensor:
    """Go down through all levels and up again (B, H/4, W/4, C) -> the same shape.

    Args:
        x: Level 1.
        config: Channels and convolutions of each level.
        stack: Which hourglass it is, from 1.
    """
    first = stack == 1 or not config.later_channels
    widths = config.channels if first else config.later_channels
    name = f"stack_{stack}_" * (stack > 1)
    skips = []
    for level, channels in enumerate(widths, 1):
        conv = _conv_of(config, level)
        if level > 1:
            x = conv(x, channels, f"{name}encoder_{level}_down", strides=2)
        for block in range(1, config.encoder_blocks[level - 1] + 1):
            x = residual_block(
                x, channels, f"{name}encoder_{level}_block_{block}", conv
            )
        skips.append(x)
    for level in range(len(widths) - 1, 0, -1):
        channels = widths[level - 1]
        decoder = f"{name}decoder_{level}"
        x = conv_norm(x, channels, f"{decoder}_lateral", kernel_size=1, relu=False)
        x = NearestUpsampling(2, name=f"{decoder}_resize")(x)
        x = layers.Add(name=f"{decoder}_add")([x, skips[level - 1]])
        for number in range(1, config.decoder_convs[level - 1] + 1):
            conv = _conv_of(config, level)
            x = conv(x, channels, f"{decoder}_conv_{number}")
    return x


def _conv_of(config: ConvHourglassConfig, level: int) -> ConvNorm:
    if not 0 < config.separable_from <= level:
        return conv_norm
    return partial(separable_norm, kernel_size=config.separable_kernel)


def separable_norm(
    x: KerasTensor,
    filters: int,
    name: str,
    *,
    kernel_size: int = 3,
    strides: int = 1,
    relu: bool = True,
) -> KerasTensor:
    """Apply a depthwise and a 1x1 convolution, each with batch norm."""
    x = depthwise_norm(x, name, strides, kernel_size)
    return conv_norm(x, filters, name, kernel_size=1, relu=relu)


def residual_block(
    x: KerasTensor, filters: int, name: str, conv: ConvNorm = conv_norm
) -> KerasTensor:
    """Add what two 3x3 convolutions make of (B, H, W, filters) to it."""
    y = conv(x, filters, f"{name}_1")
    y = conv(y, filters, f"{name}_2", relu=False)
    x = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu")(x)
