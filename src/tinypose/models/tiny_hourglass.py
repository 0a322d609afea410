"""tiny_hourglass: one hourglass of depthwise-separable convolutions.

The model of the 2018 course "Human pose estimation 101 with TensorFlow" by
Jaewook Kang: 32 channels everywhere, three steps down and up, and about
21 thousand parameters.
"""

from dataclasses import dataclass

import keras

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.models.blocks import hourglass, output, reception
from tinypose.models.checks import (
    require_at_least,
    require_divisible,
    require_rate,
    require_sigma,
)


@dataclass(frozen=True, kw_only=True)
class TinyHourglassConfig:
    """Configuration of ``tiny_hourglass``; every shape follows from it.

    Args:
        input_hw: Height and width of the picture; each must divide by
            4 * 2**depth.
        num_keypoints: Number of heatmaps.
        channels: Channels of every layer but the last.
        depth: Steps down and up in the hourglass.
        dropout: Rate at which values of the heatmaps are dropped in training.
        sigma_cells: Standard deviation of the target Gaussians, in cells.
    """

    input_hw: tuple[int, int] = (256, 256)
    num_keypoints: int = 14
    channels: int = 32
    depth: int = 3
    dropout: float = 0.0
    sigma_cells: float = 2.0

    def __post_init__(self) -> None:
        require_at_least(self, 1, "num_keypoints", "channels", "depth")
        require_divisible(self, 4 * 2**self.depth, "4 * 2**depth")
        require_rate(self, "dropout")
        require_sigma(self, "sigma_cells")

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of the heatmaps: a quarter of the input's."""
        return self.input_hw[0] // 4, self.input_hw[1] // 4


def build_tiny_hourglass(config: TinyHourglassConfig) -> keras.Model:
    """Build the network.

    Its input is (batch, height, width, 3) float32 from ``normalize_images``;
    its output is ``{"heatmaps_1": (batch, height/4, width/4, num_keypoints)}``.

    Reference:
        Jaewook Kang, "Human pose estimation 101 with TensorFlow", 2018. The
        hourglass follows Newell, Yang & Deng, "Stacked hourglass networks for
        human pose estimation", ECCV 2016, https://arxiv.org/abs/1603.06937;
        the separable convolution follows Howard et al., "MobileNets", 2017,
        https://arxiv.org/abs/1704.04861, section 3.1.

    Differs from the course:
        - The depthwise convolutions have no bias: batch norm follows.
        - The dropout rate on the heatmaps is 0 unless configured.
        - The last convolution starts near zero.
    """
    images = keras.Input((*config.input_hw, 3), name="images")  # (B, H, W, 3)
    x = reception(images, config.channels, name="reception")  # (B, H/4, W/4, C)
    x = hourglass(x, config.channels, config.depth, name="hourglass_1")
    heatmaps = output(x, config.num_keypoints, "heatmaps_1", config.dropout)
    return keras.Model(images, {"heatmaps_1": heatmaps}, name="tiny_hourglass")


def tiny_hourglass_codecs(config: TinyHourglassConfig) -> dict[str, HeatmapCodec]:
    """Return the codec of each output."""
    codec = HeatmapCodec(
        input_hw=config.input_hw,
        heatmap_hw=config.heatmap_hw,
        sigma_cells=config.sigma_cells,
    )
    return {"heatmaps_1": codec}
