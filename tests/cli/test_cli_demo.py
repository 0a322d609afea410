"""What ``tinypose demo`` refuses before its minutes of training."""

import cv2
import numpy as np
import pytest

from tinypose.cli import demo
from tinypose.cli.main import main


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
