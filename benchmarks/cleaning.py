"""Move labels of a clean data set away, clean them, and count what came back.

    python benchmarks/cleaning.py --lsp LSP --predictions teachers.npz \
        --ignore TEACHER:KEYPOINT

A quarter of the labels of LSP 1-700 is moved by 0.3 to 1 torso lengths in a
random direction. A label is right within 0.2 torso lengths of where it was.
Writes results/cleaning.csv: what the cleaning did to moved and to untouched
labels.
"""

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinypose import __version__
from tinypose.data.clean import ACTIONS, clean_samples
from tinypose.data.lsp import read_lsp
from tinypose.data.teachers import ignore_keypoints, match_rows, read_predictions
from tinypose.evaluation.pck import torso_sizes
from tinypose.files import write_csv

NUM_PEOPLE = 700
MOVED = 0.25
DISTANCES = (0.3, 1.0)
RIGHT = 0.2
HEADER = ("what", "moved", "moved_right", "untouched", "untouched_right", "tinypose")


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lsp", type=Path, required=True, help="its folder")
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--ignore", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("results/cleaning.csv"))
    arguments = parser.parse_args()
    samples = read_lsp(arguments.lsp)
    skeleton = samples[0].skeleton
    said = read_predictions(arguments.predictions, skeleton)
    teachers = match_rows(ignore_keypoints(said, arguments.ignore, skeleton), samples)
    people = samples[:NUM_PEOPLE]
    teachers = tuple(
        replace(t, keypoints_xy=t.keypoints_xy[:NUM_PEOPLE]) for t in teachers
    )
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
    actions = np.array([person.actions for person in cleaned])
    counts = Counter(zip(actions.flat, moved.flat, right.flat, strict=True))
    rows = []
    for action in [*ACTIONS, "all"]:
        kinds = ACTIONS if action == "all" else [action]
        cells = [
            sum(counts[kind, flag, True] + counts[kind, flag, False] for kind in kinds)
            if total
            else sum(counts[kind, flag, True] for kind in kinds)
            for flag in (True, False)
            for total in (True, False)
        ]
        rows.append([action, *cells, __version__])
    write_csv(arguments.out, HEADER, rows)
    for row in [HEADER, *rows]:
        print(*row, sep="\t")


if __name__ == "__main__":
    main()
