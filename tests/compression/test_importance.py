"""Scores: by hand, against differences of the loss, and what they rank first."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tinypose.compression.channels import find_channels
from tinypose.compression.importance import (
    score_by_batch_norm,
    score_by_magnitude,
    score_by_taylor,
    score_channels,
)
from tinypose.errors import TinyposeError, UsageError


def squared_error(outputs, batch):
    """Return the mean squared difference to the batch's second part."""
    return ops.mean(ops.square(outputs["y"] - batch[1]))


def two_paths() -> keras.Model:
    """Return a network of normed and plain convolutions, added."""
    images = keras.Input((4, 6, 3), name="images")
    a = layers.Conv2D(3, 1, use_bias=False, name="a")(images)
    a = layers.BatchNormalization(name="a_norm")(a)
    b = layers.Conv2D(3, 3, padding="same", activation="relu", name="b")(images)
    x = layers.ReLU()(layers.Add()([a, b]))
    c = layers.Conv2D(4, 1, activation="relu", name="c")(x)
    return keras.Model(images, {"y": layers.Conv2D(2, 1, name="y")(c)})


@pytest.fixture
def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    net = two_paths()
    generator = np.random.default_rng(0)
    for layer in net.layers:
        for weight in layer.weights:
            low = 0.5 if weight.name in ("gamma", "moving_variance") else -0.5
            weight.assign(generator.uniform(low, low + 1, weight.shape))
    return net


@pytest.fixture
def batches() -> list:
    generator = np.random.default_rng(1)
    return [
        (
            generator.uniform(-1, 1, (count, 4, 6, 3)).astype("float32"),
            generator.normal(size=(count, 4, 6, 2)).astype("float32"),
        )
        for count in (2, 3)
    ]


def test_magnitude_is_the_norm_of_the_slices_of_all_members(net) -> None:
    scores = score_by_magnitude(net)
    assert set(scores) == {"a", "c"}
    a, b = (net.get_layer(name).kernel.numpy() for name in "ab")
    expected = [
        np.linalg.norm(a[..., index]) + np.linalg.norm(b[..., index])
        for index in range(3)
    ]
    np.testing.assert_allclose(scores["a"], expected, rtol=1e-6)


def test_batch_norm_scores_are_the_sizes_of_the_scales(net) -> None:
    images = keras.Input((4, 6, 3))
    x = layers.Conv2D(3, 1, name="first")(images)
    x = layers.BatchNormalization(name="norm_1")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.BatchNormalization(name="norm_2")(x)
    normed = keras.Model(images, layers.Conv2D(2, 1)(x))
    normed.get_layer("norm_1").gamma.assign([0.5, -2.0, 0.0])
    normed.get_layer("norm_2").gamma.assign([1.0, 0.25, -0.125])
    scores = score_by_batch_norm(normed)
    np.testing.assert_allclose(scores["first"], [1.5, 2.25, 0.125])
    with pytest.raises(TinyposeError, match="found none in the channel group 'c'"):
        score_by_batch_norm(net)


def test_taylor_is_the_loss_difference_of_a_gate(net, batches) -> None:
    scores = score_by_taylor(net, squared_error, batches)
    step = 1e-2
    copy = keras.models.clone_model(net)

    def slope(names: dict[str, list[str]], batch, index: int) -> float:
        """Return the loss' slope along a factor on a channel of one layer."""
        values = []
        for factor in (1 + step, 1 - step):
            copy.set_weights(net.get_weights())
            for name, weights in names.items():
                for weight in weights:
                    variable = getattr(copy.get_layer(name), weight)
                    value = variable.numpy()
                    value[..., index] *= factor
                    variable.assign(value)
            values.append(float(squared_error(copy(batch[0]), batch)))
        return (values[0] - values[1]) / (2 * step)

    for index in range(3):
        # The norm stands for a; b has none. Both gates add to the group.
        gates = ({"a_norm": ["gamma", "beta"]}, {"b": ["kernel", "bias"]})
        squares = [
            slope(gate, batch, index) ** 2 for gate in gates for batch in batches
        ]
        assert scores["a"][index] == pytest.approx(sum(squares) / 2, rel=0.04, abs=1e-6)
    for index in range(4):
        gate = {"c": ["kernel", "bias"]}
        squares = [slope(gate, batch, index) ** 2 for batch in batches]
        assert scores["c"][index] == pytest.approx(sum(squares) / 2, rel=0.04, abs=1e-6)


def test_a_channel_that_nothing_uses_is_the_least_important(net, batches) -> None:
    kernel = net.get_layer("c").kernel
    unused = kernel.numpy()
    unused[:, :, 1] = 0
    kernel.assign(unused)
    scores = score_by_taylor(net, squared_error, batches)["a"]
    assert scores[1] == 0 < min(scores[0], scores[2])
    # Its own kernel does not tell.
    assert score_by_magnitude(net)["a"][1] > 0.1


def test_a_channel_that_is_always_zero_is_the_least_important(net, batches) -> None:
    net.get_layer("c").bias.assign([0.5, 0.5, -100.0, 0.5])
    scores = score_by_taylor(net, squared_error, batches)["c"]
    assert np.argmin(scores) == 2 and scores[2] == 0


def test_scoring_changes_nothing_and_sees_frozen_layers(net, batches) -> None:
    before = net.get_weights()
    scores = score_by_taylor(net, squared_error, batches)
    for old, new in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for layer in net.layers:
        layer.trainable = False
    frozen = score_by_taylor(net, squared_error, batches)
    for name, values in scores.items():
        np.testing.assert_allclose(frozen[name], values)


def test_batches_may_be_dicts_or_anything_with_a_function(net, batches) -> None:
    expected = score_by_taylor(net, squared_error, batches)
    dicts = [{"images": images, "y": y} for images, y in batches]

    def loss(outputs, batch):
        return ops.mean(ops.square(outputs["y"] - batch["y"]))

    for found in (
        score_channels(net, loss=loss, batches=iter(dicts)),
        score_by_taylor(net, loss, dicts, images_of=lambda batch: batch["images"]),
    ):
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5)
    with pytest.raises(UsageError, match=r"expected batches .* found ndarray"):
        score_by_taylor(net, loss, [batches[0][0]])


def test_every_family_is_scored(small_name, small_net, pictures) -> None:
    net = small_net(small_name)

    def loss(outputs, batch):
        return sum(ops.mean(ops.square(value - 1.0)) for value in outputs.values())

    scores = [score_by_taylor(net, loss, [[pictures(net, 2)]]), score_by_magnitude(net)]
    if not small_name.endswith(("plain", "local_response")):
        scores.append(score_by_batch_norm(net))
    prunable = find_channels(net).prunable
    for by_group in scores:
        assert list(by_group) == list(prunable)
        for name, values in by_group.items():
            assert values.shape == (prunable[name].size,)
            assert np.isfinite(values).all() and values.min() >= 0
            assert values.max() > 0, name


def test_what_cannot_be_scored_is_refused(net, batches) -> None:
    with pytest.raises(TinyposeError, match=r"expected batches .* found none"):
        score_by_taylor(net, squared_error, [])
    with pytest.raises(TinyposeError, match=r"expected a finite loss .* found nan"):
        score_by_taylor(
            net, lambda outputs, batch: ops.sum(outputs["y"]) * np.nan, batches
        )
    with pytest.raises(UsageError, match="expected a loss and batches"):
        score_channels(net)
    with pytest.raises(UsageError, match=r"\(taylor, magnitude, .*found 'entropy'"):
        score_channels(net, "entropy")
    assert score_channels(net, "magnitude").keys() == {"a", "c"}
