"""Losses: one per kind of codec, masked by what is labelled."""

from typing import Any

from keras import ops

from tinypose.codecs.heatmap import HeatmapCodec


def heatmap_loss(target: Any, predicted: Any, weights: Any) -> Any:
    """Return the squared error of heatmaps, averaged over labelled keypoints.

    The error is summed over the cells of a map, so its size does not depend on
    the resolution: a map that misses its Gaussian altogether costs pi sigma^2.

    Args:
        target: (batch, height, width, num_keypoints).
        predicted: The same shape.
        weights: (batch, num_keypoints), 0 where a keypoint is not labelled.
    """
    errors = ops.sum(ops.square(predicted - target), axis=(1, 2))
    return ops.sum(errors * weights) / ops.maximum(ops.sum(weights), 1.0)


LOSSES = {HeatmapCodec: heatmap_loss}
