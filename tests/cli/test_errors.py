"""What users get wrong, one by one: one line, an exit code, nothing half-written."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tinypose.cli import main as cli
from tinypose.config import apply_overrides, save_config
from tinypose.weights import shipped

TINY = shipped()["tiny"]


def picture(folder: Path) -> Path:
    path = folder / "photo.png"
    cv2.imwrite(str(path), np.full((60, 40, 3), 120, np.uint8))
    return path


def truncated_model(folder: Path) -> str:
    path = folder / "cut.tflite"
    path.write_bytes(TINY.read_bytes()[:5000])
    return str(path)


def foreign_model(folder: Path) -> str:
    path = folder / "foreign.tflite"
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(2000))
    return str(path)


def text_model(folder: Path) -> str:
    path = folder / "text.keras"
    path.write_text("not a model")
    return str(path)


def text_video(folder: Path) -> str:
    path = folder / "clip.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(100))
    return str(path)


def text_picture(folder: Path) -> str:
    path = folder / "text.jpg"
    path.write_text("not a picture")
    return str(path)


def truncated_picture(folder: Path) -> str:
    whole = picture(folder).read_bytes()
    path = folder / "cut.png"
    path.write_bytes(whole[: len(whole) // 2])
    return str(path)


def huge_picture(folder: Path) -> str:
    # A header that promises 30,000 x 30,000 pixels in a few bytes.
    path = folder / "huge.bmp"
    header = b"BM" + bytes(8) + b"\x36\0\0\0\x28\0\0\0"
    size = (30_000).to_bytes(4, "little") * 2
    path.write_bytes(header + size + b"\x01\0\x18\0" + bytes(200))
    return str(path)


def empty_folder(folder: Path) -> str:
    (folder / "empty").mkdir()
    return str(folder / "empty")


def labels(folder: Path, text: str) -> str:
    path = folder / "labels.json"
    path.write_text(text)
    return f"coco={path}"


def no_people(folder: Path) -> str:
    category = {"id": 1, "name": "person", "keypoints": ["nose"]}
    value = {"images": [], "annotations": [], "categories": [category]}
    return labels(folder, json.dumps(value))


def other_skeleton(folder: Path) -> str:
    picture(folder)
    category = {"id": 1, "name": "hand", "keypoints": ["thumb", "palm"]}
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}
    person |= {"keypoints": [3, 3, 2, 5, 5, 2], "num_keypoints": 2}
    image = {"id": 1, "file_name": "photo.png"}
    value = {"images": [image], "annotations": [person], "categories": [category]}
    return labels(folder, json.dumps(value))


def lsp(folder: Path, content: bytes) -> str:
    (folder / "images").mkdir()
    (folder / "joints.mat").write_bytes(content)
    return f"lsp={folder}"


def config(folder: Path, text: str) -> list[str]:
    path = folder / "c.yaml"
    path.write_text(text)
    return ["train", str(path), "--data", "stick_people:1-4", "--out", f"{folder}/run"]


def predict(source: Callable[[Path], object], *more: str):
    return lambda folder: ["predict", str(source(folder)), *more]


def with_model(model: Callable[[Path], str]):
    return lambda folder: ["predict", str(picture(folder)), "--model", model(folder)]


def evaluate(data: Callable[[Path], str]):
    return lambda folder: [
        *["evaluate", "tiny", "--data", data(folder)],
        *["--out", str(folder / "report")],
    ]


CASES = {
    "picture: missing": (predict(lambda f: f / "no.jpg"), 1, "no.jpg"),
    "picture: text": (predict(text_picture), 1, "expected a picture"),
    "picture: truncated": (predict(truncated_picture), 1, "cut.png"),
    "picture: huge": (predict(huge_picture), 1, "megapixels"),
    "picture: empty folder": (predict(empty_folder), 1, "empty"),
    "picture: box of text": (predict(picture, "--box", "1,2,x,4"), 2, "--box"),
    "picture: box elsewhere": (predict(picture, "--box", "900,900,9,9"), 1, "box"),
    "video: no frames": (predict(text_video), 1, "clip.mp4"),
    "model: missing": (with_model(lambda f: "no.tflite"), 1, "no.tflite"),
    "model: misspelt": (with_model(lambda f: "tyny"), 1, "did you mean 'tiny'"),
    "model: truncated": (with_model(truncated_model), 1, "cut.tflite"),
    "model: foreign": (with_model(foreign_model), 1, "foreign.tflite"),
    "model: text": (with_model(text_model), 1, "text.keras"),
    "model: empty folder": (with_model(empty_folder), 1, "best.keras"),
    "data: missing": (evaluate(lambda f: f"coco={f}/no.json"), 1, "no.json"),
    "data: truncated json": (evaluate(lambda f: labels(f, '{"a": [')), 1, "truncated"),
    "data: other json": (evaluate(lambda f: labels(f, "3")), 1, "labels.json"),
    "data: empty": (evaluate(no_people), 1, "labels.json"),
    "data: other skeleton": (evaluate(other_skeleton), 1, "thumb"),
    "data: truncated mat": (evaluate(lambda f: lsp(f, bytes(300))), 1, "joints.mat"),
    "data: unknown kind": (evaluate(lambda f: "lspp=x"), 2, "did you mean 'lsp"),
    "config: missing": (
        lambda f: ["train", f"{f}/no.yaml", "--data", "stick_people", "--out", "r"],
        1,
        "no.yaml",
    ),
    "config: not yaml": (lambda f: config(f, "a: ["), 1, "does not parse"),
    "config: unknown key": (lambda f: config(f, "epochs: 3"), 2, "unknown key epochs"),
    "export: missing run": (
        lambda f: ["export", f"{f}/no", "--to", f"{f}/a.tflite"],
        1,
        "nothing there",
    ),
    "export: wrong suffix": (
        lambda f: ["export", f"{f}", "--to", f"{f}/a.pt"],
        2,
        ".tflite",
    ),
    "option: empty source": (lambda f: ["predict", ""], 2, "an empty one"),
    "option: unknown": (lambda f: ["predict", "a.jpg", "--modle", "x"], 2, "--modle"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_nothing_half_written(name: str, tmp_path, capfd) -> None:
    make, code, message = CASES[name]
    arguments = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    err = capfd.readouterr().err
    assert stopped.value.code == code, err
    assert message in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    assert sorted(tmp_path.rglob("*")) == before


def convertible(name: str, image: np.ndarray):
    def make(folder: Path) -> Path:
        path = folder / name
        cv2.imwrite(str(path), image)
        return path

    return make


@pytest.mark.parametrize(
    "source",
    [
        convertible("grey.png", np.full((70, 50), 99, np.uint8)),
        convertible("deep.png", np.full((70, 50, 3), 9999, np.uint16)),
        convertible("glass.png", np.full((70, 50, 4), 99, np.uint8)),
        convertible("point.png", np.full((1, 1, 3), 99, np.uint8)),
        convertible("line.png", np.full((2, 900, 3), 99, np.uint8)),
    ],
    ids=["grey", "16-bit", "transparent", "one pixel", "very wide"],
)
def test_unusual_pictures_work(source, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["predict", str(source(tmp_path)), "--save", str(tmp_path / "out")])
    assert stopped.value.code == 0, capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize("option", ["--save", "--json", "--csv"])
def test_a_full_disk_leaves_nothing(option, tmp_path, capfd, monkeypatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = picture(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    target = out if option == "--save" else out / "poses"
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["predict", str(source), option, str(target)])
    err = capfd.readouterr().err
    assert stopped.value.code == 1
    assert "disk is full" in err
    assert "Traceback" not in err
    assert list(out.iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_while_training_keeps_the_run(tmp_path, capfd, monkeypatch) -> None:
    overrides = ["model.input_hw=[32, 32]", "model.channels=4", "model.depth=1"]
    overrides += ["training.epochs=2", "training.batch_size=4"]
    overrides += ["skeleton=ai_challenger", "training.checkpoint_seconds=0"]
    save_config(tmp_path / "c.yaml", apply_overrides({}, overrides, "test"))
    run = tmp_path / "run"
    arguments = [str(tmp_path / "c.yaml"), "--data", "stick_people:1-12"]
    replace, calls = os.replace, []

    def full(source: str, target: str) -> None:
        if Path(target).name == "checkpoint.npz":
            calls.append(target)
            if len(calls) > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(SystemExit) as stopped:
            cli.main(["train", *arguments, "--out", str(run)])
    assert stopped.value.code == 1
    assert "disk is full" in capfd.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--resume", str(run)])
    assert stopped.value.code == 0
    assert (run / "best.keras").exists()
