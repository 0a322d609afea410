"""Measure what it takes to teach a shipped model new people, and what it brings.

    python benchmarks/finetune.py

The new people are drawn ones, which look like no photo and need no download. By
number of labelled people, beside 100 more who choose the best epoch: from the
weights of `small`, and from nothing, both with configs/small_finetune.yaml. Scores
300 others and writes results/finetune.csv.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from machine import describe_machine
from script import run_script
from tinypose import __version__
from tinypose.config import load_config
from tinypose.data.crops import CropDataset
from tinypose.data.sources import load_data
from tinypose.evaluation.evaluate import evaluate
from tinypose.evaluation.result import Evaluation
from tinypose.files import write_csv
from tinypose.inference.predictor import Predictor
from tinypose.skeletons import load_skeleton
from tinypose.training.display import Display
from tinypose.training.job import TrainingJob
from tinypose.training.run_dir import RunDir
from tinypose.training.train import run_training
from tinypose.weights import shipped_weights

CONFIG = Path(__file__).parents[1] / "configs/small_finetune.yaml"

PEOPLE = (50, 200, 800)

CHOOSING, SCORED = "stick_people:4001-4100", "stick_people:5001-5300"
"""People who choose the best epoch, and those who are scored."""

HEADER = (
    *("people", "start", "epochs", "minutes", "pck_0.2", "pck_0.2_low"),
    *("pck_0.2_high", "pck_0.1", "tinypose", "machine"),
)


def main() -> None:
    """Score small as it ships, train, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=PEOPLE)
    parser.add_argument("--out", type=Path, default=Path("results/finetune.csv"))
    arguments = parser.parse_args()
    config = load_config(CONFIG)
    skeleton = load_skeleton(config.skeleton)
    scored = load_data([SCORED], skeleton)
    rows = [line(0, "small", 0, 0.0, evaluate(Predictor("small"), scored))]
    choosing = CropDataset(load_data([CHOOSING], skeleton), config.model.input_hw)
    for count in arguments.people:
        people = load_data([f"stick_people:1-{count}"], skeleton)
        training = CropDataset(people, config.model.input_hw)
        for start in ("small", "nothing"):
            with tempfile.TemporaryDirectory() as folder, Display() as display:
                run_dir = RunDir(Path(folder) / "run")
                run_dir.create({}, config)
                job = TrainingJob(
                    config=config,
                    run_dir=run_dir,
                    training=training,
                    validation=choosing,
                    initial=shipped_weights().get(start),
                )
                begun = time.perf_counter()
                run_training(job, display)
                minutes = (time.perf_counter() - begun) / 60
                result = evaluate(Predictor(run_dir.path), scored, batch_size=16)
            epochs = config.training.epochs
            rows.append(line(count, start, epochs, minutes, result))
            write_csv(arguments.out, HEADER, rows)


def line(
    people: int, start: str, epochs: int, minutes: float, result: Evaluation
) -> list[object]:
    """Return a line of the table, and show it."""
    low, high = result.accuracy.intervals.mean
    pck = {value.threshold: value.mean for value in result.accuracy.pck}
    figures = (f"{value:.1f}" for value in (minutes, pck[0.2], low, high, pck[0.1]))
    row = [people, start, epochs, *figures, __version__, describe_machine()]
    print(*row)
    return row


if __name__ == "__main__":
    run_script(main)
