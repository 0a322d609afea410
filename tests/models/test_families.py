"""What every family of models must do."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from helpers.families import SMALL
from tinypose.models import FAMILIES, build_model
from tinypose.training.task import PoseTask


def pictures(name: str, count: int) -> np.ndarray:
    """Return normalised noise (count, height, width, 3) for a family."""
    shape = (count, *SMALL[name]["input_hw"], 3)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def test_no_family_is_left_out() -> None:
    assert set(SMALL) == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_saves_and_loads(name: str, tmp_path) -> None:
    net = build_model(name, **SMALL[name])
    images = pictures(name, 2)
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras", safe_mode=True)
    for key, value in net(images).items():
        np.testing.assert_allclose(value, again(images)[key], atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_receives_a_gradient(name: str) -> None:
    import tensorflow as tf

    net = build_model(name, **SMALL[name])
    images = pictures(name, 2)
    with tf.GradientTape() as tape:
        outputs = net(images, training=True)
        # A target that is no constant: its gradient does not cancel.
        loss = sum(
            tf.reduce_sum(
                (value - tf.random.stateless_normal(value.shape, [1, 2])) ** 2
            )
            for value in outputs.values()
        )
    gradients = tape.gradient(loss, [v.value for v in net.trainable_variables])
    for variable, gradient in zip(net.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert float(tf.reduce_max(tf.abs(gradient))) > 0, variable.path


@pytest.mark.parametrize("name", FAMILIES)
def test_outputs_have_codecs(name: str) -> None:
    family = FAMILIES[name]
    config = family.config_class(**SMALL[name])
    codecs = family.codecs(config)
    outputs = family.build(config).output
    assert list(codecs) == list(outputs)
    for key, codec in codecs.items():
        assert outputs[key].shape == (None, *codec.output_shape(5))


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_fit_other_sizes_where_the_family_says_so(name: str) -> None:
    family = FAMILIES[name]
    config = family.config_class(**SMALL[name])
    height, width = config.input_hw
    larger = replace(config, input_hw=(2 * height, 2 * width))
    shapes = [
        [weight.shape for weight in family.build(size).weights]
        for size in (config, larger)
    ]
    assert (shapes[0] == shapes[1]) == family.resizable


PHASES = [
    pytest.param(name, number, id=f"{name}: {phase.name}")
    for name, family in FAMILIES.items()
    for number, phase in enumerate(family.phases(family.config_class(**SMALL[name])))
]


@pytest.mark.parametrize(("name", "number"), PHASES)
def test_every_phase_learns(name: str, number: int) -> None:
    family = FAMILIES[name]
    config = family.config_class(**SMALL[name])
    phase = family.phases(config)[number]
    keras.utils.set_random_seed(0)
    net = family.build(config)
    task = PoseTask(net, family.codecs(config), phase=phase)
    images = ((pictures(name, 4) + 1) * 127.5).astype(np.uint8)
    generator = np.random.default_rng(1)
    labels = {
        "keypoints_xy": generator.uniform(8, 56, (4, 5, 2)).astype("float32"),
        "visible": np.full((4, 5), 2, np.uint8),
        "weights": np.ones((4, 5), np.float32),
    }
    inputs, steps = images, 60
    if phase.centres:
        steps = 120
        # Ramps along x and y tell where a window lies.
        height, width = images.shape[1:3]
        images[..., 0] = np.linspace(0, 255, width)
        images[..., 1] = np.linspace(0, 255, height)[:, None]
        labels["keypoints_xy"][:] = labels["keypoints_xy"][:1]
        inputs = {"images": images, **labels}
        errors = generator.normal(0, 0.1, (20, 5, 2))
        net.get_layer(phase.centres).set_errors(errors)
    before = [weights.numpy() for weights in net.weights]
    task.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
    losses = [float(task.train_on_batch(inputs, labels)) for _ in range(steps)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:2]), (losses[0], losses[-1])
    for weights, old in zip(net.weights, before, strict=True):
        # A phase leaves alone what it does not train.
        if phase.trains and not weights.path.startswith(phase.trains):
            np.testing.assert_array_equal(weights, old, err_msg=weights.path)


def test_dropout_acts_on_the_heatmaps_in_training_alone() -> None:
    net = build_model(
        input_hw=(64, 48), depth=2, channels=8, num_keypoints=5, dropout=0.5
    )
    images = np.random.default_rng(0).uniform(-1, 1, (1, 64, 48, 3)).astype("float32")
    trained = np.asarray(net(images, training=True)["heatmaps_1"])
    assert 0.3 < (trained == 0).mean() < 0.7
    assert (np.asarray(net(images)["heatmaps_1"]) == 0).mean() < 0.01
