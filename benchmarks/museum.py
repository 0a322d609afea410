r"""Train seven families of five years under one budget, side by side.

    python benchmarks/museum.py --runs runs/museum --data lspet=LSPET \
        --data lsp=LSP:1-700 --val lsp=LSP:701-1000 --out runs/museum/museum.csv

Same data, same augmentation, same time on the same machine, all stages of a
cascade included: what an epoch of each family takes is measured
first, and the number of epochs follows (museum_plan.csv, with the
time of a picture). Whichever machine trains them later, each has the epochs of
that plan. A run that was interrupted goes on; a family that is finished is not
trained again. Writes --out (a line per family), by default results/museum.csv,
which has all of them, and beside it museum_stages.csv (each stage's own answer) and
museum_groups.csv (hidden keypoints, small and large people, upright to inverted
ones).
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from kinds import by_angle, right_share
from machine import describe_machine
from script import run_script
from tables import read_lines
from tinypose import __version__
from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.codecs.part_masks import OCCLUDED
from tinypose.config import Config, load_config
from tinypose.data.crops import CropDataset
from tinypose.data.pipeline import TrainingBatches
from tinypose.data.sources import describe_spec, load_data
from tinypose.evaluation.evaluate import evaluate
from tinypose.evaluation.pck import normalised_errors, pck_of_errors
from tinypose.evaluation.references import measure_references
from tinypose.evaluation.result import HEADLINE, Evaluation
from tinypose.export.tflite import export_tflite
from tinypose.export.wrapper import load_net
from tinypose.files import write_csv
from tinypose.geometry import invert_affine, transform_points
from tinypose.inference.predictor import Predictor
from tinypose.models import FAMILIES
from tinypose.models.layers import normalize_images
from tinypose.models.phases import Phase, phase_ends
from tinypose.skeletons import load_skeleton
from tinypose.training.display import Display
from tinypose.training.job import TrainingJob
from tinypose.training.run_dir import RunDir
from tinypose.training.task import build_task
from tinypose.training.train import run_training
from untrained import untrained_latencies

CONFIGS = Path(__file__).parents[1] / "configs"
ROAD = (
    "deeppose",
    "deeppose_cascade",
    "multi_resolution",
    "part_heatmap",
    "pose_machine",
    "stacked_hourglass",
    "tiny_hourglass",
)
"""In the order of the lessons."""

MASKS = "part_masks"

MINUTES = 40.0
PROBE_WARM_UP, PROBE_BLOCK, PROBE_BLOCKS = 20, 10, 10
"""Steps before the speed of a phase is measured, steps of a block, and blocks.

The first steps trace the network and fill the queue of batches; the fastest block
is the machine's own speed, whatever else it did during the others.
"""

PLAN_HEADER = (
    "family",
    "epochs",
    "minutes",
    "seconds_per_epoch",
    "milliseconds_1_thread",
    "machine",
)

STAGE_HEADER = ("family", "output", "pck_0.2", "pck_0.1", "hidden_pck_0.2")

HEADER = (
    "family",
    "pck_0.2",
    "pck_0.2_low",
    "pck_0.2_high",
    "limbs_pck_0.2",
    "pck_0.1",
    "pcp",
    "parameters",
    "million_macs",
    "file_bytes",
    "milliseconds_1_thread",
    "epochs",
    "minutes",
    "pck_0.2_per_keypoint",
    "data",
    "validation",
    "tinypose",
    "machine",
)


@dataclass(frozen=True)
class Plan:
    """What a family may do, and what it costs, on the machine of the plan.

    Args:
        family: Its name.
        epochs: Of all phases together.
        minutes: That they take.
        seconds_per_epoch: Of each phase.
        milliseconds: Of a picture through the exported file, one thread.
        machine: That all of this was measured on.
    """

    family: str
    epochs: int
    minutes: float
    seconds_per_epoch: tuple[float, ...]
    milliseconds: float
    machine: str

    def line(self) -> list[object]:
        """Return the plan in the order of ``PLAN_HEADER``."""
        seconds = " ".join(f"{value:.1f}" for value in self.seconds_per_epoch)
        minutes, milliseconds = f"{self.minutes:.1f}", f"{self.milliseconds:.2f}"
        return [
            *(self.family, self.epochs, minutes, seconds, milliseconds),
            self.machine,
        ]

    @classmethod
    def of_line(cls, line: Sequence[str]) -> "Plan":
        """Return the plan of a line of the table."""
        family, epochs, minutes, seconds, milliseconds, machine = line
        return cls(
            family=family,
            epochs=int(epochs),
            minutes=float(minutes),
            seconds_per_epoch=tuple(map(float, seconds.split())),
            milliseconds=float(milliseconds),
            machine=machine,
        )


def main() -> None:
    """Plan, train, measure and write what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--val", action="append", required=True)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--only", default="", help="a part of the family's name")
    parser.add_argument("--plan-only", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, default=Path("results/museum.csv"))
    arguments = parser.parse_args()
    plan_path = beside(arguments.out, "plan")
    chosen = [family for family in ROAD if arguments.only in family]
    for family in chosen:
        if family not in finished(plan_path):
            add_lines(plan_path, PLAN_HEADER, [plan(family, arguments).line()])
    if arguments.plan_only:
        return
    if set(chosen) <= set(finished(arguments.out)):
        print(
            f"nothing to train: {arguments.out} has {', '.join(chosen)}; name another"
        )
    for line in read_lines(plan_path):
        planned = Plan.of_line(line)
        if planned.family in chosen and planned.family not in finished(arguments.out):
            measure(planned, arguments)


def plan(family: str, arguments: argparse.Namespace) -> Plan:
    """Measure what the epochs of a family take, and choose their number.

    A run that has begun keeps its epochs.
    """
    config = museum_config(family)
    training = training_people(config, arguments)
    phases = FAMILIES[family].phases(config.model)
    seconds = [seconds_per_epoch(config, phase, training) for phase in phases]
    budget = 60 * arguments.minutes
    epochs = affordable(seconds, [phase.share for phase in phases], budget)
    epochs = max(epochs, len(phases))
    run_dir = RunDir(arguments.runs / family)
    if run_dir.config.exists():
        epochs = load_config(run_dir.config).training.epochs
    ends = phase_ends(phases, epochs)
    counts = np.diff([0, *ends])
    return Plan(
        family=family,
        epochs=epochs,
        minutes=float(np.dot(counts, seconds)) / 60,
        seconds_per_epoch=tuple(seconds),
        milliseconds=untrained_latencies([config])[0],
        machine=describe_machine(),
    )


def training_people(config: Config, arguments: argparse.Namespace) -> CropDataset:
    """Return the people to train on."""
    people = load_data(arguments.data, load_skeleton(config.skeleton))
    return CropDataset(people, config.model.input_hw)


def measure(planned: Plan, arguments: argparse.Namespace) -> None:
    """Train a family, or go on, and add its lines to the tables."""
    family = planned.family
    config = museum_config(family)
    training = training_people(config, arguments)
    people = load_data(arguments.val, training.skeleton)
    validation = CropDataset(people, config.model.input_hw)
    run_dir = RunDir(arguments.runs / family)
    if run_dir.config.exists():
        config = load_config(run_dir.config)
    else:
        schedule = replace(config.training, epochs=planned.epochs)
        config = replace(config, training=schedule)
        run_dir.create({}, config)
    with Display() as display:
        progress = run_training(
            TrainingJob(
                config=config,
                run_dir=run_dir,
                training=training,
                validation=validation,
                training_data=tuple(arguments.data),
            ),
            display,
        )
    seconds = training_seconds(
        # Epochs report their speed, which leaves out validation and interruptions.
        [len(training) / (row[4] or np.nan) for row in progress.history],
        phase_ends(FAMILIES[family].phases(config.model), config.training.epochs),
    )
    predictor = Predictor(run_dir.path)
    result = evaluate(predictor, people, batch_size=16)
    net, metadata = load_net(run_dir.best)
    exported = run_dir.path / f"{family}.tflite"
    export_tflite(net, replace(metadata, name=family), exported)
    row = [
        *(family, *figures(result)),
        exported.stat().st_size,
        f"{planned.milliseconds:.2f}",
        config.training.epochs,
        f"{seconds / 60:.1f}",
        " ".join(f"{value:.1f}" for value in result.accuracy.headline.per_keypoint),
        " ".join(describe_spec(spec) for spec in arguments.data),
        " ".join(describe_spec(spec) for spec in arguments.val),
        __version__,
        describe_machine(),
    ]
    add_lines(arguments.out, HEADER, [row])
    stages = [
        [family, name, *(f"{value:.1f}" for value in scores)]
        for name, scores in stage_scores(net, config, validation).items()
    ]
    add_lines(beside(arguments.out, "stages"), STAGE_HEADER, stages)
    groups = [
        [family, group, count, f"{pck:.1f}"]
        for group, count, pck in group_scores(result)
    ]
    add_lines(
        beside(arguments.out, "groups"),
        ("family", "group", "keypoints", "pck_0.2"),
        groups,
    )


def museum_config(family: str) -> Config:
    """Return a family's small configuration; all but the network is shared."""
    name = "tiny_hourglass_128" if family == "tiny_hourglass" else f"{family}_small"
    config = load_config(CONFIGS / f"{name}.yaml")
    shared = load_config(CONFIGS / "deeppose_small.yaml")
    return replace(
        config,
        padding=shared.padding,
        augment=shared.augment,
        training=shared.training,
    )


def affordable(seconds: Sequence[float], shares: Sequence[float], budget: float) -> int:
    """Return how many epochs fit into a budget.

    Args:
        seconds: Of an epoch of each phase.
        shares: Of the epochs that each phase has.
        budget: In seconds.
    """
    mean = float(np.average(seconds, weights=shares))
    return max(round(budget / mean), 1)


def training_seconds(epochs: Sequence[float], ends: Sequence[int]) -> float:
    """Return how long a training takes on a machine of its own.

    An epoch during which the machine did something else too is no rare thing in
    hours: every epoch counts as the median one of its phase.

    Args:
        epochs: Seconds of each.
        ends: Number of epochs after which each phase ends.
    """
    begins = [0, *ends[:-1]]
    parts = [epochs[begin:end] for begin, end in zip(begins, ends, strict=True)]
    return float(sum(len(part) * np.median(part) for part in parts))


def seconds_per_epoch(config: Config, phase: Phase, dataset: CropDataset) -> float:
    """Return how long an epoch of a phase takes, judged by a few steps."""
    training = config.training
    batches = TrainingBatches(dataset, training.batch_size, config.augment, 0)
    task = build_task(config, batches.steps_per_epoch, phase=phase)
    times = []
    steps = PROBE_WARM_UP + PROBE_BLOCK * PROBE_BLOCKS
    for inputs, labels in task.prepare(batches.epoch(0)).take(steps):
        task.train_on_batch(inputs, labels)
        times.append(time.perf_counter())
    return float(fastest_step(times) * batches.steps_per_epoch)


def fastest_step(times: Sequence[float]) -> float:
    """Return the seconds that a step takes in the fastest block of a probe.

    Args:
        times: When each of its steps was done, in seconds.
    """
    ends = times[PROBE_WARM_UP - 1 :: PROBE_BLOCK]
    if len(ends) < 2:
        raise SystemExit(
            f"expected training data for {PROBE_WARM_UP + PROBE_BLOCK} steps or more, "
            f"found {len(times)}"
        )
    return float(np.diff(ends).min()) / PROBE_BLOCK


def figures(result: Evaluation) -> list[str]:
    """Return the figures of an evaluation in the order of ``HEADER``."""
    accuracy = result.accuracy
    low, high = accuracy.intervals.mean
    pck = {value.threshold: value.mean for value in accuracy.pck}
    return [
        f"{pck[0.2]:.1f}",
        f"{low:.1f}",
        f"{high:.1f}",
        f"{result.limbs_mean(accuracy.headline):.1f}",
        f"{pck[0.1]:.1f}",
        f"{accuracy.pcp.mean:.1f}",
        str(result.metadata.num_parameters),
        f"{result.metadata.macs / 1e6:.1f}",
    ]


def stage_scores(
    net: keras.Model, config: Config, dataset: CropDataset
) -> dict[str, tuple[float, float, float]]:
    """Return how right every output is that says where the keypoints are.

    Returns:
        By output: PCK@0.2, PCK@0.1, and PCK@0.2 of the keypoints that are hidden.
    """
    codecs = answering_codecs(config)
    part = keras.Model(net.input, {name: net.output[name] for name in codecs})
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in codecs}
    for start in range(0, len(dataset), 16):
        indices = range(start, min(start + 16, len(dataset)))
        batch = dataset.batch(indices)
        pictures = keras.ops.convert_to_numpy(normalize_images(batch.images))
        outputs = part.predict_on_batch(pictures)
        for name, codec in codecs.items():
            points, _ = codec.decode(readable(name, codec, np.asarray(outputs[name])))
            for row, index in enumerate(indices):
                crop_to_image = invert_affine(dataset.image_to_crop(index))
                found[name].append(transform_points(crop_to_image, points[row]))
    truth = np.stack([sample.keypoints_xy for sample in dataset.samples])
    visible = np.stack([sample.visible for sample in dataset.samples])
    reference = measure_references(dataset.samples).pck
    scores = {}
    for name, points in found.items():
        errors = normalised_errors(np.stack(points), truth, visible, reference)
        coarse, fine = (pck_of_errors(errors, a).mean for a in (HEADLINE, 0.1))
        scores[name] = coarse, fine, right_share(errors, visible == OCCLUDED)
    return scores


def answering_codecs(config: Config) -> dict[str, Any]:
    """Return the codecs of the outputs that are answers on their own.

    Heatmaps of windows are none; part masks are, of what a detection alone would
    say: the middle of each disc.
    """
    codecs = FAMILIES[config.family].codecs(config.model)
    answers: dict[str, Any] = {}
    for name, codec in codecs.items():
        if name == MASKS:
            answers[name] = HeatmapCodec(
                input_hw=codec.input_hw,
                heatmap_hw=codec.mask_hw,
                sigma_cells=codec.radius_cells,
            )
        elif name.startswith(("heatmaps", "coordinates")):
            answers[name] = codec
    return answers


def readable(name: str, codec: Any, raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an output as its answering codec reads it.

    Part masks are flat within their discs: as heatmaps they are logits no more,
    and smoothed, so that they are highest in the middle of a disc.
    """
    if name != MASKS:
        return raw
    masks = 1 / (1 + np.exp(-raw))
    sigma = codec.sigma_cells
    return np.asarray(gaussian_filter(masks, (0, sigma, sigma, 0)), np.float32)


def group_scores(result: Evaluation) -> list[tuple[str, int, float]]:
    """Return the share of right keypoints, in percent, of kinds of people."""
    errors = np.stack([person.errors for person in result.people])
    samples = [person.sample for person in result.people]
    visible = np.stack([sample.visible for sample in samples])
    sizes = np.array([max(sample.box_xywh[2:]) for sample in samples])
    thirds = np.quantile(sizes, [1 / 3, 2 / 3])
    everyone = np.ones(errors.shape, bool)
    groups = {
        "seen": visible == 2,
        "hidden": visible == OCCLUDED,
        f"size up to {thirds[0]:.0f} px": everyone & (sizes <= thirds[0])[:, None],
        f"size {thirds[0]:.0f} to {thirds[1]:.0f} px": everyone
        & ((sizes > thirds[0]) & (sizes <= thirds[1]))[:, None],
        f"size from {thirds[1]:.0f} px": everyone & (sizes > thirds[1])[:, None],
    }
    for name, chosen in by_angle(samples).items():
        groups[name] = everyone & chosen[:, None]
    return [
        (name, int((chosen & ~np.isnan(errors)).sum()), right_share(errors, chosen))
        for name, chosen in groups.items()
    ]


def beside(path: Path, name: str) -> Path:
    """Return the path of a table that belongs to another one."""
    return path.with_name(f"{path.stem}_{name}.csv")


def finished(path: Path) -> set[str]:
    """Return the families that a table has."""
    return {row[0] for row in read_lines(path)}


def add_lines(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Add a family's lines to a table, in the order of the road."""
    old = [row for row in read_lines(path) if row[0] != rows[0][0]]
    order = {family: number for number, family in enumerate(ROAD)}
    whole = sorted([*old, *rows], key=lambda row: order[str(row[0])])
    write_csv(path, header, whole)


if __name__ == "__main__":
    run_script(main)
