"""What a training run says on its way, and what does not stop it."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from helpers.runs import job, train, with_values
from tinypose.data.advice import step_advice
from tinypose.data.crops import CropDataset
from tinypose.data.stick_people import stick_people
from tinypose.errors import TinyposeError
from tinypose.training.display import Display
from tinypose.training.run_dir import RunDir
from tinypose.training.train import run_training
from tinypose.training.validation import Validator

FIRST = np.eye(14, dtype=np.uint8)[0]
"""The first keypoint alone is labelled, and is none of the torso."""


def said(config, dots, path, **changes) -> str:
    """Train, and return what was written, without a terminal, line by line."""
    console = Console(file=io.StringIO(), width=200)
    run_training(job(config, dots, path, **changes), Display(console))
    return console.file.getvalue()


def test_epochs_say_what_is_best_and_what_is_left(conv_config, dots, tmp_path) -> None:
    config = with_values(conv_config, "training.epochs=3")
    first, second, last = said(config, dots, tmp_path / "run").splitlines()[-3:]
    assert "epoch 1/3" in first and ", best " in first and "about 0 min left" in first
    assert "left" in second and "left" not in last


def test_more_epochs_raise_the_rate_and_it_is_said(conv_config, dots, tmp_path) -> None:
    config = with_values(conv_config, "training.epochs=2")
    assert "learning rate goes up" not in said(config, dots, tmp_path / "run")
    longer = with_values(config, "training.epochs=4")
    text = said(longer, dots, tmp_path / "run")
    assert "the learning rate goes up from" in text and "epoch 3/4" in text
    # Stopped and gone on as planned, it does not.
    again = with_values(config, "training.epochs=6", "training.schedule=exponential")
    train(with_values(again, "training.epochs=3"), dots, tmp_path / "other")
    assert "goes up" not in said(again, dots, tmp_path / "other")


def test_people_whom_pck_leaves_out_are_counted(
    conv_config, dots, tmp_path, monkeypatch
) -> None:
    config = with_values(conv_config, "training.epochs=1")
    assert "PCK counts" not in said(config, dots, tmp_path / "all")
    people = stick_people(range(4))
    some = [replace(p, visible=p.visible * (i % 2)) for i, p in enumerate(people)]
    some = [replace(p, visible=np.maximum(p.visible, FIRST)) for p in some]
    assert Validator(CropDataset(people, (64, 48))).num_scored == 4
    assert Validator(CropDataset(some, (64, 48))).num_scored == 2
    monkeypatch.setattr(Validator, "num_scored", 2)
    text = said(config, dots, tmp_path / "some")
    assert f"PCK counts 2 of {len(dots)} validation people" in text


@pytest.mark.parametrize(
    ("people", "batch", "epochs", "told"),
    [
        (50, 16, 20, "changed 60 times in all, 3 an epoch"),
        (500, 256, 20, "changed 20 times in all, 1 an epoch"),
        (300, 16, 20, None),
        (3000, 256, 20, None),
        (700, 256, 100, "leaves out 188 of 700 people"),
        (30, 16, 1, "leaves out 14 of 30 people"),
    ],
)
def test_few_steps_are_told(people, batch, epochs, told) -> None:
    text = step_advice(people, batch, epochs)
    assert text is None if told is None else told in text


def test_a_table_that_is_open_elsewhere_does_not_end_a_run(
    conv_config, dots, tmp_path, monkeypatch
) -> None:
    def refuse(self, progress) -> None:
        raise TinyposeError("cannot write history.csv: no permission")

    config = with_values(conv_config, "training.epochs=2")
    monkeypatch.setattr(RunDir, "write_history", refuse)
    text = said(config, dots, tmp_path / "run")
    assert text.count("warning: cannot write history.csv") == 2
    assert RunDir(tmp_path / "run").load_checkpoint()[1].epoch == 2


def test_pictures_that_find_no_room_are_counted(dots) -> None:
    samples = list(dots.samples)
    assert CropDataset(samples, dots.input_hw).num_uncached == 0
    few = CropDataset(samples, dots.input_hw, max_cache_bytes=1)
    assert few.num_uncached == len(samples)
