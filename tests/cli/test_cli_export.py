import errno
import hashlib
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest

from helpers.micro import needs_tflite_micro
from tinypose.cli.export_job import _with_given
from tinypose.cli.main import main
from tinypose.data.stick_people import stick_people
from tinypose.errors import TinyposeError
from tinypose.evaluation import receipt
from tinypose.export import verify
from tinypose.export.litert import run_tflite
from tinypose.export.verify import Agreement
from tinypose.images import write_image
from tinypose.inference.backends import open_backend
from tinypose.inference.predictor import Predictor
from tinypose.metadata import Metadata, read_metadata, write_metadata
from tinypose.models.weight_files import read_weights
from tinypose.origin import NOT_STATED, join_data, join_licences
from tinypose.skeletons import AI_CHALLENGER
from tinypose.weights import shipped, shipped_weights

HEATMAP_HW = (16, 12)
TWO = ("--data", "stick_people:1-2")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder whose net draws the colours as heatmaps: clear peaks."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    folder.mkdir()
    (folder / "config.yaml").write_text("family: tiny_hourglass\n")
    images = keras.Input((64, 48, 3))
    x = keras.layers.AveragePooling2D(4)(images)
    x = keras.layers.Conv2D(14, 1, kernel_initializer="random_uniform", name="maps")(x)
    net = keras.Model(images, {"heatmaps_1": keras.ops.sigmoid(20 * x)})
    weights = np.random.default_rng(0).uniform(-0.2, 0.2, (1, 1, 3, 14))
    net.get_layer("maps").set_weights([weights, np.zeros(14)])
    net.save(folder / "best.keras")
    metadata = Metadata(
        name="mine",
        family="tiny_hourglass",
        skeleton=AI_CHALLENGER,
        input_hw=(64, 48),
        output="heatmaps",
        heatmap_hw=HEATMAP_HW,
        sigma_cells=1.0,
        refinement="dark",
        training_data=("stick_people",),
        licence="Apache-2.0",
        accuracy={"PCK@0.2": 47.5},
    )
    write_metadata(folder / "best.keras", metadata)
    return folder


def tinypose(capsys, *arguments):
    """Return the exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return stop.value.code, output.out, output.err


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_run_becomes_a_complete_file(run, tmp_path, capsys):
    path = tmp_path / "mine.tflite"
    code, out, err = tinypose(capsys, "export", run, "--to", path)
    assert (code, err) == (0, "")
    wrote, same, after = out.splitlines()
    assert wrote.startswith(f"wrote {path}: ")
    assert wrote.endswith(" kB, pictures (1, 64, 48, 3) in, keypoints out")
    assert "largest 0.0" in same and "in 32 pictures" in same
    assert f"--model {path}" in after
    metadata = read_metadata(path)
    assert metadata == replace(
        read_metadata(run / "best.keras"),
        output="keypoints",
        num_parameters=3 * 14 + 14,
        macs=16 * 12 * 3 * 14,
        version=metadata.version,
    )
    assert run_tflite(path, np.zeros((1, 64, 48, 3), np.uint8)).shape == (1, 14, 3)


def test_options_change_the_file_and_its_metadata(run, tmp_path, capsys):
    path = tmp_path / "heads.tflite"
    options = ["--heads", "--batch", 3, "--name", "thine", "--licence", "CC0"]
    options += ["--refinement", "quarter", "--data", "stick_people:3-5"]
    code, out, _ = tinypose(
        capsys, "export", run / "best.keras", "--to", path, *options
    )
    assert code == 0
    assert "pictures (3, 64, 48, 3) in, heatmaps out" in out
    assert "in 3 pictures" in out
    metadata = read_metadata(path)
    assert (metadata.name, metadata.licence) == ("thine", "CC0")
    assert (metadata.output, metadata.refinement) == ("heatmaps", "quarter")
    # It was measured with the run's refinement.
    assert metadata.accuracy == {}
    heatmaps = run_tflite(path, np.zeros((3, 64, 48, 3), np.uint8))
    assert heatmaps.shape == (3, *HEATMAP_HW, 14)


def test_terms_of_the_first_weights_stay_beside_others(run, tmp_path, capsys):
    tuned, path, folder = (tmp_path / n for n in ("tuned.keras", "t.tflite", "micro"))
    keras.models.load_model(run / "best.keras").save(tuned)
    metadata = read_metadata(run / "best.keras")
    origins = metadata.as_origins()
    metadata = replace(
        metadata,
        training_data=join_data(["coco"], origins),
        licence=join_licences(NOT_STATED, origins),
        origins=origins,
    )
    write_metadata(tuned, metadata)
    options = ["--precision", "int8", "--calibrate", "stick_people:1-20"]
    code, _, err = tinypose(capsys, "export", tuned, "--to", path, *options)
    assert code == 0, err
    found = read_metadata(path)
    assert found.licence == "derived from mine: Apache-2.0"
    assert found.training_data == ("mine: stick_people", "coco")
    options = ["--target", "micro", "--license", "CC0", *TWO]
    code, _, err = tinypose(capsys, "export", path, "--to", folder, *options)
    assert code == 0, err
    terms = "CC0; derived from mine: Apache-2.0"
    assert read_metadata(folder).licence == terms
    page = (folder / "README.md").read_text()
    assert f"model: {terms}. Trained on: mine: stick_people, coco." in page
    assert _with_given(metadata, {"licence": "CC0"}).licence == terms


def test_eight_bits_need_examples_and_say_how_close_they_are(run, tmp_path, capsys):
    path = tmp_path / "mine.tflite"
    options = ["--precision", "int8", "--calibrate", "stick_people:1-20"]
    code, out, _ = tinypose(capsys, "export", run, "--to", path, *options)
    assert code == 0
    assert "in 20 pictures" in out and "95 % within" in out
    metadata = read_metadata(path)
    assert (metadata.precision, metadata.accuracy) == ("int8", {})


def test_eight_bits_need_examples_of_their_own_skeleton(run, tmp_path, capsys):
    picture = stick_people([3])[0].load_image()
    write_image(tmp_path / "crab.jpg", picture)
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 9, 90, 90]}
    person |= {"keypoints": [20, 20, 2, 40, 40, 2], "num_keypoints": 2}
    height, width = picture.shape[:2]
    image = {"id": 1, "file_name": "crab.jpg", "width": width, "height": height}
    kind = {"id": 1, "name": "crab", "keypoints": ["left_claw", "right_claw"]}
    labels = {"images": [image], "annotations": [person], "categories": [kind]}
    (tmp_path / "crabs.json").write_text(json.dumps(labels))
    path = tmp_path / "mine.tflite"
    options = ["--precision", "int8", "--calibrate", f"coco={tmp_path / 'crabs.json'}"]
    code, out, err = tinypose(capsys, "export", run, "--to", path, *options)
    assert (code, out) == (1, "")
    assert "its skeleton (left_claw, right_claw) shares no keypoint name with" in err
    assert not path.exists()


def test_eight_bits_that_disagree_are_not_written(run, tmp_path, capsys, monkeypatch):
    far = Agreement(np.array([[0.5, 1.2, 1.3]]))
    monkeypatch.setattr(verify, "compare", lambda *_: far)
    options = ["--precision", "int8", "--calibrate", "stick_people:1-2"]
    path = tmp_path / "mine.tflite"
    code, out, err = tinypose(capsys, "export", run, "--to", path, *options)
    assert (code, out) == (1, "")
    assert "within 1.0 px of the network's in the median, found 1.200 px" in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_disagrees_is_not_written(run, tmp_path, capsys, monkeypatch):
    differences = np.array([[0.01, 0.02, np.nan, 0.12]])
    monkeypatch.setattr(verify, "compare", lambda *_: Agreement(differences))
    path = tmp_path / "mine.tflite"
    code, out, err = tinypose(capsys, "export", run, "--to", path, *TWO)
    assert (code, out) == (1, "")
    assert err == (
        f"tinypose: error: {path}: not written: expected the exported keypoints "
        "within 0.1 px of the network's, found up to 0.120 px (median 0.020 px)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_compare_is_said(run, tmp_path, capsys, monkeypatch):
    nothing = Agreement(np.full((2, 14), np.nan))
    monkeypatch.setattr(verify, "compare", lambda *_: nothing)
    code, out, err = tinypose(
        capsys, "export", run, "--to", tmp_path / "mine.tflite", *TWO
    )
    assert code == 0
    assert "wrote" in out
    assert "not compared with the network: no clear peak in 2 pictures" in err


def _no_run(folder):
    return folder / "nope"


def _other_folder(folder):
    (folder / "pictures").mkdir()
    return folder / "pictures"


def _untrained_run(folder):
    (folder / "new").mkdir()
    (folder / "new" / "config.yaml").write_text("family: tiny_hourglass\n")
    return folder / "new"


def _other_file(folder):
    (folder / "model.h5").write_bytes(b"data")
    return folder / "model.h5"


def _foreign_keras_file(folder):
    (folder / "foreign.keras").write_bytes(b"no archive")
    return folder / "foreign.keras"


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        (
            _no_run,
            1,
            "shipped model with weights (nano, small, tiny), found nothing there",
        ),
        (_other_folder, 1, "(with config.yaml and best.keras), found another folder"),
        (_untrained_run, 1, "found one without best.keras; train it first"),
        (_other_file, 2, "expected a run folder or a file ending in .keras"),
        (_foreign_keras_file, 1, "found a file without its metadata"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_no_run_is_an_error(tmp_path, capsys, source, code, message):
    path = source(tmp_path)
    target = tmp_path / "out" / "model.tflite"
    found, out, err = tinypose(capsys, "export", path, "--to", target)
    assert (found, out) == (code, "")
    assert err.startswith(f"tinypose: error: {path}: ")
    assert message in err
    assert err.count("\n") == 1
    assert not target.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "mine.pt"], "expected a file name ending in .tflite, .onnx, .npz"),
        (["--to", "mine"], "and --target saved_model, micro or web, found 'no suffix'"),
        (["--to", "m.tflite", "--refinement", "drak"], "--refinement: expected none"),
        (["--to", "m.tflite", "--data", "stick_peple"], "did you mean 'stick_people'"),
        (["--to", "m.tflite", "--batch", "0"], "batch"),
        (["--to", "m.tflite", "--batch", "9999"], "batch of 1 to 1024"),
        ([], "--to"),
        (["--to", "m.npz", "--heads"], "the target weights takes no --heads"),
        (["--to", "m.tflite", "--precision", "int4"], "expected float32, float16"),
        (["--to", "m.tflite", "--precision", "int8"], "expected --calibrate NAME=PATH"),
        (
            ["--to", "m.tflite", "--calibrate", "stick_people"],
            "is for --precision int8",
        ),
        (["--to", "m.tflite", "--receipt"], "--receipt: expected --data NAME=PATH"),
        (["--to", "m.tflite", "--max-drop", "2"], "--max-drop: expected --receipt"),
        (["--to", "m.tflite", "--target", "coreml"], "--target: expected tflite, onnx"),
        (["--to", "m.tflite", "--target", "onnx"], "a name ending in .onnx for onnx"),
        (["--to", "m.onnx", "--target", "saved_model"], "expected a folder, found the"),
        (["--to", "m.onnx", "--precision", "int8"], "onnx takes no --precision"),
        (["--against", "r", *TWO, "--batch", "2"], "--against takes no --batch"),
        (["--against", "r", *TWO, "--licence", "CC0"], "against takes no --licence\n"),
        (["--against", "r", *TWO, "--name", "n"], "against takes no --name\n"),
    ],
    ids=[
        "suffix",
        "no_suffix",
        "refinement",
        "data",
        "batch_0",
        "batch_9999",
        "no_to",
        "weights",
        "precision",
        "no_calibration",
        "calibration",
        "receipt",
        "max_drop",
        "target",
        "target_suffix",
        "target_file",
        "target_option",
        "against",
        "against_licence",
        "against_name",
    ],
)
def test_wrong_usage_exits_with_2(
    run, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, out, err = tinypose(capsys, "export", run, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("owner", "function", "number", "message"),
    [
        (os, "replace", errno.ENOSPC, "the disk is full; free some space or choose"),
        (Path, "touch", errno.EACCES, "no permission; choose a folder that"),
        (Path, "touch", errno.EROFS, "the disk is read-only; choose another"),
    ],
    ids=["full", "no_permission", "read_only"],
)
def test_a_disk_that_refuses_is_one_line_and_no_file(
    run, tmp_path, capsys, monkeypatch, owner, function, number, message
):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    path = tmp_path / "mine.tflite"
    with monkeypatch.context() as patch:
        patch.setattr(owner, function, refuse)
        code, out, err = tinypose(capsys, "export", run, "--to", path, *TWO)
    assert (code, out) == (1, "")
    assert err.startswith(f"tinypose: error: cannot write {path}: {message}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="the superuser may write everywhere",
)
def test_a_folder_without_permission_is_one_line(run, tmp_path, capsys):
    tmp_path.chmod(0o500)
    code, out, err = tinypose(
        capsys, "export", run, "--to", tmp_path / "m.tflite", *TWO
    )
    assert (code, out) == (1, "")
    assert "no permission; choose a folder that you may use" in err


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("file/mine.tflite", "a file of that name is in the way"),
        ("folder.tflite", "it is a folder, not a file"),
    ],
)
def test_a_target_that_cannot_be_a_file_is_one_line(
    run, tmp_path, capsys, target, message
):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.tflite").mkdir()
    code, out, err = tinypose(capsys, "export", run, "--to", tmp_path / target, *TWO)
    assert (code, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.tflite"]


def test_ctrl_c_during_the_export_leaves_no_file(run, tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "compare", interrupted)
    code, out, _ = tinypose(
        capsys, "export", run, "--to", tmp_path / "mine.tflite", *TWO
    )
    assert (code, out) == (130, "")
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_do_not_load_stop_before_anything_is_written(
    run, tmp_path, capsys, monkeypatch
):
    from tinypose.data import sources

    sample = sources.load_data(["stick_people:1-1"])[0]
    missing = replace(sample, picture=Path("missing.jpg"))
    monkeypatch.setattr(sources, "load_data", lambda *_, **__: [missing])
    code, out, err = tinypose(
        capsys, "export", run, "--to", tmp_path / "m.tflite", *TWO
    )
    assert (code, out) == (TinyposeError.exit_code, "")
    assert "missing.jpg: expected a picture, found no such file" in err
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_file_and_a_saved_model_are_written_too(run, tmp_path, capsys):
    pytest.importorskip("tf2onnx", reason="needs the extra [onnx]")
    for name, options in [
        ("mine.onnx", ()),
        ("served", ("--target", "saved_model")),
    ]:
        path = tmp_path / name
        code, out, err = tinypose(
            capsys, "export", run, "--to", path, *options, *TWO, "--licence", "CC0"
        )
        assert (code, err) == (0, "")
        assert f"wrote {path}: " in out and "keypoints out" in out
        assert open_backend(path).metadata.licence == "CC0"
        picture = tmp_path / "black.png"
        cv2.imwrite(str(picture), np.zeros((80, 60, 3), np.uint8))
        code, out, _ = tinypose(
            capsys, "predict", picture, "--model", path, "--json", "-"
        )
        assert code == 0


def test_a_receipt_is_measured_written_and_measured_again(run, tmp_path, capsys):
    path = tmp_path / "mine.tflite"
    people = ("--data", "stick_people:1-12")
    eight_bits = ("--precision", "int8", "--calibrate", "stick_people:13-30")
    code, out, _ = tinypose(
        capsys,
        *("export", run, "--to", path, *eight_bits),
        *("--receipt", *people, "--max-drop", 100),
    )
    assert code == 0
    assert "receipt on stick_people 1-12, 12 people, LiteRT" in out
    written = json.loads((tmp_path / "mine.tflite.receipt.json").read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (written["file"], written["file_sha256"]) == ("mine.tflite", digest)
    inside = dict(read_metadata(path).receipt)
    assert {key: written[key] for key in inside} == inside
    layers = written["layers"]
    assert {"layer", "part", "percent", "p95_px"} == set(layers[0])
    assert "maps" in {layer["layer"] for layer in layers}
    code, out, _ = tinypose(
        capsys, "export", path, "--against", run, "--data", "stick_people:1-5"
    )
    assert code == 0 and "5 people" in out
    assert read_metadata(path).receipt["num_people"] == 5


@pytest.mark.parametrize(
    ("named", "code", "found"),
    [
        ("run", 2, "found another folder; name the run with --against"),
        ("run/best.keras", 2, "found '.keras'; name the run with --against"),
        ("weights.npz", 2, "found '.npz'; name the run with --against"),
        ("nano", 2, "found the name of a shipped model, which stays as it is"),
        ("nothing.tflite", 1, "expected an exported file, found nothing there"),
    ],
    ids=["run", "keras", "weights", "shipped", "nothing"],
)
def test_a_receipt_is_written_into_nothing_but_an_exported_file(
    run, tmp_path, capsys, monkeypatch, named, code, found
):
    shutil.copytree(run, tmp_path / "run")
    shutil.copy(shipped_weights()["nano"], tmp_path / "weights.npz")
    monkeypatch.chdir(tmp_path)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept.append(shipped()["nano"])
    before = {path: path.read_bytes() for path in kept}
    for source in ("run", "nano"):
        command = ("export", named, "--against", source, *TWO)
        stopped, out, err = tinypose(capsys, *command)
        assert (stopped, out) == (code, "")
        assert err.startswith(f"tinypose: error: {named}: expected an exported file")
        assert found in err and err.count("\n") == 1
    assert {path: path.read_bytes() for path in kept} == before
    assert files_in(tmp_path) == ["run", "weights.npz"]


def test_a_shipped_model_with_weights_is_exported_like_a_run(tmp_path, capsys):
    path = tmp_path / "nano.tflite"
    code, out, err = tinypose(capsys, "export", "nano", "--to", path, *TWO)
    assert (code, err) == (0, "") and "keypoints out" in out
    metadata = read_metadata(path)
    assert (metadata.name, metadata.precision) == ("nano", "float32")
    # The shipped file is the same network in eight bits.
    (person,) = stick_people([1])
    picture, box = person.load_image(), person.box_xywh
    found, shipped = (Predictor(model)(picture, box) for model in (path, "nano"))
    apart = np.linalg.norm(found.keypoints_xy - shipped.keypoints_xy, axis=1)
    assert np.median(apart) < 0.02 * box[2:].max()
    code, out, _ = tinypose(
        capsys, "export", path, "--against", "nano", "--data", "stick_people:1-4"
    )
    assert code == 0 and "4 people" in out


def test_weights_alone_become_the_network_again(tmp_path, capsys):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    assert tinypose(capsys, "export", "nano", "--to", first)[0] == 0
    quarter = ("--refinement", "quarter")
    assert tinypose(capsys, "export", first, "--to", second, *quarter)[0] == 0
    assert read_metadata(first).accuracy and not read_metadata(second).accuracy
    before, after = read_weights(shipped_weights()["nano"]), read_weights(second)
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert all(map(np.array_equal, values, after[name]))


def test_weights_of_another_network_are_refused(tmp_path, capsys):
    path = tmp_path / "other.npz"
    metadata = read_metadata(shipped_weights()["nano"])
    with open(path, "wb") as file:
        np.savez(file, **{"stem/0": np.zeros(3, np.float16)})
    write_metadata(path, metadata)
    code, _, err = tinypose(capsys, "export", path, "--to", tmp_path / "m.tflite")
    assert code == 1 and "expected weights of the conv_hourglass in its" in err
    assert err.count("\n") == 1 and files_in(tmp_path) == ["other.npz"]


@pytest.mark.parametrize(
    "kind", [pytest.param("tflite", id="file"), pytest.param("micro", id="repacked")]
)
def test_a_receipt_does_not_outlive_its_file(run, tmp_path, capsys, kind):
    path = tmp_path / ("mine.tflite" if kind == "tflite" else "firmware")
    stale = tmp_path / f"{path.name}.receipt.json"
    stale.write_text("{}")
    if kind == "micro":
        eight_bits = ("--precision", "int8", "--calibrate", "stick_people:1-12")
        file = tmp_path / "int8.tflite"
        tinypose(capsys, "export", run, "--to", file, *eight_bits, *TWO)
        arguments = (file, "--to", path, "--target", "micro")
    else:
        arguments = (run, "--to", path)
    code, out, _ = tinypose(capsys, "export", *arguments, *TWO)
    assert code == 0 and f"removed {stale}, which was of the file before" in out
    assert path.exists() and not stale.exists()


def test_another_backend_is_one_line_before_the_work(
    run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    path = tmp_path / "mine.onnx"
    code, out, err = tinypose(capsys, "export", run, "--to", path, "--data", "nothing")
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert "found Keras on torch; set KERAS_BACKEND=tensorflow" in err


@pytest.mark.parametrize(
    ("precision", "others"),
    [("int8", "float16"), ("int8_per_tensor", "int8 or float16")],
)
def test_a_file_that_loses_too_much_is_not_written(
    run, tmp_path, capsys, monkeypatch, precision, others
):
    def measured(path, *_):
        found = {"change": -3.24, "pck": 76.76, "network_pck": 80.0, "data": "some"}
        found |= {"num_people": 60, "change_low": -5.55, "change_high": -1.04}
        return SimpleNamespace(**found, pck_unit="torso", lines=list)

    monkeypatch.setattr(receipt, "make_receipt", measured)
    path = tmp_path / "mine.tflite"
    options = ["--precision", precision, "--calibrate", "stick_people:1-4"]
    code, out, err = tinypose(
        capsys, "export", run, "--to", path, *options, "--receipt", *TWO
    )
    assert code == 1
    assert "wrote" not in out
    assert f"who lose, try --precision {others}, or fine-tune" in err
    assert (
        f"{path}: not written: expected at most 1 points of PCK@0.2 lost on some, "
        "found 3.2 (76.8 % against the network's 80.0 %; 95 % interval on 60 people: "
        "1.0 to 5.5); most changed by " in err
    )
    assert " of maps " in err and "--max-drop" in err
    assert list(tmp_path.iterdir()) == []


def test_a_shipped_model_is_not_calibrated_on_a_run_of_its_name(
    run, tmp_path, capsys, monkeypatch
):
    shutil.copytree(run, tmp_path / "nano")
    monkeypatch.chdir(tmp_path)
    command = ("export", "nano", "--to", "n.tflite", "--precision", "int8")
    code, _, err = tinypose(capsys, *command)
    assert code == 2 and "expected --calibrate NAME=PATH" in err


def test_the_run_s_own_data_calibrate(run, tmp_path, capsys):
    record = {"data": ["stick_people:1-9"], "validation": [], "limit": None}
    record |= {"init": None, "fingerprint": "", "left_out": []}
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "run.json").write_text(json.dumps(record))
    path = tmp_path / "mine.tflite"
    code, out, _ = tinypose(capsys, "export", copy, "--to", path, "--precision", "int8")
    assert code == 0
    assert "in 9 pictures" in out
    assert read_metadata(path).precision == "int8"


def test_a_folder_for_a_microcontroller_comes_from_a_run_or_a_file(
    run, tmp_path, capsys
):
    calibrate = ("--calibrate", "stick_people:1-20")
    folder = tmp_path / "micro"
    code, out, _ = tinypose(
        capsys,
        *("export", run, "--to", folder, "--target", "micro", *calibrate),
        *TWO,
    )
    # This network ends in an operator that microcontrollers' runtimes have.
    assert code == 0
    assert f"wrote {folder}: C sources" in out and "LOGISTIC" in out
    assert f"next:  make -C {folder}" in out
    report = json.loads((folder / "report.json").read_text())
    assert (folder / "mine_model.c").stat().st_size > report["model_bytes"]
    assert read_metadata(folder / "mine.tflite").name == "mine"
    # Again, from the int8 file; under another name.
    again = tmp_path / "again"
    options = ("--target", "micro", "--name", "thine", "--licence", "CC0", *TWO)
    code, out, _ = tinypose(
        capsys, "export", folder / "mine.tflite", "--to", again, *options
    )
    assert code == 0
    assert (again / "thine_model.h").exists()
    assert read_metadata(folder).licence == "Apache-2.0"
    assert read_metadata(again).licence == "CC0"
    code, out, err = tinypose(
        capsys,
        *("export", folder / "mine.tflite", "--to", again),
        *("--target", "micro", *calibrate),
    )
    assert code == 2 and "an exported file takes no --calibrate" in err


def test_a_folder_may_be_the_one_that_the_user_stands_in(
    run, tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "firmware"
    folder.mkdir()
    stale = tmp_path / "firmware.receipt.json"
    stale.write_text("{}")
    monkeypatch.chdir(folder)
    command = ("export", "nano", "--to", ".", "--target", "micro", *TWO)
    for _ in range(2):  # an earlier export is replaced
        code, out, _ = tinypose(capsys, *command)
        assert code == 0 and f"next:  make -C {folder} " in out
        assert not stale.exists()
        assert (Path() / "report.json").is_file()
    assert files_in(tmp_path) == ["firmware"]
    code, out, err = tinypose(
        capsys, "export", run, "--to", ".", "--target", "saved_model", *TWO
    )
    assert code == 2 and err.startswith(f"tinypose: error: {folder}: expected ")


def test_a_folder_that_the_user_stands_in_gets_its_receipt(
    run, tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.chdir(folder)
    command = ("export", run, "--to", ".", "--target", "saved_model", *TWO)
    code, _, err = tinypose(capsys, *command)
    assert code == 0, err
    code, out, err = tinypose(capsys, "export", ".", "--against", run, *TWO)
    assert code == 0 and "2 people" in out, err
    written = json.loads((tmp_path / "served.receipt.json").read_text())
    assert (written["file"], written["num_people"]) == ("served", 2)
    assert read_metadata(folder).receipt["num_people"] == 2


@needs_tflite_micro
def test_a_microcontroller_s_folder_has_a_receipt_of_its_own(run, tmp_path, capsys):
    """Measured in its own runtime, decoded as its C decoder does."""
    folder = tmp_path / "micro"
    command = ("export", run, "--to", folder, "--target", "micro", "--receipt")
    people = ("--calibrate", "stick_people:1-20", "--data", "stick_people:1-6")
    options = (*people, "--max-drop", 100)
    for _ in range(2):  # an earlier export is replaced
        code, out, _ = tinypose(capsys, *command, *options)
        assert code == 0
        assert "receipt on stick_people 1-6, 6 people, TensorFlow Lite Micro" in out
    written = json.loads((tmp_path / "micro.receipt.json").read_text())
    report = json.loads((folder / "report.json").read_text())
    metadata = read_metadata(folder)
    assert written["runtime"] == metadata.receipt["runtime"] == report["runtime"]
    assert metadata.refinement == "quarter"
    assert written["file_bytes"] == report["model_bytes"]
    assert written["peak_memory_bytes"] == report["arena_bytes"]
    code, out, _ = tinypose(
        capsys, "export", folder, "--against", run, "--data", "stick_people:1-3"
    )
    assert code == 0 and "3 people, TensorFlow Lite Micro" in out
    assert read_metadata(folder).receipt["num_people"] == 3


def test_without_the_interpreter_it_gets_none(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    code, _, err = tinypose(
        capsys,
        *("export", run, "--to", tmp_path / "micro", "--target", "micro"),
        *("--receipt", *TWO),
    )
    assert code == 1 and "--receipt: running it as a microcontroller does" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_shipped_weights_become_a_folder_for_microcontrollers(tmp_path, capsys):
    """``tiny`` ships in float32: it is exported anew, as a run would be."""
    options = ["--to", tmp_path / "firmware", "--target", "micro"]
    code, _, err = tinypose(capsys, "export", "tiny", *options)
    assert code == 2 and "--target micro: expected --calibrate NAME=PATH" in err
    given = ["--calibrate", "stick_people:1-20", "--data", "stick_people:21-24"]
    code, out, err = tinypose(capsys, "export", "tiny", *options, *given)
    assert code == 0, err
    assert "before the C decoder, which moves peaks by quarter cells" in out
    assert (tmp_path / "firmware" / "tinypose_decode.c").exists()
    metadata = read_metadata(tmp_path / "firmware")
    assert (metadata.name, metadata.precision) == ("tiny", "int8")
