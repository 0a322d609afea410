"""The command line as a whole: exit codes, one line, no traceback."""

import errno
import subprocess
import sys

import pytest

import tinypose
from tinypose.cli import main as cli
from tinypose.errors import TinyposeError, UsageError


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    code = stopped.value.code
    return code if isinstance(code, int) else 0


def test_version(capsys) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == tinypose.__version__


def test_help_lists_the_verbs(capsys) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    for verb in "demo train evaluate prune export predict models data".split():
        assert f"  {verb} " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'"),
        (["train", "--epochs", "3"], "No such option: --epochs"),
        (["predict"], "Missing argument"),
        (["evaluate", "tiny"], "Missing option '--data'"),
        (["train", "c.yaml", "--limit", "x"], "Invalid value for '--limit'"),
        (["train"], "either a configuration file or --resume"),
        (["train", "c.yaml"], "expected --out"),
        (["train", "c.yaml", "--out", "r"], "expected --data"),
        (["train", "c.yaml", "--out", ""], "expected --out"),
        (["train", "--resume", "r", "--out", "x"], "drop --out"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_wrong_usage_is_one_line_and_exit_2(capsys, arguments, message) -> None:
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("tinypose: error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (TinyposeError("expected a, found b"), 1, "expected a, found b"),
        (UsageError("expected c"), 2, "expected c"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (OSError(errno.ENOSPC, "x", "f.txt"), 1, "cannot use f.txt: the disk is full"),
        (ValueError("a\nb"), 1, "unexpected failure"),
    ],
    ids=["ours", "usage", "ctrl-c", "memory", "disk", "bug"],
)
def test_failures_are_one_line(capsys, monkeypatch, error, code, message) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("tinypose.data.sources.load_data", fail)
    monkeypatch.delenv("TINYPOSE_DEBUG", raising=False)
    assert run("data", "check", "stick_people:1-2") == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_debug_shows_the_traceback(capsys, monkeypatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ValueError("deep inside")

    monkeypatch.setattr("tinypose.data.sources.load_data", fail)
    monkeypatch.setenv("TINYPOSE_DEBUG", "1")
    assert run("data", "check", "stick_people:1-2") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", ["--help", "--version", "data check stick_people:1-2"]
)
def test_a_closed_pipe_is_no_failure(arguments: str) -> None:
    command = [sys.executable, "-m", "tinypose", *arguments.split()]
    done = subprocess.run(
        ["bash", "-c", '"$@" | true; exit ${PIPESTATUS[0]}', "bash", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
