"""Decode inside the exported graph: the twins of the codecs' ``decode``.

Everything here becomes built-in TFLite operations of static shape. The blurred
map is needed in only 3x3 cells around each peak, and a separable blur at chosen
rows and columns is ``rows @ map @ columns.T``: two small matrix products
replace the blur of whole maps.
"""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.codecs.heatmap import (
    BORDER_BEND,
    LOG_FLOOR,
    MAX_STEP_CELLS,
    MIN_DETERMINANT,
    REFINEMENTS,
    HeatmapCodec,
    gaussian_kernel,
    may_blur,
)

# Finite differences of a 3x3 patch in reading order, one per column.
_DERIVATIVES = np.array(
    [  # dx, dy, dxx, dyy, dxy
        (0, 0, 0, 0, 0.25),
        (0, -0.5, 0, 1, 0),
        (0, 0, 0, 0, -0.25),
        (-0.5, 0, 1, 0, 0),
        (0, 0, -2, -2, 0),
        (0.5, 0, 1, 0, 0),
        (0, 0, 0, 0, -0.25),
        (0, 0.5, 0, 1, 0),
        (0, 0, 0, 0, 0.25),
    ],
    np.float32,
)


def decode_heatmaps(
    heatmaps: tf.Tensor, codec: HeatmapCodec, refinement: str
) -> tf.Tensor:
    """Return the keypoints that heatmaps show, as ``HeatmapCodec.decode`` does.

    Args:
        heatmaps: (batch, height, width, num_keypoints) float32, all but the
            batch static.
        codec: The codec whose targets the maps imitate.
        refinement: ``none``, ``quarter`` or ``dark``.

    Returns:
        (batch, num_keypoints, 3) float32: x, y in input pixels and the score,
        cut to 0..1.
    """
    if refinement not in REFINEMENTS:
        raise ValueError(
            f"expected a refinement of {REFINEMENTS}, received {refinement!r}"
        )
    _, height, width, count = heatmaps.shape
    if (height, width) != codec.heatmap_hw:
        raise ValueError(
            f"expected heatmaps of {codec.heatmap_hw} cells, received "
            f"{tuple(heatmaps.shape)}"
        )
    # Channels first: the search along contiguous memory is four times as fast.
    maps = tf.transpose(heatmaps, (0, 3, 1, 2))
    maps = tf.reshape(maps, (-1, height, width))
    flat = tf.reshape(maps, (-1, height * width))
    # Not keras.ops.argmax: its care for negative zeros has no TFLite operation.
    index = tf.argmax(flat, axis=-1, output_type=tf.int32)
    peak_y = index // width
    peaks = tf.cast(tf.stack([index - peak_y * width, peak_y], axis=-1), tf.float32)
    if refinement == "quarter":
        peaks += 0.25 * _uphill(maps, index) * _inside(peaks, width, height)
    elif refinement == "dark":
        inside = _inside(peaks, width, height)
        kernel = gaussian_kernel(codec.sigma_cells)
        peaks += _newton_steps(maps, index, kernel, inside)
    keypoints_xy = (peaks + 0.5) * np.array(codec.stride_xy, np.float32) - 0.5
    scores = tf.clip_by_value(tf.reduce_max(flat, axis=-1, keepdims=True), 0.0, 1.0)
    return tf.reshape(tf.concat([keypoints_xy, scores], axis=-1), (-1, count, 3))


def decode_coordinates(
    coordinates: tf.Tensor, codec: CoordinateCodec, refinement: str
) -> tf.Tensor:
    """Return keypoints in input pixels, as ``CoordinateCodec.decode`` does.

    Args:
        coordinates: (batch, num_keypoints, 2) float32, relative to the crop.
        codec: The codec whose targets they imitate.
        refinement: Without effect.

    Returns:
        (batch, num_keypoints, 3) float32: x, y in input pixels, and 1 within
        the crop or 0 outside.
    """
    keypoints_xy = (coordinates + 0.5) * codec.size_xy - 0.5
    farthest = tf.reduce_max(tf.abs(coordinates), axis=-1, keepdims=True)
    scores = tf.cast(farthest <= 0.5, tf.float32)
    return tf.concat([keypoints_xy, scores], axis=-1)


DECODERS = {HeatmapCodec: decode_heatmaps, CoordinateCodec: decode_coordinates}
"""The decoder of each kind of raw output."""


def _inside(peaks: tf.Tensor, width: int, height: int) -> tf.Tensor:
    """Return (maps, 2), 1 where a peak has neighbours on both sides along x, y."""
    last = np.array([width - 1, height - 1], np.float32)
    return tf.cast(tf.logical_and(peaks > 0, peaks < last), tf.float32)


def _uphill(maps: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Return the sign (maps, 2) of the slope along x and y at each peak."""
    slopes = _derivatives(_patches(maps, index, np.ones(1, np.float32)))[:, :2]
    return tf.cast(slopes > 0, tf.float32) - tf.cast(slopes < 0, tf.float32)


def _newton_steps(
    maps: tf.Tensor, index: tf.Tensor, kernel: NDArray[np.float32], inside: tf.Tensor
) -> tf.Tensor:
    """Return the step (maps, 2), in cells, from each peak to its Gaussian's centre.

    Args:
        maps: (maps, height, width).
        index: (maps,) the peaks' cells, in reading order.
        kernel: (2 * radius + 1,) smoothing weights.
        inside: (maps, 2), see ``_inside``; along an axis without, no step.
    """
    log = tf.math.log(tf.maximum(_patches(maps, index, kernel), LOG_FLOOR))
    both = tf.reduce_min(inside, axis=-1, keepdims=True)
    derivatives = _derivatives(log) * tf.concat([inside, inside, both], axis=-1)
    dx, dy, dxx, dyy, dxy = tf.split(derivatives, 5, axis=-1)  # (maps, 1) each
    border_x, border_y = tf.split(BORDER_BEND * (1.0 - inside), 2, axis=-1)
    dxx, dyy = dxx + border_x, dyy + border_y
    determinant = dxx * dyy - dxy * dxy
    is_summit = tf.logical_and(determinant > MIN_DETERMINANT, dxx < 0)
    steps = tf.concat([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1)
    steps /= tf.maximum(determinant, MIN_DETERMINANT)
    steps = tf.clip_by_value(steps, -MAX_STEP_CELLS, MAX_STEP_CELLS)
    return steps * tf.cast(is_summit, tf.float32)


def _derivatives(patches: tf.Tensor) -> tf.Tensor:
    """Return dx, dy, dxx, dyy, dxy (maps, 5) at the centres of (maps, 3, 3)."""
    return tf.linalg.matmul(tf.reshape(patches, (-1, 9)), _DERIVATIVES)


def _patches(
    maps: tf.Tensor, index: tf.Tensor, kernel: NDArray[np.float32]
) -> tf.Tensor:
    """Return the smoothed 3x3 cells (maps, 3, 3) around each map's peak."""
    _, height, width = maps.shape
    peak_y = index // width
    rows = _weights(peak_y, height, kernel)
    columns = _weights(index - peak_y * width, width, kernel)
    return tf.linalg.matmul(tf.linalg.matmul(rows, maps), columns, transpose_b=True)


def _weights(peaks: tf.Tensor, size: int, kernel: NDArray[np.float32]) -> tf.Tensor:
    """Return what each cell of an axis adds to the smoothed cells at a peak.

    Args:
        peaks: (maps,) int32 position of each peak.
        size: Number of cells along the axis.
        kernel: (2 * radius + 1,) smoothing weights.

    Returns:
        (maps, 3, size) for the cells before, at and after the peak.
    """
    offsets = np.arange(size)[None, :] - np.arange(-1, 2)[:, None]  # (3, size)
    # Offsets from a peak run from -size to size: the kernel in the middle of a
    # table, zeros around it; behind it, likewise, the weights without a blur.
    radius = len(kernel) // 2
    tables = np.zeros((2, 2 * (size + radius) + 1), np.float32)
    tables[0, size : size + len(kernel)] = kernel
    tables[1, size + radius] = 1
    positions = np.arange(size)
    blurred = may_blur(positions, size, radius)
    starts = np.where(blurred, 0, tables.shape[1]) + size + radius - positions
    places = tf.gather(starts.astype(np.int32), peaks)[:, None, None]
    return tf.gather(tables.reshape(-1), places + offsets.astype(np.int32)[None])
