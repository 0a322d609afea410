"""Compare an exported file with the network that it was made from."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.codecs.codec import codec_of
from tinypose.export.wrapper import predict_crops
from tinypose.metadata import Metadata

MAX_DIFFERENCE = 0.1
"""Largest difference, in input pixels, between network and exported file."""

MAX_MEDIAN_QUANTISED = 1.0
"""Median difference, in input pixels, that a file in fewer bits may have."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far an exported file's keypoints are from the network's.

    Args:
        differences: (num_crops, num_keypoints) distances in input pixels; nan
            where a heatmap has no clear peak.
    """

    differences: NDArray[np.float64]

    @property
    def num_clear(self) -> int:
        """Number of keypoints that were compared."""
        return int(np.isfinite(self.differences).sum())

    @property
    def median(self) -> float:
        """Median distance in input pixels; nan when none was compared."""
        return float(np.nanmedian(self.differences)) if self.num_clear else np.nan

    def percentile(self, percent: float) -> float:
        """Distance in input pixels that so many percent do not exceed."""
        if not self.num_clear:
            return float("nan")
        return float(np.nanpercentile(self.differences, percent))

    @property
    def worst(self) -> float:
        """Largest distance in input pixels; nan when none was compared."""
        return float(np.nanmax(self.differences)) if self.num_clear else np.nan


def compare(
    net: keras.Model,
    metadata: Metadata,
    crops: NDArray[np.uint8],
    exported: NDArray[np.float32],
) -> Agreement:
    """Compare a network, decoded with NumPy, with what its exported file gives.

    Args:
        net: The network that was exported.
        metadata: Of the file.
        crops: (num_crops, height, width, 3) uint8 RGB, in the model's size.
        exported: What the file gives for them, keypoints or raw output.
    """
    codec = codec_of(metadata)
    outputs = predict_crops(net, crops)
    keypoints_xy, _ = codec.decode(outputs, metadata.refinement)
    if metadata.output == "keypoints":
        exported_xy = exported[..., :2]
    else:
        exported_xy, _ = codec.decode(exported, metadata.refinement)
    offsets = exported_xy.astype(np.float64) - keypoints_xy
    distances = np.hypot(offsets[..., 0], offsets[..., 1])
    return Agreement(np.where(codec.is_clear(outputs), distances, np.nan))
