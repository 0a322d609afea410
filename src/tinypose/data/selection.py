"""Choose some of many people, and cut out what a model sees of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.data.sample import Sample
from tinypose.errors import TinyposeError
from tinypose.geometry import crop_affine
from tinypose.images import Image, warp_image
from tinypose.metadata import Metadata


def spread_evenly(total: int, most: int) -> list[int]:
    """Return at most so many of ``total`` indices, spread evenly over all."""
    chosen: NDArray[Any] = np.linspace(0, total - 1, min(most, total)).round()
    return [int(index) for index in chosen]


def crop_people(samples: Sequence[Sample], metadata: Metadata) -> Image:
    """Return people's crops (num_samples, height, width, 3) uint8 for a model.

    People whose pictures do not read are left out: training and evaluation, which
    look at all of a data set, judge how many may be.

    Args:
        samples: The people; their boxes are taken as they are.
        metadata: Of the model: input size and padding.

    Raises:
        TinyposeError: the pictures of fewer than half of them read.
    """
    crops, failures = [], []
    for sample in samples:
        affine = crop_affine(
            sample.box_xywh, metadata.input_hw, padding=metadata.padding
        )
        try:
            image = sample.load_image()
        except TinyposeError as error:
            failures.append(error)
            continue
        crops.append(warp_image(image, affine, metadata.input_hw))
    if len(failures) > len(crops):
        raise failures[0]
    return np.stack(crops)
