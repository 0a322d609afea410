"""Receipt: how far a shipped file is from the network that it was made from.

Both run on the same people by the same road, from picture to keypoints: the
file in its own runtime, the network in Keras.
"""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinypose import __version__
from tinypose.codecs.heatmap import CLEAR_SCORE
from tinypose.data.fingerprint import fingerprint
from tinypose.data.sample import Sample
from tinypose.errors import TinyposeError
from tinypose.evaluation.bootstrap import (
    mean_of_draws,
    percentile_interval,
    picture_groups,
    resample_pck,
)
from tinypose.evaluation.evaluate import Progress, evaluate
from tinypose.evaluation.pck import FloatArray
from tinypose.evaluation.references import pck_label
from tinypose.evaluation.result import HEADLINE, Evaluation
from tinypose.geometry import crop_affine
from tinypose.inference.footprint import measure_footprint
from tinypose.inference.predictor import Predictor

DEFAULT_MAX_DROP = 1.0
"""Points of PCK@0.2 that a file may lose against its network."""

SUFFIX = ".receipt.json"

_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What was measured of a file, and of the network that it was made from.

    Args:
        model: Name of the model.
        precision: What the file computes in.
        runtime: What ran the file, with its version.
        machine: What it was measured on.
        tinypose: Version that measured it.
        data: What the people were.
        data_sha256: Fingerprint of their labels.
        num_people: People whom PCK scores.
        num_compared: Keypoints that the network sees clearly.
        median_px: Median distance between file and network of these, in pixels
            of the model's input; None where there are none, like the next two.
        p95_px: What 95 % of them do not exceed.
        worst_px: The largest.
        pck_unit: What PCK is a share of: ``torso`` or ``box side``.
        pck: PCK@0.2 of the file, percent.
        network_pck: PCK@0.2 of the network, percent.
        change: File minus network, in points.
        change_low: Lower end of the bootstrap interval of 95 %, drawing the
            same pictures for both.
        change_high: Its upper end.
        milliseconds: Median of one crop through the file, one thread.
        file_bytes: Size of the file, without this receipt; of a folder for
            microcontrollers, the model's in flash.
        peak_memory_bytes: Of a process that does nothing else; None where the
            system does not say. Of a folder for microcontrollers, the arena.
    """

    model: str
    precision: str
    runtime: str
    machine: str
    tinypose: str
    data: str
    data_sha256: str
    num_people: int
    num_compared: int
    median_px: float | None
    p95_px: float | None
    worst_px: float | None
    pck_unit: str
    pck: float
    network_pck: float
    change: float
    change_low: float
    change_high: float
    milliseconds: float
    file_bytes: int
    peak_memory_bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as in the metadata and the JSON file."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return what a person wants to read of it."""
        memory = ""
        if self.peak_memory_bytes:
            memory = f", {format_memory(self.peak_memory_bytes)} of memory at most"
        distances = "no keypoint that the network sees clearly; train longer"
        if self.median_px is not None:
            distances = (
                f"keypoints from the network's: median {self.median_px:.2f} px, 95 % "
                f"within {self.p95_px:.2f} px, worst {self.worst_px:.1f} px"
            )
        return [
            f"receipt on {self.data}, {self.num_people} people, {self.runtime}:",
            f"  {pck_label(self.pck_unit, HEADLINE)} {self.pck:.1f} %, the network "
            f"{self.network_pck:.1f} %: "
            f"{self.change:+.1f} points (95 %: {self.change_low:+.1f} to "
            f"{self.change_high:+.1f})",
            f"  {distances}",
            f"  {self.file_bytes / 1000:.0f} kB, {self.milliseconds:.2f} ms a crop on "
            f"one thread{memory}",
        ]


def format_memory(num_bytes: int) -> str:
    """Return a memory size in KiB, from 1024 KiB on in MiB."""
    kib = num_bytes / 2**10
    return f"{kib:.0f} KiB" if kib < 1024 else f"{kib / 1024:.0f} MiB"


def make_receipt(
    path: str | Path,
    network: str | Path,
    samples: Sequence[Sample],
    data: str,
    progress: Progress | None = None,
) -> Receipt:
    """Measure a file against the network that it was made from.

    Args:
        path: The file: ``.tflite``, ``.onnx``, a SavedModel's folder or one for
            microcontrollers.
        network: The ``.keras`` file, or its run folder.
        samples: Labelled people.
        data: What they are, for the receipt.
        progress: Called while the file is evaluated.

    Raises:
        TinyposeError: a model does not load, they are of different skeletons,
            or nobody can be scored.
    """
    shipped, trained = Predictor(path), Predictor(network)
    if shipped.skeleton.names != trained.skeleton.names:
        raise TinyposeError(
            f"{path}: expected the keypoints of {network} "
            f"({', '.join(trained.skeleton.names)}), found "
            f"{', '.join(shipped.skeleton.names)}; is it made from another run?"
        )
    of_file = evaluate(
        shipped, samples, data=data, batch_size=_BATCH, progress=progress
    )
    _require_scores(of_file)
    of_network = evaluate(
        trained, samples, data=data, batch_size=_BATCH, progress=progress
    )
    distances = _distances(of_file, of_network)
    change, (low, high) = _change(of_file, of_network)
    footprint = measure_footprint(path)
    return Receipt(
        model=shipped.name,
        precision=shipped.metadata.precision,
        runtime=shipped.runtime,
        machine=f"{platform.system()} {platform.machine()}",
        tinypose=__version__,
        data=data,
        data_sha256=fingerprint(samples),
        num_people=of_file.accuracy.num_scored,
        num_compared=len(distances),
        **_summary(distances),
        pck_unit=of_file.accuracy.references.pck_unit,
        pck=_rounded(of_file.accuracy.headline.mean),
        network_pck=_rounded(of_network.accuracy.headline.mean),
        change=_rounded(change),
        change_low=_rounded(low),
        change_high=_rounded(high),
        milliseconds=_rounded(footprint.milliseconds),
        file_bytes=footprint.file_bytes,
        peak_memory_bytes=footprint.peak_memory_bytes,
    )


def _require_scores(evaluation: Evaluation) -> None:
    """Check that PCK scores somebody, and so can tell what the file loses."""
    if evaluation.accuracy.num_scored == 0:
        raise TinyposeError(
            f"{evaluation.data}: expected people with a labelled torso, or with boxes "
            f"of a pixel or more, found none among {evaluation.num_people}, so nobody "
            "can be scored; label more keypoints or give the people boxes"
        )


def _distances(of_file: Evaluation, of_network: Evaluation) -> FloatArray:
    """Return how far clear keypoints are apart, in pixels of the model's input."""
    metadata = of_network.metadata
    found = []
    for ours, theirs in zip(of_file.people, of_network.people, strict=True):
        affine = crop_affine(
            theirs.pose.box_xywh, metadata.input_hw, padding=metadata.padding
        )
        scale = np.hypot(affine[0, 0], affine[1, 0])
        offsets = ours.pose.keypoints_xy - theirs.pose.keypoints_xy
        clear = theirs.pose.scores >= CLEAR_SCORE
        found.append(scale * np.linalg.norm(offsets, axis=1)[clear])
    return np.concatenate(found)


def _summary(distances: FloatArray) -> dict[str, float | None]:
    names = {"median_px": 50, "p95_px": 95, "worst_px": 100}
    if not len(distances):
        return dict.fromkeys(names)
    return {
        name: _rounded(np.percentile(distances, share)) for name, share in names.items()
    }


def _change(
    of_file: Evaluation, of_network: Evaluation
) -> tuple[float, tuple[float, float]]:
    """Return file minus network in points of PCK@0.2, and its interval."""
    groups = picture_groups([person.sample for person in of_file.people])
    is_scored = [bool(np.isfinite(person.errors).any()) for person in of_file.people]
    pictures = {g for g, scored in zip(groups, is_scored, strict=True) if scored}
    draws = [
        mean_of_draws(
            resample_pck(
                np.stack([person.errors for person in result.people]),
                HEADLINE,
                # Those of one picture stand for themselves.
                groups=groups if len(pictures) > 1 else None,
            )
        )
        for result in (of_file, of_network)
    ]
    low, high = percentile_interval(draws[0] - draws[1])
    change = of_file.accuracy.headline.mean - of_network.accuracy.headline.mean
    return change, (float(low), float(high))


def _rounded(value: float) -> float:
    return round(float(value), 3)
