"""pose_machine: stages that see the picture and what the last stage believed.

Large kernels on small maps give each stage a view of half the person and more:
where a belief map is unsure of an elbow, the surer shoulder decides. Every
stage is supervised, so the gradient never has far to go.
"""

from dataclasses import dataclass

import keras
from keras import KerasTensor, layers

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.models.blocks import conv_norm, output
from tinypose.models.checks import require_at_least, require_divisible, require_sigma
from tinypose.models.layers import CentreMap

STRIDE = 8
"""Three poolings by two: input pixels per cell of a belief map."""


@dataclass(frozen=True, kw_only=True)
class PoseMachineConfig:
    """Configuration of ``pose_machine``.

    Args:
        input_hw: Height and width of the picture; each must divide by 8.
        num_keypoints: Number of belief maps of each stage.
        features: Channels of most convolutions.
        image_features: Channels in which later stages see the picture.
        wide_features: Channels of the first stage's last convolutions.
        trunk_kernel: Size of the kernels between the poolings, 9 in the paper.
        num_stages: Stages.
        sigma_cells: Standard deviation of the target Gaussians, in cells.
        normalise: Batch norm after each convolution but the last of each stage;
            the paper has none.
    """

    input_hw: tuple[int, int] = (128, 128)
    num_keypoints: int = 14
    features: int = 24
    image_features: int = 16
    wide_features: int = 96
    trunk_kernel: int = 5
    num_stages: int = 3
    sigma_cells: float = 1.0
    normalise: bool = True

    def __post_init__(self) -> None:
        require_at_least(self, 1, "num_keypoints", "features", "image_features")
        require_at_least(self, 1, "wide_features", "trunk_kernel", "num_stages")
        require_divisible(self, STRIDE)
        require_sigma(self, "sigma_cells")

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of the belief maps: an eighth of the input's."""
        return self.input_hw[0] // STRIDE, self.input_hw[1] // STRIDE


def build_pose_machine(config: PoseMachineConfig) -> keras.Model:
    """Build the network.

    Its input is (batch, height, width, 3) float32 from ``normalize_images``;
    its outputs are ``heatmaps_1`` to ``heatmaps_T``, the belief maps, each
    (batch, height/8, width/8, num_keypoints).

    Reference:
        Wei, Ramakrishna, Kanade & Sheikh, "Convolutional pose machines", CVPR
        2016, https://arxiv.org/abs/1602.00134: section 3.2 and figure 2 (the
        stages), 3.3 (intermediate supervision), 4 (centre map).

    Differs from the paper:
        - No belief map for the background.
        - The centre map is a constant: crops are centred on the person.
        - Batch norm where ``normalise`` says so.
    """
    images = keras.Input((*config.input_hw, 3), name="images")  # (B, H, W, 3)
    x = image_trunk(images, config, "stage_1")  # (B, H/8, W/8, image_features)
    for number, kernel_size in enumerate((9, 1), 1):
        x = conv_norm(
            x,
            config.wide_features,
            f"stage_1_wide_{number}",
            kernel_size=kernel_size,
            normalise=config.normalise,
        )
    outputs = {"heatmaps_1": output(x, config.num_keypoints, "heatmaps_1")}
    if config.num_stages > 1:
        # One trunk for all later stages: its weights are shared.
        seen = image_trunk(images, config, "shared")
    for stage in range(2, config.num_stages + 1):
        beliefs = outputs[f"heatmaps_{stage - 1}"]
        x = layers.Concatenate(name=f"stage_{stage}_input")([seen, beliefs])
        x = CentreMap(name=f"stage_{stage}_centre")(x)
        for number, kernel_size in enumerate((11, 11, 11, 1), 1):
            x = conv_norm(
                x,
                config.features,
                f"stage_{stage}_{number}",
                kernel_size=kernel_size,
                normalise=config.normalise,
            )
        maps = output(x, config.num_keypoints, f"heatmaps_{stage}")
        outputs[f"heatmaps_{stage}"] = maps
    return keras.Model(images, outputs, name="pose_machine")


def pose_machine_codecs(config: PoseMachineConfig) -> dict[str, HeatmapCodec]:
    """Return the codec of each output."""
    codec = HeatmapCodec(
        input_hw=config.input_hw,
        heatmap_hw=config.heatmap_hw,
        sigma_cells=config.sigma_cells,
    )
    return {f"heatmaps_{stage}": codec for stage in range(1, config.num_stages + 1)}


def image_trunk(x: KerasTensor, config: PoseMachineConfig, name: str) -> KerasTensor:
    """See the picture (B, H, W, 3) -> (B, H/8, W/8, image_features)."""
    normalise = config.normalise
    for number in (1, 2, 3):
        x = conv_norm(
            x,
            config.features,
            f"{name}_{number}",
            kernel_size=config.trunk_kernel,
            normalise=normalise,
        )
        x = layers.MaxPooling2D(3, 2, "same", name=f"{name}_{number}_pool")(x)
    return conv_norm(
        x, config.image_features, f"{name}_4", kernel_size=5, normalise=normalise
    )
