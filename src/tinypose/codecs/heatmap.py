"""Heatmaps: one Gaussian per keypoint, and the way back to coordinates.

A heatmap cell covers ``input / heatmap`` input pixels. Cell index c along an
axis and input pixel x agree in their edges: x + 1/2 = (c + 1/2) * stride.

References:
    Quarter offset: Newell, Yang & Deng, "Stacked hourglass networks for human
    pose estimation", ECCV 2016, https://arxiv.org/abs/1603.06937, section 3.
    Distribution-aware decoding: Zhang et al., "Distribution-aware coordinate
    representation for human pose estimation", CVPR 2020,
    https://arxiv.org/abs/1910.06278.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

REFINEMENTS = ("none", "quarter", "dark")
DEFAULT_REFINEMENT = "dark"

CLEAR_SCORE = 0.05
CLEAR_GAP = 1e-4
"""See ``HeatmapCodec.is_clear``."""


@dataclass(frozen=True, kw_only=True)
class HeatmapCodec:
    """Encode keypoints as Gaussian heatmaps and decode heatmaps to keypoints.

    Args:
        input_hw: Height and width of the model's input, in pixels.
        heatmap_hw: Height and width of the heatmaps, in cells.
        sigma_cells: Standard deviation of the Gaussian, in cells.
    """

    output: ClassVar[str] = "heatmaps"

    input_hw: tuple[int, int]
    heatmap_hw: tuple[int, int]
    sigma_cells: float = 2.0

    @property
    def stride_xy(self) -> tuple[float, float]:
        """Input pixels per cell along x and y."""
        return (
            self.input_hw[1] / self.heatmap_hw[1],
            self.input_hw[0] / self.heatmap_hw[0],
        )

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        """Return the shape of one sample's output."""
        return *self.heatmap_hw, num_keypoints

    def encode(self, keypoints_xy: Any, visible: Any) -> tuple[Any, Any]:
        """Return target heatmaps and the weight of each, as backend tensors.

        Args:
            keypoints_xy: (batch, num_keypoints, 2), (x, y) in input pixels.
            visible: (batch, num_keypoints), 0 where not labelled.

        Returns:
            heatmaps (batch, height, width, num_keypoints), peak 1 at the
            keypoint itself, and weights (batch, num_keypoints), 0 where a
            keypoint is not labelled. A labelled keypoint outside the crop
            keeps its weight: its map is (almost) empty, so that the model
            learns to be unsure of what it cannot see.
        """
        from keras import ops

        weights = ops.cast(ops.cast(visible, "float32") > 0, "float32")
        keypoints_xy = ops.cast(keypoints_xy, "float32")
        # What is not labelled may lie anywhere, and infinitely far away.
        keypoints_xy = ops.where(weights[..., None] > 0, keypoints_xy, 0.0)
        cells = (keypoints_xy + 0.5) / ops.array(self.stride_xy, "float32") - 0.5
        height, width = self.heatmap_hw
        scale = -0.5 / self.sigma_cells**2
        # A Gaussian is the product of its profiles along x and y.
        offset_x = ops.arange(width, dtype="float32") - cells[..., 0:1]
        offset_y = ops.arange(height, dtype="float32") - cells[..., 1:2]
        profile_x = ops.transpose(ops.exp(scale * offset_x**2), (0, 2, 1))
        profile_y = ops.transpose(ops.exp(scale * offset_y**2), (0, 2, 1))
        heatmaps = profile_y[:, :, None, :] * profile_x[:, None, :, :]
        return heatmaps, weights

    def decode(
        self, heatmaps: NDArray[Any], refinement: str = DEFAULT_REFINEMENT
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the keypoints that heatmaps show (NumPy).

        Args:
            heatmaps: (batch, height, width, num_keypoints), any real dtype.
            refinement: ``none`` takes the highest cell (the first in reading
                order on a tie), ``quarter`` moves a quarter cell towards the
                higher neighbour, ``dark`` fits a Gaussian around the peak.

        Returns:
            keypoints_xy (batch, num_keypoints, 2) float32 in input pixels and
            scores (batch, num_keypoints) float32, the highest cell's value
            cut to 0..1.
        """
        if refinement not in REFINEMENTS:
            raise ValueError(
                f"expected a refinement of {REFINEMENTS}, received {refinement!r}"
            )
        maps = np.asarray(heatmaps, np.float32)
        if maps.ndim != 4 or maps.shape[1:3] != self.heatmap_hw:
            raise ValueError(
                f"expected heatmaps of shape (batch, {self.heatmap_hw[0]}, "
                f"{self.heatmap_hw[1]}, num_keypoints), received {maps.shape}"
            )
        batch, height, width, count = maps.shape
        flat = maps.reshape(batch, height * width, count)
        index = flat.argmax(axis=1)
        scores = np.take_along_axis(flat, index[:, None], axis=1)[:, 0]
        peak_y, peak_x = np.divmod(index, width)
        cells = np.stack([peak_x, peak_y], axis=-1).astype(np.float32)
        if refinement == "quarter":
            cells += 0.25 * _quarter_steps(maps, peak_x, peak_y)
        elif refinement == "dark":
            cells += self._dark_steps(maps, peak_x, peak_y)
        stride = np.array(self.stride_xy, np.float32)
        keypoints_xy = (cells + 0.5) * stride - 0.5
        return keypoints_xy, np.clip(scores, 0.0, 1.0)

    def description(self) -> dict[str, Any]:
        """Return what a model's metadata say about its output."""
        return {
            "output": self.output,
            "heatmap_hw": self.heatmap_hw,
            "sigma_cells": self.sigma_cells,
            "refinement": DEFAULT_REFINEMENT,
        }

    def unflip(
        self, heatmaps: NDArray[Any], flip_indices: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Return what the output for a mirrored crop says about the crop itself."""
        mirrored = np.asarray(heatmaps, np.float32)[:, :, ::-1]
        return mirrored[..., flip_indices]

    def is_clear(self, heatmaps: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (batch, num_keypoints), whether each map's peak is unmistakable.

        It is when the highest cell reaches ``CLEAR_SCORE`` and stands
        ``CLEAR_GAP`` above every other cell: rounding cannot move it then.
        """
        batch, height, width, count = heatmaps.shape
        flat = heatmaps.reshape(batch, height * width, count)
        second, first = np.moveaxis(np.partition(flat, -2, axis=1)[:, -2:], 1, 0)
        clear = (first >= CLEAR_SCORE) & (first - second >= CLEAR_GAP)
        return np.asarray(clear, bool)

    def _dark_steps(
        self, maps: NDArray[np.float32], peak_x: NDArray[Any], peak_y: NDArray[Any]
    ) -> NDArray[np.float32]:
        """Return the step (batch, num_keypoints, 2) to each Gaussian's centre."""
        height, width = maps.shape[1:3]
        radius = len(gaussian_kernel(self.sigma_cells)) // 2
        offsets = np.arange(-radius - 1, radius + 2)
        rows = peak_y[..., None] + offsets  # (B, K, n)
        columns = peak_x[..., None] + offsets
        sample, keypoint = np.indices(peak_x.shape)[..., None, None]
        patches = maps[
            sample,
            np.clip(rows, 0, height - 1)[..., :, None],
            np.clip(columns, 0, width - 1)[..., None, :],
            keypoint,
        ]  # (B, K, n, n)
        blur_y = _blur_matrices(self.sigma_cells)[may_blur(peak_y, height, radius) * 1]
        blur_x = _blur_matrices(self.sigma_cells)[may_blur(peak_x, width, radius) * 1]
        cells = blur_y @ patches @ blur_x.swapaxes(-1, -2)  # (B, K, 3, 3)
        inside = [(peak_x > 0) & (peak_x < width - 1)]
        inside += [(peak_y > 0) & (peak_y < height - 1)]
        steps = _newton_steps(cells, np.stack(inside, axis=-1))
        return np.asarray(steps, np.float32)


@dataclass(frozen=True, kw_only=True)
class WindowHeatmapCodec(HeatmapCodec):
    """Heatmaps of windows, each around its own keypoint; training targets only.

    Args:
        picture_hw: Height and width of the picture that the windows lie in.
        centres: Name of the output that says where they lie.
    """

    picture_hw: tuple[int, int]
    centres: str

    def encode_around(
        self, keypoints_xy: Any, visible: Any, centres: Any
    ) -> tuple[Any, Any]:
        """Return target heatmaps of the windows and the weight of each.

        Args:
            keypoints_xy: (batch, num_keypoints, 2), (x, y) in picture pixels.
            visible: (batch, num_keypoints), 0 where not labelled.
            centres: (batch, num_keypoints, 2), relative to the picture.
        """
        from keras import ops

        size_xy = np.array(self.picture_hw[::-1], np.float32)
        middle_xy = np.array(self.input_hw[::-1], np.float32) / 2
        # From edges to edges, as everywhere.
        places = ops.cast(keypoints_xy, "float32") + 0.5 - (centres + 0.5) * size_xy
        return self.encode(places + middle_xy - 0.5, visible)


BLUR_FRACTION = 1 / 3
"""Width of the smoothing before a peak is fitted, relative to the target's.

The paper smooths with the target's own Gaussian. On the small maps of a small
network that moves peaks together and pulls them in from the border:
results/decoding.csv.
"""


def gaussian_kernel(sigma_cells: float) -> NDArray[np.float32]:
    """Return the normalised 1D kernel that smooths maps before a peak is fitted.

    Args:
        sigma_cells: Standard deviation of the target Gaussians, in cells.

    Returns:
        (2 * radius + 1,) float32; the radius is two standard deviations.
    """
    blur = sigma_cells * BLUR_FRACTION
    radius = int(np.ceil(2 * blur))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / blur) ** 2)
    return np.asarray(kernel / kernel.sum(), np.float32)


def may_blur(peaks: Any, size: int, radius: int) -> Any:
    """Return whether all cells that a blur around each peak takes are in the map.

    Where they are not, a blur would pull the peak away from the border: a Gaussian
    is fitted to the cells as they are.

    Args:
        peaks: Positions along an axis, in cells.
        size: Number of cells along it.
        radius: Of the smoothing kernel.
    """
    return (peaks > radius) & (peaks < size - 1 - radius)


@cache
def _blur_matrices(sigma_cells: float) -> NDArray[np.float32]:
    """Return the matrices (2, 3, n) that take n cells around a peak to three.

    Only the 3x3 cells around the peak are needed. The first matrix takes them as
    they are, the second after the blur: three shifted copies of the kernel give
    them along each axis.
    """
    kernel = gaussian_kernel(sigma_cells)
    kernels = np.eye(1, len(kernel), len(kernel) // 2, dtype=np.float32)[0], kernel
    return np.stack(
        [
            [np.pad(weights, (shift, 2 - shift)) for shift in range(3)]
            for weights in kernels
        ]
    )


LOG_FLOOR = 1e-10
"""Heatmap values are raised to this before the logarithm."""

MAX_STEP_CELLS = 1.0
"""A refinement moves at most this far from the highest cell, along each axis."""

MIN_DETERMINANT = 1e-6
"""Least curvature of a peak, 1 / width**4 in cells: below it (a ridge, a plain)
single precision cannot tell the slope from rounding."""

BORDER_BEND = -(MIN_DETERMINANT**0.5)
"""Second derivative along an axis on which a peak is at the border and has no
neighbour: with it, and no slope, the step along the other axis is that of one
dimension."""


def _newton_steps(
    patches: NDArray[np.float32], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the (x, y) steps from 3x3 patches' centres to their Gaussians'.

    The logarithm of a Gaussian is a paraboloid: one Newton step reaches its
    top. (..., 3, 3) gives (..., 2); where there is no top, no step.

    Args:
        patches: The cells (..., 3, 3).
        inside: (..., 2), whether there are neighbours on both sides along x, y.
            Along an axis without, there is no step.
    """
    log = np.log(np.maximum(patches.astype(np.float64), LOG_FLOOR))
    centre = log[..., 1, 1]
    inside_x, inside_y = np.moveaxis(inside, -1, 0)
    dx = inside_x * (log[..., 1, 2] - log[..., 1, 0]) / 2
    dy = inside_y * (log[..., 2, 1] - log[..., 0, 1]) / 2
    dxx = log[..., 1, 2] - 2 * centre + log[..., 1, 0]
    dyy = log[..., 2, 1] - 2 * centre + log[..., 0, 1]
    dxx, dyy = (
        np.where(inside_x, dxx, BORDER_BEND),
        np.where(inside_y, dyy, BORDER_BEND),
    )
    dxy = (log[..., 2, 2] - log[..., 2, 0] - log[..., 0, 2] + log[..., 0, 0]) / 4
    dxy = dxy * (inside_x & inside_y)
    determinant = dxx * dyy - dxy**2
    top = (determinant > MIN_DETERMINANT) & (dxx < 0)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1)
    step /= np.where(top, determinant, 1.0)[..., None]
    return np.where(top[..., None], np.clip(step, -MAX_STEP_CELLS, MAX_STEP_CELLS), 0)


def _quarter_steps(
    maps: NDArray[np.float32], peak_x: NDArray[Any], peak_y: NDArray[Any]
) -> NDArray[np.float32]:
    """Return the sign (batch, num_keypoints, 2) of the slope at each peak."""
    batch, height, width, count = maps.shape
    b = np.arange(batch)[:, None]
    k = np.arange(count)[None, :]
    inside_x = (peak_x > 0) & (peak_x < width - 1)
    inside_y = (peak_y > 0) & (peak_y < height - 1)
    right = maps[b, peak_y, np.minimum(peak_x + 1, width - 1), k]
    left = maps[b, peak_y, np.maximum(peak_x - 1, 0), k]
    below = maps[b, np.minimum(peak_y + 1, height - 1), peak_x, k]
    above = maps[b, np.maximum(peak_y - 1, 0), peak_x, k]
    return np.stack(
        [np.sign(right - left) * inside_x, np.sign(below - above) * inside_y], axis=-1
    )
