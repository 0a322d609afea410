"""Weigh a trained network's channels by what its training data say."""

from typing import Any

import keras

from tinypose.compression.importance import Scores, score_channels
from tinypose.config import Config
from tinypose.data.pipeline import CropDataset
from tinypose.models import FAMILIES
from tinypose.models.layers import normalize_images
from tinypose.training.task import PoseTask

NUM_PICTURES = 512
"""Training people are enough to weigh the channels on."""

BATCH_SIZE = 8
"""Of these; what a channel does for one person another's must not cancel out."""


def weigh_channels(
    net: keras.Model, config: Config, dataset: CropDataset, method: str = "taylor"
) -> Scores:
    """Return how much the training loss depends on each channel.

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
    task = PoseTask(net, FAMILIES[config.family].codecs(config.model))

    def loss(outputs: Any, batch: Any) -> Any:
        return task.compute_loss(y=batch[1], y_pred=outputs)

    people = range(len(dataset))
    starts = people[::BATCH_SIZE]
    batches = (dataset.batch(people[start : start + BATCH_SIZE]) for start in starts)
    pairs = (
        (
            normalize_images(batch.images),
            {
                "keypoints_xy": batch.keypoints_xy,
                "visible": batch.visible,
                "weights": batch.weights,
            },
        )
        for batch in batches
    )
    return score_channels(net, "taylor", loss=loss, batches=pairs)
