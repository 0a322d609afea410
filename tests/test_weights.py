"""Shipped models go by their names, everywhere in the same order."""

from pathlib import Path

import numpy as np
import pytest

from tinypose import weights
from tinypose.cli.export_micro import is_exported
from tinypose.cli.main import main
from tinypose.cli.run_weights import open_weights
from tinypose.cli.train import weights_name
from tinypose.config import find_config, load_config
from tinypose.data.stick_people import stick_people
from tinypose.errors import TinyposeError, UsageError
from tinypose.evaluation.evaluate import evaluate
from tinypose.inference.inputs import find_model
from tinypose.inference.predictor import Predictor
from tinypose.metadata import read_metadata
from tinypose.models import FAMILIES
from tinypose.skeletons import COCO
from tinypose.training.initial import load_initial_weights
from tinypose.weights import SameNameWarning, is_shipped, shipped, shipped_weights


# Measured, in per cent: 67, 69, 51 and 44.
@pytest.mark.parametrize(
    ("name", "least"), [("small", 64), ("medium", 61), ("nano", 46), ("tiny", 39)]
)
def test_shipped_files_find_drawn_people(name, least) -> None:
    people = stick_people(range(3001, 3101))
    assert evaluate(Predictor(name), people).accuracy.headline.mean > least


def test_every_shipped_file_is_tried() -> None:
    assert set(shipped()) == {"small", "medium", "nano", "tiny"}


@pytest.mark.parametrize("name", shipped_weights())
def test_weights_and_file_are_one_network(name) -> None:
    people = stick_people(range(8))
    images = [person.load_image() for person in people]
    boxes = [person.box_xywh for person in people]
    with open_weights(Path(name)) as file:
        network, shipped_file = (
            Predictor(model).predict_batch(images, boxes) for model in (file, name)
        )
    for first, second, box in zip(network, shipped_file, boxes, strict=True):
        apart = np.linalg.norm(first.keypoints_xy - second.keypoints_xy, axis=1)
        assert np.median(apart) < 0.02 * box[2:].max()


@pytest.mark.parametrize(
    ("config", "model"),
    [
        *(("small_finetune", "small"), ("nano_finetune", "nano")),
        *(("small", "small"), ("nano", "nano")),
    ],
)
def test_another_skeleton_begins_with_the_whole_shipped_network(config, model) -> None:
    changes = ["skeleton=coco", "model.num_keypoints=17"]
    values = load_config(find_config(config), changes)
    net = FAMILIES[values.family].build(values.model)
    found = load_initial_weights(net, shipped_weights()[model], COCO)
    with_weights = sum(bool(layer.weights) for layer in net.layers)
    # Of LSP's keypoints the neck and the head's top are not COCO's.
    assert (found.copied, found.widened, found.keypoints) == (with_weights, 0, 12)


@pytest.fixture
def namesakes(tmp_path, monkeypatch):
    """A working directory in which folders are named like shipped models."""
    monkeypatch.chdir(tmp_path)
    for name in ("nano", "tiny"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_shipped_name_goes_before_what_lies_here(namesakes, monkeypatch) -> None:
    place = namesakes / "nano"
    with pytest.warns(SameNameWarning, match=f"nano: the shipped .* is {place}$"):
        assert find_model("nano") == shipped()["nano"]
    with pytest.warns(SameNameWarning), open_weights(Path("nano")) as file:
        assert read_metadata(file).name == "nano"
    with pytest.warns(SameNameWarning):
        assert weights_name("--init", Path("./nano")) == "nano"
    with pytest.warns(SameNameWarning):
        assert is_exported(Path("nano"))
    # Also where it has no weights: not what another verb would take.
    monkeypatch.setattr(weights, "shipped_weights", dict)
    with (
        pytest.warns(SameNameWarning),
        pytest.raises(TinyposeError, match="found one without"),
        open_weights(Path("tiny")),
    ):
        pass
    with pytest.warns(SameNameWarning), pytest.raises(UsageError, match="--init tiny"):
        weights_name("--init", Path("tiny"))


@pytest.mark.filterwarnings("error")
def test_a_longer_path_is_what_lies_there(namesakes) -> None:
    place = namesakes / "nano"
    with pytest.raises(TinyposeError, match=r"nano: expected a training run's folder"):
        find_model(place)
    assert weights_name("--init", place) == str(place)
    with (
        pytest.raises(TinyposeError, match=r"nano: .* found another folder"),
        open_weights(place),
    ):
        pass
    assert not is_shipped(place) and is_shipped("small")


def test_the_command_line_says_once_which_was_taken(
    namesakes, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(weights, "shipped_weights", dict)
    with pytest.raises(SystemExit):
        main(["export", "tiny", "--to", "tiny.onnx"])
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("tinypose: warning: tiny: ") for line in lines] == [
        True,
        False,
    ]
