"""Files: atomic writes, one-line errors."""

import errno
import fcntl
import os
import threading
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


def test_what_is_flushed_to_the_disk_is_open_for_writing(
    tmp_path: Path, monkeypatch
) -> None:
    modes = []
    # Windows refuses to flush what is open for reading only.
    monkeypatch.setattr(
        os, "fsync", lambda file: modes.append(fcntl.fcntl(file, fcntl.F_GETFL))
    )
    files.write_text(tmp_path / "a.txt", "text")
    assert [mode & os.O_ACCMODE for mode in modes] == [os.O_RDWR]


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


def test_lines_of_text(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffa\r\nb ä\n".encode())
    assert files.read_lines(file, "names") == ["a", "b ä"]
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(TinyposeError, match=r"a\.txt: expected names, found other by"):
        files.read_lines(file, "names")
    with pytest.raises(TinyposeError, match="no such file"):
        files.read_lines(tmp_path / "none", "names")


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


def test_folders_have_the_mode_of_every_other_folder(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with files.atomic_folder(tmp_path / "a") as temporary:
            (temporary / "b").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750


def test_writing_never_touches_the_umask(tmp_path: Path, monkeypatch) -> None:
    # It belongs to all threads: a file of theirs would be open to everybody.
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("umask changed"))
    files.write_text(tmp_path / "a.txt", "text")
    with files.atomic_folder(tmp_path / "a"):
        pass


@pytest.mark.parametrize("there", [True, False], ids=["file", "nothing"])
def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path, there: bool) -> None:
    real = tmp_path / "real"
    real.mkdir()
    if there:
        (real / "a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(real / "a.txt")
    files.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (real / "a.txt").read_text() == "new"
    assert [p.name for p in real.iterdir()] == ["a.txt"]


def test_a_link_to_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with files.atomic_folder(tmp_path / "link") as temporary:
        (temporary / "a").touch()
    assert (tmp_path / "link").is_symlink()
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["a"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]


def test_the_working_directory_stays_the_folder_that_it_is(
    tmp_path: Path, monkeypatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "old").touch()
    monkeypatch.chdir(here)
    assert files.named_path(".") == here and files.named_path("..") == tmp_path
    assert files.named_path("a/b.txt") == Path("a/b.txt")
    with files.atomic_folder(here) as temporary:
        (temporary / "new").touch()
        (temporary / "more").mkdir()
    assert sorted(os.listdir()) == ["more", "new"]
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


def test_a_working_directory_that_cannot_be_filled_is_as_before(
    tmp_path: Path, monkeypatch
) -> None:
    here, rename = tmp_path / "here", os.rename
    here.mkdir()
    (here / "old").touch()
    monkeypatch.chdir(here)

    def refuse(source, target):
        if Path(source).name == "new" and Path(target).parent == here:
            raise OSError(errno.ENOSPC, "full")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(TinyposeError, match="disk is full"):
        with files.atomic_folder(here) as temporary:
            (temporary / "new").touch()
    assert os.listdir() == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    files.write_text(pipe, "text")
    reader.join(timeout=10)
    assert read == ["text"] and pipe.is_fifo()
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_a_device_is_written_to() -> None:
    files.write_text(os.devnull, "text")
    assert Path(os.devnull).is_char_device()


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


def test_stray_bytes_of_a_file_name_become_printable() -> None:
    assert files.printable(os.fsdecode(b"b\xe9.jpg")) == r"b\udce9.jpg"
    assert files.printable("ä, b.mp4") == "ä, b.mp4"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        pytest.param(b"\xef\xbb\xbf[1]", [1], id="byte-order mark"),
        pytest.param(b"[1" + b"0" * 5000 + b"]", None, id="thousands of digits"),
        pytest.param(b"[\xff]", None, id="not UTF-8"),
    ],
)
@pytest.mark.parametrize("read", [files.read_json, files.read_yaml])
def test_text_as_editors_and_enemies_write_it(tmp_path, read, content, value) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    if value is not None:
        assert read(path) == value
        return
    with pytest.raises(TinyposeError, match="found something that does not parse"):
        read(path)


def test_names_with_stray_bytes_read_back(tmp_path: Path) -> None:
    for value in (["g\udce9.png", "é"], ["é"]):
        files.write_json(tmp_path / "a.json", value)
        assert files.read_json(tmp_path / "a.json") == value
    assert "é" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    for name, message in (("file/a.json", "in the way"), ("", "it is a folder")):
        with pytest.raises(TinyposeError, match=f"cannot write .*{message}"):
            files.require_writable(tmp_path / name)
    files.require_writable(tmp_path / "file")
    files.require_writable(tmp_path / "new" / "a.json")
    assert (tmp_path / "file").read_text() == "old"
    assert list((tmp_path / "new").iterdir()) == []
