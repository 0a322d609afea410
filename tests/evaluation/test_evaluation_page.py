"""docs/evaluation.md: its numbers are those of the source, its keys are written."""

import re
from pathlib import Path

import pytest

from tinypose.evaluation.bootstrap import DRAWS
from tinypose.evaluation.error_kinds import JITTER_FACTOR, KINDS
from tinypose.evaluation.evaluate import (
    CURVE_THRESHOLDS,
    HEAD_THRESHOLD,
    THRESHOLDS,
    evaluate,
)
from tinypose.evaluation.pck import MPII_LEFT_OUT
from tinypose.evaluation.result import HEADLINE
from tinypose.geometry import BOX_AREA_FACTOR

PAGE = (Path(__file__).parents[2] / "docs/evaluation.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|")
]


def test_numbers_are_those_of_the_source() -> None:
    *first, last = (f"{threshold:g}" for threshold in THRESHOLDS)
    first_of_curve, last_of_curve = CURVE_THRESHOLDS[[0, -1]]
    for text in [
        f"PCK@{HEADLINE:g}",
        f"{', '.join(first)} and {last}",
        f"from {first_of_curve:g} to {last_of_curve:g} of the torso",
        f"PCKh@{HEAD_THRESHOLD:g}",
        f"within {JITTER_FACTOR * HEADLINE:g} of its own place",
        f"{DRAWS:,} bootstrap draws",
        f"else {BOX_AREA_FACTOR:g} of the box",
        f"{' and '.join(MPII_LEFT_OUT)} are left out",
    ]:
        assert text in PAGE, text


def test_kinds_stand_in_the_order_in_which_they_are_tried() -> None:
    assert [row[0] for row in ROWS if row[0] in KINDS] == list(KINDS)


def test_keys_are_those_of_the_file(make_person, make_predictor, arm_xy) -> None:
    pytest.importorskip("faster_coco_eval")
    written = evaluate(make_predictor([arm_xy]), [make_person()]).to_dict()
    keys = [key for row in ROWS for key in re.findall(r"`([a-z_0-9.]+)`", row[1])]
    assert len(keys) > 8
    for key in keys:
        if key == "evaluation.json":
            continue
        value = written
        for part in key.split("."):
            assert part in value, key
            value = value[part]
