"""Flat coloured shapes that draw a 3D body: tapered capsules and ellipsoids.

Limbs are capsules; head and trunk are ellipsoids, of which a patch (a face, a
mark on a shirt) is drawn where it faces the camera.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from tinypose.geometry import FloatArray

Colour = FloatArray
Triple = tuple[float, float, float]


class Shape(NamedTuple):
    """A filled outline (num_points, 2) in picture pixels, and its RGB colour."""

    outline: FloatArray
    colour: Colour


class Part(NamedTuple):
    """A body part: its name, its depth (larger is nearer) and its shapes."""

    name: str
    depth: float
    shapes: list[Shape]


@dataclass(frozen=True, kw_only=True)
class View:
    """Where the camera stands and where the figure appears in the picture.

    Args:
        distance: From the camera to the pelvis, in body heights.
        zoom: Pixels per body height at the pelvis.
        offset_xy: Pixel at which the pelvis appears.
    """

    distance: float
    zoom: float
    offset_xy: FloatArray

    def scale(self, points: FloatArray) -> FloatArray:
        """Return the pixels per body height (...) at points (..., 3)."""
        nearness: FloatArray = self.distance / (self.distance - points[..., 2])
        return self.zoom * nearness

    def project(self, points: FloatArray) -> FloatArray:
        """Return where points (..., 3) appear, (..., 2) in picture pixels."""
        scale = self.scale(points)[..., None] * _UPWARD
        return np.asarray(self.offset_xy + points[..., :2] * scale)


_UPWARD = np.array([1.0, -1.0])  # y is up in space and down in pictures


class Segment(NamedTuple):
    """A tapered capsule in space and the part that it belongs to."""

    part: str
    depth: float
    start: FloatArray
    end: FloatArray
    radii: tuple[float, float]
    colour: Colour


def capsules(
    segments: list[Segment], view: View, light_xy: FloatArray
) -> list[list[Shape]]:
    """Return each segment as a shaded capsule and a core moved to the light."""
    ends = np.array([(segment.end, segment.start) for segment in segments])
    radii = np.array([segment.radii[::-1] for segment in segments]) * view.scale(ends)
    ends_xy = view.project(ends)
    along = ends_xy[:, 0] - ends_xy[:, 1]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
    across = along[:, ::-1] * [-1.0, 1.0]
    turned = _CAPS @ np.stack([along, across], axis=1)  # (segments, 14, 2)
    axis = np.repeat(ends_xy, 7, axis=1)
    radius = np.repeat(radii, 7, axis=1)[..., None]
    rims = axis + radius * turned
    cores = axis + radius * (0.62 * turned + 0.22 * light_xy)
    return [
        [Shape(rim, segment.colour * 0.76), Shape(core, segment.colour)]
        for segment, rim, core in zip(segments, rims, cores, strict=True)
    ]


class Ellipsoid:
    """An ellipsoid as it appears in the picture.

    Args:
        frame: (3, 3), columns are the directions of its axes.
        centre: (3,) its centre.
        radii: Half its length along each axis, in body heights.
        view: The camera.
    """

    def __init__(
        self,
        frame: FloatArray,
        centre: FloatArray,
        radii: Triple,
        view: View,
    ) -> None:
        self.centre = view.project(centre)
        scale = float(view.scale(centre))
        # Columns are the ball's half axes.
        self._to_picture = frame[:2] * radii * np.array([[scale], [-scale]])
        facing = frame[2] / radii
        # The point of the unit ball whose surface faces the camera.
        self._facing = facing / math.hypot(*facing.tolist())

    def outline(self, size: float = 1.0) -> FloatArray:
        """Return the silhouette (24, 2)."""
        (a, b), (_, c) = (self._to_picture @ self._to_picture.T).tolist()
        first = math.sqrt(a)
        root = [[first, b / first], [0.0, math.sqrt(max(c - b * b / a, 1e-9))]]
        return np.asarray(self.centre + _circle(24) @ (size * np.array(root)))

    def patch(self, axis: Triple, angle: float, colour: Colour) -> list[Shape]:
        """Return what is seen of a round patch of the surface, if anything."""
        direction, ring = _patch_ring(axis, angle)
        if direction @ self._facing <= -min(math.sin(angle), math.cos(angle)):
            return []
        return [Shape(self._seen(ring), colour)]

    def arc(self) -> FloatArray:
        """Return the half (9, 2) of the equator that faces the camera."""
        turn = np.arctan2(self._facing[2], self._facing[0]) + _HALF_TURN
        points = np.stack([np.cos(turn), np.zeros(len(turn)), np.sin(turn)], axis=1)
        return np.asarray(self.centre + points @ self._to_picture.T)

    def _seen(self, points: FloatArray) -> FloatArray:
        """Project points of the unit ball; hidden ones move to the silhouette."""
        depth = points @ self._facing
        hidden = depth < 0
        if hidden.any():
            flat = points[hidden] - depth[hidden, None] * self._facing
            points = points.copy()
            points[hidden] = flat / np.sqrt((flat**2).sum(axis=1, keepdims=True))
        return np.asarray(self.centre + points @ self._to_picture.T)


_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 9)


def band(low: Ellipsoid, high: Ellipsoid, start: float, height: float) -> FloatArray:
    """Return a stripe (18, 2) between two ellipsoids' equators.

    Args:
        low: Where ``start`` is 0.
        high: Where ``start`` is 1.
        start: Where the stripe begins.
        height: How wide it is, as a fraction of the way from low to high.
    """
    bottom, top = low.arc(), high.arc()
    first = bottom + start * (top - bottom)
    second = bottom + (start + height) * (top - bottom)
    return np.concatenate([first, second[::-1]])


def hull(*balls: Ellipsoid) -> FloatArray:
    """Return the convex outline (num_points, 2) around ellipsoids."""
    points = np.concatenate([ball.outline() for ball in balls]).astype(np.float32)
    return np.asarray(cv2.convexHull(points)[:, 0], np.float64)


@cache
def _circle(count: int) -> FloatArray:
    angles = np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@cache
def _patch_ring(axis: Triple, angle: float) -> tuple[FloatArray, FloatArray]:
    """Return an axis as a unit vector and the circle (16, 3) at ``angle`` to it."""
    unit = np.array(axis) / math.hypot(*axis)
    side = np.cross(unit, [0.0, 1.0, 0.0] if abs(unit[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    circle = _circle(16) @ np.stack([side, np.cross(unit, side)])
    return unit, math.cos(angle) * unit + math.sin(angle) * circle


def _cap_points() -> FloatArray:
    """Return the two half circles (14, 2) at the ends of a capsule along x."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 7)
    half = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([half, -half])


_CAPS = _cap_points()
