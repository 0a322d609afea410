"""Families whose procedure has several trainings, one after the other."""

import keras
import numpy as np
import pytest

from helpers.families import SMALL
from helpers.runs import assert_equal_runs, stop_after, train, with_values
from tinypose.config import Config
from tinypose.data.crops import CropDataset
from tinypose.errors import TinyposeError
from tinypose.metadata import read_metadata
from tinypose.models import FAMILIES
from tinypose.models.layers import normalize_images
from tinypose.models.loading import load_net
from tinypose.training.errors import measure_errors
from tinypose.training.pruning import weigh_channels
from tinypose.training.run_dir import HISTORY_COLUMNS, RunDir
from tinypose.training.task import PoseTask

SQUARE = (32, 32)


@pytest.fixture(scope="module")
def square_dots(dots) -> CropDataset:
    return CropDataset(dots.samples, SQUARE)


@pytest.fixture(scope="module")
def two_looks(config) -> Config:
    """A coarse and a fine network that learn the dots in seconds."""
    value = config.to_dict() | {
        "family": "multi_resolution",
        "model": {
            "input_hw": list(SQUARE),
            "num_keypoints": 3,
            "num_banks": 1,
            "bank_channels": [8, 8, 8],
            "wide_channels": [8, 8],
            "dropout": 0.0,
            "window_cells": 8,
            "fine_channels": [8, 8, 8, 8],
            "sigma_cells": 1.0,
            "fine_sigma_cells": 1.0,
        },
    }
    return with_values(Config.from_dict(value), "training.epochs=3")


@pytest.fixture(scope="module")
def whole_run(two_looks, square_dots, tmp_path_factory):
    """A run of three epochs, one for each phase, and its folder."""
    path = tmp_path_factory.mktemp("whole") / "run"
    return train(two_looks, square_dots, path), path


@pytest.mark.parametrize("asked", [9, 11])
def test_interrupted_and_resumed_equals_uninterrupted(
    two_looks, square_dots, whole_run, tmp_path, asked: int
) -> None:
    """Six steps and three batches of validation: the second phase has begun."""
    progress, whole = whole_run
    assert len(progress.history) == 3
    with pytest.raises(KeyboardInterrupt):
        train(two_looks, square_dots, tmp_path / "parts", should_stop=stop_after(asked))
    train(two_looks, square_dots, tmp_path / "parts")
    assert_equal_runs(whole, tmp_path / "parts")


def test_every_phase_warms_up_anew(whole_run) -> None:
    progress, _ = whole_run
    rates = [row[HISTORY_COLUMNS.index("learning_rate")] for row in progress.history]
    # One step before the end of its cosine, in each phase.
    assert rates[0] == pytest.approx(rates[1]) == pytest.approx(rates[2])
    assert 0 < rates[0] < 0.01
    # The best is that of the last phase.
    assert progress.best == progress.history[-1][HISTORY_COLUMNS.index("pck")]


def test_training_and_validation_show_the_same_loss_in_every_phase(whole_run) -> None:
    progress, _ = whole_run
    names = ("loss", "validation_loss")
    columns = [HISTORY_COLUMNS.index(name) for name in names]
    for row in progress.history:
        trained, validated = (row[column] for column in columns)
        # Six steps do not settle batch norm; another loss is far smaller.
        assert 0.3 < validated / trained < 3, progress.history


def test_the_second_look_is_better(two_looks, square_dots, tmp_path) -> None:
    config = with_values(two_looks, "training.epochs=24", "training.validate_every=8")
    train(config, square_dots, tmp_path / "run")
    path = tmp_path / "run" / "best.keras"
    metadata = read_metadata(path)
    assert metadata.output == "coordinates"
    assert metadata.heatmap_hw is None
    net = load_net(path)
    sizes = {
        name: np.nanmedian(
            np.hypot(*np.moveaxis(measure_errors(net, name, square_dots), -1, 0))
        )
        for name in ("coarse_peaks", "coordinates_2")
    }
    # Cells of a quarter round off what cells of half the size put right.
    assert sizes["coarse_peaks"] < 0.08
    assert sizes["coordinates_2"] < 0.75 * sizes["coarse_peaks"]
    # The layer remembers what errors it imitated, in fractions of the crop.
    spread = np.asarray(net.get_layer("centres_2").factor)
    assert 0.001 < np.abs(spread).max() < 0.5


def always_the_middle() -> keras.Model:
    """Return a network that says the centre of the crop to everything."""
    images = keras.Input((*SQUARE, 3))
    dense = keras.layers.Dense(6, kernel_initializer="zeros")
    numbers = dense(keras.layers.Flatten()(images))
    return keras.Model(images, keras.layers.Reshape((3, 2), name="middle")(numbers))


def test_errors_are_measured_where_there_are_labels(square_dots) -> None:
    net = always_the_middle()
    errors = measure_errors(net, "middle", square_dots)
    assert errors.shape == (48, 3, 2)
    batch = square_dots.batch(range(48))
    expected = 0.5 - (batch.keypoints_xy + 0.5) / 32
    np.testing.assert_allclose(errors, expected, atol=1e-6)
    assert normalize_images(batch.images).shape == (48, *SQUARE, 3)


def test_errors_out_of_reach_are_not_measured(square_dots) -> None:
    net = always_the_middle()
    all_errors = measure_errors(net, "middle", square_dots)
    far = np.abs(all_errors).max(axis=-1) > 0.2
    assert 0.1 < far.mean() < 0.9
    errors = measure_errors(net, "middle", square_dots, reach=0.2)
    np.testing.assert_array_equal(np.isnan(errors).all(axis=-1), far)
    np.testing.assert_array_equal(errors[~far], all_errors[~far])


def test_channels_of_both_looks_are_weighed(two_looks, square_dots) -> None:
    keras.utils.set_random_seed(0)
    net = FAMILIES["multi_resolution"].build(two_looks.model)
    scores = weigh_channels(net, two_looks, square_dots)
    assert {"bank_1_1_conv", "coarse_mix_conv", "fine_4_conv"} <= set(scores)
    assert all(score.max() > 0 for score in scores.values())
    assert list(net.output) == ["heatmaps_1", "fine_heatmaps_2", "coordinates_2"]


@pytest.mark.parametrize("name", ["deeppose_cascade", "multi_resolution"])
def test_a_window_imitates_the_errors_that_it_can_show(name: str) -> None:
    family = FAMILIES[name]
    config = family.config_class(**SMALL[name])
    looks = [phase for phase in family.phases(config) if phase.imitates]
    assert looks
    assert {phase.reach for phase in looks} == {config.window_fraction / 2}


@pytest.mark.parametrize(
    ("name", "judged"),
    [
        ("multi_resolution", ["heatmaps_1", "coordinates_2", "coordinates_2"]),
        ("deeppose_cascade", ["coordinates_1", "coordinates_2"]),
        ("pose_machine", ["heatmaps_2"]),
    ],
)
def test_each_phase_is_judged_by_what_it_trains(name: str, judged: list[str]) -> None:
    family = FAMILIES[name]
    config = family.config_class(**SMALL[name])
    found = [
        PoseTask(family.build(config), family.codecs(config), phase=phase).judged
        for phase in family.phases(config)
    ]
    assert found == judged


def test_an_early_phase_claims_no_accuracy_of_the_prediction(
    two_looks, square_dots, whole_run, tmp_path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(two_looks, square_dots, tmp_path / "run", should_stop=stop_after(11))
    assert read_metadata(tmp_path / "run" / "best.keras").accuracy == {}
    _, whole = whole_run
    (figure,) = read_metadata(whole / "best.keras").accuracy
    assert figure.startswith("validation PCK@0.2")


def test_fewer_epochs_than_phases_are_refused(two_looks, square_dots, tmp_path) -> None:
    config = with_values(two_looks, "training.epochs=2")
    with pytest.raises(
        TinyposeError, match=r"at least 3 epochs, one for each of coarse"
    ):
        train(config, square_dots, tmp_path / "run")


@pytest.mark.parametrize("epochs", [4, 6, 12])
def test_a_checkpoint_of_another_phase_is_refused(
    two_looks, square_dots, tmp_path, epochs
) -> None:
    """In the second of three epochs; another number of them moves the phases."""
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(two_looks, square_dots, path, should_stop=stop_after(11))
    _, progress = RunDir(path).load_checkpoint()
    assert progress.phase == "fine, epochs 2 to 2"
    other = with_values(two_looks, f"training.epochs={epochs}")
    with pytest.raises(TinyposeError, match="found 'fine, epochs 2 to 2'; set trai"):
        train(other, square_dots, path)


def test_a_checkpoint_without_a_phase_goes_on(
    two_looks, square_dots, whole_run, tmp_path
) -> None:
    """As they were written before."""
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(two_looks, square_dots, run_dir.path, should_stop=stop_after(11))
    arrays, progress = run_dir.load_checkpoint()
    del progress.phase
    run_dir.save_checkpoint(arrays, progress)
    train(two_looks, square_dots, run_dir.path)
    assert_equal_runs(whole_run[1], run_dir.path)
