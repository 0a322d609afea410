"""Model files: what runs, and how damaged and foreign ones are refused."""

import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from tinypose.errors import MissingDependencyError, TinyposeError
from tinypose.inference.backends import open_backend
from tinypose.inference.keras_backend import KerasBackend
from tinypose.inference.litert_backend import LiteRTBackend, _quantised_levels
from tinypose.inference.shapes import output_shape
from tinypose.metadata import read_metadata, write_metadata

DOTS = [(33, 20, "red"), (11, 40, "red"), (25, 52, "green")]


def peak_cells(heatmaps):
    """Return the (x, y) cell of each map's peak (K, 2)."""
    flat = heatmaps.reshape(-1, heatmaps.shape[-1]).argmax(axis=0)
    return np.stack([flat % heatmaps.shape[1], flat // heatmaps.shape[1]], axis=-1)


@pytest.fixture
def crops(paint_dots):
    moved = [(x - 4, y + 8, colour) for x, y, colour in DOTS]
    return np.stack(
        [paint_dots((64, 48), dots, radius=2.5) for dots in (DOTS, moved, [])]
    )


@pytest.mark.parametrize("kind", ["heads", "int8", "uint8"])
def test_heads_give_float_heatmaps_for_any_batch(dot_models, crops, kind):
    backend = open_backend(dot_models(kind))
    heatmaps = backend(crops)
    assert heatmaps.shape == (3, 16, 12, 3) and heatmaps.dtype == np.float32
    # A dot at pixel x peaks in the cell x // 4.
    cells = np.array([[x // 4, y // 4] for x, y, _ in DOTS])
    assert peak_cells(heatmaps[0]).tolist() == cells.tolist()
    assert peak_cells(heatmaps[1]).tolist() == (cells + np.array([-1, 2])).tolist()
    assert 0.4 < heatmaps[0].max() <= 1 and abs(heatmaps[2]).max() < 0.01


@pytest.mark.parametrize("kind", ["heads", "keras"])
def test_threads_may_share_a_model(dot_models, kind):
    shades = np.random.default_rng(0).integers(0, 256, (8, 64, 48, 3), np.uint8)
    backend = open_backend(dot_models(kind))
    alone = [backend(shade[None]) for shade in shades]
    fresh = open_backend(dot_models(kind))
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20 if kind == "heads" else 2):
            together = list(threads.map(lambda shade: fresh(shade[None]), shades))
            assert all(map(np.array_equal, alone, together))


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_quantised_heads_agree_with_float_ones(dot_models, crops, kind):
    expected = LiteRTBackend(dot_models("heads"))(crops)
    found = LiteRTBackend(dot_models(kind))(crops)
    # Measured: 0.057 for int8, whose steps of the input are rounded too.
    assert np.abs(found - expected).max() < 0.08


def test_complete_file_gives_keypoints(dot_models, crops):
    keypoints = open_backend(dot_models("complete"))(crops)
    assert keypoints.shape == (3, 3, 3)
    expected = [[x, y] for x, y, _ in DOTS]
    assert keypoints[0, :, :2] == pytest.approx(np.array(expected), abs=0.2)


def test_keras_file_takes_the_last_output(dot_models, paint_dots):
    backend = open_backend(dot_models("keras"))
    assert isinstance(backend, KerasBackend)
    heatmaps = backend(paint_dots((64, 48), [(33, 20, "red"), (25, 52, "green")])[None])
    assert heatmaps.shape == (1, 16, 12, 3) and heatmaps.dtype == np.float32
    assert peak_cells(heatmaps[0])[[0, 2]].tolist() == [[8, 5], [6, 13]]


@pytest.mark.parametrize("kind", ["heads", "complete", "keras"])
def test_no_crops_give_no_output(dot_models, kind):
    backend = open_backend(dot_models(kind))
    none = np.zeros((0, 64, 48, 3), np.uint8)
    assert backend(none).shape == (0, *output_shape(backend.metadata))


def test_opening_is_silent(dot_models, capfd):
    open_backend(dot_models("heads"))(np.zeros((1, 64, 48, 3), np.uint8))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def flatbuffer_end(data):
    """Return where the appended zip archive starts."""
    return data.index(b"PK\x03\x04")


def damaged(data, how):
    body, archive = data[: flatbuffer_end(data)], data[flatbuffer_end(data) :]
    if how == "cut_flatbuffer":
        return body[: len(body) // 2] + archive
    if how == "zeroed_tables":
        middle = len(body) // 2
        return body[:middle] + bytes(len(body) - middle) + archive
    if how == "wild_root":
        return b"\xff\xff\xff\x7f" + body[4:] + archive
    if how == "other_identifier":
        return body[:4] + b"ABCD" + body[8:] + archive
    return archive


@pytest.mark.parametrize(
    "how",
    ["cut_flatbuffer", "zeroed_tables", "wild_root", "other_identifier", "zip_only"],
)
def test_damaged_tflite_is_refused_in_one_line(dot_models, tmp_path, how, capfd):
    path = tmp_path / "bad.tflite"
    path.write_bytes(damaged(dot_models("heads").read_bytes(), how))
    read_metadata(path)  # the archive itself is whole
    with pytest.raises(TinyposeError, match="expected a TensorFlow Lite model") as info:
        open_backend(path)
    assert "bad.tflite" in str(info.value) and "\n" not in str(info.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["heads", "keras"])
@pytest.mark.parametrize("share", [0.3, 0.99])
def test_truncated_model_is_refused(dot_models, tmp_path, kind, share):
    source = dot_models(kind)
    data = source.read_bytes()
    path = tmp_path / source.name
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(TinyposeError, match="without its metadata"):
        open_backend(path)


def test_foreign_tflite_is_refused(dot_models, tmp_path):
    data = dot_models("heads").read_bytes()
    path = tmp_path / "foreign.tflite"
    path.write_bytes(data[: flatbuffer_end(data)])
    with pytest.raises(TinyposeError, match="a model that tinypose wrote"):
        open_backend(path)


def rewritten(source, folder, **changes):
    """Return a copy of a .tflite whose metadata say something else."""
    data = source.read_bytes()
    path = folder / "changed.tflite"
    path.write_bytes(data[: flatbuffer_end(data)])
    write_metadata(path, replace(read_metadata(source), **changes))
    return path


@pytest.mark.parametrize(
    "changes, message",
    [
        pytest.param({"input_hw": (48, 64)}, r"\(batch, 48, 64, 3\)", id="input"),
        pytest.param({"heatmap_hw": (12, 16)}, r"\(batch, 12, 16, 3\)", id="heatmaps"),
        pytest.param({"output": "keypoints"}, r"\(batch, 3, 3\)", id="output"),
    ],
)
def test_metadata_must_fit_the_model(dot_models, tmp_path, changes, message):
    path = rewritten(dot_models("heads"), tmp_path, **changes)
    with pytest.raises(TinyposeError, match=message):
        LiteRTBackend(path)


def test_keras_metadata_must_fit_the_model(dot_models, tmp_path):
    source, path = dot_models("keras"), tmp_path / "changed.keras"
    metadata = replace(read_metadata(source), heatmap_hw=(12, 16))
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name != "tinypose.json":
                new.writestr(name, old.read(name))
    write_metadata(path, metadata)
    with pytest.raises(TinyposeError, match=r"an output of shape \(batch, 12, 16, 3\)"):
        open_backend(path)


def test_keras_file_with_code_inside_is_not_run(dot_models, tmp_path):
    import keras

    images = keras.Input((64, 48, 3))
    outputs = keras.layers.Lambda(lambda x: x)(images)
    path = tmp_path / "lambda.keras"
    keras.Model(images, {"heatmaps_1": outputs}).save(path)
    write_metadata(path, read_metadata(dot_models("keras")))
    with pytest.raises(TinyposeError, match="does not load") as info:
        open_backend(path)
    assert "\n" not in str(info.value)


def test_keras_archive_that_unpacks_to_gigabytes_is_refused(dot_models, monkeypatch):
    monkeypatch.setattr("tinypose.models.loading.MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(TinyposeError, match="at most 10,000 bytes when unpacked"):
        open_backend(dot_models("keras"))


def test_other_suffixes_are_refused(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(b"x")
    with pytest.raises(TinyposeError, match=r"\.tflite, \.keras, \.onnx, found '\.h5'"):
        open_backend(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(TinyposeError, match="found no such file"):
        open_backend(tmp_path / "none.tflite")


def test_missing_keras_names_the_extra(dot_models, monkeypatch):
    path = dot_models("keras")
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingDependencyError, match=r"tinypose\[train\]"):
        open_backend(path)


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_missing_litert_falls_back_on_tensorflow(dot_models, crops, monkeypatch):
    path = dot_models("heads")
    expected = LiteRTBackend(path)(crops)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert LiteRTBackend(path)(crops) == pytest.approx(expected, abs=1e-5)


def test_no_runtime_at_all_is_explained(dot_models, monkeypatch):
    path = dot_models("heads")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tensorflow.lite", None)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(TinyposeError, match="pip install ai-edge-litert"):
        LiteRTBackend(path)


@pytest.mark.parametrize(
    ("dtype", "step", "zero", "expected"),
    [
        (np.uint8, 2 / 255, 127, None),
        (np.uint8, 2 / 255, 128, None),
        (np.uint8, 1.0, 0, None),
        (np.int8, 2 / 255, -1, np.arange(-128, 128)),
        (np.int8, 2 / 255, 0, np.arange(-128, 128)),
        (np.int8, 1.0, -128, np.arange(-128, 128)),
        (np.int8, 2 / 127, -64, (np.arange(256) / 255 * 127).round() - 127.5),
    ],
)
def test_bytes_go_in_as_they_are_where_steps_are_pixels(dtype, step, zero, expected):
    tensor = {"quantization": (step, zero), "dtype": dtype}
    levels = _quantised_levels(tensor, "model.tflite")
    if expected is None:
        assert levels is None
        return
    assert levels.dtype == dtype
    assert np.abs(levels - expected).max() < (0.01 if abs(step - 2 / 127) > 1e-9 else 2)
