"""Evaluate a predictor on labelled people, whatever runs inside it."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import nan

import numpy as np

from tinypose import __version__
from tinypose.data.crops import MAX_UNREADABLE
from tinypose.data.sample import Sample
from tinypose.errors import TinyposeError
from tinypose.evaluation.bootstrap import (
    mean_of_draws,
    percentile_interval,
    picture_groups,
    resample_pck,
)
from tinypose.evaluation.error_kinds import error_kinds
from tinypose.evaluation.found_people import SearchingPredictor
from tinypose.evaluation.oks import oks_summary, require_library
from tinypose.evaluation.pck import (
    FloatArray,
    mean_known,
    normalised_errors,
    pck_curve,
    pck_of_errors,
    pckh_of_errors,
    percent,
)
from tinypose.evaluation.pcp import pcp
from tinypose.evaluation.people import PosePredictor, predict_each
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
from tinypose.skeletons import SKELETONS, Skeleton

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

    A ``SearchingPredictor`` gets none: it looks for the one person of each picture.

    Keypoints are matched by name. People without a labelled keypoint that the
    model predicts are skipped and counted, and so are those whose picture or
    box is of no use, up to ``MAX_UNREADABLE`` of all, as in training; people
    without a labelled torso are left out of PCK only, unless nobody has one.
    Errors are divided by what the model's skeleton calls torso and head where
    the data have those keypoints, else by what ``measure_references`` says.

    Args:
        predictor: The model.
        samples: The labelled people.
        data: What the data are, for the report.
        batch_size: Number of people predicted at once.
        thresholds: Of PCK, in reference lengths; ``HEADLINE`` is added.
        progress: Called after each batch.

    Raises:
        TinyposeError: there is nobody to evaluate, data and model have no
            keypoint in common, or too many pictures or boxes are of no use.
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
    measured = {
        own: _with_lengths_of(own, predictor.skeleton)
        for own in dict.fromkeys(sample.skeleton for sample in people)
    }
    references = measure_references(
        [replace(sample, skeleton=measured[sample.skeleton]) for sample in people]
    )
    mapped = [sample.with_skeleton(predictor.skeleton) for sample in people]
    results, left_out, other_size, timing = _predict(
        predictor, mapped, references.pck, batch_size, progress
    )
    references = references.without([index for index, _ in left_out])
    sigmas, sigmas_of = _sigmas(list(measured), predictor.skeleton)
    return Evaluation(
        model=predictor.name,
        metadata=predictor.metadata,
        flip_test=predictor.flip_test,
        searched=isinstance(predictor, SearchingPredictor),
        data=data,
        people=tuple(results),
        num_skipped=len(samples) - len(people),
        left_out=tuple(reason for _, reason in left_out),
        other_size=tuple(other_size),
        accuracy=_accuracy(
            results, references, sorted({*thresholds, HEADLINE}), sigmas, sigmas_of
        ),
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
    skeletons = {sample.skeleton for sample in samples}
    if not any((own.mapping_to(skeleton) >= 0).any() for own in skeletons):
        names = {name for own in skeletons for name in own.names}
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


def _with_lengths_of(own: Skeleton, skeleton: Skeleton) -> Skeleton:
    """Return ``own`` with the torso and head of ``skeleton``, where it has them."""
    torso = _same_pair(own, skeleton, skeleton.torso) or own.torso
    head = _same_pair(own, skeleton, skeleton.head) or own.head
    return replace(own, torso=torso, head=head)


def _same_pair(
    own: Skeleton, skeleton: Skeleton, pair: tuple[str, str] | None
) -> tuple[str, str] | None:
    """Return what ``own`` calls a pair of ``skeleton``; None where it lacks one."""
    if pair is None:
        return None
    positions = own.mapping_to(skeleton)
    first, second = (positions[skeleton.index(name)] for name in pair)
    return (own.names[first], own.names[second]) if min(first, second) >= 0 else None


def _predict(
    predictor: PosePredictor,
    samples: Sequence[Sample],
    reference: FloatArray,
    batch_size: int,
    progress: Progress | None,
) -> tuple[list[PersonResult], list[tuple[int, str]], list[str], Timing]:
    """Predict everyone, one batch of pictures in memory at a time.

    Returns:
        The results, the index of each person left out with the reason, whose
        pictures are of another size than they were labelled at, and the time.
    """
    results: list[PersonResult] = []
    left_out: list[tuple[int, str]] = []
    other_size: list[str] = []
    running, percentage = _RunningPCK(predictor.skeleton.num_keypoints), nan
    # Per batch: seconds to load, seconds to predict, people.
    times: list[tuple[float, float, int]] = []
    for start in range(0, len(samples), batch_size):
        indices = range(start, min(start + batch_size, len(samples)))
        begin = time.perf_counter()
        images = {}
        for index in indices:
            try:
                images[index] = samples[index].load_image()
            except TinyposeError as error:
                left_out.append((index, str(error)))
                continue
            if problem := samples[index].other_size(images[index].shape[:2]):
                other_size.append(f"{samples[index].sample_id}: {problem}")
        loaded = time.perf_counter()
        poses, failures = predict_each(predictor, samples, images)
        left_out += failures
        _require_most(left_out, len(samples))
        if poses:
            seconds = loaded - begin, time.perf_counter() - loaded
            times.append((*seconds, len(poses)))
            found = _results(
                [samples[index] for index in poses],
                list(poses.values()),
                reference[list(poses)],
            )
            results += found
            percentage = running.add(found)
        if progress is not None:
            progress(indices.stop, len(samples), percentage)
    load, predict, count = np.sum(times[1:] or times, axis=0)
    timing = Timing(
        load=1000 * float(load / count),
        predict=1000 * float(predict / count),
        batch_size=batch_size,
        machine=f"{platform.machine()}, {os.cpu_count()} CPUs",
    )
    return results, left_out, other_size, timing


def _require_most(left_out: Sequence[tuple[int, str]], total: int) -> None:
    if len(left_out) > MAX_UNREADABLE * total:
        raise TinyposeError(
            f"expected pictures and boxes of use, found {len(left_out)} of {total} "
            f"that are not (the first: {left_out[0][1]}); run  tinypose data check  "
            "on the data"
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
    sigmas: FloatArray,
    sigmas_of: str,
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
        intervals=_intervals(errors, skeleton, [result.sample for result in results]),
        errors=error_kinds(
            predicted, true, visible, references.pck, skeleton, HEADLINE
        ),
        pckh=pckh_of_errors(head_errors, skeleton, HEAD_THRESHOLD)
        if references.head_name
        else None,
        pcp=pcp(predicted, true, visible, skeleton),
        oks=oks_summary(predicted, true, visible, references.areas, sigmas, scores),
        sigmas_of=sigmas_of,
    )


def _sigmas(data: Sequence[Skeleton], model: Skeleton) -> tuple[FloatArray, str]:
    """Return the OKS sigmas (num_keypoints,) of the model's keypoints, and whose.

    They are the data's, so that models of any skeleton compare on the same labels;
    the model's own for what the data have none, or several, and where somebody has
    written them down for a skeleton of their own.
    """
    known = SKELETONS.values()
    is_own = model.oks_sigmas and model not in known
    # Files of one form have skeletons of their own names.
    forms = {(skeleton.names, skeleton.oks_sigmas) for skeleton in data}
    if len(forms) != 1 or not data[0].oks_sigmas or (is_own and data[0] not in known):
        return model.sigmas, model.name
    places = data[0].mapping_to(model)
    return np.where(places >= 0, data[0].sigmas[places], model.sigmas), data[0].name


def _intervals(
    errors: FloatArray, skeleton: Skeleton, samples: Sequence[Sample]
) -> Intervals:
    draws = resample_pck(errors, HEADLINE, groups=picture_groups(samples))
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
