"""Training that imitates eight bits: it learns, and can be resumed."""

import keras
import numpy as np
import pytest

from helpers.runs import assert_equal_runs, stop_after, train, with_values
from tinypose.codecs.codec import codec_of
from tinypose.compression.quantization import FakeQuantize, imitate_int8
from tinypose.errors import UsageError
from tinypose.export.litert import run_tflite
from tinypose.export.tflite import export_tflite
from tinypose.metadata import read_metadata
from tinypose.models import build_model
from tinypose.models.layers import normalize_images
from tinypose.training.run_dir import RunDir

LOUD = 100.0
"""How much louder than the others one channel is made."""


@pytest.fixture(scope="module")
def conv_config(conv_config):
    return with_values(conv_config, "training.epochs=30", "training.validate_every=10")


@pytest.fixture(scope="module")
def trained(conv_config, dots, tmp_path_factory):
    """A run in full precision, with one channel made loud for no good reason.

    The layer behind takes the factor back: in full precision nothing changed.
    """
    path = tmp_path_factory.mktemp("trained") / "run"
    train(conv_config, dots, path)
    net = keras.models.load_model(RunDir(path).best)
    norm = net.get_layer("decoder_1_conv_1_norm")
    for weight in (norm.gamma, norm.beta):
        weight.assign(weight.numpy() * ([LOUD] + [1.0] * 7))
    kernel = net.get_layer("heatmaps_1_conv").kernel
    factors = np.array([LOUD] + [1.0] * 7, np.float32)
    kernel.assign(kernel.numpy() / factors[:, None])
    metadata = read_metadata(RunDir(path).best)
    RunDir(path).save_best(net, metadata)
    return RunDir(path).best


def int8_errors(best, dots, folder):
    """Return the mean error of int8 files in pixels: before and as it is."""
    net, metadata = keras.models.load_model(best), read_metadata(best)
    batch = dots.batch(range(len(dots)))
    path = folder / "model.tflite"
    export_tflite(
        net,
        metadata,
        path,
        heads=True,
        precision="int8",
        calibration=batch.images[:32],
    )
    codec = codec_of(metadata)
    raw = np.asarray(net(normalize_images(batch.images))["heatmaps_1"])
    return [
        float(
            np.linalg.norm(codec.decode(maps)[0] - batch.keypoints_xy, axis=-1).mean()
        )
        for maps in (raw, run_tflite(path, batch.images))
    ]


@pytest.mark.slow
def test_weights_learn_to_bear_eight_bits(conv_config, dots, trained, tmp_path):
    before, before_int8 = int8_errors(trained, dots, tmp_path)
    # The trap works: eight bits cost 40 % more of error.
    assert before < 2 and before_int8 > 1.3 * before
    config = with_values(
        conv_config,
        *("training.imitate_int8=true", "training.epochs=20"),
        "training.learning_rate=0.001",
    )
    progress = train(config, dots, tmp_path / "run", initial=trained)
    after, after_int8 = int8_errors(RunDir(tmp_path / "run").best, dots, tmp_path)
    # Measured 0.93 and 1.31 px before, 0.94 and 1.07 px afterwards.
    assert after_int8 - after < 0.75 * (before_int8 - before)
    assert after_int8 < before_int8
    losses = [row[2] for row in progress.history]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_interrupted_and_resumed_equals_uninterrupted(
    conv_config, dots, trained, tmp_path
):
    config = with_values(conv_config, "training.imitate_int8=true", "training.epochs=2")
    train(config, dots, tmp_path / "whole", initial=trained)
    with pytest.raises(KeyboardInterrupt):
        train(
            config,
            dots,
            tmp_path / "parts",
            initial=trained,
            should_stop=stop_after(4),
        )
    arrays, _ = RunDir(tmp_path / "parts").load_checkpoint()
    ranges = [value for key, value in arrays.items() if key.startswith("ranges")]
    assert len(ranges) > 10 and any(value != 0 for value in ranges)
    train(config, dots, tmp_path / "parts", initial=trained)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    # What was validated is not what a file in full precision computes.
    (figure,) = read_metadata(RunDir(tmp_path / "whole").best).accuracy
    assert figure.startswith("validation PCK") and figure.endswith("bits imitated")


def test_cascades_are_refused(config, dots, tmp_path):
    cascade = with_values(
        config,
        "family=deeppose_cascade",
        "model={num_keypoints: 3}",
        "training.imitate_int8=true",
    )
    with pytest.raises(UsageError, match="expected a family that is trained in one"):
        train(cascade, dots, tmp_path / "run")


@pytest.mark.parametrize("family", ["conv_hourglass", "tiny_hourglass"])
def test_without_rounding_it_is_the_network_itself(family):
    keras.utils.set_random_seed(0)
    net = build_model(family, input_hw=(64, 32), num_keypoints=3)
    imitation = imitate_int8(net)
    shared = zip(net.trainable_variables, imitation.trainable_variables, strict=True)
    assert all(first is second for first, second in shared)
    for layer in imitation.layers:
        if hasattr(layer, "active"):
            layer.active = False
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 32, 3)).astype("float32")
    np.testing.assert_allclose(
        imitation(images)["heatmaps_1"], net(images)["heatmaps_1"], atol=1e-5
    )


def test_a_tensor_is_rounded_to_the_steps_of_its_range():
    layer = FakeQuantize("source")
    values = np.array([[-1.0, -0.4, 0.0, 0.013, 1.55]], np.float32)
    layer.build(values.shape)
    layer.observing = True
    layer(values)
    layer.observing = False
    step = 2.55 / 255  # from -1 to 1.55
    found = np.asarray(layer(np.array([[-2.0, -0.004, 0.006, 0.013, 9.0]])))
    expected = [-1.0, 0.0, step, step, 1.55]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_gradients_pass_the_rounding_within_the_range():
    import tensorflow as tf

    layer = FakeQuantize("source")
    layer.build((1, 3))
    layer.low.assign(-1.0)
    layer.high.assign(1.0)
    values = tf.constant([[-3.0, 0.123, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(layer(values))
    assert np.asarray(tape.gradient(total, values)).tolist() == [[0.0, 1.0, 0.0]]
