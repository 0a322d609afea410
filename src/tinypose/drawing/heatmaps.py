"""Pictures of heatmaps: all in one, or a labelled tile for each keypoint."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.drawing.sheets import Colour, contact_sheet
from tinypose.images import Image
from tinypose.keypoint_names import plain_names
from tinypose.skeletons import Skeleton


def overlay_heatmaps(
    crop: Image, heatmaps: ArrayLike, skeleton: Skeleton | None = None
) -> Image:
    """Return a darkened crop with all heatmaps over it, each in its own colour.

    Args:
        crop: (height, width, 3) uint8 RGB, what the model saw.
        heatmaps: (map_height, map_width, num_keypoints), about 0 to 1.
        skeleton: Gives left, right and centre keypoints colours of a kind.
    """
    maps = _resized_maps(crop, heatmaps)
    colours = np.array(keypoint_colours(maps.shape[2], skeleton), np.float32)
    # Where maps overlap, the mean colour: a sum would turn white.
    peak = maps.max(axis=2, keepdims=True)
    weights = maps**2
    colour = weights @ colours / np.maximum(weights.sum(axis=2, keepdims=True), 1e-6)
    glow = colour * peak
    shade = 0.4 * (1 - 0.8 * peak)
    lit = crop.astype(np.float32) * shade + glow
    return np.asarray(np.clip(np.rint(lit), 0, 255), np.uint8)


def heatmap_grid(
    crop: Image,
    heatmaps: ArrayLike,
    names: Sequence[str],
    *,
    columns: int = 5,
    cell_hw: tuple[int, int] = (192, 192),
) -> Image:
    """Return one labelled tile per heatmap, over the darkened crop.

    Args:
        crop: (height, width, 3) uint8 RGB, what the model saw.
        heatmaps: (map_height, map_width, num_keypoints), about 0 to 1.
        names: (num_keypoints,), the captions; each map's peak is added.
        columns: Tiles per row.
        cell_hw: Height and width of a tile.
    """
    maps = _resized_maps(crop, heatmaps)
    peaks = np.nan_to_num(np.asarray(heatmaps, np.float64)).max(axis=(0, 1))
    dark = crop.astype(np.float32) * 0.45
    tiles = []
    for index in range(maps.shape[2]):
        one = maps[..., index]
        levels = np.rint(one * 255).astype(np.uint8)
        glow = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
        weight = np.sqrt(one)[..., None]
        tiles.append((dark * (1 - weight) + glow * weight).astype(np.uint8))
    titles = [f"{n}  {p:.2f}" for n, p in zip(names, peaks, strict=True)]
    return contact_sheet(tiles, titles, columns=columns, cell_hw=cell_hw)


def keypoint_colours(count: int, skeleton: Skeleton | None = None) -> list[Colour]:
    """Return distinct colours, one per keypoint.

    With a skeleton, left keypoints are blue to violet, right ones red to
    yellow and centre ones green.
    """
    if skeleton is None or skeleton.num_keypoints != count:
        return [_hue(index / max(count, 1)) for index in range(count)]
    ranges = {"left": (0.52, 0.80), "right": (0.0, 0.16), "centre": (0.28, 0.44)}
    sides = body_sides(skeleton)
    colours = []
    for index, side in enumerate(sides):
        low, high = ranges[side]
        rank, total = sides[:index].count(side), sides.count(side)
        colours.append(_hue(low + (high - low) * (rank + 0.5) / total))
    return colours


def body_sides(skeleton: Skeleton) -> list[str]:
    """Return ``left``, ``right`` or ``centre`` for each keypoint, from its name."""
    return [
        next((side for side in ("left", "right") if side in name.split("_")), "centre")
        for name in plain_names(skeleton.names)
    ]


def _hue(hue: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _resized_maps(crop: Image, heatmaps: ArrayLike) -> NDArray[np.float32]:
    """Return the maps at the size of the crop, in 0 to 1."""
    maps = np.nan_to_num(np.asarray(heatmaps, np.float32))
    if maps.ndim != 3:
        raise ValueError(
            "expected heatmaps of shape (height, width, num_keypoints), "
            f"received {maps.shape}"
        )
    height, width = crop.shape[:2]
    resized = np.empty((height, width, maps.shape[2]), np.float32)
    for index in range(maps.shape[2]):
        # Bilinear resizing maps edges to edges, as the heatmap codec does.
        resized[..., index] = cv2.resize(
            np.ascontiguousarray(maps[..., index]),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
    return np.asarray(np.clip(resized, 0.0, 1.0), np.float32)
