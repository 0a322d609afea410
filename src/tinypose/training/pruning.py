"""Weigh a trained network's channels by what its training data say."""

from typing import Any

import keras

from tinypose.codecs.heatmap import WindowHeatmapCodec
from tinypose.compression.importance import Scores, score_channels
from tinypose.config import Config
from tinypose.data.crops import CropDataset
from tinypose.models import FAMILIES
from tinypose.models.layers import normalize_images
from tinypose.models.phases import Phase
from tinypose.training.task import PoseTask

NUM_PICTURES = 512
"""Training people are enough to weigh the channels on."""

BATCH_SIZE = 8
"""Of these; what a channel does for one person another's must not cancel out."""


def weigh_channels(
    net: keras.Model, config: Config, dataset: CropDataset, method: str = "taylor"
) -> Scores:
    """Return how much the training loss depends on each channel.

    It is that of the outputs of all phases together. Windows lie where the network
    itself finds the keypoints; errors are not imitated.

    Args:
        net: The trained network.
        config: Of its run.
        dataset: Training people; ``NUM_PICTURES`` will do.
        method: ``taylor``, ``magnitude`` or ``batch_norm``; only the first
            looks at data.

    Raises:
        UsageError: no such method.
        TinyposeError: the loss is not finite.
    """
    if method != "taylor":
        return score_channels(net, method)
    family = FAMILIES[config.family]
    outputs: dict[str, float] = {}
    for phase in family.phases(config.model):
        outputs.update(phase.outputs)
    codecs = family.codecs(config.model)
    task = PoseTask(net, codecs, phase=Phase(name="all", outputs=outputs))
    net = _with_centres(net, codecs)

    def loss(outputs: Any, batch: Any) -> Any:
        return task.compute_loss(y=batch[1], y_pred=outputs)

    people = range(len(dataset))
    starts = people[::BATCH_SIZE]
    batches = (dataset.batch(people[start : start + BATCH_SIZE]) for start in starts)
    pairs = ((normalize_images(batch.images), batch.labels) for batch in batches)
    return score_channels(net, "taylor", loss=loss, batches=pairs)


def _with_centres(net: keras.Model, codecs: dict[str, Any]) -> keras.Model:
    """Return the network with the places of windows among its outputs."""
    windows = [c for c in codecs.values() if isinstance(c, WindowHeatmapCodec)]
    if not windows:
        return net
    centres = {codec.centres: net.get_layer(codec.centres).output for codec in windows}
    return keras.Model(net.input, {**net.output, **centres})
