"""How a teacher sees a student's crops: at its own size, and back to the student's."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tinypose.codecs.heatmap import HeatmapCodec

SAME_WIDTH = 1e-3
"""Gaussians whose widths differ by less, relatively, are as wide."""

MIN_BLUR_CELLS = 0.5
"""Cells between those of the teacher are a mean of its cells, at least this wide."""


@dataclass(frozen=True)
class TeacherView:
    """The teacher's input and heatmaps beside a student's.

    A network finds people of the size that it was trained on. So the teacher does
    not get the student's input, but the same picture at its own size: the crop is
    resized until it fits, and what is left on two sides is grey.

    Args:
        teacher: The codec of its heatmaps.
        student: The codec of the heatmaps that are to be like them.
    """

    teacher: HeatmapCodec
    student: HeatmapCodec

    @property
    def is_same(self) -> bool:
        """Whether the teacher's heatmaps of the crop are the student's, as they are."""
        teacher, student = self.teacher, self.student
        return (
            teacher.input_hw == student.input_hw
            and teacher.heatmap_hw == student.heatmap_hw
            and abs(teacher.sigma_cells / student.sigma_cells - 1) < SAME_WIDTH
        )

    @property
    def resized_hw(self) -> tuple[int, int]:
        """Height and width of the crop within the teacher's input, in its pixels."""
        own, given = np.array(self.teacher.input_hw), np.array(self.student.input_hw)
        height, width = np.rint(given * (own / given).min()).astype(int)
        return int(height), int(width)

    @property
    def margin_hw(self) -> tuple[int, int]:
        """Rows above and columns left of the crop in the teacher's input."""
        own, resized = self.teacher.input_hw, self.resized_hw
        return (own[0] - resized[0]) // 2, (own[1] - resized[1]) // 2

    @property
    def least_sigma_cells(self) -> float:
        """The narrowest Gaussians that a student can learn from the teacher's."""
        return self.teacher.sigma_cells / min(self._teacher_cells_per_cell)

    @property
    def fits(self) -> bool:
        """Whether the student's Gaussians are as wide as the teacher's, or wider."""
        return self.student.sigma_cells * (1 + SAME_WIDTH) >= self.least_sigma_cells

    @property
    def _teacher_cells_per_cell(self) -> tuple[float, float]:
        """How many of the teacher's cells are one of the student's, along y and x."""
        rows, columns = (
            resized / self.student.heatmap_hw[axis] / stride
            for axis, (resized, stride) in enumerate(
                zip(self.resized_hw, self.teacher.stride_xy[::-1], strict=True)
            )
        )
        return rows, columns

    def pictures(self, images: Any) -> Any:
        """Return the teacher's input for a student's.

        Args:
            images: (batch, height, width, 3), normalised; of the student's size.

        Returns:
            (batch, height, width, 3), of the teacher's size.
        """
        if self.teacher.input_hw == self.student.input_hw:
            return images
        (height, width), own = self.resized_hw, self.teacher.input_hw
        smaller = height < self.student.input_hw[0]
        resized = ops.image.resize(
            images,
            (height, width),
            antialias=smaller,
            data_format="channels_last",
        )
        top, left = self.margin_hw
        if (height, width) == own:
            return resized
        below, right = own[0] - height - top, own[1] - width - left
        return ops.pad(resized, ((0, 0), (top, below), (left, right), (0, 0)))

    def heatmaps(self, maps: Any) -> Any:
        """Return a teacher's heatmaps as a student has them.

        Squared error makes of heatmaps what the network believes of a keypoint's
        place, smoothed by the targets' Gaussian. Smoothed once more, by what the
        student's Gaussian is wider, and as much higher as its square is larger,
        they are what the teacher would have learned of the student's targets.

        Args:
            maps: (batch, height, width, num_keypoints), the teacher's.

        Returns:
            (batch, height, width, num_keypoints), of the student's height and width.
        """
        if self.is_same:
            return maps
        rows, columns = (self._smoothing(axis) for axis in (0, 1))
        # (B, H, W, K): along the width first, then along the height.
        maps = ops.einsum("jx,byxk->byjk", columns, maps)
        return ops.einsum("iy,byjk->bijk", rows, maps)

    def _smoothing(self, axis: int) -> NDArray[np.float32]:
        """Return the matrix (student's cells, teacher's cells) along y or x."""
        stride = self.teacher.stride_xy[1 - axis]
        ratio = self._teacher_cells_per_cell[axis]
        cells = np.arange(self.student.heatmap_hw[axis])
        centres = (cells + 0.5) * ratio + self.margin_hw[axis] / stride - 0.5
        wanted, own = self.student.sigma_cells * ratio, self.teacher.sigma_cells
        blur = max(max(wanted**2 - own**2, 0.0) ** 0.5, MIN_BLUR_CELLS)
        offsets = centres[:, None] - np.arange(self.teacher.heatmap_hw[axis])
        weights = np.exp(-0.5 * (offsets / blur) ** 2)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray(weights * np.hypot(own, blur) / own, np.float32)
