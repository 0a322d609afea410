"""A task: its seed, and the averages of its weights."""

import keras
import numpy as np
import pytest

from tinypose.config import Config, apply_overrides
from tinypose.training.task import PoseTask, build_task, copy_averages


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon"])
def test_averages_follow_the_weights(config: Config, optimizer: str) -> None:
    config = apply_overrides(
        config.to_dict(), [f"training.optimizer={optimizer}"], "test"
    )
    task = build_task(config, steps_per_epoch=10)
    copy = PoseTask(keras.models.clone_model(task.net), task.codecs)
    weight = task.net.get_layer("heatmaps_1_conv").bias
    average = None
    labels = {
        "keypoints_xy": np.full((8, 3, 2), 12.0, "float32"),
        "visible": np.full((8, 3), 2, "uint8"),
        "weights": np.ones((8, 3), "float32"),
    }
    for step in range(12):
        task.train_on_batch(np.zeros((8, 48, 32, 3), "uint8"), labels)
        value = np.asarray(weight)
        # The momentum is step / (step + 10) until it reaches 0.9.
        momentum = min(0.9, step / (step + 10))
        average = value if step == 0 else momentum * average + (1 - momentum) * value
    copy_averages(task, copy)
    found = np.asarray(copy.net.get_layer("heatmaps_1_conv").bias)
    np.testing.assert_allclose(found, average, rtol=1e-4)
    assert not np.allclose(found, np.asarray(weight))
    # Statistics of batch norm are no weights: they are taken as they are.
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_array_equal(
            getattr(copy.net.get_layer("reception_norm"), name),
            getattr(task.net.get_layer("reception_norm"), name),
        )


def test_the_same_seed_gives_the_same_net(config: Config) -> None:
    first, second = (build_task(config, 10).net.get_weights() for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
