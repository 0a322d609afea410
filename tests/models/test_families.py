"""What every family of models must do."""

import keras
import numpy as np
import pytest

from tinypose.models import FAMILIES, build_model

SIZE = {"input_hw": (64, 48), "num_keypoints": 5}
SMALL = {
    "conv_hourglass": {
        **SIZE,
        "channels": (8, 12, 16),
        "encoder_blocks": (1, 0, 1),
        "decoder_convs": (1, 2),
        "separable_from": 3,
    },
    "tiny_hourglass": {**SIZE, "depth": 2, "channels": 8},
}


def test_no_family_is_left_out() -> None:
    assert set(SMALL) == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_saves_and_loads(name: str, tmp_path) -> None:
    net = build_model(name, **SMALL[name])
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 48, 3)).astype("float32")
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras", safe_mode=True)
    for key, value in net(images).items():
        assert value.shape == (2, 16, 12, 5)
        np.testing.assert_allclose(value, again(images)[key], atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_receives_a_gradient(name: str) -> None:
    import tensorflow as tf

    net = build_model(name, **SMALL[name])
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 48, 3)).astype("float32")
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
    config = family.config_class()
    codecs = family.codecs(config)
    outputs = family.build(config).output
    assert list(codecs) == list(outputs)
    for key, codec in codecs.items():
        assert outputs[key].shape[1:3] == codec.heatmap_hw


def test_dropout_acts_on_the_heatmaps_in_training_alone() -> None:
    net = build_model(
        input_hw=(64, 48), depth=2, channels=8, num_keypoints=5, dropout=0.5
    )
    images = np.random.default_rng(0).uniform(-1, 1, (1, 64, 48, 3)).astype("float32")
    trained = np.asarray(net(images, training=True)["heatmaps_1"])
    assert 0.3 < (trained == 0).mean() < 0.7
    assert (np.asarray(net(images)["heatmaps_1"]) == 0).mean() < 0.01
