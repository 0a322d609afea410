"""``tinypose train`` as a user meets it: real processes, really killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from tinypose.cli import main as cli
from tinypose.cli.stopping import stop_requested
from tinypose.cli.train_job import continue_run
from tinypose.config import Config, apply_overrides, save_config
from tinypose.data.coco_writer import write_coco
from tinypose.data.fingerprint import fingerprint, training_fingerprint
from tinypose.data.stick_people import stick_people
from tinypose.images import write_image
from tinypose.metadata import read_metadata
from tinypose.skeletons import AI_CHALLENGER, load_skeleton
from tinypose.training.device import choose_device
from tinypose.training.job import TrainingJob
from tinypose.training.run_dir import HISTORY_COLUMNS, Progress, RunDir
from tinypose.training.steps import SavedInterrupt
from tinypose.weights import shipped_weights

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
    assert process.poll() is None, "it was done before it could be stopped"


@pytest.mark.slow
def test_killed_twice_and_resumed_equals_uninterrupted(config, tmp_path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    # Each step is the same however many are to follow: the last part shall end
    # soon, wherever the first two were killed.
    change = ["--set", "training.schedule=exponential", "--set"]
    process = start(config, *DATA, "--out", parts, *change, "training.epochs=500")
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
    epochs = f"training.epochs={stopped.epoch + 2}"
    finish(start("--resume", parts, "--set", epochs))
    output = finish(start(config, *DATA, "--out", whole, *change, epochs))
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
    long = ["--set", "training.epochs=500"]
    rarely = ["--set", "training.checkpoint_seconds=9999"]
    process = start(config, *DATA, "--out", run, *long, *rarely)
    wait_for_new_checkpoint(process, run, 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 130
    # Not by the clock, but because it was asked to stop.
    assert "everythingissaved" in "".join(output.split())
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


@pytest.mark.parametrize("name", ["config.yaml", "skeleton.yaml"])
def test_files_of_the_user_are_not_overwritten(config, tmp_path, capsys, name) -> None:
    own = tmp_path / "hand" / name
    own.parent.mkdir()
    if name == "config.yaml":
        own.write_text(config.read_text())
        given = [own]
    else:
        skeleton = load_skeleton("ai_challenger").to_dict()
        own.write_text(yaml.safe_dump({**skeleton, "name": "hand"}))
        given = [config, "--set", f"skeleton={own}"]
    before = own.read_bytes()
    code, err = fail(capsys, *given, *DATA, "--out", own.parent)
    assert code == 2 and f"found {name}, which the run would overwrite" in err
    assert own.read_bytes() == before
    assert [path.name for path in own.parent.iterdir()] == [name]


def test_stages_that_have_not_learned_are_not_made_sparse(tmp_path, capsys) -> None:
    spec = ["--out", tmp_path / "run", "--set", "training.sparsity=0.5"]
    code, err = fail(capsys, "deeppose_cascade_small", *DATA, *spec)
    assert code == 2 and "the stages of deeppose_cascade are trained one by one" in err


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


def test_resuming_phases_with_other_epochs(tmp_path, capsys, untrained) -> None:
    record = {"data": ["stick_people:1-4"], "validation": [], "limit": None}
    record |= {"init": None, "fingerprint": "", "left_out": []}
    run_dir = RunDir(tmp_path / "run")
    run_dir.create(record, Config(family="multi_resolution"))
    before = run_dir.config.read_text()
    code, err = fail(capsys, "--resume", run_dir.path, "--set", "training.epochs=30")
    assert (code, "training.epochs=30: expected 20, as the" in err) == (2, True)
    assert "coarse, fine, both share them out" in err
    assert run_dir.config.read_text() == before
    # The same number is no change: it stops at the labels, which are others.
    code, err = fail(capsys, "--resume", run_dir.path, "--set", "training.epochs=20")
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
        ("--init", "small", "drop --init"),
    ],
)
def test_a_resumed_run_stays_what_it_was(capsys, option, value, message) -> None:
    code, err = fail(capsys, "--resume", "run", option, value)
    assert (code, message in err) == (2, True)


@pytest.fixture
def untrained(monkeypatch) -> list[TrainingJob]:
    """Let the command do all but train; return what it would train."""
    jobs: list[TrainingJob] = []

    def run_training(job: TrainingJob, display, strategy) -> Progress:
        jobs.append(job)
        return Progress(epoch=3)

    monkeypatch.setattr("tinypose.training.train.run_training", run_training)
    return jobs


def test_crops_are_padded_as_configured(config, tmp_path, capsys, untrained) -> None:
    options = ["--set", "padding=1.5", "--out", tmp_path / "run"]
    assert run_here(capsys, "train", config, *DATA, *options)[0] == 0
    (job,) = untrained
    assert job.training.padding == job.validation.padding == job.config.padding == 1.5


def test_no_more_people_are_trained_on_than_asked(
    config, tmp_path, capsys, untrained
) -> None:
    options = ["--data", "stick_people:50-60", "--limit", 3, "--out", tmp_path / "run"]
    assert run_here(capsys, "train", config, *DATA, *options)[0] == 0
    (job,) = untrained
    assert (len(job.training.samples), len(job.validation.samples)) == (3, 8)
    # Of all data sets.
    assert job.training.samples[-1].sample_id.endswith("60")


def test_names_that_are_on_one_side_only_are_said(
    config, tmp_path, capsys, untrained
) -> None:
    labels = write_people(tmp_path / "here")
    own = {"name": "mine", "keypoints": ["Left-Wrist", "Neck", "head-top", "tail"]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))
    options = ["--set", f"skeleton={tmp_path / 'mine.yaml'}", "--out", tmp_path / "run"]
    few = ["--set", "model.num_keypoints=4", "--data", f"coco={labels}"]
    code, out, err = run_here(capsys, "train", config, *few, *options)
    assert code == 0, err
    said = " ".join((out + err).split())
    assert "tail, not in the skeleton and left out: " in said
    left_out = said.partition("left out: ")[2]
    assert "right_wrist" in left_out and "left_wrist" not in left_out


def test_what_spoils_a_training_is_said_at_its_start(
    config, tmp_path, capsys, untrained
) -> None:
    labels = write_people(tmp_path / "here")
    own = {"name": "mine", "keypoints": ["left_wrist", "neck"]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))
    skeleton = ["--set", f"skeleton={tmp_path / 'mine.yaml'}"]
    skeleton += ["--set", "model.num_keypoints=2"]
    data = ["--data", f"coco={labels}", "--val", f"coco={labels}:4-4"]
    code, _, err = run_here(
        capsys, "train", config, *data, *skeleton, "--out", tmp_path / "run"
    )
    assert code == 0, err
    said = " ".join(err.split())
    assert "warning: the skeleton 'mine' has no flip_pairs for left_wrist: in" in said
    assert "warning: 1 of 1 pictures of --val are in --data, too" in said
    options = ["--out", tmp_path / "quiet", "--quiet"]
    code, _, err = run_here(capsys, "train", config, *data, *skeleton, *options)
    assert (code, err) == (0, "")


def test_pairs_of_the_data_that_are_not_learned_are_said(
    config, tmp_path, capsys, untrained
) -> None:
    labels = write_people(tmp_path / "here")
    content = json.loads(labels.read_text())
    names = content["categories"][0]["keypoints"]
    pair = [names.index("neck") + 1, names.index("head_top") + 1]
    content["categories"][0]["flip_pairs"] = [pair]
    labels.write_text(json.dumps(content))
    data = ["--data", f"coco={labels}", "--out", tmp_path / "run"]
    code, _, err = run_here(capsys, "train", config, *data)
    assert code == 0, err
    said = " ".join(err.split())
    assert "warning: the data swap [neck, head_top] in mirrored pictures" in said


def write_people(folder: Path) -> Path:
    """Write four people with pictures, as COCO-style JSON."""
    people = []
    for number, sample in enumerate(stick_people(range(1, 5))):
        write_image(folder / f"{number}.png", sample.load_image())
        people.append(replace(sample, picture=folder / f"{number}.png"))
    write_coco(folder / "labels.json", people, folder)
    return folder / "labels.json"


@pytest.fixture
def movable(config, tmp_path, capsys, untrained) -> Path:
    """A run on people in ``here``, of keypoints in a file of their own."""
    labels = write_people(tmp_path / "here")
    own = {**AI_CHALLENGER.to_dict(), "name": "mine"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))
    data = ["--data", f"coco={labels}:1-3", "--val", f"coco={labels}:4-4"]
    skeleton = ["--set", f"skeleton={tmp_path / 'mine.yaml'}"]
    run = tmp_path / "run"
    code, _, err = run_here(capsys, "train", config, *data, *skeleton, "--out", run)
    assert code == 0, err
    return run


def test_as_much_around_a_person_is_kept_as_is_needed(movable, untrained) -> None:
    (job,) = untrained
    needed = job.config.augment.reach_xy(job.config.model.input_hw)
    assert (job.training._reach_xy == needed).all() and (needed > 2).all()
    assert (job.validation._reach_xy < 1.1).all()


def test_a_run_goes_on_where_its_data_lie_now(
    movable, tmp_path, capsys, untrained
) -> None:
    there = (tmp_path / "here").rename(tmp_path / "there") / "labels.json"
    (tmp_path / "mine.yaml").unlink()
    code, err = fail(capsys, "--resume", movable)
    assert (code, "say where each --data of the run lies now" in err) == (1, True)
    assert str(tmp_path / "here" / "labels.json") in err
    data = ["--data", f"coco={there}:1-3"]
    code, err = fail(capsys, "--resume", movable, *data)
    assert (code, "say where each --val" in err) == (1, True)
    moved = ["--resume", movable, *data, "--val", f"coco={there}:4-4"]
    # From then on it needs no options.
    for arguments in (moved, ["--resume", movable]):
        code, _, err = run_here(capsys, "train", *arguments)
        assert code == 0, err
    assert RunDir(movable).read_run()["data"] == [f"coco={there}:1-3"]
    assert untrained[-1].training.skeleton.name == "mine"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--data", "coco=LABELS:1-2", "wherever it lies now (coco 1-3), found coco"),
        ("--data", "stick_people:1-3", "found stick_people 1-3"),
        ("--val", "coco=LABELS", "(coco 4-4), found coco; start a new run"),
        ("--teacher", "small", "expected none, as the run was started without"),
    ],
)
def test_a_run_goes_on_with_nothing_else(
    movable, tmp_path, capsys, option, value, message
) -> None:
    value = value.replace("LABELS", str(tmp_path / "here" / "labels.json"))
    code, err = fail(capsys, "--resume", movable, option, value)
    assert (code, message in err) == (2, True), err


def test_a_run_goes_on_where_its_teacher_lies_now(movable, tmp_path, capsys) -> None:
    run_dir, now = RunDir(movable), tmp_path / "teacher.keras"
    now.touch()
    run_dir.write_run({**run_dir.read_run(), "teacher": str(tmp_path / "gone.keras")})
    code, err = fail(capsys, "--resume", movable)
    assert (code, "say where each --teacher" in err) == (1, True)
    code, _, err = run_here(capsys, "train", "--resume", movable, "--teacher", now)
    assert code == 0, err
    assert run_dir.read_run()["teacher"] == str(now)


def test_a_run_goes_on_with_its_own_teacher_only(
    config, tmp_path, capsys, monkeypatch, untrained
) -> None:
    monkeypatch.setattr("tinypose.training.teacher.load_teacher", lambda *_: None)
    teacher, run = tmp_path / "teacher.keras", tmp_path / "run"
    teacher.write_bytes(b"learned")
    people = ["--data", "stick_people:1-4", "--teacher", teacher]
    code, _, err = run_here(capsys, "train", config, *people, "--out", run)
    assert code == 0, err
    code, _, err = run_here(capsys, "train", "--resume", run)
    assert code == 0, err
    teacher.write_bytes(b"trained on")
    code, err = fail(capsys, "--resume", run)
    assert (code, "found other weights" in err) == (1, True), err


def test_what_the_first_weights_and_the_teacher_were_made_of_is_kept(
    config, tmp_path, capsys, monkeypatch, untrained
) -> None:
    monkeypatch.setattr("tinypose.training.teacher.load_teacher", lambda *_: None)
    teacher, run = tmp_path / "teacher.keras", tmp_path / "run"
    teacher.write_bytes(b"without metadata")
    shipped = read_metadata(shipped_weights()["small"])
    people = ["--data", "stick_people:1-4", "--init", "small", "--teacher", teacher]
    code, _, err = run_here(capsys, "train", config, *people, "--out", run)
    assert code == 0, err
    # A resumed run needs none of the files for it.
    monkeypatch.setattr("tinypose.weights.shipped_weights", dict)
    RunDir(run).checkpoint.touch()
    code, _, err = run_here(capsys, "train", "--resume", run)
    assert code == 0, err
    for job in untrained:
        small, taught_by = job.origins
        assert small.training_data == shipped.training_data
        assert (small.name, small.licence) == ("small", shipped.licence)
        assert taught_by.data_text == "teacher.keras: not stated"


def test_a_run_s_configuration_has_its_own_skeleton(
    movable, tmp_path, capsys, untrained
) -> None:
    """Where the skeleton was, there may be another one by now, or none."""
    run_dir = RunDir(movable)
    (tmp_path / "mine.yaml").unlink()
    data = ["--data", f"coco={tmp_path / 'here' / 'labels.json'}:1-3"]
    again = tmp_path / "again"
    code, _, err = run_here(capsys, "train", run_dir.config, *data, "--out", again)
    assert code == 0, err
    assert untrained[-1].training.skeleton.name == "mine"
    assert RunDir(again).skeleton.exists()
    with_own = ["--set", "skeleton=gone.yaml", "--out", tmp_path / "third"]
    code, err = fail(capsys, run_dir.config, *data, *with_own)
    assert code == 1 and "gone.yaml" in err


def test_the_command_that_goes_on_has_the_options(
    config, tmp_path, capsys, monkeypatch
) -> None:
    def run_training(job: TrainingJob, display, strategy) -> Progress:
        raise SavedInterrupt

    monkeypatch.setattr("tinypose.training.train.run_training", run_training)
    out = tmp_path / "run"
    options = ["--data", "stick_people:1-4", "--workers", 2, "--device", "cpu"]
    with pytest.raises(SystemExit):
        cli.main([str(x) for x in ("train", config, *options, "--out", out)])
    said = " ".join(capsys.readouterr().err.split())
    assert f"tinypose train --resume {out} --workers 2 --device cpu" in said


def test_another_edge_does_not_end_a_run(movable, capsys, untrained) -> None:
    run_dir = RunDir(movable)
    samples = [*untrained[0].training.samples, *untrained[0].validation.samples]
    # As runs were recorded before edges ceased to count.
    run_dir.write_run({**run_dir.read_run(), "fingerprint": fingerprint(samples)})
    assert run_here(capsys, "train", "--resume", movable)[0] == 0
    own = yaml.safe_load(run_dir.skeleton.read_text())
    own["edges"] = own["edges"][1:]
    run_dir.skeleton.write_text(yaml.safe_dump(own))
    assert run_here(capsys, "train", "--resume", movable)[0] == 0
    own["flip_pairs"] = own["flip_pairs"][1:]
    run_dir.skeleton.write_text(yaml.safe_dump(own))
    code, err = fail(capsys, "--resume", movable)
    assert (code, "name the run's own with --data and --val" in err) == (1, True)


def test_runs_of_before_sets_were_told_apart_go_on(
    config, tmp_path, capsys, untrained
) -> None:
    files = [write_people(tmp_path / name) for name in ("one", "two")]
    data = [word for file in files for word in ("--data", f"coco={file}")]
    run = tmp_path / "run"
    code, _, err = run_here(capsys, "train", config, *data, "--out", run)
    assert code == 0, err
    samples = untrained[0].training.samples
    assert [s.sample_id[:6] for s in samples[3:5]] == ["coco/3", "coco2/"]
    old = [
        replace(s, sample_id=s.sample_id.replace("coco2/", "coco/")) for s in samples
    ]
    record = RunDir(run).read_run()
    for of_before in (fingerprint, training_fingerprint):
        RunDir(run).write_run({**record, "fingerprint": of_before(old)})
        code, _, err = run_here(capsys, "train", "--resume", run)
        assert code == 0, err
        assert RunDir(run).read_run()["fingerprint"] == record["fingerprint"]


def write_many(folder: Path, boxes_beside: int) -> Path:
    """Write forty people in one picture, some with their boxes beside it."""
    (sample,) = stick_people([1])
    write_image(folder / "a.png", sample.load_image())
    people = [replace(sample, picture=folder / "a.png")] * 40
    for number in range(boxes_beside):
        people[number] = replace(people[number], box_xywh=np.array([9e3, 0, 9, 9]))
    write_coco(folder / "labels.json", people, folder)
    return folder / "labels.json"


def test_who_is_left_out_stays_so(config, tmp_path, capsys, untrained) -> None:
    labels = write_many(tmp_path / "here", boxes_beside=2)
    run = tmp_path / "run"
    data = ["--data", f"coco={labels}", "--out", run]
    code, _, err = run_here(capsys, "train", config, *data)
    assert code == 0, err
    beside = ["coco/a.png#1", "coco/a.png#2"]
    assert untrained[0].training.beside == beside
    record = RunDir(run).read_run()
    assert record["left_out"] == beside
    # Runs of before boxes were looked at left nobody out, and go on.
    for left_out in (beside, []):
        RunDir(run).write_run({**record, "left_out": left_out})
        assert run_here(capsys, "train", "--resume", run)[0] == 0
        assert RunDir(run).read_run()["left_out"] == beside
    gone = ["coco/a.png#1", "coco/a.png#9"]
    RunDir(run).write_run({**record, "left_out": gone})
    code, _, err = run_here(capsys, "train", "--resume", run)
    said = " ".join(err.split())
    assert code == 1
    assert "expected the same 2 people as at the start whose pictures do not" in said
    assert "found 2 (now also coco/a.png#2; no longer coco/a.png#9); are all" in said
    assert RunDir(run).read_run()["left_out"] == gone


def test_a_stop_is_heard_and_a_second_one_is_at_once() -> None:
    lines: list[str] = []
    with stop_requested(lines.append) as stopped:
        assert not stopped()
        signal.raise_signal(signal.SIGTERM)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert lines == ["stopping after this step; once more to stop at once"]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none")
def test_a_closed_terminal_asks_to_stop_unless_it_is_not_to_matter() -> None:
    def gone(text: str) -> None:
        raise OSError("no terminal")

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with stop_requested(gone) as stopped:
            signal.raise_signal(signal.SIGHUP)
            assert stopped()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with stop_requested() as stopped:
            signal.raise_signal(signal.SIGHUP)
            assert not stopped()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_stop_in_the_last_moment_is_told(movable, monkeypatch, capsys, quiet) -> None:
    def run_training(job, display, strategy) -> Progress:
        signal.raise_signal(signal.SIGINT)
        return Progress(epoch=3)

    monkeypatch.setattr("tinypose.training.train.run_training", run_training)
    assert continue_run(movable, "cpu", quiet) is True
    assert ("stopping after this step" in capsys.readouterr().err) == (not quiet)


def test_a_device_that_is_not_there(config, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    code, err = fail(capsys, config, *DATA, "--out", run, "--device", "gpu:7")
    assert (code, "expected GPU 7, found" in err) == (1, True)
    assert not run.exists()
    code, err = fail(capsys, config, *DATA, "--out", run, "--device", "tpu")
    assert (code, "expected auto, cpu" in err) == (2, True)


@pytest.mark.parametrize(
    ("device", "count", "visible", "strategy"),
    [
        ("auto", 2, [0], None),
        ("auto", 0, None, None),
        ("cpu", 2, [], None),
        ("gpu", 1, [0], None),
        ("gpu", 3, [0, 1, 2], ["GPU:0", "GPU:1", "GPU:2"]),
        ("gpu:1", 2, [1], None),
        # Of those that are visible, the first and the second.
        ("gpu:0,2", 3, [0, 2], ["GPU:0", "GPU:1"]),
    ],
)
def test_the_named_devices_are_taken(monkeypatch, device, count, visible, strategy):
    import tensorflow as tf

    shown, grown = [], []
    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda _: list(range(count)))
    monkeypatch.setattr(
        config, "set_visible_devices", lambda chosen, kind: shown.append(list(chosen))
    )
    monkeypatch.setattr(
        config.experimental, "set_memory_growth", lambda gpu, on: grown.append(gpu)
    )
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda names: names)
    assert choose_device(device) == strategy
    assert shown == ([] if visible is None else [visible])
    assert grown == (visible or [])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["device gpu", "load_teacher", "train on it"]),
        # The processes are copied before a network is on the device.
        (["--workers", "2"], ["device gpu", "check_teacher", "train on it"]),
    ],
    ids=["threads", "processes"],
)
def test_the_device_is_chosen_before_a_network_is_built(
    config, tmp_path, capsys, monkeypatch, options, expected
) -> None:
    done: list[str] = []

    def choose_device(device: str) -> str:
        done.append(f"device {device}")
        return "it"

    def run_training(job: TrainingJob, display, strategy) -> Progress:
        done.append(f"train on {strategy}")
        return Progress(epoch=3)

    monkeypatch.setattr("tinypose.training.device.choose_device", choose_device)
    for name in ("load_teacher", "check_teacher"):
        monkeypatch.setattr(
            f"tinypose.training.teacher.{name}", lambda *_, name=name: done.append(name)
        )
    monkeypatch.setattr("tinypose.training.train.run_training", run_training)
    (tmp_path / "teacher.keras").touch()
    arguments = ["--data", "stick_people:1-4", "--teacher", tmp_path / "teacher.keras"]
    arguments += ["--out", tmp_path / "run", "--device", "gpu", *options]
    code, _, err = run_here(capsys, "train", config, *arguments)
    assert code == 0, err
    assert done == expected
    done.clear()
    resume = ["--resume", tmp_path / "run", "--device", "gpu"]
    assert run_here(capsys, "train", *resume)[0] == 0
    assert done == ["device gpu", "train on it"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(config, tmp_path, capsys) -> None:
    tmp_path.chmod(0o500)
    code, err = fail(capsys, config, *DATA, "--out", tmp_path / "run")
    assert (code, "no permission" in err) == (1, True)


def test_defaults_train_the_default_skeleton() -> None:
    skeleton = load_skeleton(Config().skeleton)
    assert Config().model.num_keypoints == skeleton.num_keypoints


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
        ("--init", "medium", "expected a run folder, a .keras or .npz file"),
        ("--init", "mine.tflite", "a .tflite file holds no network to train with"),
        ("--teacher", "medium", "--teacher medium: expected a run folder"),
        ("--teacher", "small", "expected heatmaps as sharp as the student's"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    config, tmp_path, capsys, option, model, message
) -> None:
    arguments = ["--data", "stick_people:1-8", "--out", tmp_path / "run"]
    arguments += ["--set", "model.sigma_cells=0.1", option, model]
    code, out, err = run_here(capsys, "train", config, *arguments)
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()
