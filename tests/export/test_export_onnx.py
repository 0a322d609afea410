"""ONNX files and SavedModels: complete, checked, and open to their runtimes."""

import errno
import os
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinypose.errors import MissingDependencyError, TinyposeError, UsageError
from tinypose.export.onnx import export_onnx
from tinypose.export.rewrite import rewrite_metadata
from tinypose.export.saved_model import export_saved_model
from tinypose.export.tflite import export_tflite
from tinypose.export.verify import compare
from tinypose.inference.backends import open_backend

pytest.importorskip("tf2onnx", reason="needs the extra [onnx]")

KINDS = {"onnx": export_onnx, "saved_model": export_saved_model}


@pytest.fixture(scope="module", params=KINDS)
def exported(request, dot_hourglass, metadata, tmp_path_factory):
    """The folder of a complete file and one with heads, and their exporter."""
    folder = tmp_path_factory.mktemp(request.param)
    suffix = ".onnx" if request.param == "onnx" else ""
    export = KINDS[request.param]
    written = export(dot_hourglass, metadata, folder / f"one{suffix}")
    export(dot_hourglass, metadata, folder / f"heads{suffix}", heads=True)
    return folder, suffix, written


@pytest.mark.parametrize("name", ["one", "heads"])
def test_file_and_network_agree(exported, name, dot_hourglass, dots, dot_centres):
    folder, suffix, _ = exported
    backend = open_backend(folder / f"{name}{suffix}")
    pictures = dots(dot_centres)
    agreement = compare(dot_hourglass, backend.metadata, pictures, backend(pictures))
    assert agreement.num_clear == 12
    # Measured 0.000004 px.
    assert agreement.worst < 0.001
    assert backend(pictures[:0]).shape[0] == 0


def test_metadata_travel_in_it_and_can_be_replaced(exported, metadata):
    folder, suffix, written = exported
    path = folder / f"one{suffix}"
    assert written.output == "keypoints" and written.macs > 0
    assert open_backend(path).metadata == written
    assert open_backend(folder / f"heads{suffix}").metadata.output == "heatmaps"
    rewrite_metadata(path, replace(written, licence="another"))
    assert open_backend(path).metadata.licence == "another"
    rewrite_metadata(path, written)


def test_the_runtime_is_named(exported):
    folder, suffix, _ = exported
    runtime = open_backend(folder / f"one{suffix}").runtime
    assert runtime.startswith("ONNX Runtime 1" if suffix else "TensorFlow 2")


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_leaves_nothing_behind(
    dot_net, metadata, tmp_path, monkeypatch, kind
):
    export, path = KINDS[kind], tmp_path / ("m.onnx" if kind == "onnx" else "m")
    broken = keras.models.clone_model(dot_net)
    broken.set_weights([np.full_like(w, np.nan) for w in dot_net.get_weights()])
    with pytest.raises(TinyposeError, match="expected finite outputs"):
        export(broken, metadata, path, heads=True)

    def refuse(_):
        raise TinyposeError("not good enough")

    with pytest.raises(TinyposeError, match="not good enough"):
        export(dot_net, metadata, path, check=refuse)

    def disk_full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace" if kind == "onnx" else "rename", disk_full)
        with pytest.raises(TinyposeError, match="the disk is full"):
            export(dot_net, metadata, path)
    assert list(tmp_path.iterdir()) == []


def test_tensorflows_full_disk_is_a_full_disk(dot_net, metadata, tmp_path, monkeypatch):
    def disk_full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    path = tmp_path / "model"
    monkeypatch.setattr(tf.saved_model, "save", disk_full)
    with pytest.raises(TinyposeError) as error:
        export_saved_model(dot_net, metadata, path)
    assert str(error.value) == (
        f"cannot write {path}: the disk is full; free some space or choose another "
        "folder"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_older_saved_model_is_replaced_and_nothing_else(dot_net, metadata, tmp_path):
    path = tmp_path / "model"
    export_saved_model(dot_net, metadata, path)
    export_saved_model(dot_net, replace(metadata, name="second"), path)
    assert open_backend(path).metadata.name == "second"
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    (tmp_path / "empty").mkdir()
    export_saved_model(dot_net, metadata, tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="expected a folder to write, found a file"):
        export_saved_model(dot_net, metadata, tmp_path / "file")


@pytest.mark.parametrize(
    ("file", "ours"),
    [
        ("saved_model.pb", False),
        ("variables/notes.txt", True),
        ("assets.extra/tf_serving_warmup_requests", True),
        ("photo.jpg", True),
    ],
    ids=str,
)
def test_work_of_someone_s_own_is_not_overwritten(
    dot_net, metadata, tmp_path, file, ours
):
    path = tmp_path / "model"
    if ours:
        export_saved_model(dot_net, metadata, path)
    (path / file).parent.mkdir(parents=True, exist_ok=True)
    (path / file).write_text("mine")
    with pytest.raises(UsageError, match=f"found '{file}' in it"):
        export_saved_model(dot_net, metadata, path)
    assert (path / file).read_text() == "mine"


@pytest.mark.parametrize("export", [*KINDS.values(), export_tflite])
def test_another_backend_is_named(dot_net, metadata, tmp_path, monkeypatch, export):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(TinyposeError, match="found Keras on jax; set KERAS_BACKEND"):
        export(dot_net, metadata, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_saved_model_is_one_line(dot_net, metadata, tmp_path):
    path = tmp_path / "model"
    export_saved_model(dot_net, metadata, path)
    (path / "saved_model.pb").write_bytes(b"no protocol buffer")
    with pytest.raises(TinyposeError, match="found one that does not load"):
        open_backend(path)
    (path / "assets.extra" / "tinypose.json").unlink()
    with pytest.raises(TinyposeError, match="expected tinypose metadata"):
        open_backend(path)


def with_open_batch(path):
    """Open the batch of an ONNX file as users do: at its ends."""
    import onnx

    model = onnx.load(str(path))
    for end in (*model.graph.input, *model.graph.output):
        end.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(model, str(path))


def test_an_open_batch_runs_all_pictures_at_once(
    dot_net, metadata, tmp_path, dots, dot_centres, monkeypatch
):
    path = tmp_path / "open.onnx"
    export_onnx(dot_net, metadata, path)
    pictures = dots(dot_centres)
    expected = open_backend(path)(pictures)
    with_open_batch(path)
    backend, sizes = open_backend(path), []
    run = backend._run
    monkeypatch.setattr(backend, "_run", lambda c: (sizes.append(len(c)), run(c))[1])
    np.testing.assert_allclose(backend(pictures), expected, atol=1e-4)
    assert len(backend(np.concatenate([pictures] * 5))) == 20
    # Nothing is filled up.
    assert sizes == [4, 16, 4]
    assert backend(pictures[:0]).shape == (0, 3, 3)


def test_an_open_batch_that_is_fixed_inside_is_one_line(metadata, tmp_path):
    images = keras.Input((64, 48, 3), batch_size=1)
    cells = keras.ops.reshape(keras.layers.AveragePooling2D(4)(images), (1, 192, 3))
    maps = keras.ops.reshape(keras.ops.softmax(cells, axis=1), (1, 16, 12, 3))
    net = keras.Model(images, {"heatmaps_1": maps})
    path = tmp_path / "open.onnx"
    export_onnx(net, metadata, path, heads=True)
    with_open_batch(path)
    pictures = np.zeros((2, 64, 48, 3), np.uint8)
    assert open_backend(path)(pictures[:1]).shape == (1, 16, 12, 3)
    with pytest.raises(TinyposeError, match="that runs with 2 pictures at") as caught:
        open_backend(path)(pictures)
    assert "\n" not in str(caught.value)


def test_onnx_files_that_do_not_fit_are_refused(dot_net, metadata, tmp_path):
    import onnx

    path = tmp_path / "model.onnx"
    path.write_bytes(b"nonsense")
    with pytest.raises(TinyposeError, match="expected an ONNX model, found one that"):
        open_backend(path)
    export_onnx(dot_net, metadata, path)
    rewrite_metadata(path, replace(metadata, output="keypoints", input_hw=(32, 48)))
    with pytest.raises(TinyposeError, match="expected an input of shape"):
        open_backend(path)
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(path))
    with pytest.raises(TinyposeError, match="found a file without its metadata"):
        open_backend(path)


def test_without_the_extra_its_name_is_said(dot_net, metadata, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(MissingDependencyError, match=r"tinypose\[onnx\]"):
        export_onnx(dot_net, metadata, tmp_path / "model.onnx")


def test_web_runtimes_know_every_attribute(exported):
    folder, suffix, _ = exported
    if not suffix:
        pytest.skip("of ONNX only")
    modes = resize_modes(folder / "one.onnx")
    assert modes and "tf_half_pixel_for_nn" not in modes


def resize_modes(path):
    """Return how a valid file says that it resizes."""
    import onnx

    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    return {
        attribute.s.decode()
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.name == "coordinate_transformation_mode"
    }


def test_repeated_cells_stay_repeated_cells(metadata, tmp_path):
    """Nearest neighbours, as conv_hourglass has them."""
    from tinypose.models import build_model

    keras.utils.set_random_seed(4)
    net = build_model(
        "conv_hourglass",
        input_hw=(64, 48),
        num_keypoints=3,
        stem_channels=8,
        channels=(8, 12),
        encoder_blocks=(0, 1),
        decoder_convs=(1,),
    )
    path = tmp_path / "net.onnx"
    export_onnx(net, metadata, path, heads=True, batch=2)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), np.uint8)
    expected = net(pictures.astype(np.float32) / 127.5 - 1)["heatmaps_1"]
    np.testing.assert_allclose(open_backend(path)(pictures), expected, atol=1e-6)
    # In the words that runtimes for the web know.
    assert resize_modes(path) == {"asymmetric"}
