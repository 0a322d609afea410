"""A run whose data lie elsewhere than when it was started."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinypose.errors import TinyposeError, UsageError
from tinypose.files import file_sha256

DATA_OPTIONS = {"--data": "data", "--val": "validation"}
"""Under which key a run's record has what the option names."""


def moved_record(record: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return a run's record with the places that the command line names.

    Args:
        record: As the run was started or resumed before.
        given: Entries ``data``, ``validation`` and ``teacher`` that are to take
            the place of its own; None or empty for none.

    Raises:
        UsageError: what is given is not the same data, or there was no teacher.
    """
    from tinypose.data.sources import absolute_spec, describe_spec

    record = dict(record)
    for option, key in DATA_OPTIONS.items():
        specs = given.get(key)
        if not specs:
            continue
        before, now = (
            ", ".join(map(describe_spec, names)) for names in (record[key], specs)
        )
        if before != now:
            raise UsageError(
                f"{option}: expected what the run was started with, wherever it lies "
                f"now ({before or 'none'}), found {now}; start a new run for other data"
            )
        record[key] = [absolute_spec(spec) for spec in specs]
    if teacher := given.get("teacher"):
        # Runs of before there were teachers do not name one.
        if not record.get("teacher"):
            raise UsageError(
                "--teacher: expected none, as the run was started without, found "
                f"{teacher}; start a new run to learn from it"
            )
        record["teacher"] = teacher
    return record


def require_there(path: Path, record: dict[str, Any]) -> None:
    """Check that a run's data and teacher are where its record says.

    Args:
        path: The run folder.
        record: Its record.

    Raises:
        TinyposeError: they are not; the message says which option tells where.
    """
    from tinypose.data.sources import parse_spec
    from tinypose.weights import shipped_weights

    places = [
        (option, place)
        for option, key in DATA_OPTIONS.items()
        for spec in map(parse_spec, record[key])
        for place in (spec.path, spec.images)
        if place
    ]
    teacher = record.get("teacher")
    if teacher and teacher not in shipped_weights():
        places.append(("--teacher", Path(teacher)))
    for option, place in places:
        if not os.path.exists(place):
            raise TinyposeError(
                f"{place}: expected what the run was started with, found nothing "
                f"there; say where each {option} of the run lies now:  tinypose train "
                f"--resume {path} {option} ..."
            )


def require_same(path: Path, before: str, samples: list[Any]) -> None:
    """Check that a run goes on with the samples and labels that it began with.

    Args:
        path: The run folder.
        before: The fingerprint in its record.
        samples: The training people and the validation people.

    Raises:
        TinyposeError: they are others.
    """
    from tinypose.data.fingerprint import fingerprint, training_fingerprint
    from tinypose.data.sources import undistinct_id

    # Runs of before edges ceased to count have the second, those of before two sets
    # of the same names were told apart the others.
    old = [replace(s, sample_id=undistinct_id(s.sample_id)) for s in samples]
    if not any(
        before in (training_fingerprint(people), fingerprint(people))
        for people in (samples, old)
    ):
        raise TinyposeError(
            f"{path}: expected the data that the run was started with, found other "
            "samples or labels under the same names; name the run's own with --data "
            "and --val, or start a new run"
        )


def require_same_left_out(
    path: Path, before: list[str], now: list[str], beside: list[str]
) -> None:
    """Check that a run goes on without the people without whom it began.

    Runs of before boxes were looked at go on without the people whose boxes lie
    beside their pictures.

    Args:
        path: The run folder.
        before: The names in its record.
        now: The names of those who are left out.
        beside: Among them, those whose boxes lie beside their pictures.

    Raises:
        TinyposeError: others are left out.
    """
    from tinypose.data.sources import undistinct_id

    boxes = set(beside)
    readable = [name for name in now if name not in boxes]
    old = [[undistinct_id(name) for name in names] for names in (now, readable)]
    if before in (now, readable, *old):
        return
    changes = {
        "now also": [name for name in now if name not in before],
        "no longer": [name for name in before if name not in now],
    }
    told = "; ".join(
        f"{what} {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for what, names in changes.items()
        if names
    )
    raise TinyposeError(
        f"{path}: expected the same {len(before)} people as at the start whose "
        f"pictures do not read or whose boxes lie beside them, found {len(now)} "
        f"({told}); are all pictures still there, and where --data says?"
    )


def require_same_teacher(path: Path, record: dict[str, Any], weights: Path) -> None:
    """Check that a run goes on with the teacher that it began with.

    Args:
        path: The run folder.
        record: Its record.
        weights: The teacher's file, wherever it lies now.

    Raises:
        TinyposeError: the file holds other weights: another model, or one that has
            been trained on since.
    """
    # Runs of before teachers were compared have no digest.
    before = record.get("teacher_sha256")
    if before and file_sha256(weights) != before:
        raise TinyposeError(
            f"{weights}: expected the teacher that {path} was started with, found "
            "other weights; keep a copy of a teacher that is trained on, name it with "
            "--teacher, or start a new run"
        )
