"""Evaluation: what was measured of one model on one data set."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinypose.data.sample import Sample
from tinypose.evaluation.error_kinds import ErrorKinds
from tinypose.evaluation.oks import OksSummary
from tinypose.evaluation.pck import PCK, FloatArray, mean_known
from tinypose.evaluation.pcp import PCP
from tinypose.evaluation.references import References
from tinypose.files import printable
from tinypose.inference.pose import Pose
from tinypose.keypoint_names import plain_names
from tinypose.metadata import Metadata
from tinypose.skeletons import Skeleton

HEADLINE = 0.2
"""The threshold of the headline PCK, in torso lengths."""

ERROR_CAP = 1.0
"""A keypoint further off than this, in torso lengths, is no worse than this."""

FORMAT = 1

_LIMB_PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


@dataclass(frozen=True, eq=False, kw_only=True)
class PersonResult:
    """One labelled person and what the model predicted.

    Args:
        sample: The truth, in the order of the model's skeleton.
        pose: The prediction.
        errors: (num_keypoints,) in reference lengths of PCK; nan where not
            labelled or the reference is unknown, inf where not predicted.
    """

    sample: Sample
    pose: Pose
    errors: FloatArray

    @property
    def mean_error(self) -> float:
        """Mean error, each capped at ``ERROR_CAP``; nan where unknown."""
        return mean_known(np.minimum(self.errors, ERROR_CAP))

    @property
    def num_scored(self) -> int:
        """Number of keypoints that PCK counts."""
        return int((~np.isnan(self.errors)).sum())

    @property
    def num_right(self) -> int:
        """Number of keypoints that are right at the headline threshold."""
        return int((self.errors <= HEADLINE).sum())


@dataclass(frozen=True, eq=False, kw_only=True)
class Intervals:
    """Bootstrap intervals of 95 % of the headline PCK, in percent.

    Args:
        mean: (2,) lower and upper end, of the mean over all keypoints.
        limbs_mean: (2,) of the mean over the limb keypoints.
        per_keypoint: (2, num_keypoints); nan where never labelled.
    """

    mean: FloatArray
    limbs_mean: FloatArray
    per_keypoint: FloatArray


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds per person; the first batch, which warms up, is left out.

    Args:
        load: Reading and decoding the picture.
        predict: Cropping, the network and decoding its output.
        batch_size: People predicted at once.
        machine: What it was measured on.
    """

    load: float
    predict: float
    batch_size: int
    machine: str

    @property
    def total(self) -> float:
        """Loading and prediction together."""
        return self.load + self.predict


@dataclass(frozen=True, eq=False, kw_only=True)
class Accuracy:
    """Every metric, in percent and in the order of the model's keypoints.

    Args:
        references: What errors are divided by.
        pck: PCK at each threshold, in rising order, ``HEADLINE`` among them.
        curve_thresholds: (num_thresholds,) of the curve.
        curve: (num_thresholds, num_keypoints); nan where never labelled.
        intervals: Of the PCK at ``HEADLINE``.
        errors: The kinds of what is wrong at ``HEADLINE``.
        pckh: PCKh at 0.5; None where nobody's head length is known.
        pcp: Strict PCP.
        oks: OKS-AP and AR.
        sigmas_of: Name of the skeleton whose sigmas OKS has.
    """

    references: References
    pck: tuple[PCK, ...]
    curve_thresholds: FloatArray
    curve: FloatArray
    intervals: Intervals
    errors: ErrorKinds
    pckh: PCK | None
    pcp: PCP
    oks: OksSummary
    sigmas_of: str

    @property
    def headline(self) -> PCK:
        """PCK at ``HEADLINE``."""
        return next(value for value in self.pck if value.threshold == HEADLINE)

    @property
    def auc(self) -> FloatArray:
        """Area (num_keypoints,) under the curve, in percent of its range."""
        middles = (self.curve[1:] + self.curve[:-1]) / 2
        widths = np.diff(self.curve_thresholds)
        return np.asarray(np.average(middles, axis=0, weights=widths), np.float64)

    @property
    def auc_range(self) -> str:
        """The range of ``auc`` in words: ``0 to 0.5 of the torso``."""
        first, last = self.curve_thresholds[[0, -1]]
        return f"{first:g} to {last:g} of the {self.references.pck_unit}"

    @property
    def num_scored(self) -> int:
        """Number of people whom PCK counts: their normaliser is known."""
        return int((self.references.pck > 0).sum())


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What was measured of one model on one data set.

    Args:
        model: Name of the model.
        metadata: What the model file says about itself.
        flip_test: Whether each picture's mirror image was averaged in.
        searched: Whether the model had to find the people by itself.
        data: What the data set was.
        people: Everyone who has a labelled keypoint that the model predicts,
            and a picture and a box of use.
        num_skipped: Number of people who have no such keypoint.
        left_out: Why others are left out, a line per person.
        other_size: Whose pictures are of another size than they were labelled at, a
            line per person.
        accuracy: The metrics.
        timing: Milliseconds per person.
        version: The tinypose version that measured.
    """

    model: str
    metadata: Metadata
    flip_test: bool
    searched: bool
    data: str
    people: tuple[PersonResult, ...]
    num_skipped: int
    left_out: tuple[str, ...]
    other_size: tuple[str, ...]
    accuracy: Accuracy
    timing: Timing
    version: str

    @property
    def skeleton(self) -> Skeleton:
        """The model's skeleton, in whose order everything is."""
        return self.metadata.skeleton

    @property
    def num_people(self) -> int:
        """Number of people who were evaluated."""
        return len(self.people)

    def limbs_mean(self, value: PCK) -> float:
        """Return the mean over the limb keypoints; nan without any."""
        return mean_known(value.per_keypoint[limb_keypoints(self.skeleton)])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as in ``evaluation.json``: None for unknown."""
        return {
            "format": FORMAT,
            "tinypose": self.version,
            "model": _model_dict(self),
            "data": {
                "description": printable(self.data),
                "num_people": self.num_people,
                "num_skipped": self.num_skipped,
                "left_out": [printable(reason) for reason in self.left_out],
                "other_size": [printable(text) for text in self.other_size],
                "boxes": "none, searched" if self.searched else "labelled",
            },
            "pck": _pck_dict(self),
            "pckh": _pckh_dict(self.accuracy, self.skeleton),
            "pcp": _pcp_dict(self.accuracy.pcp),
            "oks": {
                "area": self.accuracy.references.areas_name,
                "sigmas": self.accuracy.sigmas_of,
                **asdict(self.accuracy.oks),
            },
            "milliseconds_per_person": {
                **asdict(self.timing),
                "total": self.timing.total,
            },
        }


def limb_keypoints(skeleton: Skeleton) -> list[int]:
    """Return the positions of shoulders, elbows, wrists, hips, knees, ankles."""
    wanted = {f"{side}_{part}" for side in ("left", "right") for part in _LIMB_PARTS}
    names = plain_names(skeleton.names)
    return [index for index, name in enumerate(names) if name in wanted]


def _model_dict(evaluation: Evaluation) -> dict[str, Any]:
    metadata = evaluation.metadata
    return {
        "name": printable(evaluation.model),
        "family": metadata.family,
        "precision": metadata.precision,
        "output": metadata.output,
        "skeleton": metadata.skeleton.name,
        "input_hw": list(metadata.input_hw),
        "num_parameters": metadata.num_parameters,
        "macs": metadata.macs,
        "training_data": list(metadata.training_data),
        "licence": metadata.licence,
        "stated_accuracy": dict(metadata.accuracy),
        "flip_test": evaluation.flip_test,
    }


def _pck_dict(evaluation: Evaluation) -> dict[str, Any]:
    accuracy, skeleton = evaluation.accuracy, evaluation.skeleton
    intervals = accuracy.intervals
    return {
        "normaliser": accuracy.references.pck_name,
        "num_people": accuracy.num_scored,
        "at": [
            {
                **_values_dict(value, skeleton),
                "limbs_mean": _number(evaluation.limbs_mean(value)),
            }
            for value in accuracy.pck
        ],
        "interval_95": {
            "threshold": HEADLINE,
            "mean": _numbers(intervals.mean),
            "limbs_mean": _numbers(intervals.limbs_mean),
            "per_keypoint": {
                name: _numbers(ends)
                for name, ends in zip(
                    skeleton.names, intervals.per_keypoint.T, strict=True
                )
            },
        },
        "curve": {
            "thresholds": _numbers(accuracy.curve_thresholds),
            "mean": [_number(mean_known(row)) for row in accuracy.curve],
        },
        "auc": {
            "range": _numbers(accuracy.curve_thresholds[[0, -1]]),
            "mean": _number(mean_known(accuracy.auc)),
            "per_keypoint": dict(
                zip(skeleton.names, _numbers(accuracy.auc), strict=True)
            ),
        },
        "errors": accuracy.errors.to_dict(skeleton.names),
    }


def _pckh_dict(accuracy: Accuracy, skeleton: Skeleton) -> dict[str, Any] | None:
    if accuracy.pckh is None:
        return None
    return {
        "normaliser": accuracy.references.head_name,
        **_values_dict(accuracy.pckh, skeleton),
    }


def _pcp_dict(value: PCP) -> dict[str, Any]:
    per_limb = zip(value.limbs, value.per_limb, value.counts, strict=True)
    return {
        "mean": _number(value.mean),
        "limbs": [
            {"from": first, "to": second, "pcp": _number(share), "count": int(count)}
            for (first, second), share, count in per_limb
        ],
    }


def _values_dict(value: PCK, skeleton: Skeleton) -> dict[str, Any]:
    per_keypoint = zip(skeleton.names, value.per_keypoint, value.counts, strict=True)
    return {
        "threshold": value.threshold,
        "mean": _number(value.mean),
        "per_keypoint": {
            name: {"pck": _number(share), "count": int(count)}
            for name, share, count in per_keypoint
        },
    }


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    # JSON has no nan.
    return round(float(value), 4) if np.isfinite(value) else None
