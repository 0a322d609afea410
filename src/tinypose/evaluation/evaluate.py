"""Evaluate a predictor on labelled people, whatever runs inside it."""

import os
import platform
import time
from collections.abc import Callable, Sequence

import numpy as np

from tinypose import __version__
from tinypose.data.sample import Sample
from tinypose.errors import TinyposeError
from tinypose.evaluation.bootstrap import (
    mean_of_draws,
    percentile_interval,
    resample_pck,
)
from tinypose.evaluation.oks import oks_summary, require_library
from tinypose.evaluation.pck import (
    FloatArray,
    mean_known,
    normalised_errors,
    pck_curve,
    pck_of_errors,
    percent,
)
from tinypose.evaluation.pcp import pcp
from tinypose.evaluation.people import PosePredictor, predict_people
from tinypose.evaluation.references import References, measure_references
from tinypose.evaluation.result import (
    HEADLINE,
    Accuracy,
    Evaluation,
    Intervals,
    PersonResult,
    Timing,
    limb_keypoints,
)
from tinypose.inference.pose import Pose
from tinypose.skeletons import Skeleton

THRESHOLDS = (0.05, 0.1, 0.2, 0.5)
HEAD_THRESHOLD = 0.5
CURVE_THRESHOLDS = np.arange(51) / 100

Progress = Callable[[int, int, float], None]
"""Called with the people done, their total and the running headline PCK."""


def evaluate(
    predictor: PosePredictor,
    samples: Sequence[Sample],
    *,
    data: str = "",
    batch_size: int = 1,
    thresholds: Sequence[float] = THRESHOLDS,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure PCK, PCKh, PCP and OKS of a predictor, given the true boxes.

    Keypoints are matched by name. People without a labelled keypoint that the
    model predicts are skipped and counted; people without a labelled torso
    are left out of PCK only. ``measure_references`` says what errors are
    divided by, also for skeletons without a torso.

    Args:
        predictor: The model.
        samples: The labelled people.
        data: What the data are, for the report.
        batch_size: Number of people predicted at once.
        thresholds: Of PCK, in reference lengths; ``HEADLINE`` is added.
        progress: Called after each batch.

    Raises:
        TinyposeError: there is nobody to evaluate, or data and model have no
            keypoint in common.
        MissingDependencyError: the COCO evaluation library is not installed.
    """
    if batch_size < 1 or not all(threshold > 0 for threshold in thresholds):
        raise ValueError(
            "expected a batch_size of at least 1 and positive thresholds, "
            f"received {batch_size} and {list(thresholds)}"
        )
    # Better now than after an hour of predictions.
    require_library()
    people = _labelled_people(samples, predictor.skeleton)
    references = measure_references(people)
    mapped = [sample.with_skeleton(predictor.skeleton) for sample in people]
    results, timing = _predict(predictor, mapped, references.pck, batch_size, progress)
    return Evaluation(
        model=predictor.name,
        metadata=predictor.metadata,
        flip_test=predictor.flip_test,
        data=data,
        people=tuple(results),
        num_skipped=len(samples) - len(people),
        accuracy=_accuracy(results, references, sorted({*thresholds, HEADLINE})),
        timing=timing,
        version=__version__,
    )


def _labelled_people(samples: Sequence[Sample], skeleton: Skeleton) -> list[Sample]:
    """Return the people with a labelled keypoint that the model predicts."""
    if not samples:
        raise TinyposeError(
            "expected labelled people to evaluate on, found none; check the data "
            "set and its range"
        )
    names = {name for sample in samples for name in sample.skeleton.names}
    if not names & set(skeleton.names):
        raise TinyposeError(
            "expected data with keypoints that the model predicts "
            f"({_some(skeleton.names)}), found only others ({_some(sorted(names))}); "
            "choose a data set that fits the model"
        )
    people = [
        sample for sample in samples if sample.with_skeleton(skeleton).visible.any()
    ]
    if not people:
        raise TinyposeError(
            "expected people with labelled keypoints that the model predicts, "
            f"found none among {len(samples)} people"
        )
    return people


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _predict(
    predictor: PosePredictor,
    samples: Sequence[Sample],
    reference: FloatArray,
    batch_size: int,
    progress: Progress | None,
) -> tuple[list[PersonResult], Timing]:
    """Predict everyone, one batch of pictures in memory at a time."""
    results: list[PersonResult] = []
    running = _RunningPCK(predictor.skeleton.num_keypoints)
    # Per batch: seconds to load, seconds to predict, people.
    times: list[tuple[float, float, int]] = []
    for start in range(0, len(samples), batch_size):
        batch = samples[start : start + batch_size]
        begin = time.perf_counter()
        images = [sample.load_image() for sample in batch]
        loaded = time.perf_counter()
        poses = predict_people(predictor, batch, images)
        times.append((loaded - begin, time.perf_counter() - loaded, len(batch)))
        found = _results(batch, poses, reference[start : start + batch_size])
        results += found
        percentage = running.add(found)
        if progress is not None:
            progress(len(results), len(samples), percentage)
    load, predict, count = np.sum(times[1:] or times, axis=0)
    return results, Timing(
        load=1000 * float(load / count),
        predict=1000 * float(predict / count),
        batch_size=batch_size,
        machine=f"{platform.machine()}, {os.cpu_count()} CPUs",
    )


def _results(
    samples: Sequence[Sample], poses: Sequence[Pose], reference: FloatArray
) -> list[PersonResult]:
    predicted, true, visible = _arrays(samples, poses)
    errors = normalised_errors(predicted, true, visible, reference)
    return [
        PersonResult(sample=sample, pose=pose, errors=row)
        for sample, pose, row in zip(samples, poses, errors, strict=True)
    ]


class _RunningPCK:
    """The mean headline PCK of the people so far."""

    def __init__(self, num_keypoints: int) -> None:
        self._right = np.zeros(num_keypoints)
        self._counts = np.zeros(num_keypoints)

    def add(self, results: Sequence[PersonResult]) -> float:
        errors = np.stack([result.errors for result in results])
        self._right += (errors <= HEADLINE).sum(axis=0)
        self._counts += (~np.isnan(errors)).sum(axis=0)
        return mean_known(percent(self._right, self._counts))


def _accuracy(
    results: Sequence[PersonResult],
    references: References,
    thresholds: Sequence[float],
) -> Accuracy:
    """Compute every metric of the predictions."""
    skeleton = results[0].pose.skeleton
    errors = np.stack([result.errors for result in results])
    predicted, true, visible = _arrays(
        [result.sample for result in results], [result.pose for result in results]
    )
    head_errors = normalised_errors(predicted, true, visible, references.head)
    scores = [result.pose.score for result in results]
    return Accuracy(
        references=references,
        pck=tuple(pck_of_errors(errors, threshold) for threshold in thresholds),
        curve_thresholds=CURVE_THRESHOLDS,
        curve=pck_curve(errors, CURVE_THRESHOLDS.tolist()),
        intervals=_intervals(errors, skeleton),
        pckh=pck_of_errors(head_errors, HEAD_THRESHOLD)
        if references.head_name
        else None,
        pcp=pcp(predicted, true, visible, skeleton),
        oks=oks_summary(
            predicted, true, visible, references.areas, skeleton.sigmas, scores
        ),
    )


def _intervals(errors: FloatArray, skeleton: Skeleton) -> Intervals:
    draws = resample_pck(errors, HEADLINE)
    limbs = mean_of_draws(draws, limb_keypoints(skeleton))
    return Intervals(
        mean=percentile_interval(mean_of_draws(draws)),
        limbs_mean=percentile_interval(limbs),
        per_keypoint=percentile_interval(draws),
    )


def _arrays(
    samples: Sequence[Sample], poses: Sequence[Pose]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return predicted and true (x, y) and the flags, stacked by person."""
    return (
        np.stack([pose.keypoints_xy for pose in poses]).astype(np.float64),
        np.stack([sample.keypoints_xy for sample in samples]),
        np.stack([sample.visible for sample in samples]).astype(np.float64),
    )
