"""``tinypose train`` as a user meets it: real processes, really killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinypose.cli import main as cli
from tinypose.config import Config, apply_overrides, save_config
from tinypose.training.run_dir import HISTORY_COLUMNS, RunDir

OVERRIDES = [
    "skeleton=ai_challenger",
    "model.input_hw=[32, 32]",
    "model.channels=8",
    "model.depth=1",
    "training.batch_size=4",
    "training.epochs=3",
    "training.warmup_steps=4",
    "training.checkpoint_seconds=0",
]
DATA = ["--data", "stick_people:1-40", "--val", "stick_people:41-48"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    save_config(file, apply_overrides({}, OVERRIDES, "test"))
    return file


def start(*arguments: object, backend: str = "tensorflow") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tinypose", "train", *map(str, arguments)],
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def wait_for_new_checkpoint(process: subprocess.Popen, run: Path, times: int) -> None:
    """Return once the run has written its checkpoint anew ``times`` times."""
    file, seen = run / "checkpoint.npz", set()
    deadline = time.monotonic() + 200
    while len(seen) <= times and process.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint"
        if file.exists():
            seen.add(file.stat().st_mtime_ns)
        time.sleep(0.001)


@pytest.mark.slow
def test_killed_twice_and_resumed_equals_uninterrupted(config, tmp_path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    process = start(config, *DATA, "--out", parts)
    wait_for_new_checkpoint(process, parts, 3)
    process.kill()
    process.communicate()
    # As a kill in the middle of a write leaves it.
    (parts / ".checkpoint-half.npz").write_bytes(b"half")
    process = start("--resume", parts)
    wait_for_new_checkpoint(process, parts, 9)
    process.kill()
    process.communicate()
    _, stopped = RunDir(parts).load_checkpoint()
    assert stopped.epoch < 3, "it was killed too late to test anything"
    finish(start("--resume", parts))
    output = finish(start(config, *DATA, "--out", whole))
    assert "best PCK@0.2" in output

    (a, progress_a), (b, progress_b) = (
        RunDir(path).load_checkpoint() for path in (whole, parts)
    )
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)
    speed = HISTORY_COLUMNS.index("images_per_second")
    for rows in zip(progress_a.history, progress_b.history, strict=True):
        first, second = ([*row[:speed], *row[speed + 1 :]] for row in rows)
        assert first == second
    # Nothing half-written is left behind.
    assert not [p for p in parts.iterdir() if p.name.startswith(".")]


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(config, tmp_path) -> None:
    run = tmp_path / "run"
    process = start(config, *DATA, "--out", run, "--set", "training.epochs=500")
    wait_for_new_checkpoint(process, run, 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 130
    assert f"tinypose train --resume {run}" in output.replace("\n", "")
    assert "Traceback" not in output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="--workers needs Linux")
def test_a_run_on_jax_with_workers_goes_on_on_tensorflow(
    config, tmp_path, capsys
) -> None:
    run = tmp_path / "run"
    sizes = ["--set", "training.first_sizes=[[4, 16, 16]]"]
    options = ["--set", "training.epochs=6", "--workers", 2, "--out", run]
    finish(start(config, *DATA, *sizes, *options, backend="jax"))
    assert json.loads((run / "environment.json").read_text())["backend"] == "jax"
    columns = HISTORY_COLUMNS.index("loss"), HISTORY_COLUMNS.index("validation_loss")
    before = [[row[c] for c in columns] for row in history(run)]
    assert len(before) == 6

    arguments = ["--resume", run, "--set", "training.epochs=8", "--workers", 2]
    code, _, _ = run_here(capsys, "train", *arguments)
    assert code == 0
    after = [[row[c] for c in columns] for row in history(run)]
    assert after[:6] == before
    # It goes on from where it was: a new network's loss is that of the beginning.
    start_loss, end_loss = before[4][0], before[5][0]
    assert after[6][0] < (start_loss + end_loss) / 2
    assert after[7][1] < before[4][1]


def history(run: Path) -> list[list[float]]:
    _, progress = RunDir(run).load_checkpoint()
    return progress.history


def fail(capsys, *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", *map(str, arguments)])
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("tinypose: error: ")
    return stopped.value.code, err


def test_an_existing_run_is_not_overwritten(config, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    RunDir(run).create({"data": []}, Config())
    code, err = fail(capsys, config, *DATA, "--out", run)
    assert code == 2
    assert f"tinypose train --resume {run}" in err


def test_resuming_what_is_no_run(tmp_path, capsys) -> None:
    code, err = fail(capsys, "--resume", tmp_path / "none")
    assert (code, "found no such folder" in err) == (1, True)
    code, err = fail(capsys, "--resume", tmp_path)
    assert (code, "record of a training run" in err) == (1, True)


def test_resuming_with_other_labels(config, tmp_path, capsys) -> None:
    run_dir = RunDir(tmp_path / "run")
    record = {"data": ["stick_people:1-4"], "validation": [], "limit": None}
    record |= {"init": None, "fingerprint": "of other labels", "left_out": []}
    run_dir.create(record, apply_overrides({}, OVERRIDES, "test"))
    code, err = fail(capsys, "--resume", run_dir.path)
    assert (code, "found other samples or labels" in err) == (1, True)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.num_keypoints=5", "expected 14, as the skeleton 'ai_challenger' has"),
        ("skeleton=none.yaml", "found no such file"),
        ("training.epochz=3", "did you mean 'training.epochs'"),
    ],
)
def test_a_config_that_does_not_fit(
    config, tmp_path, capsys, override, message
) -> None:
    code, err = fail(
        capsys, config, *DATA, "--out", tmp_path / "run", "--set", override
    )
    assert message in err
    assert code in (1, 2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--set", "training.batch_size=2", "a resumed run may only change"),
        ("--limit", "5", "drop --limit"),
        ("--data", "stick_people", "drop --data"),
    ],
)
def test_a_resumed_run_stays_what_it_was(capsys, option, value, message) -> None:
    code, err = fail(capsys, "--resume", "run", option, value)
    assert (code, message in err) == (2, True)


def test_a_device_that_is_not_there(config, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    code, err = fail(capsys, config, *DATA, "--out", run, "--device", "gpu:7")
    assert (code, "expected GPU 7, found" in err) == (1, True)
    assert not run.exists()
    code, err = fail(capsys, config, *DATA, "--out", run, "--device", "tpu")
    assert (code, "expected auto, cpu" in err) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(config, tmp_path, capsys) -> None:
    tmp_path.chmod(0o500)
    code, err = fail(capsys, config, *DATA, "--out", tmp_path / "run")
    assert (code, "no permission" in err) == (1, True)


def test_defaults_train_the_default_skeleton() -> None:
    assert Config().model.num_keypoints == 14


def run_here(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return stopped.value.code, output.out, output.err


@pytest.mark.slow
def test_weights_of_a_run_start_another_one(config, tmp_path, capsys) -> None:
    first, weights = tmp_path / "first", tmp_path / "first.npz"
    few = ["--data", "stick_people:1-8", "--set", "training.epochs=1"]
    assert run_here(capsys, "train", config, *few, "--out", first)[0] == 0
    code, out, _ = run_here(capsys, "export", first, "--to", weights)
    assert code == 0 and out.startswith(f"wrote {weights}: ")
    second = tmp_path / "second"
    code, out, err = run_here(
        capsys, "train", config, *few, "--out", second, "--init", weights
    )
    assert code == 0, err
    # Lines are broken to the width of the terminal, even within names.
    assert f"layersstartfrom{weights}" in "".join((out + err).split())
    # It goes on from its own checkpoint: the weights it began with may be gone.
    weights.unlink()
    more = ["--resume", second, "--set", "training.epochs=2"]
    assert run_here(capsys, "train", *more)[0] == 0
    assert len(history(second)) == 2
    third = tmp_path / "third"
    code, _, err = run_here(
        capsys, "train", config, *few, "--out", third, "--teacher", first
    )
    assert code == 0, err
    assert json.loads((third / "run.json").read_text())["teacher"] == str(first)


@pytest.mark.parametrize(
    ("option", "model", "message"),
    [
        ("--init", "tiny", "expected a run folder, a .keras or .npz file"),
        ("--init", "mine.tflite", "a .tflite file holds no network to train with"),
        ("--teacher", "tiny", "--teacher tiny: expected a run folder"),
        ("--teacher", "small", "expected heatmaps like the student's"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    config, tmp_path, capsys, option, model, message
) -> None:
    arguments = ["--data", "stick_people:1-8", "--out", tmp_path / "run"]
    code, out, err = run_here(capsys, "train", config, *arguments, option, model)
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()
