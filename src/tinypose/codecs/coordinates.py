"""Coordinates: two numbers per keypoint, relative to the crop.

0 is the centre of the crop and -1/2 to 1/2 its extent, so that a network need
not know how many pixels it was given.

Reference:
    Toshev & Szegedy, "DeepPose: human pose estimation via deep neural
    networks", CVPR 2014, https://arxiv.org/abs/1312.4659, section 3, equation 1.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class CoordinateCodec:
    """Encode keypoints as coordinates relative to the crop, and back.

    Args:
        input_hw: Height and width of the model's input, in pixels.
    """

    output: ClassVar[str] = "coordinates"

    input_hw: tuple[int, int]

    @property
    def size_xy(self) -> NDArray[np.float32]:
        """Width and height of the crop, in pixels."""
        return np.array(self.input_hw[::-1], np.float32)

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        """Return the shape of one sample's output."""
        return num_keypoints, 2

    def encode(self, keypoints_xy: Any, visible: Any) -> tuple[Any, Any]:
        """Return target coordinates and the weight of each, as backend tensors.

        Args:
            keypoints_xy: (batch, num_keypoints, 2), (x, y) in input pixels.
            visible: (batch, num_keypoints), 0 where not labelled.

        Returns:
            (batch, num_keypoints, 2), relative to the crop, and weights
            (batch, num_keypoints), 0 where a keypoint is not labelled.
        """
        from keras import ops

        keypoints_xy = ops.cast(keypoints_xy, "float32")
        target = (keypoints_xy + 0.5) / self.size_xy - 0.5
        weights = ops.cast(ops.cast(visible, "float32") > 0, "float32")
        # What is not labelled may lie anywhere, and infinitely far away.
        return ops.where(weights[..., None] > 0, target, 0.0), weights

    def decode(
        self, coordinates: NDArray[Any], refinement: str = "none"
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return keypoints in input pixels (NumPy).

        Args:
            coordinates: (batch, num_keypoints, 2), relative to the crop.
            refinement: Without effect: there are no peaks.

        Returns:
            keypoints_xy (batch, num_keypoints, 2) float32 and scores (batch,
            num_keypoints), 1 within the crop and 0 outside: a regression does
            not say how sure it is.
        """
        values = np.asarray(coordinates, np.float32)
        if values.ndim != 3 or values.shape[-1] != 2:
            raise ValueError(
                "expected coordinates of shape (batch, num_keypoints, 2), received "
                f"{values.shape}"
            )
        inside = np.all(np.abs(values) <= 0.5, axis=-1)
        keypoints_xy = np.asarray((values + 0.5) * self.size_xy - 0.5, np.float32)
        return keypoints_xy, np.asarray(inside, np.float32)

    def description(self) -> dict[str, Any]:
        """Return what a model's metadata say about its output."""
        return {
            "output": self.output,
            "heatmap_hw": None,
            "sigma_cells": 1.0,
            "refinement": "none",
        }

    def unflip(
        self, coordinates: NDArray[Any], flip_indices: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Return what the output for a mirrored crop says about the crop itself."""
        mirrored = np.asarray(coordinates, np.float32)[:, flip_indices]
        return np.asarray(mirrored * np.array([-1, 1], np.float32))

    def is_clear(self, coordinates: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (batch, num_keypoints), True: rounding moves no keypoint far."""
        return np.ones(np.shape(coordinates)[:2], bool)
