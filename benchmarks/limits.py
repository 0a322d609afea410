r"""Tell where the shipped models fail: by keypoint, facing and angle.

    python benchmarks/limits.py --data lsp=LSP:701-1000 \
        --learned lsp=LSP:1-700 --learned lspet=LSPET:1-3000

A keypoint counts as right within 0.2 of the torso; in another column it counts,
too, where it lies on the same keypoint of the other side of the body. Boxes are
the true ones. Of groups of people, limbs alone count. On people whom the models
learned from, one line says whether they underfit. Writes results/limits.csv.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinds import SIDES, by_angle, by_facing, right_share
from script import run_script
from tinypose import __version__
from tinypose.data.sample import Sample
from tinypose.data.sources import describe_spec, load_data
from tinypose.evaluation.evaluate import evaluate
from tinypose.evaluation.pck import normalised_errors
from tinypose.evaluation.references import measure_references
from tinypose.evaluation.result import Evaluation, limb_keypoints
from tinypose.files import write_csv
from tinypose.inference.predictor import Predictor
from tinypose.skeletons import Skeleton
from tinypose.weights import shipped

HEADER = (
    *("model", "data", "learned", "group", "people", "keypoints"),
    *("pck_0.2", "either_side_pck_0.2", "tinypose"),
)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--learned", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("results/limits.csv"))
    arguments = parser.parse_args()
    rows = []
    for name in shipped():
        predictor = Predictor(name)
        for spec in [*arguments.data, *arguments.learned]:
            learned = spec in arguments.learned
            data = describe_spec(spec)
            result = evaluate(predictor, load_data([spec]), data=data)
            for group in [everyone(result)] if learned else all_groups(result):
                figures = (name, data, "yes" if learned else "no", *group)
                rows.append([*figures, __version__])
                print(*figures)
    write_csv(arguments.out, HEADER, rows)


def everyone(result: Evaluation) -> list[object]:
    """Return the line of all people and all of their keypoints."""
    errors, other = both_errors(result)
    return line("everyone, all keypoints", errors, other, np.ones(errors.shape, bool))


def all_groups(result: Evaluation) -> list[list[object]]:
    """Return a line for each kind of keypoint and of person."""
    errors, other = both_errors(result)
    samples = [person.sample for person in result.people]
    limbs = np.zeros(errors.shape, bool)
    limbs[:, limb_keypoints(result.skeleton)] = True
    groups = {"everyone, limbs": limbs}
    for part, indices in parts(result.skeleton).items():
        groups[part] = np.zeros(errors.shape, bool)
        groups[part][:, indices] = True
    for kind, chosen in (by_facing(samples) | by_angle(samples)).items():
        groups[kind] = limbs & chosen[:, None]
    return [
        everyone(result),
        *(line(name, errors, other, chosen) for name, chosen in groups.items()),
    ]


def line(
    group: str,
    errors: NDArray[np.float64],
    other: NDArray[np.float64],
    chosen: NDArray[np.bool_],
) -> list[object]:
    """Return a group's cells of ``HEADER``.

    Args:
        group: Its name.
        errors: (num_people, num_keypoints), in units of the reference.
        other: Likewise, to the same keypoint of the other side.
        chosen: Of the same shape: what belongs to the group.
    """
    counted = chosen & ~np.isnan(errors)
    either = np.where(np.isnan(errors), errors, np.fmin(errors, other))
    return [
        *(group, int(counted.any(axis=1).sum()), int(counted.sum())),
        *(f"{right_share(values, chosen):.1f}" for values in (errors, either)),
    ]


def both_errors(
    result: Evaluation,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return errors to each keypoint, and to the same one of the other side.

    Returns:
        Two of (num_people, num_keypoints), in torsos, NaN where not labelled.
    """
    samples: list[Sample] = [person.sample for person in result.people]
    truth = np.stack([sample.keypoints_xy for sample in samples])
    visible = np.stack([sample.visible for sample in samples])
    found = np.stack([person.pose.keypoints_xy for person in result.people])
    torsos = measure_references(samples).pck
    mirrored = result.skeleton.flip_indices
    return (
        normalised_errors(found, truth, visible, torsos),
        normalised_errors(found, truth[:, mirrored], visible[:, mirrored], torsos),
    )


def parts(skeleton: Skeleton) -> dict[str, list[int]]:
    """Return the keypoints of both sides, by the name that they share."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(skeleton.names):
        side, _, part = name.partition("_")
        found.setdefault(part if side in SIDES else name, []).append(index)
    return found


if __name__ == "__main__":
    run_script(main)
