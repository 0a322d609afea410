"""Move labels of a clean data set away, clean them, and count what came back.

    python benchmarks/cleaning.py --lsp LSP --predictions teachers.npz \
        --ignore TEACHER:KEYPOINT --judge medium

A quarter of the labels of LSP is moved by 0.3 to 1 torso lengths in a random
direction. A label is right within 0.2 torso lengths of where it was. Writes
results/cleaning.csv: what the cleaning did to moved and to untouched labels,
and how much of their weight is on right ones, with each two or more teachers
of the file, with and without each judge; of LSP 1-700, on which the judges
were trained, and of 701-1000, on which they were not. Judges look into boxes of the
true labels, which are better than those of moved ones.
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from script import run_script
from tinypose import __version__
from tinypose.data.clean import ACTIONS, clean_samples
from tinypose.data.lsp import read_lsp
from tinypose.data.sample import Sample
from tinypose.data.teachers import (
    Teacher,
    ignore_keypoints,
    match_rows,
    parse_ignored,
    read_predictions,
)
from tinypose.evaluation.pck import torso_sizes
from tinypose.evaluation.people import judge_people
from tinypose.evaluation.result import limb_keypoints
from tinypose.files import write_csv
from tinypose.inference.predictor import Predictor

PARTS = {"1-700": slice(0, 700), "701-1000": slice(700, 1000)}
MOVED = 0.25
DISTANCES = (0.3, 1.0)
RIGHT = 0.2
HEADER = (
    *("people", "teachers", "keypoints", "what", "moved", "moved_right"),
    *("untouched", "untouched_right", "weight_right_percent", "tinypose"),
)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lsp", type=Path, required=True, help="its folder")
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--ignore", action="append", default=[])
    parser.add_argument("--judge", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("results/cleaning.csv"))
    arguments = parser.parse_args()
    samples = read_lsp(arguments.lsp)
    skeleton = samples[0].skeleton
    said = match_rows(read_predictions(arguments.predictions, skeleton), samples)
    names = [teacher.name for teacher in said]
    teachers = ignore_keypoints(said, parse_ignored(arguments.ignore, names, skeleton))
    panels = [
        panel
        for count in range(2, len(teachers) + 1)
        for panel in itertools.combinations(teachers, count)
    ]
    for model in arguments.judge:
        predictor = Predictor(model, flip_test=True)
        judge = judge_people(predictor, samples, name=Path(model).stem)
        panels += [(*panel, judge) for panel in panels]
    rows = []
    for people, part in PARTS.items():
        for panel in panels:
            of_part = [replace(t, keypoints_xy=t.keypoints_xy[part]) for t in panel]
            panel_names = " ".join(teacher.name for teacher in panel)
            rows += [
                [people, panel_names, *row, __version__]
                for row in count_labels(samples[part], of_part)
            ]
    write_csv(arguments.out, HEADER, rows)
    for row in [HEADER, *rows]:
        print(*row, sep="\t")


def count_labels(
    people: Sequence[Sample], teachers: Sequence[Teacher]
) -> list[tuple[str | int | float, ...]]:
    """Return what cleaning did to moved and untouched labels: cells of ``HEADER``.

    All labels, those of limbs, and all of them action by action.
    """
    skeleton = people[0].skeleton
    true = np.stack([sample.keypoints_xy for sample in people])
    torso = torso_sizes(true, np.ones(true.shape[:2]), skeleton)[:, None]
    generator = np.random.default_rng(0)
    moved = generator.random(true.shape[:2]) < MOVED
    angle = generator.uniform(0, 2 * np.pi, moved.shape)
    distance = generator.uniform(*DISTANCES, moved.shape) * torso * moved
    offset = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * distance[..., None]
    labelled = [
        replace(sample, keypoints_xy=sample.keypoints_xy + change)
        for sample, change in zip(people, offset, strict=True)
    ]
    cleaned = clean_samples(labelled, teachers)
    after = np.stack([person.after.keypoints_xy for person in cleaned])
    right = np.linalg.norm(after - true, axis=-1) <= RIGHT * torso
    weights = np.stack([np.asarray(person.after.weights) for person in cleaned])
    actions = np.array([person.actions for person in cleaned])
    everything = np.ones_like(moved)
    limbs = everything & np.isin(np.arange(moved.shape[1]), limb_keypoints(skeleton))
    groups = {("all", "all"): everything, ("limbs", "all"): limbs}
    groups |= {("all", action): actions == action for action in ACTIONS}
    rows: list[tuple[str | int | float, ...]] = []
    for name, chosen in groups.items():
        hit, spared = chosen & moved, chosen & ~moved
        counts = [hit.sum(), (hit & right).sum(), spared.sum(), (spared & right).sum()]
        share = 100 * weights[chosen & right].sum() / max(weights[chosen].sum(), 1e-9)
        if chosen.any():
            rows.append((*name, *map(int, counts), round(float(share), 1)))
    return rows


if __name__ == "__main__":
    run_script(main)
