"""Shipped models go by their names, everywhere in the same order."""

from pathlib import Path

import pytest

from tinypose import weights
from tinypose.cli.export_micro import is_exported
from tinypose.cli.main import main
from tinypose.cli.run_weights import open_weights
from tinypose.cli.train import weights_name
from tinypose.errors import TinyposeError, UsageError
from tinypose.inference.inputs import find_model
from tinypose.metadata import read_metadata
from tinypose.weights import SameNameWarning, is_shipped, shipped


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
