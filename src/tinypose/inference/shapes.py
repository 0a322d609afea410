"""The shapes of what goes into a model file and what comes out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.codecs.codec import codec_of
from tinypose.errors import TinyposeError
from tinypose.images import Image
from tinypose.metadata import Metadata


def output_shape(metadata: Metadata) -> tuple[int, ...]:
    """Return the output shape, batch excluded, of a model of these metadata."""
    count = metadata.skeleton.num_keypoints
    if metadata.output == "keypoints":
        return count, 3
    return codec_of(metadata).output_shape(count)


def in_batches(
    run: Callable[[Image], NDArray[np.float32]],
    crops: Image,
    batch: int,
    metadata: Metadata,
    *,
    fill: bool = True,
) -> NDArray[np.float32]:
    """Return a model's output for any number of crops.

    Args:
        run: Gives the output for exactly ``batch`` crops, or for fewer, too.
        crops: (num_crops, height, width, 3) uint8 RGB; may be none.
        batch: How many go into one run, at most.
        metadata: Of the model.
        fill: Whether the last run is filled up with black: ``batch`` is fixed.
    """
    outputs = []
    for start in range(0, len(crops), batch):
        part = crops[start : start + batch]
        count = len(part)
        if fill and count < batch:
            part = np.pad(part, ((0, batch - count), (0, 0), (0, 0), (0, 0)))
        outputs.append(run(part)[:count])
    return np.concatenate(outputs) if outputs else no_output(metadata)


def no_output(metadata: Metadata) -> NDArray[np.float32]:
    """Return what a model gives for no crops at all."""
    return np.zeros((0, *output_shape(metadata)), np.float32)


def check_shape(
    path: str | Path, what: str, found: Any, expected: tuple[int, ...]
) -> None:
    """Compare a shape, batch included, with the expected one, batch excluded.

    Raises:
        TinyposeError: they differ.
    """
    if tuple(found)[1:] != expected:
        raise TinyposeError(
            f"{path}: expected {what} of shape (batch, "
            f"{', '.join(map(str, expected))}), as its metadata say, found "
            f"{tuple(found)}; was the file changed after the export?"
        )
