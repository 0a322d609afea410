"""Exports for microcontrollers, for their tests."""

import re
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tinypose.data.stick_people import stick_people
from tinypose.export.tflite import export_tflite
from tinypose.geometry import crop_affine
from tinypose.images import warp_image
from tinypose.metadata import Metadata
from tinypose.micro_interpreter import is_installed
from tinypose.models import build_model

HW = (64, 48)


needs_tflite_micro = pytest.mark.skipif(
    not is_installed(),
    reason="needs the package tflite-micro, which has wheels for Linux on x86-64 only",
)
needs_compiler = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("cc")),
    reason="needs make and a C compiler",
)


def stick_crops(count: int = 6) -> NDArray[np.uint8]:
    """Return (count, 64, 48, 3) drawn people."""
    pictures = [
        warp_image(sample.load_image(), crop_affine(sample.box_xywh, HW), HW)
        for sample in stick_people(range(count))
    ]
    return np.stack(pictures)


def conv_net() -> keras.Model:
    """Return a conv_hourglass of two levels, the lower one separable."""
    keras.utils.set_random_seed(2)
    return build_model(
        "conv_hourglass",
        **{"input_hw": HW, "num_keypoints": 3, "stem_channels": 6},
        **{"channels": (8, 10), "encoder_blocks": (1, 1), "decoder_convs": (1,)},
        separable_from=2,
    )


def int8_file(
    net: keras.Model, metadata: Metadata, path: Path, **options: object
) -> Path:
    """Export a network in int8, its raw output unless told otherwise."""
    options = {"heads": True, "precision": "int8", **options}
    export_tflite(net, metadata, path, calibration=stick_crops(), **options)
    return path


def array_of(folder: Path) -> bytes:
    """Return the bytes of the model in the C source."""
    text = (folder / "test_model.c").read_text(encoding="utf-8")
    body = re.search(r"test_model\[TEST_MODEL_BYTES\] = \{(.*?)\};", text, re.S)
    return bytes(int(number) for number in re.findall(r"\d+", body[1]))


def macro(folder: Path, name: str) -> float | None:
    """Return the number that the header gives a name; None if it does not."""
    text = (folder / "test_model.h").read_text(encoding="utf-8")
    found = re.search(rf"#define TEST_{name} \(?([-\d.e]+)f?\)?$", text, re.M)
    return float(found[1]) if found else None


def build(folder: Path) -> None:
    """Build all of a folder; any warning of the compiler fails."""
    done = subprocess.run(
        ["make", "-C", folder, "check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
