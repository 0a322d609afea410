"""Reference lengths and areas: what errors are divided by, and their names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinypose.data.sample import Sample
from tinypose.evaluation.pck import (
    MIN_REFERENCE,
    FloatArray,
    head_sizes,
    torso_sizes,
)
from tinypose.geometry import BOX_AREA_FACTOR, usual_area
from tinypose.skeletons import Skeleton

TORSO = "torso"
"""What PCK is a share of, unless its name says otherwise."""

_Measure = Callable[[FloatArray, NDArray[np.uint8], Skeleton], FloatArray]


@dataclass(frozen=True, eq=False, kw_only=True)
class References:
    """What each person's errors are divided by, and what that is in words.

    Args:
        pck: (num_people,) length in pixels for PCK; nan where unknown.
        pck_unit: ``pck`` in a word or two: ``TORSO`` or ``box side``.
        pck_name: ``pck`` in words.
        head: (num_people,) length in pixels for PCKh; nan where unknown.
        head_name: ``head`` in words; empty where it is unknown for everyone.
        areas: (num_people,) square pixels, for OKS; always known.
        areas_name: ``areas`` in words.
    """

    pck: FloatArray
    pck_unit: str
    pck_name: str
    head: FloatArray
    head_name: str
    areas: FloatArray
    areas_name: str

    def without(self, indices: Sequence[int]) -> "References":
        """Return the references without those people."""
        return replace(
            self,
            pck=np.delete(self.pck, list(indices)),
            head=np.delete(self.head, list(indices)),
            areas=np.delete(self.areas, list(indices)),
        )


def pck_label(unit: str, threshold: float) -> str:
    """Return ``PCK@0.2``, with the unit unless it is ``TORSO``."""
    return f"PCK@{threshold:g}" + ("" if unit == TORSO else f" of the {unit}")


def measure_references(people: Sequence[Sample]) -> References:
    """Return the reference lengths and areas of people, in the data's skeleton.

    PCK is normalised by the torso; where nobody has a labelled one, as with
    hands or upper bodies, by the larger side of everyone's box. PCKh is
    normalised by the labelled head size, where there is none by the skeleton's
    head pair. The area of OKS is the labelled one, where there is none
    ``BOX_AREA_FACTOR`` of the box.
    """
    pck, pck_unit, pck_name = _pck_lengths(people)
    head, head_name = _head_lengths(people)
    areas, areas_name = _areas(people)
    return References(
        pck=pck,
        pck_unit=pck_unit,
        pck_name=pck_name,
        head=head,
        head_name=head_name,
        areas=areas,
        areas_name=areas_name,
    )


def _pck_lengths(people: Sequence[Sample]) -> tuple[FloatArray, str, str]:
    pairs = {sample.skeleton.torso for sample in people} - {None}
    torsos = _measure(people, torso_sizes)
    if (torsos > 0).any():
        return torsos, TORSO, f"torso, {_words(pairs)}"
    sides = np.array([sample.box_xywh[2:].max() for sample in people])
    known = np.where(sides >= MIN_REFERENCE, sides, np.nan)
    reason = "nobody's torso is labelled" if pairs else "the skeleton names no torso"
    return known, "box side", f"larger side of the person's box, as {reason}"


def _head_lengths(people: Sequence[Sample]) -> tuple[FloatArray, str]:
    measured = _measure(people, head_sizes)
    labelled = np.array([sample.head_size or np.nan for sample in people], np.float64)
    use_label = labelled >= MIN_REFERENCE
    parts = ["labelled head size"] if use_label.any() else []
    if (measured[~use_label] > 0).any():
        parts.append(_words({sample.skeleton.head for sample in people} - {None}))
    return np.where(use_label, labelled, measured), ", else ".join(parts)


def _areas(people: Sequence[Sample]) -> tuple[FloatArray, str]:
    labelled = np.array([sample.area or np.nan for sample in people], np.float64)
    use_label = labelled > 0
    guessed = np.array([usual_area(sample.box_xywh) for sample in people])
    parts = ["labelled area"] if use_label.any() else []
    if not use_label.all():
        parts.append(f"{BOX_AREA_FACTOR} × area of the person's box")
    return np.where(use_label, labelled, guessed), ", else ".join(parts)


def _measure(people: Sequence[Sample], measure: _Measure) -> FloatArray:
    """Return a length of each person, each measured in its own skeleton."""
    # Before the mapping to the model's skeleton: a model of the hands alone is
    # still scored in torso lengths.
    return np.array(
        [
            measure(sample.keypoints_xy[None], sample.visible[None], sample.skeleton)[0]
            for sample in people
        ]
    )


def _words(pairs: set[tuple[str, str] | None]) -> str:
    names = sorted(f"|{pair[0]} − {pair[1]}|" for pair in pairs if pair)
    return " or ".join(names) + " of the truth"
