"""The size read from a picture's head is that of the picture as it is read."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from tinypose.data.upright_size import upright_hw
from tinypose.images import read_image

FORMATS = [".jpg", ".png", ".webp", ".bmp", ".tif"]


def encode(suffix, hw=(23, 37)):
    noise = np.random.default_rng(0).integers(0, 255, (*hw, 3), np.uint8)
    return cv2.imencode(suffix, noise)[1].tobytes()


def exif(orientation, order="<"):
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", 1) + entry + struct.pack(f"{order}I", 0)


def segment(body):
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def check(path, data, hw):
    path.write_bytes(data)
    assert upright_hw(path) == hw == read_image(path).shape[:2]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("hw", [(23, 37), (200, 301)], ids=["small", "large"])
def test_upright_pictures(tmp_path, suffix, hw):
    check(tmp_path / f"a{suffix}", encode(suffix, hw), hw)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_turned_by_its_exif(tmp_path, orientation, order):
    jpeg = encode(".jpg")
    block = segment(b"Exif\0\0" + exif(orientation, order))
    hw = (37, 23) if orientation > 4 else (23, 37)
    check(tmp_path / "a.jpg", jpeg[:2] + block + jpeg[2:], hw)
    other = segment(b"http://ns.adobe.com/xap/1.0/\0<x/>")
    check(tmp_path / "a.jpg", jpeg[:2] + other + block + jpeg[2:], hw)


def test_png_turned_by_its_exif(tmp_path):
    png = encode(".png")
    body = b"eXIf" + exif(6)
    block = struct.pack(">I", len(body) - 4) + body
    block += struct.pack(">I", zlib.crc32(body))
    path = tmp_path / "a.png"
    path.write_bytes(png[:33] + block + png[33:])
    assert upright_hw(path) == read_image(path).shape[:2] == (37, 23)


def test_size_behind_a_large_head(tmp_path):
    jpeg = encode(".jpg")
    profile = segment(b"ICC_PROFILE\0" + bytes(65000)) * 3
    check(tmp_path / "a.jpg", jpeg[:2] + profile + jpeg[2:], (23, 37))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_head_alone_is_read(tmp_path, suffix):
    data = encode(suffix, (300, 400))
    assert len(data) > 70_000
    (tmp_path / "cut").write_bytes(data[:70_000])
    assert upright_hw(tmp_path / "cut") == (300, 400)


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_no_picture(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    assert upright_hw(tmp_path / "a.jpg") is None
    assert upright_hw(tmp_path / "gone.jpg") is None
    assert upright_hw(tmp_path) is None
