"""Training in bfloat16: it learns, saves float32, can be resumed, fits all."""

import keras
import numpy as np
import pytest

from helpers.families import SMALL
from helpers.runs import assert_equal_runs, stop_after, train, with_values
from tinypose.config import Config
from tinypose.errors import UsageError
from tinypose.models import FAMILIES
from tinypose.models.layers import BatchNormalization, normalize_images
from tinypose.training.mixed_precision import mix_bfloat16
from tinypose.training.run_dir import RunDir
from tinypose.training.task import build_task

MIXED = "training.mixed_bfloat16=true"


def test_it_learns_and_saves_float32(conv_config, dots, tmp_path):
    config = with_values(
        conv_config, MIXED, "training.epochs=24", "training.validate_every=6"
    )
    progress = train(config, dots, tmp_path / "run")
    # Guessing is right in about 15 %.
    assert progress.best > 80
    net = keras.models.load_model(RunDir(tmp_path / "run").best)
    assert {layer.compute_dtype for layer in net.layers} == {"float32"}
    assert {variable.dtype for variable in net.variables} == {"float32"}


def test_interrupted_and_resumed_equals_uninterrupted(conv_config, dots, tmp_path):
    config = with_values(conv_config, MIXED)
    train(config, dots, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, dots, tmp_path / "parts", should_stop=stop_after(4))
    train(config, dots, tmp_path / "parts")
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_computes_nearly_the_same(family):
    keras.utils.set_random_seed(0)
    config_class = FAMILIES[family].config_class
    net = FAMILIES[family].build(config_class(**SMALL[family]))
    pictures = np.random.default_rng(0).integers(0, 256, (2, *net.input_shape[1:]))
    images = normalize_images(pictures)
    exact = net(images)
    mix_bfloat16(net)
    dtypes = {layer.compute_dtype for layer in net.layers}
    assert dtypes == {"float32", "bfloat16"}
    outputs = dict(net(images))
    assert all(v.dtype == "float32" for v in outputs.values() if v.ndim != 4)
    if family == "multi_resolution":
        # Behind a peak: the highest of two cells that are nearly equal.
        del outputs["fine_heatmaps_2"], outputs["coordinates_2"]
    for key, value in outputs.items():
        found = keras.ops.cast(value, "float32")
        # bfloat16 has eight bits for the digits, and there are up to 60 layers:
        # measured 0.0006 to 0.04.
        error = float(np.abs(found - exact[key]).mean())
        assert error < 0.1 * float(np.abs(exact[key]).mean()) + 1e-6


@pytest.mark.parametrize("family", ["deeppose_cascade", "multi_resolution"])
def test_what_is_no_map_stays_exact(family):
    net = FAMILIES[family].build(FAMILIES[family].config_class(**SMALL[family]))
    mix_bfloat16(net)
    rounded = [
        layer.name
        for layer in net.layers
        if layer.compute_dtype == "bfloat16" and len(layer.output.shape) != 4
    ]
    assert not rounded
    assert any(layer.compute_dtype == "bfloat16" for layer in net.layers)
    # In bfloat16 the next number after 0.3017 is 0.3027.
    centres, steps = np.full((2, 1, 5, 2), [[[[0.3017]]], [[[0.0003]]]], "float32")
    found = net.get_layer("coordinates_2")([centres, steps])
    np.testing.assert_allclose(found, centres + steps, atol=1e-7)


@pytest.mark.parametrize(
    # One of heatmaps, of masks, of coordinates and of windows; the others are
    # made of the same layers.
    "family",
    ["conv_hourglass", "part_heatmap", "deeppose_cascade", "multi_resolution"],
)
def test_a_family_of_each_kind_trains_a_step(family):
    config = Config.from_dict(
        {
            "family": family,
            "model": SMALL[family],
            "training": {"batch_size": 2, "mixed_bfloat16": True},
        }
    )
    phase = FAMILIES[family].phases(config.model)[0]
    task = build_task(config, 10, phase=phase)
    before = [np.array(variable) for variable in task.trainable_variables]
    height, width = config.model.input_hw
    generator = np.random.default_rng(0)
    labels = {
        "keypoints_xy": generator.uniform(0, width, (2, 5, 2)).astype("float32"),
        "visible": np.full((2, 5), 2, "uint8"),
        "weights": np.ones((2, 5), "float32"),
    }
    pictures = generator.integers(0, 256, (2, height, width, 3)).astype("uint8")
    for _ in range(2):  # the warm-up begins at a rate of zero
        assert np.isfinite(task.train_on_batch(pictures, labels))
    moved = [
        not np.array_equal(variable, old)
        for variable, old in zip(task.trainable_variables, before, strict=True)
    ]
    assert np.mean(moved) > 0.9


def test_batch_norm_keeps_its_statistics_in_float32():
    values = np.random.default_rng(0).normal(300, 1, (4, 6, 5, 3)).astype("float32")
    layer = BatchNormalization(momentum=0.0, dtype="mixed_bfloat16")
    rounded = keras.ops.cast(values, "bfloat16")
    result = layer(rounded, training=True)
    assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"
    seen = np.asarray(keras.ops.cast(rounded, "float32"))
    # In bfloat16 a mean near 300 has steps of 2.
    np.testing.assert_allclose(layer.moving_mean, seen.mean((0, 1, 2)), atol=0.01)


def test_eight_bits_are_not_imitated_in_sixteen(conv_config):
    with pytest.raises(UsageError, match=r"mixed_bfloat16: expected false with"):
        with_values(conv_config, MIXED, "training.imitate_int8=true")
