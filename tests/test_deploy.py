"""The examples of docs/deploy.md.

The one in C++ is compiled against a runtime that echoes; the lines of those in
Kotlin and Swift that say where the crop lies are read as Python.
"""

import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinypose.geometry import crop_affine, transform_points

ROOT = Path(__file__).parents[1]

# What TensorFlow Lite's C interface declares of the functions that are used.
HEADER = """
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef struct TfLiteModel TfLiteModel;
typedef struct TfLiteInterpreterOptions TfLiteInterpreterOptions;
typedef struct TfLiteInterpreter TfLiteInterpreter;
typedef struct TfLiteTensor TfLiteTensor;
TfLiteModel* TfLiteModelCreateFromFile(const char* path);
void TfLiteModelDelete(TfLiteModel*);
TfLiteInterpreterOptions* TfLiteInterpreterOptionsCreate(void);
void TfLiteInterpreterOptionsDelete(TfLiteInterpreterOptions*);
void TfLiteInterpreterOptionsSetNumThreads(TfLiteInterpreterOptions*, int32_t);
TfLiteInterpreter* TfLiteInterpreterCreate(
    const TfLiteModel*, const TfLiteInterpreterOptions*);
void TfLiteInterpreterDelete(TfLiteInterpreter*);
TfLiteStatus TfLiteInterpreterAllocateTensors(TfLiteInterpreter*);
TfLiteTensor* TfLiteInterpreterGetInputTensor(const TfLiteInterpreter*, int32_t);
const TfLiteTensor* TfLiteInterpreterGetOutputTensor(
    const TfLiteInterpreter*, int32_t);
TfLiteStatus TfLiteInterpreterInvoke(TfLiteInterpreter*);
TfLiteStatus TfLiteTensorCopyFromBuffer(TfLiteTensor*, const void*, size_t);
TfLiteStatus TfLiteTensorCopyToBuffer(const TfLiteTensor*, void*, size_t);
int32_t TfLiteTensorDim(const TfLiteTensor*, int32_t);
#ifdef __cplusplus
}
#endif
"""
# Its keypoints, two of them, are the crop's bytes as numbers.
ECHO = """
#include "tensorflow/lite/c/c_api.h"
#include <string.h>
struct TfLiteTensor { size_t size; float values[6]; uint8_t bytes[6]; };
struct TfLiteModel { int open; };
struct TfLiteInterpreterOptions { int32_t threads; };
struct TfLiteInterpreter { int ready; TfLiteTensor in, out; };
static TfLiteModel model;
static TfLiteInterpreterOptions options;
static TfLiteInterpreter interpreter = {.in = {.size = 6}, .out = {.size = 24}};
TfLiteModel* TfLiteModelCreateFromFile(const char* path) {
  return strcmp(path, "there.tflite") == 0 ? &model : NULL;
}
void TfLiteModelDelete(TfLiteModel* m) { (void)m; }
TfLiteInterpreterOptions* TfLiteInterpreterOptionsCreate(void) { return &options; }
void TfLiteInterpreterOptionsDelete(TfLiteInterpreterOptions* o) { (void)o; }
void TfLiteInterpreterOptionsSetNumThreads(TfLiteInterpreterOptions* o, int32_t n) {
  o->threads = n;
}
TfLiteInterpreter* TfLiteInterpreterCreate(
    const TfLiteModel* m, const TfLiteInterpreterOptions* o) {
  return m && o->threads == 2 ? &interpreter : NULL;
}
void TfLiteInterpreterDelete(TfLiteInterpreter* i) { (void)i; }
TfLiteStatus TfLiteInterpreterAllocateTensors(TfLiteInterpreter* i) {
  i->ready = 1;
  return kTfLiteOk;
}
TfLiteTensor* TfLiteInterpreterGetInputTensor(const TfLiteInterpreter* i, int32_t n) {
  return n == 0 ? (TfLiteTensor*)&i->in : NULL;
}
const TfLiteTensor* TfLiteInterpreterGetOutputTensor(
    const TfLiteInterpreter* i, int32_t n) {
  return n == 0 ? &i->out : NULL;
}
TfLiteStatus TfLiteInterpreterInvoke(TfLiteInterpreter* i) {
  for (int k = 0; k < 6; k++) i->out.values[k] = i->in.bytes[k];
  return i->ready ? kTfLiteOk : kTfLiteError;
}
TfLiteStatus TfLiteTensorCopyFromBuffer(TfLiteTensor* t, const void* b, size_t n) {
  if (n != t->size) return kTfLiteError;
  memcpy(t->bytes, b, n);
  return kTfLiteOk;
}
TfLiteStatus TfLiteTensorCopyToBuffer(const TfLiteTensor* t, void* b, size_t n) {
  if (n != t->size) return kTfLiteError;
  memcpy(b, t->values, n);
  return kTfLiteOk;
}
int32_t TfLiteTensorDim(const TfLiteTensor* t, int32_t n) {
  (void)t;
  return n == 1 ? 2 : n == 2 ? 3 : 1;
}
"""
MAIN = """
#include <cstdio>
int main(int argc, char** argv) {
  try {
    PoseEstimator estimator(argv[1]);
    std::vector<std::uint8_t> crop(argc == 2 ? 6 : 5);
    for (size_t k = 0; k < crop.size(); k++) crop[k] = 10 * k + 1;
    for (const Keypoint& k : estimator.estimate(crop))
      std::printf("%g %g %g\\n", k.x, k.y, k.score);
  } catch (const std::exception& error) {
    std::printf("%s\\n", error.what());
    return 1;
  }
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_cpp_example_returns_what_the_runtime_gives(tmp_path: Path) -> None:
    example = read_example("cpp")
    header = tmp_path / "tensorflow" / "lite" / "c" / "c_api.h"
    header.parent.mkdir(parents=True)
    header.write_text(HEADER)
    (tmp_path / "echo.c").write_text(ECHO)
    (tmp_path / "main.cpp").write_text(example + MAIN)
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
    build(tmp_path, "gcc", "-c", "echo.c", "-o", "echo.o", *warnings)
    build(tmp_path, "g++", "-std=c++17", "main.cpp", "echo.o", "-o", "pose", *warnings)
    assert run(tmp_path, "there.tflite") == (0, "1 11 21\n31 41 51\n")
    assert run(tmp_path, "gone.tflite") == (1, "cannot read gone.tflite\n")
    # A crop of another size than the network's.
    assert run(tmp_path, "there.tflite", "short") == (1, "the interpreter failed\n")


class Matrix:
    """Android's, as far as it is used: maps edges of pixels, not their centres."""

    def setTranslate(self, x: float, y: float) -> None:
        self.offset, self.scale = np.array([x, y]), np.ones(2)

    def postScale(self, x: float, y: float) -> None:
        self.offset, self.scale = self.offset * [x, y], self.scale * [x, y]


def scaled(source: object, width: float, height: float, smooth: bool) -> object:
    return SimpleNamespace(width=int(width), height=int(height))


PLACES = pytest.mark.parametrize(
    "picture_wh, box",
    [
        pytest.param((300, 200), (120.0, 40, 60, 110), id="not_halved"),
        pytest.param((1001, 801), (700.0, 300, 250, 450), id="once"),
        pytest.param((1001, 2003), (500.0, 100, 490, 1850), id="odd_each_time"),
    ],
)


@PLACES
def test_the_kotlin_example_places_the_crop(picture_wh, box) -> None:
    lines = re.findall(
        r"^ {8}(val sides.*?)^ {8}crop\.erase.*?( Keypoint\(.*?\))\n {8}\}",
        read_example("kotlin"),
        re.DOTALL | re.MULTILINE,
    )
    (place, keypoint), scope = lines[0], kotlin_scope(picture_wh, box)
    exec(as_python(place), scope)
    # Edges of the box, in the picture: half a pixel before its centres.
    affine = crop_affine(np.subtract(box, [0.5, 0.5, 0, 0]), (96, 64))
    x, y, width, height = box
    for point in np.array([[x, y], [x + width, y + height / 2]]):
        in_crop = transform_points(affine, point - 0.5)
        in_source = point * [
            scope["source"].width / picture_wh[0],
            scope["source"].height / picture_wh[1],
        ]
        matrix = scope["toCrop"]
        found = in_source * matrix.scale + matrix.offset - 0.5
        assert found == pytest.approx(in_crop, abs=1e-6)
        scope["x"], scope["y"] = found
        back = eval(as_python(keypoint), scope)
        assert back == pytest.approx(point - 0.5, abs=1e-6)


def kotlin_scope(picture_wh, box) -> dict[str, object]:
    """Return what the example's lines know: the picture, the box, the network's."""
    x, y, width, height = box
    rectangle = SimpleNamespace(
        width=lambda: width,
        height=lambda: height,
        centerX=lambda: x + width / 2,
        centerY=lambda: y + height / 2,
    )
    return {
        "Bitmap": SimpleNamespace(createScaledBitmap=scaled),
        "Keypoint": lambda x, y, score: (x, y),
        "Matrix": Matrix,
        "box": rectangle,
        "picture": SimpleNamespace(width=picture_wh[0], height=picture_wh[1]),
        **{"width": 64, "height": 96, "padding": 1.25, "score": 1.0},
        **{"maxOf": max, "true": True},
    }


def as_python(kotlin: str) -> str:
    """Return simple lines of Kotlin as Python."""
    kotlin = re.sub(r"^ {8}", "", kotlin, flags=re.MULTILINE).strip()
    kotlin = re.sub(
        r"\b(val|var) |\.toFloat\(\)|^ *\}$", "", kotlin, flags=re.MULTILINE
    )
    kotlin = re.sub(r"(\d)f\b", r"\1", kotlin)
    return re.sub(r"while \((.*)\) \{", r"while \1:", kotlin)


@PLACES
def test_the_swift_example_places_the_crop(picture_wh, box) -> None:
    (lines,) = re.findall(
        r"^ {8}(let sides.*?)^ {8}let context.*? return (Keypoint\(.*?\))\n {8}\}",
        read_example("swift"),
        re.DOTALL | re.MULTILINE,
    )
    place, keypoint = map(swift_as_python, lines)
    x, y, width, height = box
    halvings = []
    scope: dict = {
        "box": SimpleNamespace(
            width=width, height=height, midX=x + width / 2, midY=y + height / 2
        ),
        "picture": SimpleNamespace(width=picture_wh[0], height=picture_wh[1]),
        "half": lambda of: halvings.append(of),
        **{"width": 64, "height": 96, "padding": 1.25, "score": 1.0},
        **{"CGFloat": float, "CGRect": SimpleNamespace},
        "Keypoint": lambda x, y, score: (x, y),
    }
    exec(place, scope)
    assert scope["scale"] / 2 ** len(halvings) <= 8 / 3
    assert not halvings or scope["scale"] / 2 ** (len(halvings) - 1) > 8 / 3
    affine = crop_affine(np.subtract(box, [0.5, 0.5, 0, 0]), (96, 64))
    drawn = scope["place"]
    for point in np.array([[x, y], [x + width, y + height / 2]]):
        # Core Graphics draws all of the picture there, and counts from the bottom.
        share = point / picture_wh
        across = drawn.x + share[0] * drawn.width
        up = drawn.y + (1 - share[1]) * drawn.height
        found = np.array([across, 96 - up]) - 0.5
        assert found == pytest.approx(transform_points(affine, point - 0.5), abs=1e-6)
        scope["x"], scope["y"] = found
        assert eval(keypoint, scope) == pytest.approx(point - 0.5, abs=1e-6)


def swift_as_python(swift: str) -> str:
    """Return simple lines of Swift as Python."""
    swift = re.sub(r"^ {8}", "", swift, flags=re.MULTILINE).strip()
    swift = re.sub(r"\b(let|var) |: CGFloat\b|^ *\}$", "", swift, flags=re.MULTILINE)
    swift = re.sub(r"while (.*) \{", r"while \1:", swift)
    return re.sub(r"\b(\w+): ", r"\1=", swift)


def read_example(language: str) -> str:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (example,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return example


def build(folder: Path, *command: str) -> None:
    subprocess.run([*command, "-I", "."], cwd=folder, check=True)


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        ["./pose", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout
