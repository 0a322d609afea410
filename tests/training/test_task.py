"""A task: its seed, and the averages of its weights."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from helpers.families import SMALL
from tinypose.config import Config, apply_overrides
from tinypose.data.crops import CropDataset
from tinypose.models import FAMILIES
from tinypose.training.task import PoseTask, build_task, copy_averages
from tinypose.training.validation import Validator


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


PHASES = [
    pytest.param(name, number, id=f"{name}: {phase.name}")
    for name, family in FAMILIES.items()
    for number, phase in enumerate(family.phases(family.config_class(**SMALL[name])))
]


@pytest.mark.parametrize(("name", "number"), PHASES)
def test_validation_gives_the_training_loss(dots, name: str, number: int) -> None:
    family = FAMILIES[name]
    model = family.config_class(**SMALL[name] | {"num_keypoints": 3})
    doubted = np.array([0.2, 1.0, 0.7])
    people = [replace(sample, weights=doubted) for sample in dots.samples[:16]]
    crops = CropDataset(people, model.input_hw)
    keras.utils.set_random_seed(1)
    phase = replace(family.phases(model)[number], trains=())
    task = PoseTask(family.build(model), family.codecs(model), phase=phase)
    if phase.centres:
        errors = np.random.default_rng(0).normal(0, 0.1, (20, 3, 2))
        task.net.get_layer(phase.centres).set_errors(errors)
    validator = Validator(crops)
    found = validator.validate(task, task.judged).loss
    task.repeat_errors()
    batch = crops.batch(range(16))
    inputs = {"images": batch.images, **batch.labels} if phase.centres else batch.images
    expected = task.compute_loss(
        x=inputs, y=batch.labels, y_pred=task(inputs, training=False)
    )
    assert found == pytest.approx(float(expected), rel=1e-4)
    # Errors are imitated at random, and the same ones each time.
    assert validator.validate(task, task.judged).loss == found
