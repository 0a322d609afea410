import json
import subprocess
import sys
from dataclasses import replace

import pytest

from tinypose import weights
from tinypose.cli.main import main
from tinypose.metadata import Metadata, read_metadata, write_metadata
from tinypose.skeletons import LSP

WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from tinypose.cli.main import main
main({arguments})
"""


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    path = tmp_path / "small.tflite"
    path.write_bytes(bytes(4000))
    metadata = Metadata(
        name="small",
        family="tiny_hourglass",
        skeleton=LSP,
        input_hw=(256, 192),
        output="keypoints",
        heatmap_hw=(64, 48),
        sigma_cells=2.0,
        refinement="dark",
        accuracy={"PCK@0.2": 47.53},
        licence="for research",
        num_parameters=21_294,
        macs=86_976_000,
    )
    write_metadata(path, metadata)
    monkeypatch.setattr(weights, "shipped", lambda: {"small": path})
    return path


def tinypose(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    output = capsys.readouterr()
    return stop.value.code, output.out, output.err


def run_without_tensorflow(*arguments):
    script = WITHOUT_TENSORFLOW.format(arguments=list(arguments))
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


def test_families_are_listed_with_their_cost(capsys):
    code, out, err = tinypose(capsys, "models")
    assert (code, err) == (0, "")
    row = next(line for line in out.splitlines() if "tiny_hourglass" in line)
    # The cost of the course's model: see the tests of export.cost.
    assert row.split() == ["tiny_hourglass", "256", "x", "256", "21,294", "116.0", "M"]


def test_shipped_models_are_listed_with_what_they_reach(shipped, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = tinypose(capsys, "models")
    assert code == 0
    row = next(line for line in out.splitlines() if "small" in line)
    for part in (
        "192 x 256",
        "21,294",
        "87.0 M",
        f"{shipped.stat().st_size / 1000:.0f} kB",
        "14, lsp",
    ):
        assert part in row
    assert "  small: PCK@0.2 47.5" in out.splitlines()


@pytest.mark.parametrize("columns", [80, 50])
def test_no_name_is_cut_where_the_terminal_is_narrow(
    shipped, capsys, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", str(columns))
    path = shipped.with_name("medium.tflite")
    path.write_bytes(bytes(2_930_000))
    costs = {"num_parameters": 2_809_876, "macs": 441 * 10**6}
    metadata = replace(read_metadata(shipped), family="conv_hourglass", **costs)
    write_metadata(path, replace(metadata, name="medium"))
    monkeypatch.setattr(weights, "shipped", lambda: {"medium": path})
    code, out, _ = tinypose(capsys, "models")
    table = out.split("Shipped")[1]
    assert code == 0 and "…" not in out
    if columns == 80:
        assert "conv_hourglass" in table and "14, lsp" in table


def test_json_holds_everything(shipped, capsys):
    code, out, err = tinypose(capsys, "models", "--json")
    assert (code, err) == (0, "")
    value = json.loads(out)
    family = next(f for f in value["families"] if f["family"] == "tiny_hourglass")
    assert family == {
        "family": "tiny_hourglass",
        "input_hw": [256, 256],
        "num_parameters": 21_294,
        "macs": 115_968_000,
    }
    assert value["shipped"] == [
        {
            "name": "small",
            "family": "tiny_hourglass",
            "input_hw": [256, 192],
            "output": "keypoints",
            "num_parameters": 21_294,
            "macs": 86_976_000,
            "file_bytes": shipped.stat().st_size,
            "skeleton": "lsp",
            "num_keypoints": 14,
            "accuracy": {"PCK@0.2": 47.53},
            "licence": "for research",
        }
    ]


def test_without_tensorflow_the_extra_is_named():
    done = run_without_tensorflow("models")
    assert done.returncode == 0
    assert "tiny_hourglass" not in done.stdout.split("Shipped")[0]
    assert done.stderr.startswith("families are not listed: ")
    assert "pip install 'tinypose[train]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_tensorflow_json_says_null():
    done = run_without_tensorflow("models", "--json")
    assert done.returncode == 0
    value = json.loads(done.stdout)
    assert value["families"] is None
    assert isinstance(value["shipped"], list)


def test_a_broken_shipped_model_is_one_line(tmp_path, capsys, monkeypatch):
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"TFL3 and nothing else")
    monkeypatch.setattr(weights, "shipped", lambda: {"broken": path})
    code, _, err = tinypose(capsys, "models")
    assert code == 1
    assert err.startswith(f"tinypose: error: {path}: expected a model that tinypose")
