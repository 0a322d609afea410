"""How a teacher sees a student's crops: at its own size, and back to the student's."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tinypose.codecs.heatmap import HeatmapCodec

SAME_WIDTH = 1e-3
"""Gaussians whose widths differ by less, relatively, are as wide."""

RIDGE = 0.03
"""How much a matrix that brings heatmaps to another size prefers small entries, which
pass on little of a teacher's noise: relative to the mean square of its profiles."""

BEYOND = 1.5
"""How far outside of the maps places count for it, in the student's sigmas."""

STEP = 0.1
"""Between two of these places, in the student's cells."""


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
        place, smoothed by the targets' Gaussian: a mean of targets. What takes the
        teacher's target of each place to the student's takes their means to each
        other, too; it smooths them once more, by what the student's Gaussian is
        wider.

        Args:
            maps: (batch, height, width, num_keypoints), the teacher's.

        Returns:
            (batch, height, width, num_keypoints), of the student's height and width.
        """
        if self.is_same:
            return maps
        rows, columns = self._conversions
        # (B, H, W, K): along the width first, then along the height.
        maps = ops.einsum("jx,byxk->byjk", columns, maps)
        return ops.einsum("iy,byjk->bijk", rows, maps)

    @cached_property
    def _conversions(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The matrices along y and x; where nothing is traced, each step needs them."""
        return self._conversion(0), self._conversion(1)

    def _conversion(self, axis: int) -> NDArray[np.float32]:
        """Return the matrix (student's cells, teacher's cells) along y or x.

        A Gaussian is the product of its profiles along both. The matrix is the one
        that fits the profiles of all places best, those near the border among them.
        """
        own, wanted = self.teacher, self.student
        ratio = self._teacher_cells_per_cell[axis]
        margin = self.margin_hw[axis] / own.stride_xy[1 - axis]
        size = wanted.heatmap_hw[axis]
        beyond = BEYOND * wanted.sigma_cells
        places = np.arange(-0.5 - beyond, size - 0.5 + beyond, STEP)
        given = _profiles(
            (places + 0.5) * ratio + margin - 0.5,
            own.heatmap_hw[axis],
            own.sigma_cells,
        )
        targets = _profiles(places, size, wanted.sigma_cells)
        square = given @ given.T
        square += RIDGE * len(places) / len(given) * np.eye(len(given))
        return np.asarray(np.linalg.solve(square, given @ targets.T).T, np.float32)


def _profiles(
    places: NDArray[np.float64], size: int, sigma: float
) -> NDArray[np.float64]:
    """Return the profiles (size, num_places) of Gaussians at places, in cells."""
    offsets = np.arange(size)[:, None] - places
    return np.asarray(np.exp(-0.5 * (offsets / sigma) ** 2))
