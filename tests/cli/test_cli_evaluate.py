import json
from pathlib import Path

import numpy as np
import pytest

from tinypose.cli.main import main
from tinypose.data.stick_people import stick_people
from tinypose.inference.pose import Pose
from tinypose.metadata import Metadata, write_metadata
from tinypose.skeletons import AI_CHALLENGER

pytest.importorskip("faster_coco_eval")
pytest.importorskip("matplotlib")

DATA = ["--data", "stick_people:1-6"]


def _metadata(**changes):
    fields = {
        "name": "fake",
        "family": "tiny_hourglass",
        "skeleton": AI_CHALLENGER,
        "input_hw": (64, 48),
        "output": "heatmaps",
        "heatmap_hw": (16, 12),
        "sigma_cells": 1.0,
        "refinement": "dark",
    }
    return Metadata(**{**fields, **changes})


class FakePredictor:
    """Knows the truth of the synthetic people; its left wrist is lost."""

    made = ()

    def __init__(self, model, *, num_threads=None, flip_test=False):
        type(self).made = (model, num_threads, flip_test)
        self.metadata = _metadata()
        self.skeleton = AI_CHALLENGER
        self.name = "fake"
        self.flip_test = flip_test
        self._truth = iter(stick_people(range(1, 7)))

    def predict_batch(self, images, boxes_xywh):
        poses = []
        for box in boxes_xywh:
            points = next(self._truth).keypoints_xy.astype(np.float32)
            points[AI_CHALLENGER.index("left_wrist")] = 1e4
            scores = np.ones(14, np.float32)
            poses.append(
                Pose(
                    keypoints_xy=points,
                    scores=scores,
                    skeleton=AI_CHALLENGER,
                    box_xywh=box,
                )
            )
        return poses


@pytest.fixture
def fake(monkeypatch, tmp_path):
    monkeypatch.setattr("tinypose.inference.predictor.Predictor", FakePredictor)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return FakePredictor


def _run(*arguments):
    """Run the command line; return its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *map(str, arguments)])
    return caught.value.code


def test_prints_the_table_and_writes_the_report(fake, capsys):
    assert _run("runs/first", *DATA) == 0
    printed = capsys.readouterr()
    rows = {line.split()[0]: line.split() for line in printed.out.splitlines()}
    assert rows["left_wrist"][1:5] == ["0.0"] * 4
    assert rows["right_ankle"][1:5] == ["100.0"] * 4
    # 13 of 14 keypoints, 11 of 12 limb keypoints.
    assert rows["mean"][1:5] == ["92.9"] * 4
    assert rows["limbs"][2:6] == ["91.7"] * 4
    assert rows["mean"][-1] == "6"
    # Never within 0.5 of the torso: its area under the curve is nothing.
    assert rows["left_wrist"][5] == "0.0"
    assert "6 wrong @0.2: swap " in printed.out
    assert "report: evaluation-first/report.html" in printed.out
    assert printed.err == ""  # no bar where there is no terminal
    value = json.loads(Path("evaluation-first/evaluation.json").read_text())
    assert value["data"] == {
        "description": "stick_people:1-6",
        "num_people": 6,
        "num_skipped": 0,
        "left_out": [],
        "other_size": [],
        "boxes": "labelled",
    }
    assert Path("evaluation-first/report.html").stat().st_size > 10_000


def test_options_reach_their_place(fake, capsys):
    code = _run(
        *["tiny", *DATA, "--limit", 4, "--batch", 3, "--flip", "--threads", 2],
        *["--threshold", 0.3, "--out", "here"],
    )
    assert code == 0
    assert fake.made == ("tiny", 2, True)
    value = json.loads(Path("here/evaluation.json").read_text())
    assert value["data"]["num_people"] == 4
    assert value["milliseconds_per_person"]["batch_size"] == 3
    assert value["model"]["flip_test"] is True
    assert [entry["threshold"] for entry in value["pck"]["at"]] == [0.2, 0.3]


def test_without_boxes_the_person_is_searched(fake, capsys, monkeypatch):
    seen = []
    predict = fake.predict_batch

    def search(self, images, boxes_xywh=None):
        seen.append(boxes_xywh)
        boxes = [[0, 0, *image.shape[1::-1]] for image in images]
        return predict(self, images, boxes)

    monkeypatch.setattr(fake, "predict_batch", search)
    assert _run("runs/a", *DATA, "--search") == 0
    assert seen and set(seen) == {None}
    assert "without boxes: each person was searched" in capsys.readouterr().out
    value = json.loads(Path("evaluation-a/evaluation.json").read_text())
    assert value["data"]["boxes"] == "none, searched"
    report = Path("evaluation-a/report.html").read_text()
    assert "whoever was found in a picture was taken for its person" in report
    assert "OKS-AP, searched" in report and "true box" not in report
    assert _run("runs/a", *DATA) == 0
    assert Path("evaluation-a-2/evaluation.json").exists()
    report = Path("evaluation-a-2/report.html").read_text()
    assert "OKS-AP, true boxes" in report and "each with the true box" in report


def test_an_evaluation_of_something_else_is_not_replaced(fake, capsys):
    def reports() -> list[str]:
        return sorted(str(path.parent) for path in Path().glob("*/report.html"))

    assert _run("runs/a", *DATA) == _run("runs/a", *DATA) == 0
    assert reports() == ["evaluation-a"]
    assert _run("runs/a", *DATA, "--flip") == _run("runs/a", *DATA, "--flip") == 0
    assert reports() == ["evaluation-a", "evaluation-a-2"]
    assert _run("runs/a", "--data", "stick_people:1-2") == 0
    assert "report: evaluation-a-3/report.html" in capsys.readouterr().out
    assert _run("runs/a", *DATA, "--limit", 3) == 0
    assert "report: evaluation-a-4/report.html" in capsys.readouterr().out
    # Where the folder is named, it is the one.
    assert _run("runs/a", *DATA, "--out", "evaluation-a-4") == 0
    assert _run("runs/a", *DATA, "--out", "evaluation-a-3") == 0
    assert reports() == ["evaluation-a", *(f"evaluation-a-{n}" for n in (2, 3, 4))]


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        ("runs/a/", "evaluation-a"),
        ("runs/lr0.001", "evaluation-lr0.001"),
        ("runs/a.onnx", "evaluation-a"),
        ("x/my model.v2.tflite", "evaluation-my-model.v2"),
        ("best.keras", "evaluation-best"),
    ],
)
def test_default_folder_is_named_for_the_model(fake, model, folder):
    assert _run(model, "--data", "stick_people:1-2") == 0
    assert (Path(folder) / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["tiny"], 2, "--data", id="no-data"),
        pytest.param(
            ["tiny", "--data", "lps=x"], 2, "did you mean 'lsp'", id="data-kind"
        ),
        pytest.param(["tiny", "--data", "lsp=none"], 1, "none", id="data-missing"),
        pytest.param(["tiny", *DATA, "--batch", "0"], 2, "--batch", id="batch"),
        pytest.param(["tiny", *DATA, "--limit", "0"], 2, "--limit", id="limit"),
        pytest.param(
            ["tiny", *DATA, "--threshold", "0"], 2, "--threshold", id="threshold"
        ),
        pytest.param(
            ["tiny", *DATA, "--out", "taken"], 2, "found the file", id="out-is-a-file"
        ),
        pytest.param(
            ["tiny", *DATA, "--out", "taken/below"], 2, "found the file", id="out-below"
        ),
        pytest.param(["tiny", *DATA, "--flop"], 2, "--flop", id="unknown-option"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    fake, capsys, arguments, code, message
):
    Path("taken").write_text("a file")
    assert _run(*arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert [path.name for path in Path().iterdir()] == ["taken"]


def test_unknown_model_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert _run("no_such_model", *DATA) == 1
    assert "no_such_model" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_keras_file_and_run_folder_give_the_same(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorflow")
    from tinypose.models import build_model

    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    model = build_model(input_hw=(64, 48), channels=8, depth=2)
    model.save(run / "best.keras")
    write_metadata(run / "best.keras", _metadata())
    assert _run("run", *DATA, "--out", "a") == 0
    assert _run("run/best.keras", *DATA, "--out", "b", "--batch", 4) == 0
    first, second = (
        json.loads(Path(name, "evaluation.json").read_text()) for name in "ab"
    )
    assert first["pck"] == second["pck"]
    assert first["oks"]["mean"] == pytest.approx(second["oks"]["mean"], abs=1e-3)
    assert capsys.readouterr().err == ""
