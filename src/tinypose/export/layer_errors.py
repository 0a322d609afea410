"""Which layers eight bits hurt: each alone in eight bits, the rest in full."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.codecs.codec import codec_of
from tinypose.compression.quantization import (
    FakeQuantize,
    QuantizedConvolution,
    imitate_int8,
)
from tinypose.data.selection import spread_evenly
from tinypose.export.wrapper import predict_crops
from tinypose.metadata import Metadata

MAX_CROPS = 12
"""That the errors are measured on: they hardly differ from crop to crop."""

MAX_OBSERVED = 64
"""Crops that show the ranges of the activations."""


@dataclass(frozen=True, kw_only=True)
class LayerError:
    """What changes when one layer alone computes in eight bits.

    Args:
        layer: Its name.
        part: ``weights``, or ``activations`` for what the layer hands on.
        percent: Root mean square of the change of the network's output, in
            percent of that of the output.
        p95_px: Distance in input pixels that 95 % of the clear keypoints move
            at most.
    """

    layer: str
    part: str
    percent: float
    p95_px: float


def layer_errors(
    net: keras.Model,
    metadata: Metadata,
    precision: str,
    calibration: NDArray[np.uint8],
) -> list[LayerError]:
    """Return what eight bits cost in each layer, the costliest first.

    Args:
        net: The network.
        metadata: What is known about it.
        precision: ``int8`` or ``int8_per_tensor``.
        calibration: Crops (num_crops, height, width, 3) uint8 RGB; the ranges
            are those that they show.
    """
    imitation = imitate_int8(net, per_channel=precision == "int8")
    parts: list[Any] = [
        layer
        for layer in imitation.layers
        if isinstance(layer, (FakeQuantize, QuantizedConvolution))
    ]
    with _all(parts, active=False, observing=True):
        predict_crops(
            imitation, calibration[spread_evenly(len(calibration), MAX_OBSERVED)]
        )
    crops = calibration[spread_evenly(len(calibration), MAX_CROPS)]
    errors = []
    with _all(parts, active=False, observing=False):
        before = predict_crops(imitation, crops)
        for part in parts:
            part.active = True
            after = predict_crops(imitation, crops)
            part.active = False
            errors.append(_error(part, metadata, before, after))
    return sorted(errors, key=lambda error: -error.percent)


def _error(
    part: Any,
    metadata: Metadata,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
) -> LayerError:
    codec = codec_of(metadata)
    places, moved = (
        codec.decode(raw, metadata.refinement)[0] for raw in (before, after)
    )
    distances = np.linalg.norm(moved - places, axis=-1)[codec.is_clear(before)]
    change, size = (
        float(np.sqrt(np.mean(np.square(values))))
        for values in (after - before, before)
    )
    rounds_weights = isinstance(part, QuantizedConvolution)
    return LayerError(
        layer=part.source.name if rounds_weights else part.source,
        part="weights" if rounds_weights else "activations",
        percent=round(100 * change / size, 3) if size else 0.0,
        p95_px=round(float(np.percentile(distances, 95)), 3) if len(distances) else 0.0,
    )


@contextmanager
def _all(parts: list[Any], *, active: bool, observing: bool) -> Iterator[None]:
    """Set what rounds, and what watches, all at once."""
    for part in parts:
        part.active, part.observing = active, observing
    yield
    for part in parts:
        part.active, part.observing = True, False
