"""The folder for microcontrollers: its files compile, and it is written whole."""

import errno
import json
import re
import shutil
import subprocess
from dataclasses import replace

import keras
import pytest

from helpers.micro import (
    HW,
    build,
    conv_net,
    int8_file,
    macro,
    needs_compiler,
    stick_crops,
)
from tinypose import __version__
from tinypose.errors import TinyposeError, UsageError
from tinypose.export import micro
from tinypose.export.micro import export_micro
from tinypose.export.micro_text import identifier
from tinypose.metadata import read_metadata
from tinypose.skeletons import Skeleton

FILES = {
    *("Makefile", "README.md", "report.json", "decode_test.c"),
    *("tinypose_decode.c", "tinypose_decode.h"),
    *("test.tflite", "test_model.c", "test_model.h"),
}


@pytest.fixture(scope="module")
def model(metadata, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return int8_file(conv_net(), metadata, folder / "model.tflite")


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """A folder and its report; not to be changed."""
    folder = tmp_path_factory.mktemp("exported") / "micro"
    return folder, export_micro(model, folder, stick_crops())


def test_the_header_says_what_a_program_must_know(exported):
    folder, report = exported
    for name, value in {
        **{"INPUT_HEIGHT": 64, "INPUT_WIDTH": 48, "INPUT_CHANNELS": 3},
        **{"HEATMAP_HEIGHT": 16, "HEATMAP_WIDTH": 12, "NUM_KEYPOINTS": 3},
        **{"INPUT_BYTES": 64 * 48 * 3, "OUTPUT_BYTES": 16 * 12 * 3},
        **{"CROP_PERCENT": 110, "NUM_EDGES": 0, "NUM_FLIP_PAIRS": 0},
        "INPUT_SCALE": pytest.approx(2 / 255, rel=1e-3),
        "INPUT_ZERO_POINT": report.input.zero_point,
        "OUTPUT_SCALE": pytest.approx(report.output.scale),
        "OUTPUT_ZERO_POINT": report.output.zero_point,
    }.items():
        assert macro(folder, name) == value, name


def test_the_report_is_written_and_returned(exported):
    folder, report = exported
    assert {path.name for path in folder.iterdir()} >= FILES
    written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert written["tinypose"] == __version__
    assert written["arena_bytes"] == report.arena_bytes
    assert written["output"]["scale"] == report.output.scale
    assert set(written["files"]) == FILES - {"report.json"}
    metadata = read_metadata(folder)
    assert metadata == read_metadata(folder / "test.tflite")
    # The C decoder's way, of which nothing has been measured.
    assert (metadata.output, metadata.refinement) == ("heatmaps", "quarter")
    assert not metadata.accuracy and not metadata.receipt


@needs_compiler
def test_everything_compiles_without_a_warning(exported, tmp_path):
    folder = tmp_path / "micro"
    shutil.copytree(exported[0], folder)
    build(folder)
    # The array is found at an address that divides by 16.
    program = folder / "where.c"
    program.write_text(
        '#include "test_model.h"\n'
        "int main(void) { return (int)((uintptr_t)test_model % 16); }\n"
    )
    sources = [program, folder / "test_model.c"]
    where = folder / "where"
    subprocess.run(["cc", "-std=c99", "-Werror", *sources, "-o", where], check=True)
    subprocess.run([where], check=True)


STRANGE = Skeleton(
    name='a "*/ \\ ??/',
    names=('say "hi" ??/', "tête */", "left\\hand\n", "1 2", "1_2"),
    edges=(("1 2", "1_2"),),
    flip_pairs=(("tête */", "left\\hand\n"), ("1 2", "1_2")),
)


@needs_compiler
def test_names_of_a_stranger_do_not_break_the_sources(metadata, tmp_path):
    """Names that would end strings and comments are data in the sources."""
    images = keras.Input((*HW, 3))
    maps = keras.layers.Conv2D(5, 4, strides=4)(images)
    net = keras.Model(images, {"heatmaps_1": maps})
    strange = replace(
        metadata, skeleton=STRANGE, name="2 Größe */ ??/\n", licence="*/ int x; ??/"
    )
    model = int8_file(net, strange, tmp_path / "model.tflite")
    report = export_micro(model, tmp_path / "micro", stick_crops(1))
    assert report.name == "model_2_gr_e"
    build(report.folder)
    program = report.folder / "names.c"
    program.write_text(
        '#include <stdio.h>\n#include "model_2_gr_e_model.h"\n'
        "int main(void) { int k; for (k = 0; k < MODEL_2_GR_E_NUM_KEYPOINTS; k++)\n"
        "fwrite(model_2_gr_e_keypoint_names[k], 1, 9, stdout);\n"
        "return MODEL_2_GR_E_KEYPOINT_1_2_4 * 10 + model_2_gr_e_flip_pairs[0][1]; }\n"
    )
    names = report.folder / "names"
    sources = [program, report.folder / "model_2_gr_e_model.c"]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wno-stringop-overread", "-o", names]
    subprocess.run(["cc", *sources, *flags], check=True)
    done = subprocess.run([names], capture_output=True, check=False)
    assert done.returncode == 42  # the fifth keypoint, the pair's third
    for index, name in enumerate(STRANGE.names):
        assert done.stdout[9 * index :].startswith(name.encode()[:9])


# As much of TensorFlow Lite Micro's interface as the example uses.
STUB = """
#include <stddef.h>
#include <stdint.h>
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
struct TfLiteTensor { union { int8_t* int8; uint8_t* uint8; float* f; } data; };
namespace tflite {
struct Model;
const Model* GetModel(const void* buffer);
struct MicroOpResolver {};
template <unsigned int count> struct MicroMutableOpResolver : MicroOpResolver {
  TfLiteStatus AddAdd();
  TfLiteStatus AddConv2D();
  TfLiteStatus AddDepthwiseConv2D();
  TfLiteStatus AddResizeNearestNeighbor();
};
struct MicroInterpreter {
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* arena, size_t size);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t index);
  TfLiteTensor* output(size_t index);
};
}
"""


@pytest.mark.skipif(not shutil.which("c++"), reason="needs a C++ compiler")
def test_the_example_of_the_readme_compiles(exported, tmp_path):
    readme = (exported[0] / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```cpp\n(.*?)```", readme, re.S)[1]
    for header in re.findall(r'#include "(tensorflow/.*)"', example):
        (tmp_path / header).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / header).write_text(f"#ifndef STUB\n#define STUB\n{STUB}\n#endif\n")
    source = tmp_path / "example.cc"
    source.write_text(example)
    command = ["c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    command += ["-DTEST_ARENA_BYTES=100000"] * (exported[1].arena_bytes is None)
    subprocess.run([*command, "-I", exported[0], "-I", tmp_path, source], check=True)


def test_an_earlier_export_is_replaced_with_what_was_built(exported, model, tmp_path):
    folder = tmp_path / "micro"
    shutil.copytree(exported[0], folder)
    for built in ("test_model.o", "decode_test", "libtinypose_decode.a"):
        (folder / built).write_bytes(b"old")
    export_micro(model, folder, stick_crops(1), name="other")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        name.replace("test", "other") if name.startswith("test") else name
        for name in FILES
    }
    assert [path.name for path in tmp_path.iterdir()] == ["micro"]


def test_an_empty_folder_is_taken(model, tmp_path):
    export_micro(model, tmp_path, stick_crops(1))
    assert {path.name for path in tmp_path.iterdir()} == FILES


@pytest.mark.parametrize("file", ["main.cc", "notes.o", "report.json.old"])
def test_work_of_someone_s_own_is_not_overwritten(exported, model, tmp_path, file):
    folder = tmp_path / "micro"
    shutil.copytree(exported[0], folder)
    (folder / file).write_text("mine")
    with pytest.raises(UsageError, match=f"found '{file}' in it; choose another"):
        export_micro(model, folder, stick_crops(1))
    assert (folder / file).read_text() == "mine"
    assert {path.name for path in folder.iterdir()} == FILES | {file}


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"kind": "other"}'])
def test_another_report_makes_no_export(model, tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(UsageError, match=r"found 'report\.json' in it"):
        export_micro(model, tmp_path, stick_crops(1))


def test_a_file_in_the_way_is_named(model, tmp_path):
    (tmp_path / "micro").write_text("mine")
    with pytest.raises(UsageError, match="expected a folder to write, found a file"):
        export_micro(model, tmp_path / "micro", stick_crops(1))


def _disk_full(*_args):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("function", ["write_metadata", "write_json", "write_text"])
def test_a_full_disk_leaves_no_half_folder(
    exported, model, tmp_path, monkeypatch, function
):
    folder = tmp_path / "micro"
    monkeypatch.setattr(micro, function, _disk_full)
    for old in (False, True):
        if old:
            shutil.copytree(exported[0], folder)
        with pytest.raises(TinyposeError, match="the disk is full"):
            export_micro(model, folder, stick_crops(1))
        assert [path.name for path in tmp_path.iterdir()] == ["micro"] * old
    for path in exported[0].iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nano", "nano"),
        ("small-lsp v2", "small_lsp_v2"),
        ("__Init__", "init"),
        ("2d", "model_2d"),
        ("模型", "model"),
    ],
)
def test_names_become_identifiers(name, expected):
    assert identifier(name) == expected
