"""The pages of the lessons say what the tables and the source say."""

import importlib
import re
from pathlib import Path

import pytest

from tinypose.models import FAMILIES

ROOT = Path(__file__).parents[1]


@pytest.fixture
def lessons(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("lessons")


PAGES = ["lessons.md", "lessons.ko.md"]


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_in_step_with_source_and_tables(lessons, name: str) -> None:
    page = ROOT / "docs" / name
    expected = lessons.filled(page, lessons.Results(ROOT / "results"))
    message = "run python benchmarks/lessons.py"
    assert page.read_text(encoding="utf-8") == expected, message


def test_both_languages_show_the_same(lessons) -> None:
    def marks(name: str) -> list[tuple[str, str]]:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        return [
            (mark["kind"], mark["what"].partition(" | ")[0])
            if mark["kind"] == "picture"
            else (mark["kind"], mark["what"])
            for mark in lessons.MARK.finditer(text)
        ]

    english, korean = map(marks, PAGES)
    # A sentence may name the same figures in another order.
    assert sorted(english) == sorted(korean)
    kinds = ("code", "table", "picture")
    assert [m for m in english if m[0] in kinds] == [m for m in korean if m[0] in kinds]


@pytest.mark.parametrize("name", PAGES)
def test_no_figure_of_the_museum_is_written_by_hand(lessons, name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    prose = lessons.MARK.sub("", text).replace("95 %", "")
    assert not re.findall(r"\d+(?:\.\d+)? %", prose)


def test_every_family_of_the_road_has_its_lesson(lessons) -> None:
    museum = importlib.import_module("museum")
    text = (ROOT / "docs/lessons.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \d+\. .*: `(\w+)`$", text, re.MULTILINE)
    assert headings == list(museum.ROAD)
    assert set(headings) <= set(FAMILIES)


def test_excerpts_are_short_enough_to_read(lessons) -> None:
    text = (ROOT / "docs/lessons.md").read_text(encoding="utf-8")
    codes = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(codes) >= 7
    assert all(len(code.splitlines()) <= 25 for code in codes)


def test_an_excerpt_that_is_gone_is_missed(lessons) -> None:
    with pytest.raises(ValueError, match="expected 'no such line' in"):
        lessons.excerpt("src/tinypose/models/blocks.py", "no such line", "x")
    with pytest.raises(ValueError, match="expected 'nowhere' below 'def conv_norm'"):
        lessons.excerpt("src/tinypose/models/blocks.py", "def conv_norm", "nowhere")


def test_what_is_not_trained_yet_is_told(lessons, tmp_path: Path) -> None:
    (tmp_path / "museum_plan.csv").write_text(
        "family,epochs,minutes,seconds_per_epoch,milliseconds_1_thread,machine\n"
        "deeppose,9,40.0,266.7,0.55,one\npose_machine,8,40.0,300.0,5.00,one\n"
    )
    (tmp_path / "museum.csv").write_text(
        "family,pck_0.2,pck_0.2_low,pck_0.2_high,pck_0.1,pcp,parameters,million_macs,"
        "file_bytes,milliseconds_1_thread,epochs\n"
        "deeppose,30.5,29.0,32.0,10.1,20.2,1234567,12.3,2345678,0.55,9\n"
    )
    results = lessons.Results(tmp_path)
    assert results.figure("deeppose pck_0.2") == "30.5"
    assert results.figure("pose_machine pck_0.2") == lessons.ABSENT
    assert results.figure("pose_machine heatmaps_1 pck_0.2") == lessons.ABSENT
    first, second = results.table("families", "en").splitlines()[2:]
    assert "**30.5** (29.0–32.0)" in first and "1,234,567" in first
    assert "2,346" in first
    assert "to be trained" in second and "| 5.00 | 8 |" in second


def test_longer_trainings_stand_beside_the_budget(lessons, tmp_path: Path) -> None:
    (tmp_path / "museum.csv").write_text("family,pck_0.2\npart_heatmap,71.4\n")
    (tmp_path / "museum_end.csv").write_text(
        "family,pck_0.2,pck_0.2_low,pck_0.2_high,pck_0.1,pcp,epochs,minutes\n"
        "part_heatmap,75.5,73.0,78.0,50.1,70.2,66,80.1\n"
    )
    (tmp_path / "museum_end_stages.csv").write_text(
        "family,output,pck_0.2\npart_heatmap,part_masks,69.2\n"
    )
    results = lessons.Results(tmp_path)
    assert results.figure("longer part_heatmap pck_0.2") == "75.5"
    assert results.figure("longer part_heatmap part_masks pck_0.2") == "69.2"
    assert results.figure("longer part_heatmap heatmaps_1 pck_0.2") == lessons.ABSENT
    table = results.table("longer", "en").splitlines()
    assert table[2:] == [
        "| `part_heatmap` | 71.4 | **75.5** (73.0–78.0) | 50.1 | 70.2 | 66 | 80.1 |"
    ]
