import errno
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tinypose import __version__
from tinypose.codecs.codec import codec_of
from tinypose.errors import TinyposeError, UsageError
from tinypose.export import tflite
from tinypose.export.litert import require_tflite_path, run_tflite
from tinypose.export.splice import join_models
from tinypose.export.tflite import export_tflite
from tinypose.export.verify import compare
from tinypose.metadata import read_metadata
from tinypose.quiet import quiet_stderr


@pytest.fixture(scope="module")
def dot_files(dot_net, metadata, tmp_path_factory):
    """The dot net as complete files for a batch of 1 and 3, and as heads."""
    folder = tmp_path_factory.mktemp("dots")
    files = {"one": {}, "three": {"batch": 3}, "heads": {"heads": True, "batch": 2}}
    for name, options in files.items():
        export_tflite(dot_net, metadata, folder / f"{name}.tflite", **options)
    return folder


def details(path):
    with quiet_stderr():
        interpreter = Interpreter(str(path))
    return interpreter.get_input_details()[0], interpreter.get_output_details()[0]


@pytest.mark.parametrize(
    ("name", "input_shape", "output_shape"),
    [
        ("one", (1, 64, 48, 3), (1, 3, 3)),
        ("three", (3, 64, 48, 3), (3, 3, 3)),
        ("heads", (2, 64, 48, 3), (2, 16, 12, 3)),
    ],
)
def test_the_file_takes_bytes_and_a_fixed_batch(
    dot_files, name, input_shape, output_shape
):
    source, target = details(dot_files / f"{name}.tflite")
    assert tuple(source["shape"]) == tuple(source["shape_signature"]) == input_shape
    assert tuple(target["shape"]) == tuple(target["shape_signature"]) == output_shape
    assert (source["dtype"], target["dtype"]) == (np.uint8, np.float32)


def test_inputs_and_outputs_have_names(dot_files):
    with quiet_stderr():
        complete = Interpreter(str(dot_files / "one.tflite"))
        heads = Interpreter(str(dot_files / "heads.tflite"))
    assert complete.get_signature_list()["serving_default"] == {
        "inputs": ["images"],
        "outputs": ["keypoints"],
    }
    assert heads.get_signature_list()["serving_default"]["outputs"] == ["heatmaps"]


@pytest.mark.parametrize("name", ["one", "three"])
def test_keypoints_are_where_the_dots_are(dot_files, name, dots, dot_centres):
    # Four pictures through a file for three: the last run is filled up.
    found = run_tflite(dot_files / f"{name}.tflite", dots(dot_centres))
    assert found.shape == (4, 3, 3)
    # Measured 0.19: pooling to cells widens the dots by a little.
    np.testing.assert_allclose(found[..., :2], dot_centres, atol=0.3)


def test_heads_give_the_heatmaps(dot_files, dot_net, dots, dot_centres):
    pictures = dots(dot_centres)[:3]
    found = run_tflite(dot_files / "heads.tflite", pictures)
    expected = dot_net(pictures.astype(np.float32) / 127.5 - 1)["heatmaps_1"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("refinement", ["dark", "quarter"])
@pytest.mark.parametrize(
    "options",
    [{}, {"batch": 3}, {"heads": True}],
    ids=["one", "three", "heads"],
)
def test_file_and_network_agree_on_an_hourglass(
    dot_hourglass, metadata, dots, dot_centres, tmp_path, options, refinement
):
    path = tmp_path / "model.tflite"
    changed = replace(metadata, refinement=refinement)
    export_tflite(dot_hourglass, changed, path, **options)
    pictures = dots(dot_centres)
    found = run_tflite(path, pictures)
    agreement = compare(dot_hourglass, read_metadata(path), pictures, found)
    assert agreement.num_clear == 12
    # Measured 0.00002 px: the limit of the command line is 0.1.
    assert agreement.worst < 0.001


def test_batch_norms_are_folded_into_the_convolutions(hourglass, metadata, tmp_path):
    path = tmp_path / "heads.tflite"
    export_tflite(hourglass, metadata, path, heads=True)
    with quiet_stderr():
        interpreter = Interpreter(
            str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    operations = Counter(op["op_name"] for op in interpreter._get_ops_details())
    # Depth 2: six separable convs and the first conv. The six norms after a
    # depthwise conv are folded. The seven after a ReLU stay as one MUL and one
    # ADD each, for zero padding follows them. One more MUL normalises the
    # picture (its offset is the SUB), two more ADDs are the skips.
    assert operations == {
        "CAST": 1,
        "SUB": 1,
        "CONV_2D": 1 + 6 + 2 + 1,
        "DEPTHWISE_CONV_2D": 6,
        "MUL": 7 + 1,
        "ADD": 7 + 2,
        "MAX_POOL_2D": 3,
        "RESIZE_BILINEAR": 2,
    }


def test_metadata_travel_in_the_file(dot_files, metadata):
    written = read_metadata(dot_files / "one.tflite")
    assert written == replace(
        metadata,
        output="keypoints",
        num_parameters=3 * 3 + 3,
        macs=16 * 12 * 9,
        version=__version__,
    )
    assert read_metadata(dot_files / "heads.tflite").output == "heatmaps"


def test_export_returns_what_it_wrote(dot_net, metadata, tmp_path):
    path = tmp_path / "new" / "model.tflite"
    assert export_tflite(dot_net, metadata, path) == read_metadata(path)


def test_export_is_quiet(dot_net, metadata, tmp_path, capfd):
    export_tflite(dot_net, metadata, tmp_path / "model.tflite")
    assert capfd.readouterr() == ("", "")


def _disk_full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("owner", "function"),
    [(os, "replace"), (Path, "write_bytes"), (tflite, "write_metadata")],
    ids=["rename", "model", "metadata"],
)
def test_a_full_disk_leaves_nothing_new_and_the_old_file(
    dot_net, metadata, tmp_path, monkeypatch, owner, function
):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"the old one")
    with monkeypatch.context() as patch:
        patch.setattr(owner, function, _disk_full)
        with pytest.raises(TinyposeError) as error:
            export_tflite(dot_net, metadata, path)
    assert str(error.value) == (
        f"cannot write {path}: the disk is full; free some space or choose another "
        "folder"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["model.tflite"]
    assert path.read_bytes() == b"the old one"


def test_a_refused_check_leaves_no_file(dot_net, metadata, tmp_path):
    seen = []

    def refuse(path):
        seen.append(read_metadata(path).output)
        raise TinyposeError("not good enough")

    with pytest.raises(TinyposeError, match="not good enough"):
        export_tflite(dot_net, metadata, tmp_path / "model.tflite", check=refuse)
    assert seen == ["keypoints"]
    assert list(tmp_path.iterdir()) == []


def test_a_net_that_gives_no_numbers_is_not_exported(dot_net, metadata, tmp_path):
    broken = keras.models.clone_model(dot_net)
    broken.set_weights([np.full_like(w, np.nan) for w in dot_net.get_weights()])
    with pytest.raises(TinyposeError, match="expected finite outputs"):
        export_tflite(broken, metadata, tmp_path / "model.tflite", heads=True)
    assert list(tmp_path.iterdir()) == []


def test_an_operation_that_does_not_convert_is_named_in_one_line(metadata, tmp_path):
    images = keras.Input((64, 48, 3))
    maps = keras.layers.AveragePooling2D(4)(images)
    net = keras.Model(images, {"heatmaps_1": keras.ops.erfinv(maps)})
    with pytest.raises(TinyposeError) as error:
        export_tflite(net, metadata, tmp_path / "model.tflite")
    assert "cannot be converted to TensorFlow Lite" in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.onnx", "model", "model.keras", "model.tfl"])
def test_another_suffix_is_a_usage_error(dot_net, metadata, tmp_path, name):
    with pytest.raises(UsageError, match=r"ending in \.tflite, found"):
        export_tflite(dot_net, metadata, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_suffix_may_be_in_capitals():
    assert require_tflite_path("MODEL.TFLITE") == Path("MODEL.TFLITE")


@pytest.mark.parametrize("batch", [0, -1, 5000])
def test_a_batch_out_of_range_is_a_usage_error(dot_net, metadata, tmp_path, batch):
    with pytest.raises(UsageError, match=f"batch of 1 to 1024, found {batch}"):
        export_tflite(dot_net, metadata, tmp_path / "m.tflite", batch=batch)


def test_a_net_of_another_size_is_an_error(dot_net, metadata, tmp_path):
    changed = replace(metadata, input_hw=(64, 64))
    with pytest.raises(TinyposeError, match="metadata says input"):
        export_tflite(dot_net, changed, tmp_path / "m.tflite")


@pytest.fixture(scope="module")
def int8_files(hourglass, metadata, tmp_path_factory):
    """An hourglass in eight bits: complete, complete by two, and heads."""
    folder = tmp_path_factory.mktemp("int8")
    crops = _calibration()
    files = {"one": {}, "two": {"batch": 2}, "heads": {"heads": True}}
    for name, options in files.items():
        path = folder / f"{name}.tflite"
        export_tflite(
            hourglass,
            metadata,
            path,
            precision="int8",
            calibration=crops,
            **options,
        )
    return folder


def _calibration():
    return np.random.default_rng(3).integers(0, 256, (16, 64, 48, 3), np.uint8)


def test_eight_bits_compute_what_the_network_does(hourglass, int8_files):
    crops = _calibration()[:6]
    float_maps = compare_maps(hourglass, crops)
    maps = run_tflite(int8_files / "heads.tflite", crops)
    spread = float_maps.max() - float_maps.min()
    assert np.abs(maps - float_maps).mean() < 0.02 * spread
    assert np.abs(maps - float_maps).max() > 0  # it is not the float network


def compare_maps(net, crops):
    return np.asarray(net(crops.astype("float32") / 127.5 - 1)["heatmaps_1"])


def test_eight_bits_decode_in_full_precision(int8_files, metadata):
    """Complete file = codec of the heads' maps: no coordinate was quantised."""
    crops = _calibration()[:6]
    codec = codec_of(metadata)
    maps = run_tflite(int8_files / "heads.tflite", crops)
    expected_xy, expected_scores = codec.decode(maps, metadata.refinement)
    for name in ("one", "two"):
        found = run_tflite(int8_files / f"{name}.tflite", crops)
        np.testing.assert_allclose(found[..., :2], expected_xy, atol=2e-3)
        np.testing.assert_allclose(found[..., 2], expected_scores, atol=1e-5)


def test_eight_bit_files_take_the_picture_s_bytes(int8_files):
    for name in ("one", "heads"):
        source, target = details(int8_files / f"{name}.tflite")
        assert (source["dtype"], target["dtype"]) == (np.uint8, np.float32)
        step, zero = source["quantization"]
        assert step == pytest.approx(2 / 255, rel=1e-3)
        assert zero in (127, 128)


def test_eight_bit_convolutions_have_eight_bit_weights(int8_files):
    with quiet_stderr():
        interpreter = Interpreter(
            str(int8_files / "one.tflite"),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    tensors = {t["index"]: t for t in interpreter.get_tensor_details()}
    kinds = Counter(
        str(np.dtype(tensors[op["inputs"][1]]["dtype"]))
        for op in interpreter._get_ops_details()
        if op["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D")
    )
    assert set(kinds) == {"int8"}
    signature = interpreter.get_signature_list()["serving_default"]
    assert signature == {"inputs": ["images"], "outputs": ["keypoints"]}


def test_metadata_says_the_precision(int8_files, dot_files):
    assert read_metadata(int8_files / "one.tflite").precision == "int8"
    assert read_metadata(dot_files / "one.tflite").precision == "float32"


def test_models_that_do_not_fit_are_not_joined(int8_files, dot_files):
    heads = (int8_files / "heads.tflite").read_bytes()
    with pytest.raises(TinyposeError, match="expected an input of shape and type"):
        join_models(heads, heads)
