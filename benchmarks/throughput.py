"""Measure whether training is limited by the training step or by its data.

Three figures in one run, in turn, so that a noisy machine meets all alike: the
pipeline alone, the bare training step on one random batch, and real training.

    python benchmarks/throughput.py configs/tiny_hourglass_128.yaml \
        --data lspet=LSPET --data lsp=LSP:1-700

With --without-onednn, TensorFlow's own convolutions are measured instead of
oneDNN's; with --mixed-bfloat16, training.mixed_bfloat16. Lines of other
configurations stay in the table.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow reads this when it is loaded.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0" if "--without-onednn" in sys.argv else "1"

import keras
import numpy as np
import tensorflow as tf

from machine import describe_machine
from script import run_script
from tables import read_lines
from tinypose.config import load_config
from tinypose.data.crops import CropDataset
from tinypose.data.pipeline import TrainingBatches
from tinypose.data.sources import load_data
from tinypose.files import write_csv
from tinypose.inference.memory import peak_memory
from tinypose.skeletons import load_skeleton
from tinypose.training.task import PoseTask, build_task

ONEDNN = "yes" if os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1" else "no"
HEADER = (
    "config",
    "onednn",
    "bfloat16",
    "what",
    "images_per_second_median",
    "lowest",
    "highest",
    "ratio_to_bare_step",
    "people",
    "peak_memory_mb",
    "machine",
    "tensorflow",
)


def main() -> None:
    """Measure and write ``results/throughput.csv``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--without-onednn", action="store_true")
    parser.add_argument("--mixed-bfloat16", action="store_true")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results/throughput.csv"))
    arguments = parser.parse_args()

    mixed = str(arguments.mixed_bfloat16).lower()
    config = load_config(arguments.config, [f"training.mixed_bfloat16={mixed}"])
    samples = load_data(arguments.data, load_skeleton(config.skeleton))
    dataset = CropDataset(samples, config.model.input_hw, padding=config.padding)
    batches = TrainingBatches(dataset, config.training.batch_size, config.augment, 0)
    task = build_task(config, batches.steps_per_epoch)
    rates = measure(task, batches, arguments.steps, arguments.rounds)

    peak = (peak_memory() or 0) // 2**20
    bare = statistics.median(rates["bare training step"])
    rows = [
        [
            *setting(arguments),
            what,
            round(statistics.median(values), 1),
            round(min(values), 1),
            round(max(values), 1),
            round(ratio(values, rates["bare training step"]), 3),
            len(dataset),
            peak,
            describe_machine(),
            tf.__version__,
        ]
        for what, values in rates.items()
    ]
    write_csv(arguments.out, HEADER, [*others(arguments), *rows])
    for row in rows:
        print(f"{row[3]:<20} {row[4]:>8} images/s  {row[7]:.3f} of the bare step")
    print(f"bare step {bare:.0f} images/s, peak memory {peak} MB -> {arguments.out}")


def others(arguments: argparse.Namespace) -> list[list[str]]:
    """Return the lines of the table that this run does not measure anew."""
    own = [*setting(arguments), describe_machine()]
    machine = HEADER.index("machine")
    rows = read_lines(arguments.out)
    return [row for row in rows if [*row[:3], row[machine]] != own]


def setting(arguments: argparse.Namespace) -> list[str]:
    """Return the first columns of the lines of this run."""
    mixed = "yes" if arguments.mixed_bfloat16 else "no"
    return [arguments.config.stem, ONEDNN, mixed]


def measure(
    task: PoseTask, batches: TrainingBatches, steps: int, rounds: int
) -> dict[str, list[float]]:
    """Return images/s of each round, after one round that does not count."""
    works: dict[str, Callable[[int], None]] = {
        "pipeline": lambda epoch: _drain(batches.epoch(epoch), steps),
        "bare training step": lambda epoch: _fit(task, _random(batches, steps)),
        "real training": lambda epoch: _fit(task, batches.epoch(epoch).take(steps)),
    }
    rates: dict[str, list[float]] = {what: [] for what in works}
    for epoch in range(rounds + 1):
        for what, work in works.items():
            begun = time.perf_counter()
            work(epoch)
            seconds = time.perf_counter() - begun
            if epoch > 0:
                rates[what].append(steps * batches.batch_size / seconds)
    return rates


def ratio(values: list[float], reference: list[float]) -> float:
    """Return the median ratio of pairs of one round: the machine's mood cancels."""
    pairs = zip(values, reference, strict=True)
    return statistics.median(value / other for value, other in pairs)


def _drain(epoch: tf.data.Dataset, steps: int) -> None:
    for _ in islice(epoch, steps):
        pass


def _fit(task: PoseTask, data: tf.data.Dataset) -> None:
    task.fit(data, epochs=1, verbose=0, shuffle=False)


def _random(batches: TrainingBatches, steps: int) -> tf.data.Dataset:
    size, count = batches.batch_size, batches.dataset.skeleton.num_keypoints
    height, width = batches.dataset.input_hw
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (size, height, width, 3)).astype(np.uint8)
    labels = {
        "keypoints_xy": generator.uniform(0, width, (size, count, 2)).astype("float32"),
        "visible": np.full((size, count), 2, np.uint8),
        "weights": np.ones((size, count), np.float32),
    }
    return tf.data.Dataset.from_tensors((images, labels)).repeat(steps)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    run_script(main)
