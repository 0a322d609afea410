"""Losses: one per kind of codec, masked by what is labelled."""

from collections.abc import Callable
from typing import Any

from keras import ops

from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.codecs.heatmap import HeatmapCodec, WindowHeatmapCodec
from tinypose.codecs.part_masks import PartMaskCodec


def heatmap_loss(target: Any, predicted: Any, weights: Any) -> Any:
    """Return the squared error of heatmaps, averaged over labelled keypoints.

    The error is summed over the cells of a map, so its size does not depend on
    the resolution: a map that misses its Gaussian altogether costs pi sigma^2.

    Args:
        target: (batch, height, width, num_keypoints).
        predicted: The same shape.
        weights: (batch, num_keypoints), 0 where a keypoint is not labelled.
    """
    errors = ops.sum(ops.square(ops.subtract(predicted, target)), axis=(1, 2))
    return ops.sum(errors * weights) / ops.maximum(ops.sum(weights), 1.0)


def taught_heatmap_loss(
    target: Any, lesson: Any, predicted: Any, weights: Any, shares: Any
) -> Any:
    """Return the squared error to the labels' heatmaps and a teacher's, by shares.

    The error to the labels is averaged over labelled keypoints, that to the teacher's
    over all. A keypoint in which the teacher has no share learns of its labels alone.

    Args:
        target: (batch, height, width, num_keypoints).
        lesson: The same shape, the teacher's.
        predicted: The same shape.
        weights: (batch, num_keypoints), 0 where a keypoint is not labelled.
        shares: (num_keypoints,), the teacher's share of each keypoint's loss, 0..1.
    """
    labelled, taught = (
        ops.sum(ops.square(ops.subtract(predicted, maps)), axis=(1, 2))
        for maps in (target, lesson)
    )
    own = ops.sum(labelled * weights * (1 - shares))
    return own / ops.maximum(ops.sum(weights), 1.0) + ops.mean(taught * shares)


def coordinate_loss(target: Any, predicted: Any, weights: Any) -> Any:
    """Return the squared distance of coordinates, averaged over labelled keypoints.

    Args:
        target: (batch, num_keypoints, 2).
        predicted: The same shape.
        weights: (batch, num_keypoints), 0 where a keypoint is not labelled.

    Reference:
        Toshev & Szegedy, "DeepPose: human pose estimation via deep neural
        networks", CVPR 2014, https://arxiv.org/abs/1312.4659, equation 4.
    """
    errors = ops.sum(ops.square(ops.subtract(predicted, target)), axis=-1)
    return ops.sum(errors * weights) / ops.maximum(ops.sum(weights), 1.0)


def part_mask_loss(target: Any, predicted: Any, weights: Any) -> Any:
    """Return the cross-entropy of masks, averaged over the keypoints to be seen.

    It is summed over the cells of a map and divided by those that a disc has:
    a disc that is missed costs about as much as a Gaussian that is missed.

    Args:
        target: (batch, height, width, num_keypoints), 0 or 1.
        predicted: The same shape, logits.
        weights: (batch, num_keypoints), 0 where nothing is to be seen.

    Reference:
        Bulat & Tzimiropoulos, "Human pose estimation via convolutional part
        heatmap regression", ECCV 2016, https://arxiv.org/abs/1609.01743,
        section 3.
    """
    entropy = ops.binary_crossentropy(target, predicted, from_logits=True)
    errors = ops.sum(entropy, axis=(1, 2))  # (batch, num_keypoints)
    cells = ops.maximum(ops.max(ops.sum(target, axis=(1, 2))), 1.0)
    return ops.sum(errors * weights) / ops.maximum(ops.sum(weights), 1.0) / cells


LOSSES: dict[type, Callable[[Any, Any, Any], Any]] = {
    HeatmapCodec: heatmap_loss,
    WindowHeatmapCodec: heatmap_loss,
    CoordinateCodec: coordinate_loss,
    PartMaskCodec: part_mask_loss,
}
