"""The learning rate over the steps, decay, and the steps of Muon."""

import numpy as np
import pytest

from tinypose.config import Config, TrainingConfig, apply_overrides
from tinypose.training.optimizers import build_optimizer, build_schedule
from tinypose.training.task import build_task


def test_cosine_warms_up_and_ends_at_zero() -> None:
    config = TrainingConfig(learning_rate=0.1, warmup_steps=10)
    schedule = build_schedule(config, total_steps=110)
    assert float(schedule(0)) == 0
    assert float(schedule(5)) == pytest.approx(0.05)
    assert float(schedule(10)) == pytest.approx(0.1)
    # Half-way between 10 and 110 the cosine is at a half.
    assert float(schedule(60)) == pytest.approx(0.05)
    assert float(schedule(110)) == pytest.approx(0, abs=1e-8)


def test_exponential_is_that_of_the_course() -> None:
    config = TrainingConfig(learning_rate=1e-3, schedule="exponential")
    schedule = build_schedule(config, total_steps=10_000)
    assert float(schedule(1999)) == pytest.approx(1e-3)
    assert float(schedule(2000)) == pytest.approx(0.95e-3)
    assert float(schedule(6000)) == pytest.approx(1e-3 * 0.95**3)


def test_a_short_run_still_reaches_its_learning_rate() -> None:
    schedule = build_schedule(TrainingConfig(warmup_steps=200), total_steps=10)
    assert float(schedule(5)) == pytest.approx(TrainingConfig().learning_rate)


def test_decay_spares_scales_and_biases(config: Config) -> None:
    optimizer = build_task(config, 10).optimizer
    decayed = {
        v.path.rsplit("/", 1)[-1]
        for v in optimizer._trainable_variables
        if optimizer._use_weight_decay(v)
    }
    assert decayed == {"kernel"}


def test_devices_that_share_a_batch_clip_to_the_same_norm() -> None:
    config = TrainingConfig(clip_norm=0.5)
    gradient = np.array([3.0, 4.0], np.float32)
    for number in (1, 2):
        schedule = build_schedule(config, total_steps=10)
        optimizer = build_optimizer(config, schedule, number)
        parts = [optimizer._clip_gradients([gradient])[0] for _ in range(number)]
        norm = np.linalg.norm(np.sum(parts, axis=0))
        assert norm == pytest.approx(0.5)


def test_muon_steps_go_as_far_in_every_direction(config: Config) -> None:
    value = ["training.optimizer=muon", "training.weight_decay=0", "model.channels=16"]
    value += ["training.schedule=exponential", "training.learning_rate=0.1"]
    task = build_task(apply_overrides(config.to_dict(), value, "test"), 10)
    before = [np.array(v) for v in task.trainable_variables]
    generator = np.random.default_rng(0)
    task.optimizer.apply(
        [generator.normal(size=v.shape).astype("float32") for v in before]
    )
    seen = set()
    for variable, old in zip(task.trainable_variables, before, strict=True):
        step = np.array(variable) - old
        if len(old.shape) != 4:
            continue
        values = np.linalg.svd(step.reshape(-1, old.shape[-1]), compute_uv=False)
        even = values.min() > 0.5 * values.max()
        is_matrix = min(old.shape[2:]) >= 8 and "heatmaps" not in variable.path
        if is_matrix:
            # 0.2 sqrt(larger side) times the learning rate, in every direction.
            size = 0.1 * 0.2 * max(np.prod(old.shape[:-1]), old.shape[-1]) ** 0.5
            assert even and 0.6 * size < values.mean() < 1.3 * size
        seen.add(is_matrix)
    assert seen == {True, False}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon"])
def test_a_gradient_beyond_the_norm_is_cut_to_it(
    config: Config, optimizer: str
) -> None:
    values = [f"training.optimizer={optimizer}", "training.clip_norm=0.5"]
    values += ["training.schedule=exponential"]
    config = apply_overrides(config.to_dict(), values, "test")

    def step(norm: float) -> np.ndarray:
        """Return the weights after two steps, the second of a gradient that large."""
        task = build_task(config, 10)
        variables = task.trainable_variables
        generator = np.random.default_rng(1)
        for size in (0.1, norm):
            gradients = [generator.normal(size=v.shape) for v in variables]
            whole = np.sqrt(sum((g**2).sum() for g in gradients))
            task.optimizer.apply([(size / whole * g).astype("f4") for g in gradients])
        return np.concatenate([np.ravel(v) for v in variables])

    cut = step(0.5)
    np.testing.assert_allclose(step(500), cut, rtol=1e-4, atol=1e-6)
    # What is smaller is left as it is.
    assert np.abs(step(0.25) - cut).max() > 1e-3
