"""stacked_hourglass: hourglasses of residual modules, one after the other.

Each hourglass looks at the whole person at the lowest resolution and comes back
to the highest; its heatmaps are supervised, and the next one starts from the
features and from those heatmaps: a second look that knows the first answer.
"""

from dataclasses import dataclass

import keras
from keras import KerasTensor, layers

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.models.blocks import batch_norm, conv_norm, output
from tinypose.models.checks import require_at_least, require_divisible, require_sigma
from tinypose.models.layers import NearestUpsampling


@dataclass(frozen=True, kw_only=True)
class StackedHourglassConfig:
    """Configuration of ``stacked_hourglass``.

    Args:
        input_hw: Height and width of the picture; each must divide by
            4 * 2**depth.
        num_keypoints: Number of heatmaps of each hourglass.
        features: Channels of the hourglasses; half of them inside a residual
            module, a quarter after the first convolution.
        depth: Halvings within an hourglass.
        num_stacks: Hourglasses.
        sigma_cells: Standard deviation of the target Gaussians, in cells.
    """

    input_hw: tuple[int, int] = (128, 128)
    num_keypoints: int = 14
    features: int = 64
    depth: int = 3
    num_stacks: int = 2
    sigma_cells: float = 1.5

    def __post_init__(self) -> None:
        require_at_least(self, 1, "num_keypoints", "depth", "num_stacks")
        if self.features < 4 or self.features % 4:
            raise ValueError(
                "model.features: expected a number that divides by 4, found "
                f"{self.features}"
            )
        require_divisible(self, 4 * 2**self.depth, "4 * 2**depth")
        require_sigma(self, "sigma_cells")

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of the heatmaps: a quarter of the input's."""
        return self.input_hw[0] // 4, self.input_hw[1] // 4


def build_stacked_hourglass(config: StackedHourglassConfig) -> keras.Model:
    """Build the network.

    Its input is (batch, height, width, 3) float32 from ``normalize_images``;
    its outputs are ``heatmaps_1`` to ``heatmaps_S``, each (batch, height/4,
    width/4, num_keypoints).

    Reference:
        Newell, Yang & Deng, "Stacked hourglass networks for human pose
        estimation", ECCV 2016, https://arxiv.org/abs/1603.06937: section 3.1
        and figure 3 (one hourglass), 3.2 and figure 4 (residual module, sizes),
        3.3 (intermediate supervision and re-injection). The residual module
        normalises before each convolution, as in He et al., "Identity mappings
        in deep residual networks", ECCV 2016, https://arxiv.org/abs/1603.05027.
    """
    features = config.features
    images = keras.Input((*config.input_hw, 3), name="images")  # (B, H, W, 3)
    x = conv_norm(
        images, features // 4, "stem", kernel_size=7, strides=2
    )  # (B, H/2, W/2, C/4)
    x = residual_module(x, features // 2, "stem_residual_1")
    x = layers.MaxPooling2D(2, name="stem_pool")(x)  # (B, H/4, W/4, C/2)
    x = residual_module(x, features // 2, "stem_residual_2")
    x = residual_module(x, features, "stem_residual_3")
    outputs = {}
    for stack in range(1, config.num_stacks + 1):
        y = hourglass_of_residuals(x, config.depth, f"hourglass_{stack}")
        y = residual_module(y, features, f"head_{stack}_residual")
        y = convolution(y, features, f"head_{stack}_conv")
        y = batch_norm(y, name=f"head_{stack}_norm")
        y = layers.ReLU(name=f"head_{stack}_relu")(y)
        heatmaps = output(y, config.num_keypoints, f"heatmaps_{stack}")
        outputs[f"heatmaps_{stack}"] = heatmaps
        if stack < config.num_stacks:
            y = convolution(y, features, f"inject_{stack}_features")
            maps = convolution(heatmaps, features, f"inject_{stack}_heatmaps")
            x = layers.Add(name=f"inject_{stack}_add")([x, y, maps])
    return keras.Model(images, outputs, name="stacked_hourglass")


def stacked_hourglass_codecs(
    config: StackedHourglassConfig,
) -> dict[str, HeatmapCodec]:
    """Return the codec of each output."""
    codec = HeatmapCodec(
        input_hw=config.input_hw,
        heatmap_hw=config.heatmap_hw,
        sigma_cells=config.sigma_cells,
    )
    return {f"heatmaps_{stack}": codec for stack in range(1, config.num_stacks + 1)}


def hourglass_of_residuals(x: KerasTensor, depth: int, name: str) -> KerasTensor:
    """Go down ``depth`` halvings and up again (B, H, W, C) -> (B, H, W, C).

    Before each halving a branch keeps the resolution and is added on the way
    back; one residual module stands wherever the paper's figure 3 has a box.
    """
    features = x.shape[-1]
    branch = residual_module(x, features, f"{name}_skip_{depth}")
    x = layers.MaxPooling2D(2, name=f"{name}_pool_{depth}")(x)
    x = residual_module(x, features, f"{name}_down_{depth}")
    if depth > 1:
        x = hourglass_of_residuals(x, depth - 1, name)
    else:
        x = residual_module(x, features, f"{name}_bottom")
    x = residual_module(x, features, f"{name}_up_{depth}")
    x = NearestUpsampling(2, name=f"{name}_resize_{depth}")(x)
    return layers.Add(name=f"{name}_add_{depth}")([x, branch])


def residual_module(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Add what a bottleneck makes of (B, H, W, C) to it -> (B, H, W, filters)."""
    y = x
    for number, (channels, size) in enumerate(
        [(filters // 2, 1), (filters // 2, 3), (filters, 1)], 1
    ):
        y = batch_norm(y, name=f"{name}_norm_{number}")
        y = layers.ReLU(name=f"{name}_relu_{number}")(y)
        y = convolution(y, channels, f"{name}_conv_{number}", size)
    if x.shape[-1] != filters:
        x = convolution(x, filters, f"{name}_widen")
    return layers.Add(name=f"{name}_add")([x, y])


def convolution(
    x: KerasTensor, filters: int, name: str, kernel_size: int = 1
) -> KerasTensor:
    """Apply a convolution with bias and no activation."""
    return layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        kernel_initializer="he_normal",
        name=name,
    )(x)
