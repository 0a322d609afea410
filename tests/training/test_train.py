"""Training: it learns, stops, resumes, and says what went wrong."""

import copy
import csv
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from matplotlib.axes import Axes

from helpers.families import SMALL
from helpers.runs import assert_equal_runs, stop_after, train, with_values
from tinypose.config import Config, find_config, load_config
from tinypose.data.crops import CropDataset
from tinypose.errors import TinyposeError
from tinypose.inference.predictor import Predictor
from tinypose.metadata import read_metadata
from tinypose.models import build_model
from tinypose.skeletons import LSP, Skeleton
from tinypose.training.curve import draw_curve
from tinypose.training.display import Display
from tinypose.training.initial import load_initial_weights, read_origins
from tinypose.training.job import TrainingJob
from tinypose.training.keypoint_match import find_heads
from tinypose.training.run_dir import HISTORY_COLUMNS, Progress, RunDir
from tinypose.training.task import build_task
from tinypose.training.train import _Loop
from tinypose.weights import shipped_weights

THREE, FIVE = (Skeleton(name="some", names=tuple("abcde"[:n])) for n in (3, 5))


def test_it_learns_and_leaves_a_whole_run_folder(config, dots, tmp_path) -> None:
    config = with_values(config, "training.epochs=25", "training.validate_every=5")
    progress = train(config, dots, tmp_path / "run", training_data=("dots",))
    losses = [row[HISTORY_COLUMNS.index("loss")] for row in progress.history]
    # Random guessing is right in about 15 %; it reaches 95 to 100 %.
    assert progress.best > 80
    assert losses[-1] < 0.5 * losses[0]

    with open(tmp_path / "run" / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 25
    assert float(rows[-1]["learning_rate"]) < 1e-4 < float(rows[5]["learning_rate"])
    assert (tmp_path / "run" / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))

    metadata = read_metadata(tmp_path / "run" / "best.keras")
    assert metadata.skeleton == dots.skeleton
    assert metadata.training_data == ("dots",)
    # Dots have no torso.
    assert progress.figure == "PCK@0.2 of the box side"
    assert metadata.accuracy == {
        "validation PCK@0.2 of the box side": pytest.approx(progress.best, abs=0.01)
    }
    net = keras.models.load_model(tmp_path / "run" / "best.keras")
    assert net.input_shape == (None, 48, 32, 3)


def test_the_curve_says_what_it_is_a_share_of(tmp_path, monkeypatch) -> None:
    titles = []
    monkeypatch.setattr(Axes, "set_title", lambda _, text: titles.append(text))
    row = [1.0, 9.0, 0.5, 0.01, 30.0, 0.6, 40.0]
    progress = Progress(history=[row, row], figure="PCK@0.2 of the box side")
    draw_curve(tmp_path / "curve.png", progress)
    assert "validation PCK@0.2 of the box side in %" in titles
    # Of the model that is kept: what was better at another size is gone.
    progress.best = 30.0
    lines = []
    monkeypatch.setattr(Axes, "axvline", lambda _, at, **style: lines.append(at))
    draw_curve(tmp_path / "curve.png", progress, [1, 5])
    assert "validation PCK@0.2 of the box side in %, best 30.0" in titles
    assert lines == [1.5, 1.5]  # once in each picture, and none to come


def test_metadata_name_what_the_first_weights_were_made_of(
    config, dots, tmp_path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    config = with_values(config, "training.epochs=1")
    train(config, dots, first, training_data=("dots",))
    best = RunDir(first).best
    origins = read_origins([best])
    train(config, dots, second, training_data=("lines",), initial=best, origins=origins)
    metadata = read_metadata(RunDir(second).best)
    assert metadata.training_data == ("first: dots", "lines")
    assert metadata.origins == origins
    assert metadata.licence == "not stated"


def test_metadata_say_what_the_kept_weights_score(config, dots, tmp_path) -> None:
    people = dots.samples[:20]
    crops = CropDataset(people, dots.input_hw, padding=1.5)
    run = RunDir(tmp_path / "run")
    train(with_values(config, "padding=1.5", "training.epochs=8"), crops, run.path)
    poses = Predictor(run.best).predict_batch(
        [person.load_image() for person in people],
        [person.box_xywh for person in people],
    )
    metadata = read_metadata(run.best)
    assert metadata.padding == 1.5
    expected = np.mean([pose.score for pose in poses])
    assert metadata.usual_score == pytest.approx(expected, abs=0.002)
    assert expected > 0.05


def test_muon_learns_too(config, dots, tmp_path) -> None:
    changes = ["training.epochs=25", "training.optimizer=muon"]
    progress = train(
        with_values(config, *changes, "training.validate_every=5"),
        dots,
        tmp_path / "run",
    )
    assert progress.best > 80


def test_tensorboard_gets_figures_and_pictures(config, dots, tmp_path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = with_values(config, "training.epochs=4", "training.validate_every=2")
    train(config, dots, tmp_path / "run")
    # Resuming hides what comes later, and nothing else.
    train(config, dots, tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {
        "training/loss",
        "training/learning_rate",
        "training/images_per_second",
        "validation/loss",
        "validation/pck",
    }
    assert events.Tags()["images"] == ["heatmaps"]
    # 48 people in batches of 8 are 6 steps an epoch.
    assert [e.step for e in events.Scalars("validation/pck")] == [12, 24]


@pytest.fixture(scope="module")
def whole_run(config, dots, tmp_path_factory) -> Path:
    """A run of two epochs that nobody interrupts."""
    path = tmp_path_factory.mktemp("whole") / "run"
    train(config, dots, path)
    return path


@pytest.mark.parametrize(
    ("asked", "step"),
    [(1, 1), (6, 6), (10, 7), (18, 12)],
    ids=["first step", "last step", "next epoch", "last validation"],
)
def test_interrupted_and_resumed_equals_uninterrupted(
    config, dots, tmp_path, whole_run, asked: int, step: int
) -> None:
    """An epoch asks after each of six steps and before each of three batches."""
    with pytest.raises(KeyboardInterrupt):
        train(config, dots, tmp_path / "parts", should_stop=stop_after(asked - 1))
    _, progress = RunDir(tmp_path / "parts").load_checkpoint()
    assert progress.epoch * 6 + progress.step == step
    train(config, dots, tmp_path / "parts")
    assert_equal_runs(whole_run, tmp_path / "parts")


class Spy(CropDataset):
    """Notes the size of every crop that it gives."""

    seen: list[tuple[int, int]]

    def crop(self, index, augmentation):
        self.seen.append(self.input_hw)
        return super().crop(index, augmentation)


def spy_on(dots: CropDataset) -> Spy:
    spy = Spy(dots.samples, dots.input_hw)
    spy.seen = []  # which its copies of other sizes share
    return spy


@pytest.fixture(scope="module")
def growing(config) -> Config:
    """Two epochs, the first of them on small pictures."""
    return with_values(config, "training.first_sizes=[[1, 24, 16]]")


@pytest.fixture(scope="module")
def growing_run(growing, dots, tmp_path_factory) -> tuple[Path, Spy]:
    path = tmp_path_factory.mktemp("growing") / "run"
    spy = spy_on(dots)
    train(growing, spy, path, validation=dots)
    return path, spy


def test_small_pictures_first(growing_run, dots) -> None:
    path, spy = growing_run
    _, progress = RunDir(path).load_checkpoint()
    assert len(progress.history) == 2
    assert read_metadata(path / "best.keras").input_hw == (48, 32)
    # The first epoch's score is of another size and does not count as the best.
    assert progress.best == progress.history[1][HISTORY_COLUMNS.index("pck")]
    assert spy.seen[: len(dots)] == [(24, 16)] * len(dots)
    assert spy.seen[len(dots) :] == [(48, 32)] * len(dots)


@pytest.mark.parametrize(("asked", "step"), [(3, 3), (6, 6), (11, 8)])
def test_interrupted_before_at_and_after_the_change_of_size(
    growing, dots, tmp_path, growing_run, asked: int, step: int
) -> None:
    path = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        train(growing, dots, path, should_stop=stop_after(asked - 1))
    spy = spy_on(dots)
    train(growing, spy, path, validation=dots)
    assert_equal_runs(growing_run[0], path)
    # The seventh step is the first at the model's own size.
    assert ((24, 16) in spy.seen) == (step < 6)


@pytest.mark.skipif(sys.platform != "linux", reason="processes need Linux")
def test_processes_train_as_threads_do(growing, dots, tmp_path, growing_run) -> None:
    train(growing, dots, tmp_path / "run", num_workers=2)
    assert_equal_runs(growing_run[0], tmp_path / "run")


@pytest.mark.skipif(sys.platform != "linux", reason="processes need Linux")
def test_a_picture_that_a_process_cannot_make_is_one_line(
    config, tmp_path, dots
) -> None:
    class Broken(CropDataset):
        def crop(self, index, augmentation):
            raise TinyposeError("dots/7.png: expected a picture, found none")

    broken = copy.copy(dots)
    broken.__class__ = Broken
    with pytest.raises(TinyposeError, match=r"^dots/7.png: expected a picture"):
        train(config, broken, tmp_path / "run", validation=dots, num_workers=2)


def test_sizes_that_do_not_fit_are_refused(config) -> None:
    for value, message in [
        ("[[2, 24, 16]]", "fewer than training.epochs = 2"),
        ("[[1, 12, 8]]", "divide by"),
        ("[[1, 24, 24]]", "aspect ratio of model.input_hw, 48x32"),
        ("[[0, 24, 16]]", "epochs, height, width"),
    ]:
        with pytest.raises(TinyposeError, match=message):
            with_values(config, f"training.first_sizes={value}")


def test_labels_of_little_weight_teach_little(config, dots) -> None:
    task = build_task(config, 10)
    batch = dots.batch(range(8))
    outputs = task(batch.images)
    labels = {
        "keypoints_xy": batch.keypoints_xy,
        "visible": batch.visible,
        "weights": batch.weights,
    }
    whole = float(task.compute_loss(y=labels, y_pred=outputs))
    # One keypoint is far off: trusted less, it raises the loss less.
    wrong = batch.keypoints_xy.copy()
    wrong[:, 0] = 0.0
    doubted = batch.weights.copy()
    doubted[:, 0] = 0.0
    labels |= {"keypoints_xy": wrong, "weights": doubted}
    rest = float(task.compute_loss(y=labels, y_pred=outputs))
    kept = batch.weights.copy()
    kept[:, 1:] = 0.0
    labels |= {"keypoints_xy": batch.keypoints_xy, "weights": kept}
    first = float(task.compute_loss(y=labels, y_pred=outputs))
    assert whole == pytest.approx((first + 2 * rest) / 3, rel=1e-5)


def test_a_finished_run_resumes_to_nothing_more(config, dots, tmp_path) -> None:
    first = train(config, dots, tmp_path / "run")
    before = (tmp_path / "run" / "best.keras").stat().st_mtime_ns
    assert train(config, dots, tmp_path / "run").history == first.history
    assert (tmp_path / "run" / "best.keras").stat().st_mtime_ns == before


def test_a_loss_that_is_not_finite_names_the_batch(config, dots, tmp_path) -> None:
    config = with_values(
        config, "training.learning_rate=1e30", "training.warmup_steps=0"
    )
    with pytest.raises(TinyposeError, match=r"finite loss.*batch: dots/\d+") as caught:
        train(config, dots, tmp_path / "run")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rate", "message"),
    [("1e20", "expected finite predictions"), ("1e39", "expected finite weights")],
)
def test_a_network_that_diverges_in_the_last_step_is_said_so(
    config, dots, tmp_path, rate, message
) -> None:
    rates = ["schedule=exponential", "warmup_steps=0", "ema=0", "optimizer=adam"]
    rates += [f"learning_rate={rate}", "batch_size=48", "epochs=1"]
    config = with_values(config, *(f"training.{text}" for text in rates))
    with pytest.raises(TinyposeError, match=rf"{message}.* in epoch 1, step 1; the"):
        train(config, dots, tmp_path / "run")
    assert not RunDir(tmp_path / "run").best.exists()


def test_without_validation_the_last_epoch_is_kept(config, dots, tmp_path) -> None:
    progress = train(config, dots, tmp_path / "run", validation=None)
    assert progress.best is None
    assert read_metadata(tmp_path / "run" / "best.keras").accuracy == {}


def test_a_damaged_checkpoint_is_one_line(config, dots, tmp_path) -> None:
    train(config, dots, tmp_path / "run")
    file = tmp_path / "run" / "checkpoint.npz"
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(TinyposeError, match="found a damaged file"):
        train(config, dots, tmp_path / "run")


def test_a_checkpoint_of_another_net_is_one_line(config, dots, tmp_path) -> None:
    train(config, dots, tmp_path / "run")
    with pytest.raises(TinyposeError, match="was the configuration changed"):
        train(with_values(config, "model.channels=4"), dots, tmp_path / "run")


def test_initial_weights_are_matched_by_name_and_shape(config, tmp_path) -> None:
    donor = build_task(with_values(config, "training.seed=5"), 10).net
    donor.save(tmp_path / "donor.keras")
    net = build_task(with_values(config, "model.num_keypoints=5"), 10).net
    head = net.get_layer("heatmaps_1_conv").get_weights()[0]
    found = load_initial_weights(net, tmp_path / "donor.keras", FIVE)
    # All layers with weights but the head, which has other keypoints.
    layers = sum(bool(layer.weights) for layer in net.layers)
    assert found == (layers - 1, 0, 0, layers)
    np.testing.assert_array_equal(
        net.get_layer("reception_conv").kernel, donor.get_layer("reception_conv").kernel
    )
    np.testing.assert_array_equal(net.get_layer("heatmaps_1_conv").kernel, head)


@pytest.mark.parametrize(
    ("kind", "kernel"),
    [({}, 3), ({"separable_from": 2}, 3), ({"separable_from": 2}, 5)],
    ids=["dense", "separable", "larger kernels"],
)
def test_a_wider_and_deeper_net_starts_as_the_narrower_one(
    tmp_path, kind, kernel
) -> None:
    size = {"input_hw": (32, 32), "num_keypoints": 3, "decoder_convs": (1,), **kind}
    donor = build_model(
        "conv_hourglass",
        **size,
        stem_channels=4,
        channels=(6, 8),
        encoder_blocks=(0, 1),
    )
    generator = np.random.default_rng(0)
    for layer in donor.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(generator.uniform(0.5, 1.5, shape))
            layer.beta.assign(generator.normal(0, 0.3, shape))
            layer.moving_mean.assign(generator.normal(0, 0.3, shape))
    donor.save(tmp_path / "donor.keras")
    wide = build_model(
        "conv_hourglass",
        **size,
        stem_channels=6,
        channels=(6, 20),
        encoder_blocks=(1, 2),
        separable_kernel=kernel,
    )
    found = load_initial_weights(wide, tmp_path / "donor.keras", THREE)
    assert found.widened > 0
    pictures = generator.uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(donor(pictures)["heatmaps_1"])
    received = keras.ops.convert_to_numpy(wide(pictures)["heatmaps_1"])
    other = build_model(
        "conv_hourglass",
        **size,
        stem_channels=4,
        channels=(6, 8),
        encoder_blocks=(0, 1),
    )
    stranger = keras.ops.convert_to_numpy(other(pictures)["heatmaps_1"])
    difference = np.abs(received - expected).mean() / np.abs(expected).mean()
    assert difference < 0.2
    assert np.abs(stranger - expected).mean() / np.abs(expected).mean() > 0.9
    # Copies are not equal: they could not learn anything else.
    kernel = wide.get_layer("encoder_2_down_conv").kernel
    assert not np.allclose(kernel[..., 0], kernel[..., 8])


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("pose_machine", {"image_features": 9}),
        ("pose_machine", {"image_features": 7, "features": 12, "wide_features": 20}),
        ("multi_resolution", {"bank_channels": (11, 8, 16)}),
        (
            "multi_resolution",
            {"bank_channels": (9, 9, 12), "fine_channels": (9, 8, 15, 8)},
        ),
    ],
    ids=["later input", "all of a machine", "shared features", "both networks"],
)
def test_a_wider_net_starts_as_the_narrower_one_behind_concatenations(
    tmp_path, family: str, changes
) -> None:
    donor = build_model(family, **SMALL[family])
    generator = np.random.default_rng(0)
    for layer in donor.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(generator.uniform(0.5, 1.5, shape))
            layer.beta.assign(generator.normal(0, 0.3, shape))
        elif layer.name in find_heads(donor) and hasattr(layer, "kernel"):
            # They start near zero.
            layer.kernel.assign(generator.normal(0, 0.3, layer.kernel.shape))
    donor.save(tmp_path / "donor.keras")
    wide = build_model(family, **SMALL[family] | changes)
    assert load_initial_weights(wide, tmp_path / "donor.keras", FIVE).widened > 2
    shape = (2, *SMALL[family]["input_hw"], 3)
    pictures = generator.uniform(-1, 1, shape).astype("float32")
    expected, found = donor(pictures), wide(pictures)
    for key, value in expected.items():
        if "heatmaps" not in key:
            continue
        maps = [np.moveaxis(np.asarray(x), -1, 1) for x in (value, found[key])]
        if key.startswith("fine"):
            # What a wider net adds is noise, and where two peaks are about as
            # high it moves a window: those cannot be compared.
            first, second = (window_centres(net, pictures) for net in (donor, wide))
            near = np.abs(first - second).max(axis=-1) < 0.02
            assert near.mean() > 0.5
            maps = [value[near] for value in maps]
        likeness = np.corrcoef(*map(np.ravel, maps))[0, 1]
        assert likeness > 0.98, key


def window_centres(net: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """Return where the windows of ``multi_resolution`` lie."""
    layer = net.get_layer("centres_2")
    return np.asarray(keras.Model(net.input, layer.output)(pictures))


def test_initial_weights_that_fit_nothing(config, tmp_path) -> None:
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs)).save(tmp_path / "x.keras")
    with pytest.raises(TinyposeError, match=r"found none of its \d+ of the same name"):
        load_initial_weights(build_task(config, 10).net, tmp_path / "x.keras", THREE)


@pytest.mark.parametrize("kind", ["dense", "separable"])
def test_where_only_one_side_is_separable_convolutions_start_fresh(
    tmp_path, kind
) -> None:
    """Half of a pair of convolutions is not the whole."""
    size = {"input_hw": (32, 32), "num_keypoints": 3, "decoder_convs": (1, 1)}
    size |= {"stem_channels": 4, "channels": (4, 6, 8), "encoder_blocks": (0, 1, 1)}
    nets = {
        name: build_model("conv_hourglass", **size, separable_from=first)
        for name, first in (("dense", 0), ("separable", 2))
    }
    net = nets.pop(kind)
    (donor,) = nets.values()
    donor.save(tmp_path / "donor.keras")
    fresh = net.get_layer("encoder_2_down_conv").kernel.numpy()
    found = load_initial_weights(net, tmp_path / "donor.keras", THREE)
    assert found.widened == 0
    assert 0.25 < found.copied / found.layers < 1
    np.testing.assert_array_equal(net.get_layer("encoder_2_down_conv").kernel, fresh)


def test_initial_weights_that_fit_by_accident() -> None:
    config = load_config(find_config(Path("small_finetune")))
    net = build_task(config, 10).net
    with pytest.raises(TinyposeError, match=r"found 1 of its 35 of the same name"):
        load_initial_weights(net, shipped_weights()["tiny"], LSP)


def test_larger_pictures_take_as_much_longer_as_they_have_pixels(
    config, dots, tmp_path
) -> None:
    height, width = config.model.input_hw
    small = [[2, height // 2, width // 2]]
    changes = ["training.epochs=5", f"training.first_sizes={small}"]
    job = TrainingJob(
        config=with_values(config, *changes), run_dir=RunDir(tmp_path), training=dots
    )
    job.run_dir.create({}, job.config)
    with Display(quiet=True) as display:
        loop = _Loop(job, display, None, None)
        loop._seconds = [10.0]
        # One more epoch of small pictures, and three of four times the pixels.
        assert loop._seconds_left(1) == 10 + 3 * 40
        assert loop._seconds_left(2) == 3 * 40
        loop.board.close()
