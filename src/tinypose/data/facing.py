"""Find people whose left and right look swapped, without any trained model.

Whoever faces the camera shows the left side of the body on the right of the
picture. So labels say which way a person faces, and so do hair, face and neck.
Most labels of a set are right: a linear fit on the set itself, from the
pixels around the head to the labelled direction, disagrees with the labels
that stand out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinypose.data.sample import Sample
from tinypose.data.selection import spread_evenly
from tinypose.geometry import FloatArray
from tinypose.images import Image, warp_image
from tinypose.skeletons import Skeleton

MIN_PEOPLE = 200
"""With fewer people the fit knows too little to contradict a label."""

SURPRISING = 0.25
"""The surprise from which on a label is worth a look."""

_PATCH_SIDE = 16  # pixels
_PATCH_TRUNKS = 1.3  # its side in trunk lengths
_PATCH_CENTRE = 0.3  # above the shoulders, in trunk lengths
_MIN_TRUNK = 8.0  # pixels
_FOLDS = 5
_MAX_FIT = 10_000  # people that a fit uses; more would change little
_CHUNK = 4096
_COMPONENTS = 60
_RIDGE = 0.3  # relative to the variance of a component


def trunk_turns(sample: Sample) -> tuple[float, float] | None:
    """Return how far shoulders and hips are turned towards the camera.

    Returns:
        The left minus the right shoulder, then hip, across the trunk's axis,
        in trunk lengths: positive facing the camera, near 0 from the side,
        negative from behind. None where one of the four is not labelled.
    """
    corners = _trunk_corners(sample.skeleton)
    if corners is None or not (sample.visible[corners] > 0).all():
        return None
    left_shoulder, right_shoulder, left_hip, right_hip = sample.keypoints_xy[corners]
    up = (left_shoulder + right_shoulder - left_hip - right_hip) / 2
    length = float(np.hypot(*up))
    if length < _MIN_TRUNK:
        return None
    across = np.array([-up[1], up[0]]) / length**2
    return (
        float((left_shoulder - right_shoulder) @ across),
        float((left_hip - right_hip) @ across),
    )


def head_patch(image: Image, sample: Sample) -> Image:
    """Return the upright pixels (16, 8, 3) of head, neck and upper chest.

    The place follows from the trunk alone, so skeletons without a head have it
    too. The two mirrored halves are averaged: facing is the same for both.
    ``trunk_turns`` must not be None.
    """
    points = sample.keypoints_xy[_trunk_corners(sample.skeleton)]
    shoulders, hips = points[:2].mean(axis=0), points[2:].mean(axis=0)
    up = shoulders - hips
    length = np.hypot(*up)
    unit = up / length
    zoom = _PATCH_SIDE / (_PATCH_TRUNKS * length)
    linear = np.array([[-unit[1], unit[0]], -unit]) * zoom
    middle = np.full(2, _PATCH_SIDE / 2 - 0.5)
    offset = middle - linear @ (shoulders + _PATCH_CENTRE * up)
    affine = np.column_stack([linear, offset])
    patch = warp_image(image, affine, (_PATCH_SIDE, _PATCH_SIDE)).astype(np.uint16)
    half = _PATCH_SIDE // 2
    return ((patch[:, :half] + patch[:, ::-1][:, :half]) // 2).astype(np.uint8)


def facing_surprise(
    patches: NDArray[np.uint8], turns: Sequence[float] | FloatArray
) -> FloatArray:
    """Return how much the pixels contradict each label.

    Every person is judged by a fit on other people.

    Args:
        patches: (num_people, 16, 8, 3), see ``head_patch``.
        turns: (num_people,), the labelled turn of the shoulders.

    Returns:
        (num_people,), 0 and below for agreement, up to about 0.6; all zero for
        fewer than ``MIN_PEOPLE``.
    """
    turns = np.asarray(turns, np.float64)
    if len(turns) < MIN_PEOPLE:
        return np.zeros(len(turns))
    labels = np.tanh(3 * turns)
    features = _components(patches)
    folds = np.arange(len(labels)) % _FOLDS
    believed = np.empty(len(labels))
    for fold in range(_FOLDS):
        others = np.flatnonzero(folds != fold)
        others = others[spread_evenly(len(others), _MAX_FIT)]
        believed[folds == fold] = _ridge(
            features[others], labels[others], features[folds == fold]
        )
    # Seen from the side, left and right are a matter of depth: little weight.
    return -believed * np.sign(labels) * np.minimum(np.abs(turns), 0.6)


def _trunk_corners(skeleton: Skeleton) -> NDArray[np.intp] | None:
    names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    if not set(names) <= set(skeleton.names):
        return None
    return np.array([skeleton.index(name) for name in names])


def _components(patches: NDArray[np.uint8]) -> FloatArray:
    """Return the principal components (num_people, <= 60) of the patches."""
    sample = _normalised(patches[spread_evenly(len(patches), _MAX_FIT)])
    mean = sample.mean(axis=0)
    sample -= mean
    variances, axes = np.linalg.eigh((sample.T @ sample / len(sample)).astype(float))
    best = np.argsort(variances)[::-1][: min(_COMPONENTS, len(patches) // 10)]
    axes = axes[:, best] / np.sqrt(np.maximum(variances[best], 1e-9))
    chunks = range(0, len(patches), _CHUNK)
    return np.concatenate(
        [(_normalised(patches[i : i + _CHUNK]) - mean) @ axes for i in chunks]
    )


def _normalised(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the patches (num_people, pixels) free of brightness and contrast."""
    flat = patches.reshape(len(patches), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= flat.std(axis=1, keepdims=True) + 1.0
    return flat


def _ridge(features: FloatArray, labels: FloatArray, others: FloatArray) -> FloatArray:
    """Fit ``labels`` linearly and return the fit at ``others``."""
    mean = labels.mean()
    square = features.T @ features / len(features)
    square += _RIDGE * np.eye(len(square))
    weights = np.linalg.solve(square, features.T @ (labels - mean) / len(features))
    return np.asarray(others @ weights + mean)
