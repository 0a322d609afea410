"""README: its commands and examples run as written."""

import json
import re
import shlex
from pathlib import Path

import cv2
import pytest

from tinypose.cli import main as cli
from tinypose.data.stick_people import stick_people
from tinypose.images import write_image
from tinypose.skeletons import COCO, Skeleton

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Training as written takes hours: the same command with a small net.
SHRINK = [
    "--set=training.epochs=1",
    "--set=training.batch_size=4",
    "--set=model.input_hw=[32, 32]",
    "--set=model.channels=[8, 8]",
    "--set=model.encoder_blocks=[0, 1]",
    "--set=model.decoder_convs=[1]",
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = re.findall(r"^    (.+)$", README, re.MULTILINE)
    return [line for line in lines if not line.startswith("make ")]


def write_coco(folder: Path, name: str, numbers: range) -> None:
    """Write drawn people as pictures and COCO-style labels."""
    images, annotations = [], []
    for sample in stick_people(numbers):
        person = sample.with_skeleton(COCO)
        number = len(images) + 1
        file = f"{name}_{number}.png"
        write_image(folder / file, sample.load_image())
        images.append({"id": number, "file_name": file})
        values = [
            value
            for (x, y), flag in zip(person.keypoints_xy, person.visible, strict=True)
            for value in (float(x), float(y), int(flag))
        ]
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [float(v) for v in person.box_xywh],
                "area": float(person.area or 1),
                "keypoints": values,
                "num_keypoints": int((person.visible > 0).sum()),
            }
        )
    category = {"id": 1, "name": "person", "keypoints": list(COCO.names)}
    labels = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / f"{name}.json").write_text(json.dumps(labels))


@pytest.mark.slow
def test_the_commands_run_in_order(tmp_path: Path, monkeypatch) -> None:
    write_coco(tmp_path, "labels", range(1, 15))
    photo = next(iter(stick_people([77]))).load_image()
    write_image(tmp_path / "photo.jpg", photo)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    # A network after one epoch, with hardly a peak, may move any distance.
    monkeypatch.setattr("tinypose.export.verify.MAX_MEDIAN_QUANTISED", 99.0)
    # Of the shipped network hardly a layer fits one so small.
    monkeypatch.setattr("tinypose.training.initial.LEAST_SHARE", 0.0)
    verbs = []
    for command in commands():
        program, *words = shlex.split(command)
        if program == "pip":
            assert words[0] == "install"
            continue
        assert program == "tinypose", command
        verbs.append(words[0])
        if words[0] == "train":
            words += SHRINK
        if "--receipt" in words:
            # A network after one epoch may lose anything.
            words.append("--max-drop=100")
        with pytest.raises(SystemExit) as stopped:
            cli.main(words)
        assert stopped.value.code == 0, command
    assert verbs == (
        "predict data data data data train evaluate export predict".split()
        + 4 * ["export"]
    )
    drawn = cv2.imread("predictions/photo_pose.jpg")
    assert drawn.shape[0] * photo.shape[1] == drawn.shape[1] * photo.shape[0]
    assert Path("mine.tflite").stat().st_size > 1000
    assert json.loads(Path("mine.tflite.receipt.json").read_text())["num_people"] == 3
    assert Path("firmware/nano_model.c").exists()
    assert Path("site/index.html").exists()
    run_deploying_examples()


def run_deploying_examples() -> None:
    """Run the Python of docs/deploy.md on the files that are here."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        names: dict = {}
        exec(compile(example, "docs/deploy.md", "exec"), names)
        assert names["keypoints"].shape == (1, 17, 3)


def test_the_python_example_runs(tmp_path: Path, monkeypatch, capsys) -> None:
    write_image(tmp_path / "photo.jpg", next(iter(stick_people([3]))).load_image())
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    x, y, score = map(float, capsys.readouterr().out.strip("()\n").split(","))
    assert -200 < x < 400 and -200 < y < 400 and 0 <= score <= 1


def test_the_skeleton_example_loads() -> None:
    import yaml

    (example,) = blocks("yaml")
    skeleton = Skeleton.from_dict(yaml.safe_load(example))
    assert skeleton.num_keypoints == 4


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)$", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_shipped_model_has_a_card_and_measured_figures() -> None:
    import csv

    from tinypose.metadata import read_metadata
    from tinypose.weights import shipped

    with open(ROOT / "results" / "shipped.csv") as file:
        rows = {(r["model"], r["flip_test"]): r for r in csv.DictReader(file)}
    assert shipped()
    for name, path in shipped().items():
        row = rows[name, "no"]
        card = path.with_suffix(".md").read_text(encoding="utf-8")
        assert f"{row['pck_0.2']} %" in card
        assert f"{rows[name, 'yes']['pck_0.2']} %" in card
        assert path.stat().st_size == int(row["file_bytes"]) < 3_000_000
        metadata = read_metadata(path)
        assert metadata.name == name
        assert metadata.num_parameters == int(row["parameters"])
        # What the file says of itself is what was measured on it.
        measured = metadata.accuracy[f"PCK@0.2 on {row['data']}"]
        assert f"{measured:.1f}" == row["pck_0.2"]
        receipt = metadata.receipt
        if receipt:
            assert receipt["data"] == row["data"]
            assert f"{receipt['pck']:.1f}" == row["pck_0.2"]


def test_every_shipped_file_says_what_a_user_may_and_should_know() -> None:
    from tinypose.metadata import Metadata, read_metadata
    from tinypose.weights import shipped, shipped_weights

    for path in (*shipped().values(), *shipped_weights().values()):
        metadata = read_metadata(path)
        assert metadata.licence not in ("", Metadata.licence), path
        # Prediction judges by it whether somebody is there.
        assert metadata.usual_score > 0, path
