"""multi_resolution: overlapping resolutions, then a closer look at each keypoint.

Banks of convolutions see the picture at full and at half size, and agree on
coarse heatmaps. A second network then cuts windows around the coarse answer out
of features that the first has computed anyway, and puts right by how much the
poolings had rounded it.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import KerasTensor, layers

from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.codecs.heatmap import HeatmapCodec, WindowHeatmapCodec
from tinypose.models.blocks import conv_norm, output
from tinypose.models.checks import (
    require_at_least,
    require_divisible,
    require_numbers,
    require_rate,
    require_sigma,
)
from tinypose.models.layers import LocalContrastNormalization
from tinypose.models.phases import Phase
from tinypose.models.window_layers import (
    Centres,
    CropAround,
    OwnKeypoint,
    PeakCoordinates,
)

FINE_WEIGHT = 0.1
"""Of the fine heatmaps' loss where both networks learn together; the paper's."""


@dataclass(frozen=True, kw_only=True)
class MultiResolutionConfig:
    """Configuration of ``multi_resolution``.

    Args:
        input_hw: Height and width of the picture; each must divide by
            4 * 2**(num_banks - 1).
        num_keypoints: Number of heatmaps.
        num_banks: Resolutions, each half of the one before.
        bank_channels: Of the three 5x5 convolutions of a bank.
        wide_channels: Of a bank's 9x9 convolution and of the 1x1 after it.
        dropout: Rate at which whole maps are dropped in training.
        window_cells: Side of a window at the full resolution, in cells of half
            the picture's size.
        fine_channels: Of the three 5x5 convolutions and the 1x1 of the fine
            network.
        sigma_cells: Standard deviation of the coarse targets, in cells of a
            quarter of the picture's size.
        fine_sigma_cells: Likewise of the fine targets, in cells of half its size.
        normalise: Batch norm after each convolution; the paper has none.
    """

    input_hw: tuple[int, int] = (128, 128)
    num_keypoints: int = 14
    num_banks: int = 2
    bank_channels: tuple[int, ...] = (8, 16, 24)
    wide_channels: tuple[int, ...] = (48, 48)
    dropout: float = 0.1
    window_cells: int = 8
    fine_channels: tuple[int, ...] = (12, 16, 16, 24)
    sigma_cells: float = 1.5
    fine_sigma_cells: float = 1.5
    normalise: bool = True

    def __post_init__(self) -> None:
        require_numbers(self, 3, "bank_channels")
        require_numbers(self, 2, "wide_channels")
        require_numbers(self, 4, "fine_channels")
        require_at_least(self, 1, "num_keypoints", "num_banks")
        require_sigma(self, "sigma_cells", "fine_sigma_cells")
        require_rate(self, "dropout")
        step = 4 * 2 ** (self.num_banks - 1)
        require_divisible(self, step, "4 * 2**(num_banks - 1)")
        if not 4 <= self.window_cells <= min(self.input_hw) // 2:
            raise ValueError(
                "model.window_cells: expected 4 to half the picture's side, found "
                f"{self.window_cells}"
            )
        if self.input_hw[0] != self.input_hw[1]:
            raise ValueError(
                "model.input_hw: expected a square, so that windows are squares "
                f"too, found {list(self.input_hw)}"
            )

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of the coarse heatmaps: a quarter of the input's."""
        return self.input_hw[0] // 4, self.input_hw[1] // 4

    @property
    def window_fraction(self) -> float:
        """Side of a window, as a fraction of the picture's."""
        return 2 * self.window_cells / self.input_hw[0]


def build_multi_resolution(config: MultiResolutionConfig) -> keras.Model:
    """Build the network: coarse and fine in one graph.

    Its input is (batch, height, width, 3) float32 from ``normalize_images``;
    its outputs are ``heatmaps_1`` (batch, height/4, width/4, num_keypoints),
    ``fine_heatmaps_2`` (batch, window_cells, window_cells, num_keypoints), each
    around its coarse keypoint, and ``coordinates_2`` (batch, num_keypoints, 2),
    relative to the crop.

    Reference:
        Tompson, Goroshin, Jain, LeCun & Bregler, "Efficient object localization
        using convolutional networks", CVPR 2015,
        https://arxiv.org/abs/1411.4280: section 3.1 and figure 2 (banks of
        several resolutions, dropout of whole maps), section 3.2 and figures 4
        and 5 (the fine network on shared features), equation 3 (both losses).

    Differs from the paper:
        - Windows have the same number of cells in every bank, resampled where
          the bank is coarser.
        - The window's own keypoint is chosen from a shared last layer's maps.
    """
    count = config.num_keypoints
    images = keras.Input((*config.input_hw, 3), name="images")  # (B, H, W, 3)
    shared, wide = [], []
    for bank in range(1, config.num_banks + 1):
        name = f"bank_{bank}"
        x = images
        if bank > 1:
            x = layers.AveragePooling2D(2 ** (bank - 1), name=f"{name}_picture")(x)
        x = LocalContrastNormalization(name=f"{name}_contrast")(x)
        early, x = bank_of_convolutions(x, config, name)
        shared.append(early)  # (B, H / 2**bank, W / 2**bank, C)
        if bank > 1:
            x = layers.UpSampling2D(2 ** (bank - 1), name=f"{name}_resize")(x)
        wide.append(x)  # (B, H/4, W/4, C)
    x = layers.Add(name="coarse_add")(wide) if len(wide) > 1 else wide[0]
    # Neighbouring cells say nearly the same: only whole maps can be missed.
    x = layers.SpatialDropout2D(config.dropout, name="coarse_dropout")(x)
    x = conv_norm(
        x,
        config.wide_channels[1],
        "coarse_mix",
        kernel_size=1,
        normalise=config.normalise,
    )
    heatmaps = output(x, count, "heatmaps_1")  # (B, H/4, W/4, K)
    coarse = PeakCoordinates(name="coarse_peaks")(heatmaps)  # (B, K, 2)
    centres = Centres(seed=2, name="centres_2")(coarse)
    fine = fine_heatmaps(shared, centres, config)  # (B, w, w, K)
    step = PeakCoordinates(name="fine_peaks")(fine)
    step = layers.Rescaling(config.window_fraction, name="fine_scale")(step)
    coordinates = layers.Add(name="coordinates_2")([centres, step])
    outputs = {
        "heatmaps_1": heatmaps,
        "fine_heatmaps_2": fine,
        "coordinates_2": coordinates,
    }
    return keras.Model(images, outputs, name="multi_resolution")


def bank_of_convolutions(
    x: KerasTensor, config: MultiResolutionConfig, name: str
) -> tuple[KerasTensor, KerasTensor]:
    """Look at one resolution (B, h, w, 3).

    Returns:
        The features that the fine network shares (B, h/2, w/2, C), and those
        of the whole bank (B, h/4, w/4, wide).
    """
    first, second, third = config.bank_channels
    normalise = config.normalise
    x = conv_norm(x, first, f"{name}_1", kernel_size=5, normalise=normalise)
    early = layers.MaxPooling2D(2, name=f"{name}_1_pool")(x)
    x = conv_norm(early, second, f"{name}_2", kernel_size=5, normalise=normalise)
    x = layers.MaxPooling2D(2, name=f"{name}_2_pool")(x)
    x = conv_norm(x, third, f"{name}_3", kernel_size=5, normalise=normalise)
    wide = config.wide_channels[0]
    return early, conv_norm(x, wide, f"{name}_4", kernel_size=9, normalise=normalise)


def fine_heatmaps(
    shared: list[KerasTensor], centres: KerasTensor, config: MultiResolutionConfig
) -> KerasTensor:
    """Look again around each keypoint.

    Args:
        shared: Features of each bank.
        centres: (B, K, 2), the coarse keypoints, relative to the picture.
        config: The configuration.

    Returns:
        (B, window_cells, window_cells, K).
    """
    size = (config.window_cells, config.window_cells)
    windows = [
        CropAround(size, config.window_fraction, name=f"fine_windows_{bank}")(
            [features, centres]
        )
        for bank, features in enumerate(shared, 1)
    ]  # (B * K, w, w, C) each
    x = windows[0]
    if len(windows) > 1:
        x = layers.Concatenate(name="fine_input")(windows)
    kernel_sizes = (5, 5, 5, 1)
    for number, (channels, kernel_size) in enumerate(
        zip(config.fine_channels, kernel_sizes, strict=True), 1
    ):
        x = conv_norm(
            x,
            channels,
            f"fine_{number}",
            kernel_size=kernel_size,
            normalise=config.normalise,
        )
    x = output(x, config.num_keypoints, "fine_all")  # (B * K, w, w, K)
    return OwnKeypoint(config.num_keypoints, name="fine_heatmaps_2")(x)


def multi_resolution_codecs(config: MultiResolutionConfig) -> dict[str, Any]:
    """Return the codec of each output."""
    coarse = HeatmapCodec(
        input_hw=config.input_hw,
        heatmap_hw=config.heatmap_hw,
        sigma_cells=config.sigma_cells,
    )
    fine = WindowHeatmapCodec(
        input_hw=(2 * config.window_cells, 2 * config.window_cells),
        heatmap_hw=(config.window_cells, config.window_cells),
        sigma_cells=config.fine_sigma_cells,
        picture_hw=config.input_hw,
        centres="centres_2",
    )
    return {
        "heatmaps_1": coarse,
        "fine_heatmaps_2": fine,
        "coordinates_2": CoordinateCodec(input_hw=config.input_hw),
    }


def multi_resolution_phases(config: MultiResolutionConfig) -> tuple[Phase, ...]:
    """Return the trainings: coarse, then fine, then both together.

    Reference:
        Tompson et al., section 3.2.3: the coarse model first, then the fine one
        on its features, then both, the coarse error and a tenth of the fine.
    """
    again: dict[str, Any] = {
        "centres": "centres_2",
        "imitates": "coarse_peaks",
        "reach": config.window_fraction / 2,
    }
    return (
        Phase(
            name="coarse",
            share=0.6,
            outputs={"heatmaps_1": 1.0},
            trains=("bank_", "coarse_", "heatmaps_1"),
        ),
        Phase(
            name="fine",
            share=0.2,
            outputs={"fine_heatmaps_2": 1.0},
            trains=("fine_",),
            **again,
        ),
        Phase(
            name="both",
            share=0.2,
            outputs={"heatmaps_1": 1.0, "fine_heatmaps_2": FINE_WEIGHT},
            **again,
        ),
    )
