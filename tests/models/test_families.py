"""What every family of models must do."""

import keras
import numpy as np
import pytest

from tinypose.models import FAMILIES, build_model
from tinypose.training.task import PoseTask

HW = (96, 64)
SIZE = {"input_hw": HW, "num_keypoints": 5}
SMALL = {
    "conv_hourglass": {
        **SIZE,
        "channels": (8, 12, 16),
        "encoder_blocks": (1, 0, 1),
        "decoder_convs": (1, 2),
        "separable_from": 3,
    },
    "deeppose": {**SIZE, "channels": (8, 8, 12, 8, 8), "dense": 16},
    "part_heatmap": {
        **SIZE,
        "detection_channels": (8, 8, 12, 8, 8),
        "detection_convs": (1, 1, 1, 1, 1),
        "detection_wide": 12,
        "regression_channels": (8, 8, 12, 8, 8, 12),
        "regression_kernels": (5, 3, 3, 5),
        "regression_scale": 2,
    },
    "pose_machine": {
        **SIZE,
        "features": 8,
        "image_features": 6,
        "wide_features": 12,
        "num_stages": 2,
    },
    "stacked_hourglass": {**SIZE, "depth": 1, "features": 8},
    "tiny_hourglass": {**SIZE, "depth": 2, "channels": 8},
}


def test_no_family_is_left_out() -> None:
    assert set(SMALL) == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_saves_and_loads(name: str, tmp_path) -> None:
    net = build_model(name, **SMALL[name])
    images = np.random.default_rng(0).uniform(-1, 1, (2, *HW, 3)).astype("float32")
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras", safe_mode=True)
    for key, value in net(images).items():
        np.testing.assert_allclose(value, again(images)[key], atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_receives_a_gradient(name: str) -> None:
    import tensorflow as tf

    net = build_model(name, **SMALL[name])
    images = np.random.default_rng(0).uniform(-1, 1, (2, *HW, 3)).astype("float32")
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
def test_every_family_learns(name: str) -> None:
    family = FAMILIES[name]
    config = family.config_class(**SMALL[name])
    keras.utils.set_random_seed(0)
    task = PoseTask(family.build(config), family.codecs(config))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (4, *HW, 3)).astype(np.uint8)
    labels = {
        "keypoints_xy": generator.uniform(8, 56, (4, 5, 2)).astype("float32"),
        "visible": np.full((4, 5), 2, np.uint8),
        "weights": np.ones((4, 5), np.float32),
    }
    task.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
    losses = [float(task.train_on_batch(images, labels)) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0], (losses[0], losses[-1])


def test_dropout_acts_on_the_heatmaps_in_training_alone() -> None:
    net = build_model(
        input_hw=(64, 48), depth=2, channels=8, num_keypoints=5, dropout=0.5
    )
    images = np.random.default_rng(0).uniform(-1, 1, (1, 64, 48, 3)).astype("float32")
    trained = np.asarray(net(images, training=True)["heatmaps_1"])
    assert 0.3 < (trained == 0).mean() < 0.7
    assert (np.asarray(net(images)["heatmaps_1"]) == 0).mean() < 0.01
