"""Metadata travels inside the file and can be replaced."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tinypose.errors import TinyposeError
from tinypose.metadata import (
    Metadata,
    read_metadata,
    replace_metadata,
    write_metadata,
)
from tinypose.skeletons import COCO

METADATA = Metadata(
    name="m",
    family="tiny_hourglass",
    skeleton=COCO,
    input_hw=(64, 48),
    output="keypoints",
    heatmap_hw=(16, 12),
    sigma_cells=1.5,
    refinement="dark",
    training_data=("lsp 1-700", "coco"),
    licence="ours",
    accuracy={"PCK@0.2": 50.5},
    num_parameters=21,
    macs=7,
    version="0.1.0",
    config={"family": "tiny_hourglass", "model": {"depth": 3}},
)


MODEL = b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(MODEL)
    write_metadata(path, METADATA)
    return path


def test_there_and_back(file: Path) -> None:
    assert read_metadata(file) == METADATA
    assert file.read_bytes().startswith(MODEL)


def test_replacing_keeps_the_model(file: Path) -> None:
    other = replace(METADATA, name="other", accuracy={})
    for metadata in (other, METADATA, other):
        replace_metadata(file, metadata)
        assert read_metadata(file) == metadata
        assert file.read_bytes()[: len(MODEL)] == MODEL
        assert file.read_bytes().count(b"tinypose.json") == 2


@pytest.mark.parametrize(
    ("start", "members", "found"),
    [
        (b"", ["weights.h5"], "an archive that holds 'weights.h5'"),
        (MODEL, ["labels.txt"], "an archive that holds 'labels.txt'"),
        (b"\x1c\x00\x00\x00ABCD" * 9, [], "b'ABCD'"),
        (b"", [], "b''"),
    ],
    ids=["keras", "two_members", "other_file", "archive_alone"],
)
def test_nothing_but_a_tflite_file_is_rewritten(
    tmp_path: Path, start: bytes, members: list[str], found: str
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(start)
    write_metadata(path, METADATA)
    with zipfile.ZipFile(path, "a") as archive:
        for member in members:
            archive.writestr(member, "weights")
    before = path.read_bytes()
    with pytest.raises(TinyposeError, match=f"found {found}; nothing was changed"):
        replace_metadata(path, replace(METADATA, licence="another"))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "found format 9; update tinypose"),
        ({"output": "masks"}, "expected an output of"),
        ({"input_hw": [0, 5]}, "height and width"),
        ({"input_hw": "big"}, "wrong type"),
        ({"skeleton": 3}, "expected a skeleton"),
        ({"accuracy": None}, "wrong type"),
        ({"num_parameters": float("inf")}, "wrong type"),
        ({"padding": float("nan")}, "padding of at least 1"),
        ({"padding": 0}, "padding of at least 1"),
        ({"sigma_cells": float("inf")}, "sigma_cells of at least"),
    ],
)
def test_wrong_values_are_one_line(change: dict, message: str) -> None:
    value = {**METADATA.to_dict(), **change}
    with pytest.raises(TinyposeError, match=message) as caught:
        Metadata.from_dict(value, "m.tflite")
    assert "m.tflite" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("member", [b"[" * 100_000, b"\xff\xfe", b"{"])
def test_a_member_that_is_no_json(tmp_path: Path, member: bytes) -> None:
    path = tmp_path / "hostile.tflite"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinypose.json", member)
    with pytest.raises(TinyposeError, match="expected tinypose metadata"):
        read_metadata(path)


def test_a_damaged_member(file: Path) -> None:
    data = bytearray(file.read_bytes())
    start = data.find(b"tinypose.json") + 20
    data[start : start + 40] = bytes(40)
    file.write_bytes(data)
    with pytest.raises(TinyposeError, match="without its metadata"):
        read_metadata(file)


def test_a_file_without_metadata(tmp_path: Path) -> None:
    path = tmp_path / "foreign.tflite"
    path.write_bytes(b"TFL3" * 100)
    for function in (read_metadata, lambda p: replace_metadata(p, METADATA)):
        with pytest.raises(TinyposeError, match="without its metadata"):
            function(path)
    assert path.read_bytes() == b"TFL3" * 100
