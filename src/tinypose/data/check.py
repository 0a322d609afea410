"""Check a data set: what is broken, and what looks wrong and wants a look.

Broken pictures, empty people and exact duplicates are facts. The rest are
suspicions, ordered with the worst first; ``label_checks`` and ``facing`` say
how often each was right where that could be measured.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinypose.data.advice import mirror_advice
from tinypose.data.augment import DEFAULT_AUGMENT
from tinypose.data.box_checks import BOX_KINDS, check_box_in_picture, corner_boxes
from tinypose.data.crops import MAX_UNREADABLE
from tinypose.data.duplicates import fingerprint, similar_pairs
from tinypose.data.facing import (
    SURPRISING,
    facing_surprise,
    head_patch,
    trunk_turns,
)
from tinypose.data.label_checks import Problem, check_labels, outside_picture
from tinypose.data.parallel import ordered_map
from tinypose.data.sample import Sample
from tinypose.errors import TinyposeError
from tinypose.files import explain_os_errors, printable, require_file
from tinypose.images import MAX_FILE_BYTES, Image, decode_image

KINDS = {
    "missing_picture": "pictures are missing",
    "damaged_picture": "pictures do not decode",
    "other_size": "pictures have another size than their labels say",
    "no_keypoints": "people have no labelled keypoint",
    "few_keypoints": "people have very few labelled keypoints",
    "tiny_person": "people are too small to show limbs",
    "box_outside": "people have a box outside the picture",
    "odd_box": "people have a box that does not fit labels or picture",
    "outside_picture": "people have labels outside the picture",
    "long_limb": "people have an implausibly long limb",
    "twisted_trunk": "people have shoulders and hips that disagree on left/right",
    "wrong_facing": "people look as if left and right were swapped",
    "labelled_twice": "people repeat the labels of another in the picture",
    "same_picture": "pictures are exact copies of another",
    "similar_picture": "pictures are nearly the same as another",
}
"""Every kind of problem, as it reads after a number."""


@dataclass(frozen=True)
class CheckReport:
    """What ``check_samples`` found.

    Args:
        num_samples: People looked at.
        num_pictures: Different pictures among them.
        problems: By kind, in the order of ``KINDS``, the worst first.
        skipped: People that the readers left out, by reason.
        notes: What to do about the set as a whole.
    """

    num_samples: int
    num_pictures: int
    problems: tuple[Problem, ...]
    skipped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """Return how many problems of each kind there are, zeros included."""
        counts = dict.fromkeys(KINDS, 0)
        for problem in self.problems:
            counts[problem.kind] += 1
        return counts

    def of_kind(self, kind: str) -> list[Problem]:
        """Return the problems of one kind, the worst first."""
        return [problem for problem in self.problems if problem.kind == kind]

    @property
    def blockers(self) -> list[str]:
        """Reasons why training cannot start; empty when it can."""
        counts, reasons = self.counts(), []
        unreadable = counts["missing_picture"] + counts["damaged_picture"]
        beside = counts["box_outside"]
        labelled = self.num_samples - counts["no_keypoints"]
        if labelled == 0:
            reasons.append("nobody has a labelled keypoint")
        if unreadable + beside > MAX_UNREADABLE * labelled:
            of_all = f"of {self.num_samples} people"
            found = {
                f"the pictures of {unreadable} {of_all} do not read": unreadable,
                f"the boxes of {beside} {of_all} are outside their pictures": beside,
            }
            shown = " and ".join(text for text, number in found.items() if number)
            reasons.append(f"{shown}; training stops above {MAX_UNREADABLE:.0%}")
        return reasons

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, as in the JSON that is written."""
        return {
            "num_samples": self.num_samples,
            "num_pictures": self.num_pictures,
            "blockers": self.blockers,
            "counts": self.counts(),
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
            "problems": [
                {
                    "kind": p.kind,
                    "sample_id": printable(p.sample_id),
                    "detail": printable(p.detail),
                }
                for p in self.problems
            ],
        }


def check_samples(
    samples: Sequence[Sample],
    *,
    skipped: dict[str, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Read every picture once and report what is wrong with a data set.

    Args:
        samples: The people, of any skeletons.
        skipped: What the readers left out, to be reported with the rest.
        progress: Called with the number of people looked at so far.
    """
    groups: dict[object, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.picture, []).append(sample)
    views = _look_at_all(list(groups.values()), progress)
    problems = [problem for view in views for problem in view.problems]
    known = {p.sample_id for p in problems if p.kind in BOX_KINDS}
    problems += [p for p in corner_boxes(samples) if p.sample_id not in known]
    problems += [
        *check_labels(samples),
        *_wrong_facing([face for view in views for face in view.faces]),
        *_copies(views),
    ]
    order = {kind: position for position, kind in enumerate(KINDS)}
    problems.sort(key=lambda problem: (order[problem.kind], -problem.severity))
    return CheckReport(
        num_samples=len(samples),
        num_pictures=len(groups),
        problems=tuple(problems),
        skipped=skipped or {},
        notes=_notes(samples),
    )


def _notes(samples: Sequence[Sample]) -> tuple[str, ...]:
    often = DEFAULT_AUGMENT.flip_probability
    skeletons = dict.fromkeys(sample.skeleton for sample in samples)
    notes = (mirror_advice(skeleton, often) for skeleton in skeletons)
    return tuple(note for note in notes if note)


class _Face(NamedTuple):
    sample_id: str
    turn: float
    patch: NDArray[np.uint8]


class _View(NamedTuple):
    """What is remembered of one picture."""

    sample_id: str
    problems: list[Problem]
    faces: list[_Face]
    digest: bytes | None
    fingerprint: NDArray[np.uint8] | None


def _look_at_all(
    groups: Sequence[Sequence[Sample]], progress: Callable[[int], None] | None
) -> list[_View]:
    views: list[_View] = []
    done = 0
    for view, group in zip(ordered_map(_look, groups), groups, strict=True):
        views.append(view)
        done += len(group)
        if progress:
            progress(done)
    return views


def _look(group: Sequence[Sample]) -> _View:
    """Read the picture that a group of samples shares."""
    first = group[0]
    try:
        image, digest = _read(first)
    except TinyposeError as error:
        gone = isinstance(first.picture, Path) and not first.picture.exists()
        kind = "missing_picture" if gone else "damaged_picture"
        problems = [Problem(kind, sample.sample_id, str(error)) for sample in group]
        return _View(first.sample_id, problems, [], None, None)
    hw = image.shape[:2]
    found = [
        *(outside_picture(sample, hw) for sample in group),
        *(check_box_in_picture(sample, hw) for sample in group),
    ]
    faces = []
    for sample in group:
        turns = trunk_turns(sample)
        if turns is not None:
            patch = head_patch(image, sample)
            faces.append(_Face(sample.sample_id, turns[0], patch))
    problems = [problem for problem in found if problem is not None]
    problems += _other_size(group, hw)
    return _View(first.sample_id, problems, faces, digest, fingerprint(image))


def _other_size(group: Sequence[Sample], hw: tuple[int, int]) -> list[Problem]:
    """Return the problems that a picture was resized or turned after labelling."""
    details = {sample.other_size(hw): sample.sample_id for sample in reversed(group)}
    return [
        Problem("other_size", sample_id, detail)
        for detail, sample_id in details.items()
        if detail
    ]


def _read(sample: Sample) -> tuple[Image, bytes]:
    """Return the picture and a digest of its file, reading that only once."""
    if isinstance(sample.picture, Path):
        path = require_file(sample.picture, "a picture", max_bytes=MAX_FILE_BYTES)
        with explain_os_errors(path, "read"):
            data = path.read_bytes()
        pixels = decode_image(np.frombuffer(data, np.uint8), str(path))
        return pixels, hashlib.blake2b(data).digest()
    image = sample.load_image()
    return image, hashlib.blake2b(image.tobytes()).digest()


def _wrong_facing(faces: Sequence[_Face]) -> list[Problem]:
    if not faces:
        return []
    patches = np.stack([face.patch for face in faces])
    surprise = facing_surprise(patches, [face.turn for face in faces])
    problems = []
    for face, value in zip(faces, surprise, strict=True):
        if value > SURPRISING:
            labelled = "facing the camera" if face.turn > 0 else "from behind"
            detail = f"labelled as seen {labelled}, but the head looks otherwise"
            problems.append(
                Problem("wrong_facing", face.sample_id, detail, float(value))
            )
    return problems


def _copies(views: Sequence[_View]) -> list[Problem]:
    problems = []
    first_with: dict[bytes, str] = {}
    distinct = []
    for view in views:
        if view.digest is None or view.fingerprint is None:
            continue
        original = first_with.setdefault(view.digest, view.sample_id)
        if original != view.sample_id:
            detail = f"the same picture as {original}"
            problems.append(
                Problem("same_picture", view.sample_id, detail, 0.0, original)
            )
        else:
            distinct.append((view.sample_id, view.fingerprint))
    names = [name for name, _ in distinct]
    for later, earlier, bits in similar_pairs([mark for _, mark in distinct]):
        other = names[earlier]
        detail = f"nearly the picture of {other} ({bits} of 128 bits differ)"
        problems.append(Problem("similar_picture", names[later], detail, -bits, other))
    return problems
