"""Files: atomic writes, one-line errors."""

import errno
import os
from pathlib import Path

import pytest

from tinypose import files
from tinypose.errors import TinyposeError


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with pytest.raises(KeyboardInterrupt), files.atomic_path(target):
        raise KeyboardInterrupt
    assert list((tmp_path / "new").iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(TinyposeError, match=r"disk is full; free some space"):
        files.write_text(tmp_path / "a.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TinyposeError, match="cannot write"):
        files.write_text(tmp_path / "file" / "a.txt", "text")


def test_the_umask_decides_the_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "a.txt", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b'{"a": [1, 2', "truncated"),
        (b"\xff\xfe\x00", "truncated or of another format"),
        (b"[" * 100_000, "does not parse"),
    ],
    ids=["empty", "truncated", "binary", "deep"],
)
def test_wrong_json_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(TinyposeError, match=message) as caught:
        files.read_json(file, "labels")
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(TinyposeError, match="expected labels, found no such file"):
        files.read_json(tmp_path / "none.json", "labels")
    with pytest.raises(TinyposeError, match="expected labels, found a folder"):
        files.read_json(tmp_path, "labels")


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(b"12345")
    with pytest.raises(TinyposeError, match="at most 4 bytes, found 5"):
        files.require_file(file, "a thing", max_bytes=4)


def test_csv_and_json(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "a.csv", ["x", "y"], [[1, "a,b"]])
    assert (tmp_path / "a.csv").read_text() == 'x,y\n1,"a,b"\n'
    files.write_json(tmp_path / "a.json", {"ü": 1})
    assert files.read_json(tmp_path / "a.json") == {"ü": 1}
