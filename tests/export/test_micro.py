"""Networks for microcontrollers compute there what LiteRT does."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from helpers.micro import (
    HW,
    array_of,
    conv_net,
    int8_file,
    macro,
    needs_tflite_micro,
    stick_crops,
)
from tinypose.errors import TinyposeError, UsageError
from tinypose.export import micro
from tinypose.export.litert import run_tflite
from tinypose.export.micro import export_micro
from tinypose.export.micro_model import SUPPORTED, resolver_method
from tinypose.export.micro_run import run_micro
from tinypose.export.tflite import export_tflite
from tinypose.inference.backends import open_backend
from tinypose.inference.footprint import measure_footprint
from tinypose.metadata import read_metadata, write_metadata
from tinypose.micro_interpreter import input_values


@pytest.fixture(scope="module")
def crops():
    return stick_crops()


@pytest.fixture(scope="module")
def models(hourglass, metadata, tmp_path_factory):
    """Files in int8 of two families: heads, and one that is complete."""
    folder = tmp_path_factory.mktemp("models")
    conv = conv_net()
    int8_file(hourglass, metadata, folder / "tiny_hourglass.tflite")
    int8_file(conv, metadata, folder / "conv_hourglass.tflite")
    int8_file(conv, metadata, folder / "complete.tflite", heads=False)
    return folder


@pytest.fixture(scope="module")
def exported(models, crops, tmp_path_factory):
    """The folder of a conv_hourglass and its report."""
    folder = tmp_path_factory.mktemp("exported") / "micro"
    return folder, export_micro(models / "conv_hourglass.tflite", folder, crops)


@needs_tflite_micro
@pytest.mark.parametrize("family", ["tiny_hourglass", "conv_hourglass"])
def test_tflite_micro_computes_what_litert_does(models, crops, tmp_path, family):
    report = export_micro(models / f"{family}.tflite", tmp_path / "micro", crops)
    # Measured: equal everywhere, for both round alike.
    assert report.largest_difference <= 1
    assert report.equal > 0.99
    assert 16 * 12 * 3 < report.arena_bytes < 200_000
    assert macro(report.folder, "ARENA_BYTES") == report.arena_bytes


@needs_tflite_micro
def test_the_array_computes_what_the_exported_file_does(exported, models, crops):
    """Maps of the C array and of the whole file in LiteRT, as real values."""
    folder, report = exported
    run = run_micro(array_of(folder), input_values(crops))
    steps = run.outputs.astype(np.float64) - report.output.zero_point
    maps = steps * report.output.scale
    expected = run_tflite(models / "conv_hourglass.tflite", crops)
    assert np.std(expected) > 10 * report.output.scale
    # LiteRT's fast kernels round some products the other way, here and there in
    # each layer: measured 0.5 steps in the mean, 5 at most.
    differences = np.abs(maps - expected) / report.output.scale
    assert differences.mean() < 1
    assert differences.max() < 10


@needs_tflite_micro
def test_the_folder_is_a_model_that_runs_as_on_a_board(exported, crops):
    """Its heatmaps are those of the C array, as real values, for any batch."""
    folder, report = exported
    backend = open_backend(folder)
    steps = run_micro(array_of(folder), input_values(crops)).outputs
    expected = (steps.astype(np.float64) - report.output.zero_point) * (
        report.output.scale
    )
    np.testing.assert_allclose(backend(crops), expected, rtol=1e-6)
    assert backend(crops[:0]).shape == (0, 16, 12, 3)
    assert backend.runtime == report.runtime
    assert backend.runtime.startswith("TensorFlow Lite Micro ")
    footprint = measure_footprint(folder)
    assert footprint.file_bytes == report.model_bytes
    assert footprint.peak_memory_bytes == report.arena_bytes


@needs_tflite_micro
def test_a_folder_that_was_changed_is_one_line(exported, tmp_path):
    folder = tmp_path / "micro"
    shutil.copytree(exported[0], folder)
    file = folder / "test.tflite"
    metadata = read_metadata(file)
    file.write_bytes(file.read_bytes()[:5000])
    write_metadata(file, metadata)
    with pytest.raises(TinyposeError, match="is the file damaged") as error:
        open_backend(folder)
    assert "\n" not in str(error.value)
    file.unlink()
    with pytest.raises(TinyposeError, match=r"test\.tflite: expected a model file"):
        open_backend(folder)


def test_without_the_interpreter_a_folder_does_not_run(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    with pytest.raises(TinyposeError, match="run  pip install tflite-micro"):
        open_backend(exported[0])


def test_the_file_beside_it_computes_the_very_same(exported, models, crops):
    folder, report = exported
    interpreter = Interpreter(str(folder / "test.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    assert source["dtype"] == target["dtype"] == np.int8
    for crop, value in zip(crops, input_values(crops), strict=True):
        interpreter.set_tensor(source["index"], value[None])
        interpreter.invoke()
        steps = interpreter.get_tensor(target["index"]).astype(np.float32)
        found = (steps - report.output.zero_point) * np.float32(report.output.scale)
        expected = run_tflite(models / "conv_hourglass.tflite", crop[None])
        np.testing.assert_array_equal(found, expected)


def test_a_complete_file_gives_the_same_network(exported, models, crops, tmp_path):
    report = export_micro(models / "complete.tflite", tmp_path / "micro", crops)
    assert array_of(report.folder) == array_of(exported[0])


def test_an_export_can_be_exported_again(exported, crops, tmp_path):
    again = export_micro(exported[0] / "test.tflite", tmp_path / "again", crops)
    assert array_of(again.folder) == array_of(exported[0])


def test_only_what_a_run_needs_is_in_the_array(exported, models):
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    data = array_of(exported[0])
    assert exported[1].model_bytes == len(data) == macro(exported[0], "MODEL_BYTES")
    # Measured 8.3 against 14.3 kB.
    assert len(data) < 0.7 * (models / "conv_hourglass.tflite").stat().st_size
    assert b"tinypose.json" not in data
    model = schema.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    assert all(graph.Tensors(i).Name() is None for i in range(graph.TensorsLength()))
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert len(starts) > 10
    assert not any(start % 16 for start in starts)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_what_was_built_here_is_built_anew_for_a_board(exported, tmp_path):
    folder = tmp_path / "micro"
    shutil.copytree(exported[0], folder)

    def make(*arguments):
        return subprocess.run(
            ["make", "-C", str(folder), *arguments], capture_output=True, text=True
        )

    assert make("board").returncode == 0
    assert " -c " not in make("board").stdout
    assert make("board", "CFLAGS=-DX='(1)'").returncode == 0
    again = make("board", "CFLAGS=-Os")
    assert again.returncode == 0 and "-Os" in again.stdout
    # No such compiler: what the other one made does not pass for its work.
    assert make("board", "CC=no-such-compiler").returncode != 0


def test_the_operators_are_the_resolver_s(exported):
    folder, report = exported
    assert report.operators == (
        *("ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "RESIZE_NEAREST_NEIGHBOR"),
    )
    header = (folder / "test_model.h").read_text(encoding="utf-8")
    assert re.findall(r"\(resolver\)\.(\w+)\(\)", header) == (
        ["AddAdd", "AddConv2D", "AddDepthwiseConv2D", "AddResizeNearestNeighbor"]
    )
    assert macro(folder, "NUM_OPERATORS") == 4


def test_a_network_per_tensor_runs_too(metadata, crops, tmp_path):
    path = tmp_path / "model.tflite"
    int8_file(conv_net(), metadata, path, precision="int8_per_tensor")
    interpreter = Interpreter(str(path))
    scales = [
        len(tensor["quantization_parameters"]["scales"])
        for tensor in interpreter.get_tensor_details()
    ]
    assert max(scales) == 1
    report = export_micro(path, tmp_path / "micro", crops)
    assert report.runtime is None or report.largest_difference in (0, 1)


def test_without_the_interpreter_the_arena_is_not_known(
    models, crops, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    report = export_micro(models / "conv_hourglass.tflite", tmp_path / "micro", crops)
    assert report.arena_bytes is report.largest_difference is report.runtime is None
    assert macro(report.folder, "ARENA_BYTES") is None
    for file in ("test_model.h", "README.md"):
        text = (report.folder / file).read_text(encoding="utf-8")
        assert "not measured" in text
        assert "-DTEST_ARENA_BYTES=" in text
    written = json.loads((report.folder / "report.json").read_text(encoding="utf-8"))
    assert written["arena_bytes"] is None


@needs_tflite_micro
def test_another_result_than_litert_s_is_refused(models, crops, tmp_path, monkeypatch):
    run = micro.run_reference
    monkeypatch.setattr(micro, "run_reference", lambda *a: run(*a) // 2)
    with pytest.raises(TinyposeError, match=r"within 1 step of LiteRT's, found up to"):
        export_micro(models / "conv_hourglass.tflite", tmp_path / "micro", crops)
    assert list(tmp_path.iterdir()) == []


@needs_tflite_micro
def test_the_interpreter_s_reason_is_passed_on(models):
    data = (models / "conv_hourglass.tflite").read_bytes()
    with pytest.raises(TinyposeError, match=r"^this: expected a model that .*refuses"):
        run_micro(data, np.zeros((1, 4, 4, 3), np.int8), "this")


def test_an_operator_that_is_lacking_is_named(metadata, crops, tmp_path):
    images = keras.Input((*HW, 3))
    x = keras.layers.Conv2D(3, 4, strides=4)(images)
    x = keras.layers.Activation("gelu", name="bend")(x)
    net = keras.Model(images, {"heatmaps_1": keras.layers.Conv2D(3, 1)(x)})
    path = int8_file(net, metadata, tmp_path / "model.tflite")
    with pytest.raises(TinyposeError) as error:
        export_micro(path, tmp_path / "micro", crops)
    assert "Lite Micro has, found GELU, which computes " in str(error.value)
    assert "bend" in str(error.value)
    assert "conv_hourglass" in str(error.value)
    assert not (tmp_path / "micro").exists()


def test_every_supported_operator_is_one_of_the_file_format():
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    names = [name for name in vars(schema.BuiltinOperator) if name[0] != "_"]
    assert {resolver_method(name) for name in names} == {None, *SUPPORTED}
    assert resolver_method("CONV_2D") == "Conv2D"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float32"}, "exported in int8, found another"),
        ({"batch": 2}, "one picture at a time, found a batch of 2"),
    ],
    ids=["float32", "batch"],
)
def test_other_files_are_refused(metadata, crops, tmp_path, options, message):
    path = tmp_path / "model.tflite"
    if options.get("precision") == "float32":
        export_tflite(conv_net(), metadata, path, heads=True)
    else:
        int8_file(conv_net(), metadata, path, **options)
    with pytest.raises(TinyposeError, match=message):
        export_micro(path, tmp_path / "micro", crops)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_damaged_file_is_one_line(models, metadata, crops, tmp_path, keep):
    data = (models / "conv_hourglass.tflite").read_bytes()
    path = tmp_path / "model.tflite"
    path.write_bytes(data[: int(keep * len(data))])
    write_metadata(path, metadata)
    with pytest.raises(TinyposeError, match="is the file damaged") as error:
        export_micro(path, tmp_path / "micro", crops)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heatmap_hw": None, "output": "coordinates"}, "gives heatmaps, found one"),
        ({"input_hw": (8192, 48), "heatmap_hw": (8192, 12)}, "small enough for a"),
    ],
    ids=["coordinates", "huge"],
)
def test_what_the_decoder_cannot_read_is_refused(metadata, tmp_path, changes, message):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"....TFL3")
    write_metadata(path, replace(metadata, **changes))
    with pytest.raises(UsageError, match=message):
        export_micro(path, tmp_path / "micro", np.zeros((1, *HW, 3), np.uint8))


def test_crops_of_another_size_are_refused(models, crops, tmp_path):
    for wrong in (crops[:, :, :40], crops[:0]):
        with pytest.raises(
            ValueError, match=r"expected crops \(1 or more, 64, 48, 3\)"
        ):
            export_micro(models / "complete.tflite", tmp_path / "micro", wrong)
