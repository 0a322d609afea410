"""How wrong a stage is: measured on the training people, for the next to learn."""

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.data.crops import CropDataset
from tinypose.models.layers import normalize_images

MAX_MEASURED = 1000
"""People are enough to tell a mean and a spread."""

_BATCH = 16


def measure_errors(
    net: keras.Model, name: str, dataset: CropDataset, reach: float = math.inf
) -> NDArray[np.float64]:
    """Return how far a layer's coordinates are from the truth.

    Args:
        net: The network.
        name: A layer that gives coordinates, relative to the crop.
        dataset: Its plain crops are shown, at most ``MAX_MEASURED``, spread over it.
        reach: Largest error along an axis, relative to the crop.

    Returns:
        (num_people, num_keypoints, 2), found minus true, relative to the crop;
        nan where a keypoint is not labelled, or further off than ``reach``.
    """
    codec = CoordinateCodec(input_hw=dataset.input_hw)
    part = keras.Model(net.input, net.get_layer(name).output)
    errors = []
    indices = range(0, len(dataset), -(-len(dataset) // MAX_MEASURED))
    for start in range(0, len(indices), _BATCH):
        batch = dataset.batch(indices[start : start + _BATCH])
        found: Any = part.predict_on_batch(
            keras.ops.convert_to_numpy(normalize_images(batch.images))
        )
        truth, known = codec.encode(batch.keypoints_xy, batch.visible)
        difference = np.asarray(found) - keras.ops.convert_to_numpy(truth)
        counted = keras.ops.convert_to_numpy(known) > 0
        counted &= np.abs(difference).max(axis=-1) <= reach
        errors.append(np.where(counted[..., None], difference, np.nan))
    return np.concatenate(errors)
