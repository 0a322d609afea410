"""Learning from another network's heatmaps, beside the labels."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from helpers.families import SMALL
from helpers.runs import assert_equal_runs, stop_after, train, with_values
from tinypose.codecs.codec import codec_of
from tinypose.config import Config
from tinypose.data.crops import CropDataset
from tinypose.errors import UsageError
from tinypose.metadata import read_metadata
from tinypose.models import FAMILIES
from tinypose.models.layers import normalize_images
from tinypose.models.loading import load_net
from tinypose.models.weight_files import save_weights
from tinypose.skeletons import LSP, Skeleton
from tinypose.training.display import Display
from tinypose.training.losses import heatmap_loss
from tinypose.training.run_dir import RunDir
from tinypose.training.task import PoseTask, build_task
from tinypose.training.teacher import Teacher, check_at_all_sizes, load_teacher
from tinypose.training.validation import Validator
from tinypose.weights import shipped_weights


@pytest.fixture(scope="module")
def learner(conv_config) -> Config:
    return with_values(conv_config, "training.epochs=24", "training.validate_every=6")


@pytest.fixture(scope="module")
def taught(learner, dots, tmp_path_factory):
    """The best file of a run that has learned the dots."""
    path = tmp_path_factory.mktemp("teacher") / "run"
    assert train(learner, dots, path).best > 80
    return RunDir(path).best


@pytest.fixture(scope="module")
def poor_dots(dots) -> CropDataset:
    """The same people, of whom only the middle is labelled."""
    only = np.array([2, 0, 0], np.uint8)
    samples = [replace(sample, visible=only) for sample in dots.samples]
    return CropDataset(samples, dots.input_hw)


def test_a_teacher_gives_what_labels_lack(learner, dots, poor_dots, taught, tmp_path):
    alone, helped = (
        train(
            learner,
            poor_dots,
            tmp_path / name,
            validation=dots,
            teacher=teacher,
        ).best
        for name, teacher in (("alone", None), ("helped", taught))
    )
    # The middle is one of three keypoints; of the others nothing is known.
    assert alone < 60
    assert helped > 80


def test_a_teacher_of_smaller_pictures_gives_it_too(learner, dots, taught, tmp_path):
    """Its input is resized, and its heatmaps are."""
    only = np.array([2, 0, 0], np.uint8)
    height, width = learner.model.input_hw
    larger = [height * 3 // 2, width * 3 // 2]
    learner = with_values(learner, f"model.input_hw={larger}", "model.sigma_cells=1.5")
    poor = [replace(sample, visible=only) for sample in dots.samples]
    hw = learner.model.input_hw
    helped = train(
        learner,
        CropDataset(poor, hw),
        tmp_path / "run",
        validation=CropDataset(dots.samples, hw),
        teacher=taught,
    )
    assert helped.best > 70


def test_it_must_fit_all_sizes_of_pictures(learner, dots, taught):
    height, width = learner.model.input_hw
    small = height // 2, width // 2
    config = with_values(learner, f"training.first_sizes={[[3, *small]]}")
    seen = []
    check_at_all_sizes(
        taught,
        config,
        dots.skeleton,
        lambda path, student, skeleton: seen.append(student.model.input_hw),
    )
    assert seen == [small, (height, width)]
    check_at_all_sizes(taught, config, dots.skeleton)


def test_one_that_is_too_wide_at_the_later_size_is_refused_at_once():
    student = with_values(
        Config(),
        *("model.depth=2", "model.input_hw=[320, 320]", "model.sigma_cells=1.25"),
        "training.first_sizes=[[2, 160, 160]]",
    )
    small = shipped_weights()["small"]
    load_teacher(small, student.at_epoch(0), LSP)
    with pytest.raises(UsageError, match=r"set model\.sigma_cells=2\.5 where"):
        check_at_all_sizes(small, student, LSP)


def test_its_share_of_the_loss_is_as_configured(learner, dots, taught):
    config = with_values(learner, "training.teacher_weight=0.3")
    teacher = load_teacher(taught, learner, dots.skeleton)
    task = build_task(config, 6, teacher=teacher)
    batch = dots.batch(range(8))
    labels = {
        "keypoints_xy": batch.keypoints_xy,
        "visible": batch.visible,
        "weights": batch.weights,
    }
    outputs = task(batch.images)
    found = float(task.compute_loss(x=batch.images, y=labels, y_pred=outputs))
    plain = PoseTask(task.net, task.codecs)
    own = float(plain.compute_loss(x=batch.images, y=labels, y_pred=outputs))
    maps = teacher.net(normalize_images(batch.images))
    every = np.ones((8, 3), "float32")
    lesson = float(heatmap_loss(maps, outputs["heatmaps_1"], every))
    assert found == pytest.approx(0.7 * own + 0.3 * lesson, rel=1e-5)
    # It teaches and does not learn.
    own_weights = {id(variable) for variable in task.net.trainable_variables}
    assert {id(variable) for variable in task.trainable_variables} == own_weights


def test_its_share_is_in_the_validation_loss_too(
    learner, dots, taught, tmp_path, monkeypatch
):
    found = []
    validate = Validator.validate

    def spy(self, task, key, between):
        result = validate(self, task, key, between)
        plain = validate(self, PoseTask(task.net, task.codecs), key).loss
        images = dots.batch(range(len(dots))).images
        maps = task.predict_on_batch(images)["heatmaps_1"]
        lesson = task.teacher.heatmaps(normalize_images(images))
        every = np.ones(maps.shape[::3], "float32")
        taught = float(heatmap_loss(lesson, maps, every))
        found.append((result.loss, 0.7 * plain + 0.3 * taught, plain))
        return result

    monkeypatch.setattr(Validator, "validate", spy)
    changes = ["training.epochs=1", "training.teacher_weight=0.3"]
    train(with_values(learner, *changes), dots, tmp_path / "run", teacher=taught)
    ((loss, expected, plain),) = found
    assert loss == pytest.approx(expected, rel=1e-4)
    assert abs(loss - plain) > 0.01


@pytest.mark.parametrize(
    ("name", "changes"),
    [("part_heatmap", {}), ("multi_resolution", {"window_cells": 16})],
    ids=["masks", "windows"],
)
def test_only_heatmaps_of_the_crop_learn_from_it(name, changes):
    """Masks, which are logits, and windows may have the same shape."""
    family = FAMILIES[name]
    model = family.config_class(**SMALL[name] | changes)
    net, codecs = family.build(model), family.codecs(model)
    maps = keras.Model(net.input, net.output["heatmaps_1"] * 0.0)
    teacher = Teacher(maps, np.ones(5, np.float32))
    *_, phase = family.phases(model)
    generator = np.random.default_rng(0)
    outputs = {
        key: generator.normal(size=(2, *output.shape[1:])).astype("float32")
        for key, output in net.output.items()
    }
    first, second, *_ = outputs.values()
    assert first.shape == second.shape
    outputs["centres_2"] = np.zeros((2, 5, 2), np.float32)
    labels = {
        "keypoints_xy": generator.uniform(8, 56, (2, 5, 2)).astype("float32"),
        "visible": np.full((2, 5), 2, np.uint8),
        "weights": np.ones((2, 5), np.float32),
    }
    images = np.zeros((2, *model.input_hw, 3), np.uint8)

    def effect(phase):
        taught, plain = (
            PoseTask(net, codecs, phase=phase, teacher=each) for each in (teacher, None)
        )
        given = {"x": images, "y": labels, "y_pred": outputs}
        return float(taught.compute_loss(**given) - plain.compute_loss(**given))

    alone = replace(phase, outputs={"heatmaps_1": 1.0}, centres="")
    assert effect(phase) == pytest.approx(effect(alone), rel=1e-4) != 0


def test_interrupted_and_resumed_equals_uninterrupted(learner, dots, taught, tmp_path):
    config = with_values(learner, "training.epochs=2")
    train(config, dots, tmp_path / "whole", teacher=taught)
    with pytest.raises(KeyboardInterrupt):
        train(
            config,
            dots,
            tmp_path / "parts",
            teacher=taught,
            should_stop=stop_after(4),
        )
    train(config, dots, tmp_path / "parts", teacher=taught)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("suffix", [".keras", ".npz"])
def test_a_teacher_sees_pictures_at_its_own_size(
    learner, dots, taught, tmp_path, suffix
):
    path = taught
    if suffix == ".npz":
        path = tmp_path / "weights.npz"
        save_weights(load_net(taught), read_metadata(taught), path)
    height, width = learner.model.input_hw
    larger = with_values(learner, f"model.input_hw={[2 * height, 2 * width]}")
    larger = with_values(larger, "model.sigma_cells=2.0")
    pictures = dots.batch(range(2)).images
    images = normalize_images(pictures.repeat(2, axis=1).repeat(2, axis=2))
    teacher = load_teacher(path, larger, dots.skeleton)
    found = np.asarray(teacher.heatmaps(images))
    expected = np.asarray(load_net(taught)(normalize_images(pictures))["heatmaps_1"])
    there, _ = codec_of(read_metadata(taught)).decode(expected)
    (codec,) = FAMILIES[larger.family].codecs(larger.model).values()
    here, _ = codec.decode(found)
    off = np.abs(here + 0.5 - 2 * (there + 0.5))  # a cell has four pixels
    assert off.max() < 2.5
    assert np.median(off) < 0.5
    same = load_teacher(path, learner, dots.skeleton)
    own = np.asarray(same.heatmaps(normalize_images(pictures)))
    np.testing.assert_allclose(own, expected, atol=5e-3)


def test_keypoints_are_matched_by_name(learner, dots, taught):
    other = Skeleton(
        name="other",
        names=("right_dot", "nose", "middle"),
        edges=(("nose", "middle"),),
        flip_pairs=(),
    )
    images = normalize_images(dots.batch(range(2)).images)
    teacher = load_teacher(taught, learner, other)
    assert teacher.known.tolist() == [1, 0, 1]
    expected = np.asarray(load_net(taught)(images)["heatmaps_1"])
    found = np.asarray(teacher.net(images))
    np.testing.assert_array_equal(found[..., [0, 2]], expected[..., [2, 0]])
    # A wrong map for the nose costs nothing where nothing is labelled.
    task = build_task(learner, 6, teacher=teacher)
    known = {name: np.zeros((2, 3), "float32") for name in ("visible", "weights")}
    labels = {"keypoints_xy": np.zeros((2, 3, 2), "float32"), **known}
    losses = [
        float(task.compute_loss(x=dots.batch(range(2)).images, y=labels, y_pred=maps))
        for maps in (
            {"heatmaps_1": found},
            {"heatmaps_1": found * np.array([1, 9, 1], np.float32)},
            {"heatmaps_1": found * np.array([1, 1, 9], np.float32)},
        )
    ]
    assert losses[0] == losses[1] == 0 < losses[2]


def test_keypoints_are_matched_in_any_spelling(learner, dots, taught):
    other = Skeleton(name="other", names=("R-Dot", "Middle"), edges=(), flip_pairs=())
    images = normalize_images(dots.batch(range(2)).images)
    teacher = load_teacher(taught, learner, other)
    assert teacher.known.tolist() == [1, 1]
    expected = np.asarray(load_net(taught)(images)["heatmaps_1"])
    np.testing.assert_array_equal(teacher.net(images), expected[..., [2, 0]])


def test_what_cannot_teach_is_refused(learner, dots, taught):
    others = Skeleton(name="two", names=("nose", "tail"), edges=(), flip_pairs=())
    with pytest.raises(UsageError, match="expected some of the keypoints nose, tail"):
        load_teacher(taught, learner, others)
    sharp = with_values(learner, "model.sigma_cells=0.8")
    with pytest.raises(UsageError, match=r"of 0\.8 cells, found what are 1 of them"):
        load_teacher(taught, sharp, dots.skeleton)
    numbers = Config.from_dict(
        {
            "family": "deeppose",
            "model": {"input_hw": [96, 64], "num_keypoints": 3},
        }
    )
    with pytest.raises(UsageError, match="found heatmaps for a student without"):
        load_teacher(taught, numbers, dots.skeleton)


def test_a_teacher_in_bfloat16_says_nearly_the_same(learner, dots, taught):
    mixed = with_values(learner, "training.mixed_bfloat16=true")
    images = normalize_images(dots.batch(range(2)).images)
    exact = load_teacher(taught, learner, dots.skeleton).net(images)
    teacher = load_teacher(taught, mixed, dots.skeleton)
    build_task(mixed, 6, teacher=teacher)
    rounded = keras.ops.cast(teacher.net(images), "float32")
    np.testing.assert_allclose(rounded, exact, atol=0.05)
    assert float(np.abs(rounded - exact).max()) > 0


def test_what_a_teacher_does_not_know_is_learned_of_labels_as_without_it(
    learner, dots, taught
):
    """Its share is of the keypoints that it knows."""
    other = Skeleton(name="other", names=("nose", "middle"), edges=(), flip_pairs=())
    config = with_values(learner, "training.teacher_weight=1", "model.num_keypoints=2")
    teacher = load_teacher(taught, config, other)
    assert teacher.known.tolist() == [0, 1]
    images = dots.batch(range(2)).images
    labels = {
        "keypoints_xy": np.full((2, 2, 2), 16, "float32"),
        "visible": np.full((2, 2), 2, np.uint8),
        "weights": np.ones((2, 2), "float32"),
    }
    right = np.array(teacher.heatmaps(normalize_images(images)))

    def loss(task, nose: float, middle: float) -> float:
        maps = right + np.array([nose, middle], np.float32)
        return float(task.compute_loss(x=images, y=labels, y_pred={"heatmaps_1": maps}))

    task = build_task(config, 6, teacher=teacher)
    plain = PoseTask(task.net, task.codecs)
    # The nose costs what its labels say, the middle what the teacher says.
    noses = [loss(each, 0.5, 0) - loss(each, 0, 0) for each in (task, plain)]
    assert noses[0] == pytest.approx(noses[1], rel=1e-4) != 0
    cells = right[0, ..., 0].size
    middle = loss(task, 0, 0.5) - loss(task, 0, 0)
    assert middle == pytest.approx(0.5 * cells * 0.5**2, rel=1e-4)


def test_people_are_not_to_be_too_small_for_it(learner, dots, taught, tmp_path):
    assert load_teacher(taught, learner, dots.skeleton).zoom == 1
    wide = with_values(learner, f"padding={2 * learner.padding}")
    assert load_teacher(taught, wide, dots.skeleton).zoom == 2


def test_a_run_says_what_its_teacher_cannot_teach(
    learner, dots, taught, tmp_path, monkeypatch
):
    lines: list[str] = []
    monkeypatch.setattr(Display, "line", lambda self, text: lines.append(text))
    names = ("right_dot", "nose", "middle")
    other = Skeleton(name="other", names=names, edges=(), flip_pairs=())
    people = CropDataset(
        [sample.with_skeleton(other) for sample in dots.samples[:8]], dots.input_hw
    )
    config = with_values(learner, "training.epochs=1", f"padding={2 * learner.padding}")
    train(config, people, tmp_path / "run", validation=None, teacher=taught)
    assert "the teacher does not know nose: labels alone teach these" in lines
    assert any("people are 0.50 times as large" in line for line in lines)
