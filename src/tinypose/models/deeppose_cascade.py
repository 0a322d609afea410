"""deeppose_cascade: DeepPose, and more stages that look closer.

Each later stage cuts a window around every keypoint that was found so far out
of the picture, at a higher resolution, and says how far off it is.
"""

from dataclasses import dataclass

import keras
from keras import layers

from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.models.deeppose import DeepPoseConfig, check_regressor, regressor
from tinypose.models.phases import Phase
from tinypose.models.window_layers import Centres, CropAround, OwnKeypoint


@dataclass(frozen=True, kw_only=True)
class DeepPoseCascadeConfig:
    """Configuration of ``deeppose_cascade``.

    Args:
        input_hw: Height and width of the picture, a multiple of ``stage_hw``.
        stage_hw: Height and width in which the first stage sees it, at least 60.
        num_keypoints: Keypoints whose coordinates are predicted.
        channels: Of the first stage's five convolutions.
        dense: Units of the first stage's dense layers.
        num_stages: Stages, the first included.
        window_hw: Height and width of the later stages' windows, in their cells,
            at least 60; of the picture's aspect ratio.
        window_fraction: Side of a window, as a fraction of the picture's.
        window_channels: Of the later stages' five convolutions.
        window_dense: Units of the later stages' dense layers.
        dropout: Rate at which dense units are dropped in training.
        norm: See ``DeepPoseConfig``.
    """

    input_hw: tuple[int, int] = (256, 256)
    stage_hw: tuple[int, int] = (128, 128)
    num_keypoints: int = 14
    channels: tuple[int, ...] = (48, 96, 128, 128, 96)
    dense: int = 512
    num_stages: int = 3
    window_hw: tuple[int, int] = (64, 64)
    window_fraction: float = 0.35
    window_channels: tuple[int, ...] = (16, 32, 48, 48, 48)
    window_dense: int = 96
    dropout: float = 0.0
    norm: str = "batch"

    def __post_init__(self) -> None:
        check_regressor(self, "stage_hw", "channels", "dense")
        check_regressor(self, "window_hw", "window_channels", "window_dense")
        factors = {
            side // small if side % small == 0 else 0
            for side, small in zip(self.input_hw, self.stage_hw, strict=True)
        }
        if len(factors) != 1 or 0 in factors:
            raise ValueError(
                "model.input_hw: expected the same multiple of both sides of "
                f"model.stage_hw, {list(self.stage_hw)}, found {list(self.input_hw)}"
            )
        (height, width), (rows, columns) = self.input_hw, self.window_hw
        if rows * width != columns * height:
            raise ValueError(
                "model.window_hw: expected the aspect ratio of model.input_hw, "
                f"{height}x{width}, so that windows show what is there undistorted, "
                f"found {rows}x{columns}"
            )
        if self.num_stages < 2:
            raise ValueError(
                "model.num_stages: expected at least 2 (one is the family deeppose), "
                f"found {self.num_stages}"
            )
        if not 0 < self.window_fraction <= 1:
            raise ValueError(
                "model.window_fraction: expected more than 0 and at most 1, found "
                f"{self.window_fraction}"
            )

    @property
    def first(self) -> DeepPoseConfig:
        """The network of the first stage."""
        return DeepPoseConfig(
            input_hw=self.stage_hw,
            num_keypoints=self.num_keypoints,
            channels=self.channels,
            dense=self.dense,
            dropout=self.dropout,
            norm=self.norm,
        )

    @property
    def later(self) -> DeepPoseConfig:
        """The network of each later stage."""
        return DeepPoseConfig(
            input_hw=self.window_hw,
            num_keypoints=self.num_keypoints,
            channels=self.window_channels,
            dense=self.window_dense,
            dropout=self.dropout,
            norm=self.norm,
        )


def build_deeppose_cascade(config: DeepPoseCascadeConfig) -> keras.Model:
    """Build the network: all stages in one graph.

    Its input is (batch, height, width, 3) float32 from ``normalize_images``;
    its outputs are ``coordinates_1`` to ``coordinates_S``, each (batch,
    num_keypoints, 2), relative to the crop.

    Reference:
        Toshev & Szegedy, "DeepPose: human pose estimation via deep neural
        networks", CVPR 2014, https://arxiv.org/abs/1312.4659, section 3.2:
        windows around the joints, displacements, one regressor for all joints
        of a stage, of whose answer each window uses its own joint's.

    Differs from the paper:
        - A window's side is a fixed fraction of the crop, not a multiple of the
          torso found: a skeleton need not have a torso.
        - The later stages' networks are smaller than the first.
        - Errors beyond the window are left out of the statistics that are
          imitated. With them, after a first stage that trained for minutes, half
          of the windows showed no keypoint to be found, and the later stages
          made the first one's answers worse.
    """
    count = config.num_keypoints
    images = keras.Input((*config.input_hw, 3), name="images")  # (B, H, W, 3)
    x = images
    factor = config.input_hw[0] // config.stage_hw[0]
    if factor > 1:
        x = layers.AveragePooling2D(factor, name="stage_1_picture")(x)
    x = regressor(x, config.first, 2 * count, "stage_1")
    found = layers.Reshape((count, 2), name="coordinates_1")(x)  # (B, K, 2)
    outputs = {"coordinates_1": found}
    for stage in range(2, config.num_stages + 1):
        name = f"stage_{stage}"
        centres = Centres(seed=stage, name=f"centres_{stage}")(found)
        x = CropAround(
            config.window_hw, config.window_fraction, name=f"{name}_windows"
        )([images, centres])  # (B * K, h, w, 3)
        x = regressor(x, config.later, 2 * count, name)
        x = layers.Reshape((2, count), name=f"{name}_all")(x)
        x = OwnKeypoint(count, name=f"{name}_own")(x)  # (B, 2, K)
        x = layers.Permute((2, 1), name=f"{name}_displacement")(x)  # (B, K, 2)
        # Relative to the window; its side makes it relative to the picture.
        x = layers.Rescaling(config.window_fraction, name=f"{name}_scale")(x)
        found = layers.Add(name=f"coordinates_{stage}")([centres, x])
        outputs[f"coordinates_{stage}"] = found
    return keras.Model(images, outputs, name="deeppose_cascade")


def deeppose_cascade_codecs(
    config: DeepPoseCascadeConfig,
) -> dict[str, CoordinateCodec]:
    """Return the codec of each output."""
    codec = CoordinateCodec(input_hw=config.input_hw)
    stages = range(1, config.num_stages + 1)
    return {f"coordinates_{stage}": codec for stage in stages}


def deeppose_cascade_phases(config: DeepPoseCascadeConfig) -> tuple[Phase, ...]:
    """Return the stages' trainings, one after the other."""
    phases = [
        Phase(
            name="stage 1",
            share=2.0,
            outputs={"coordinates_1": 1.0},
            trains=("stage_1_",),
        )
    ]
    for stage in range(2, config.num_stages + 1):
        phases.append(
            Phase(
                name=f"stage {stage}",
                # A displacement is small, and so is its square.
                outputs={f"coordinates_{stage}": 1 / config.window_fraction**2},
                trains=(f"stage_{stage}_",),
                centres=f"centres_{stage}",
                imitates=f"coordinates_{stage - 1}",
                reach=config.window_fraction / 2,
            )
        )
    return tuple(phases)
