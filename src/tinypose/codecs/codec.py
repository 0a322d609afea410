"""What every codec does, and which one reads the output of a model file."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.metadata import Metadata


class Codec(Protocol):
    """Encodes keypoints as what a network predicts, and decodes them again.

    Arrays are (batch, ...); ``raw`` stands for the network's output.
    """

    @property
    def input_hw(self) -> tuple[int, int]:
        """Height and width of the model's input, in pixels."""
        ...

    @property
    def output(self) -> str:
        """Name of the raw output, as in ``Metadata.output``."""
        ...

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        """Return the shape of one sample's output."""
        ...

    def encode(self, keypoints_xy: Any, visible: Any) -> tuple[Any, Any]:
        """Return targets and weights (batch, num_keypoints), backend tensors."""
        ...

    def decode(
        self, raw: NDArray[Any], refinement: str, /
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return keypoints_xy (batch, num_keypoints, 2), input pixels, and scores."""
        ...

    def unflip(
        self, raw: NDArray[Any], flip_indices: NDArray[np.intp], /
    ) -> NDArray[np.float32]:
        """Return what the output for a mirrored crop says about the crop itself."""
        ...

    def is_clear(self, raw: NDArray[Any], /) -> NDArray[np.bool_]:
        """Return (batch, num_keypoints), whether rounding moves no keypoint far."""
        ...

    def description(self) -> dict[str, Any]:
        """Return what a model's metadata say about its output."""
        ...


def codec_of(metadata: Metadata) -> Codec:
    """Return the codec of a model's raw output."""
    if metadata.heatmap_hw is None:
        return CoordinateCodec(input_hw=metadata.input_hw)
    return HeatmapCodec(
        input_hw=metadata.input_hw,
        heatmap_hw=metadata.heatmap_hw,
        sigma_cells=metadata.sigma_cells,
    )
