"""Part masks: a disc around each keypoint that can be seen.

Reference:
    Bulat & Tzimiropoulos, "Human pose estimation via convolutional part heatmap
    regression", ECCV 2016, https://arxiv.org/abs/1609.01743, section 3.
"""

from dataclasses import dataclass
from typing import Any

OCCLUDED = 1
"""The value of ``visible`` for a keypoint that is labelled but hidden."""


@dataclass(frozen=True, kw_only=True)
class PartMaskCodec:
    """Encode keypoints as discs of ones; training targets only.

    Args:
        input_hw: Height and width of the model's input, in pixels.
        mask_hw: Height and width of the masks, in cells.
        radius_cells: Radius of the discs, in cells.
        occluded_weight: Weight of a hidden keypoint's mask: what cannot be seen
            cannot be detected, and is left to the regression.
    """

    input_hw: tuple[int, int]
    mask_hw: tuple[int, int]
    radius_cells: float
    occluded_weight: float = 0.0

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        """Return the shape of one sample's output."""
        return *self.mask_hw, num_keypoints

    def encode(self, keypoints_xy: Any, visible: Any) -> tuple[Any, Any]:
        """Return target masks and the weight of each, as backend tensors.

        Args:
            keypoints_xy: (batch, num_keypoints, 2), (x, y) in input pixels.
            visible: (batch, num_keypoints): 0 where not labelled, 1 where
                hidden, 2 where seen.

        Returns:
            masks (batch, height, width, num_keypoints) of 0 and 1, and weights
            (batch, num_keypoints).
        """
        from keras import ops

        height, width = self.mask_hw
        stride = (self.input_hw[1] / width, self.input_hw[0] / height)
        keypoints_xy = ops.cast(keypoints_xy, "float32")
        cells = (keypoints_xy + 0.5) / ops.array(stride, "float32") - 0.5
        x = ops.arange(width, dtype="float32") - cells[..., 0:1]  # (B, K, W)
        y = ops.arange(height, dtype="float32") - cells[..., 1:2]  # (B, K, H)
        squares = (
            ops.transpose(y**2, (0, 2, 1))[:, :, None, :]
            + ops.transpose(x**2, (0, 2, 1))[:, None, :, :]
        )
        masks = ops.cast(squares <= self.radius_cells**2, "float32")
        visible = ops.cast(visible, "float32")
        weights = ops.where(visible == OCCLUDED, self.occluded_weight, 1.0)
        return masks, weights * ops.cast(visible > 0, "float32")
