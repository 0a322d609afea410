"""``tinypose demo``: its results, and what it refuses before minutes of training."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tinypose.cli import demo
from tinypose.cli.main import main
from tinypose.images import read_image, write_image
from tinypose.weights import shipped


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("photo.xyz", 1, "expected a picture (.jpg"),
        ("photo.mp4", 2, "expected a picture, found something else"),
        ("folder", 2, "expected a picture, found something else"),
        ("none.png", 1, "found no such file"),
    ],
)
def test_a_picture_that_predict_rejects_is_named_at_once(
    tmp_path, monkeypatch, capsys, name, code, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_train", lambda *_: pytest.fail("trained"))
    _, data = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))
    for file in ("photo.xyz", "photo.mp4"):
        (tmp_path / file).write_bytes(data.tobytes())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "walk.mp4").write_bytes(b"x")
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--picture", name])
    error = capsys.readouterr().err
    assert stop.value.code == code and message in error and error.count("\n") == 1


def test_the_picture_that_was_asked_for_is_predicted(tmp_path, monkeypatch, capsys):
    out, picture = tmp_path / "results", tmp_path / "me.png"
    write_image(picture, np.full((40, 30, 3), 128, np.uint8))
    monkeypatch.setattr(demo, "_train", lambda *_: None)

    def export(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        shutil.copy(shipped()["nano"], folder / "demo.tflite")

    monkeypatch.setattr(demo, "_evaluate_and_export", export)
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--picture", str(picture), "--out", str(out)])
    said = capsys.readouterr()
    assert stop.value.code == 0, said.err
    assert [path.name for path in (out / "shipped").iterdir()] == ["me_pose.jpg"]
    assert "me.png --model small" in said.out.replace("\n", "")


@pytest.mark.slow
def test_every_result_that_it_names_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "TRAINING", "stick_people:1-16")
    monkeypatch.setattr(demo, "VALIDATION", "stick_people:17-24")
    out = tmp_path / "results"
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--epochs", "1", "--out", str(out)])
    said = capsys.readouterr()
    assert stop.value.code == 0, said.err
    named = re.findall(rf"^  ({out}/\S+)  ", said.out, re.MULTILINE)
    assert [Path(path).relative_to(out).as_posix() for path in named] == [
        "run/curve.png",
        "predictions.jpg",
        "report/report.html",
        "shipped",
    ]
    assert all(Path(path).exists() for path in named)
    assert [path.stem for path in (out / "shipped").iterdir()] == ["person_pose"]
    assert len((out / "run" / "history.csv").read_text().splitlines()) == 1 + 1
    # Eight people in two rows of four.
    height, width, _ = read_image(out / "predictions.jpg").shape
    assert (height // 240, width // 240) == (2, 4)
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(out)])
    assert stop.value.code == 2
    assert "expected a new folder, found files in it" in capsys.readouterr().err
