"""Runs of the trainer, for its tests."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from tinypose.config import Config, apply_overrides
from tinypose.data.crops import CropDataset
from tinypose.training.display import Display
from tinypose.training.job import TrainingJob
from tinypose.training.run_dir import HISTORY_COLUMNS, RunDir
from tinypose.training.train import run_training


def job(
    config: Config, dots: CropDataset, path: Path, **changes: object
) -> TrainingJob:
    run_dir = RunDir(path)
    return TrainingJob(
        **{
            "config": config,
            "run_dir": run_dir,
            "training": dots,
            "validation": dots,
            **changes,
        }
    )


def train(config: Config, dots: CropDataset, path: Path, **changes: object):
    return run_training(job(config, dots, path, **changes), Display(quiet=True))


def with_values(config: Config, *overrides: str) -> Config:
    return apply_overrides(config.to_dict(), overrides, "test")


def stop_after(steps: int) -> Callable[[], bool]:
    counter = iter(range(steps))
    return lambda: next(counter, None) is None


def assert_equal_runs(first: Path, second: Path) -> None:
    a, progress_a = RunDir(first).load_checkpoint()
    b, progress_b = RunDir(second).load_checkpoint()
    assert a.keys() == b.keys()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)
    speed = HISTORY_COLUMNS.index("images_per_second")
    for row_a, row_b in zip(progress_a.history, progress_b.history, strict=True):
        del row_a[speed], row_b[speed]
        assert row_a == row_b
    nets = [keras.models.load_model(p / "best.keras") for p in (first, second)]
    for x, y in zip(*(net.get_weights() for net in nets), strict=True):
        np.testing.assert_array_equal(x, y)
