"""Masks: which weights go, where, and when."""

import keras
import numpy as np
import pytest
from keras import layers

from tinypose.compression.sparsity import (
    SparseKernels,
    SparsitySchedule,
    apply_masks,
    first_and_last,
    measure_sparsity,
    sparsify,
)
from tinypose.errors import UsageError


@pytest.fixture
def net() -> keras.Model:
    """Return a network whose kernels' values are their ranks."""
    images = keras.Input((4, 6, 3), name="images")
    x = layers.ReLU()(images)
    x = layers.Conv2D(4, 1, name="first")(x)  # 12 weights
    x = layers.Conv2D(5, 1, name="small")(x)  # 20 weights: 1 to 20
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)  # 45 weights
    x = layers.Conv2D(6, 1, name="large")(x)  # 30 weights: -101 to -130
    x = layers.Dense(2, name="last")(x)  # 12 weights
    net = keras.Model(images, {"y": layers.ReLU()(x)})
    for name, start, sign in (("small", 1, 1), ("large", 101, -1)):
        kernel = net.get_layer(name).kernel
        values = np.arange(start, start + np.prod(kernel.shape))
        kernel.assign(
            sign * np.random.default_rng(0).permutation(values).reshape(kernel.shape)
        )
    return net


def zeros(net: keras.Model) -> dict[str, int]:
    found = {}
    for layer in net.layers:
        if layer.weights:
            found[layer.name] = int((layer.kernel.numpy() == 0).sum())
    return found


NOTHING = dict.fromkeys(("first", "small", "depthwise", "large", "last"), 0)


def test_the_smallest_weights_of_all_layers_go(net) -> None:
    masks = sparsify(net, 0.5)
    # Half of 20 + 30: all of the small layer and 5 of the large one.
    assert zeros(net) == {**NOTHING, "small": 20, "large": 5}
    assert sorted(-net.get_layer("large").kernel.numpy().ravel())[5] == 106
    assert set(masks) == {"small", "large"}
    assert measure_sparsity(net) == 25 / (12 + 20 + 45 + 30 + 12)


def test_the_smallest_weights_of_each_layer_go(net) -> None:
    sparsify(net, 0.5, scope="layer")
    assert zeros(net) == {**NOTHING, "small": 10, "large": 15}
    assert sorted(net.get_layer("small").kernel.numpy().ravel())[10] == 11


def test_first_and_last_layers_go_too_where_asked_for(net) -> None:
    assert first_and_last(net) == {"first", "last"}
    sparsify(net, 0.5, scope="layer", exclude=["small"])
    assert zeros(net) == {**NOTHING, "first": 6, "large": 15, "last": 6}


def test_of_equal_weights_as_many_go_as_asked_for(net) -> None:
    net.get_layer("small").kernel.assign(np.ones((1, 1, 4, 5)))
    sparsify(net, 0.35, scope="layer")
    assert zeros(net)["small"] == 7


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_nothing_and_everything(net, scope) -> None:
    masks = sparsify(net, 0.0, scope=scope)
    assert zeros(net) == NOTHING and all(mask.all() for mask in masks.values())
    sparsify(net, 1.0, scope=scope)
    assert zeros(net) == {**NOTHING, "small": 20, "large": 30}


def test_masks_hold_through_a_training(net) -> None:
    masks = sparsify(net, 0.5)
    net.get_layer("last").bias.assign([1e6, 1e6])  # the ReLU lets everything pass
    net.compile(optimizer=keras.optimizers.SGD(1e-6), loss="mae")
    images = np.random.default_rng(0).normal(size=(3, 4, 6, 3)).astype("float32")
    net.train_on_batch(images, {"y": np.zeros((3, 2, 4, 2), "float32")})
    assert zeros(net) != {**NOTHING, "small": 20, "large": 5}
    apply_masks(net, masks)
    assert zeros(net) == {**NOTHING, "small": 20, "large": 5}
    # The zeros stay the smallest: what goes next goes in addition.
    more = sparsify(net, 0.6)
    for name, mask in masks.items():
        assert not (more[name] & ~mask).any()


def test_zeros_stay_however_few_are_asked_for(net) -> None:
    kernels = SparseKernels(net)
    assert kernels.update(0.5) is True
    assert zeros(net) == {**NOTHING, "small": 20, "large": 5}
    assert kernels.update(0.2) is False
    assert zeros(net) == {**NOTHING, "small": 20, "large": 5}
    assert sum(float(np.sum(mask)) for mask in kernels.variables) == 25
    # Also those of a network that was sparse before.
    other = SparseKernels(net)
    assert other.update(0.1) is False
    assert sum(float(np.sum(mask)) for mask in other.variables) == 25
    assert other.update(0.6) is True
    assert zeros(net) == {**NOTHING, "small": 20, "large": 10}


def test_the_layers_at_the_ends_of_the_families(small_net) -> None:
    assert first_and_last(small_net("conv_hourglass")) == {
        "stem_conv",
        "heatmaps_1_conv",
    }
    # Later stages look at the picture again, and every stage answers.
    assert first_and_last(small_net("deeppose_cascade")) == {
        "stage_1_conv_1",
        "stage_1_numbers",
        "stage_2_conv_1",
        "stage_2_numbers",
    }
    assert first_and_last(small_net("part_heatmap")) == {
        "detection_1_1_conv",
        "detection_masks",
        "regression_1_conv",
        "heatmaps_1_conv",
    }


def test_a_family_becomes_sparse(small_net) -> None:
    net = keras.models.clone_model(small_net("conv_hourglass"))
    masks = sparsify(net, 0.8)
    kept = sum(int(mask.sum()) for mask in masks.values())
    total = sum(mask.size for mask in masks.values())
    assert kept / total == pytest.approx(0.2, abs=0.001)
    zeros_expected = (total - kept) / all_kernels(net)
    assert measure_sparsity(net) == pytest.approx(zeros_expected)


def all_kernels(net: keras.Model) -> int:
    weights = [weight for layer in net.layers for weight in layer.weights]
    return sum(int(np.prod(w.shape)) for w in weights if w.name == "kernel")


def test_the_schedule_is_cubic() -> None:
    schedule = SparsitySchedule(initial=0.2, final=0.8, begin_step=100, end_step=300)
    assert schedule.at(0) == schedule.at(100) == pytest.approx(0.2)
    # Half of the way: 0.8 - 0.6 * (1 - 1/2)^3 = 0.725.
    assert schedule.at(200) == pytest.approx(0.725)
    assert schedule.at(300) == schedule.at(10_000) == pytest.approx(0.8)
    assert SparsitySchedule(final=0.5, end_step=10).at(0) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"final": 1.2, "end_step": 9},
            r"0 <= initial <= final <= 1, found 0.0 and 1.2",
        ),
        ({"initial": 0.5, "final": 0.2, "end_step": 9}, r"found 0.5 and 0.2"),
        ({"final": 0.5, "begin_step": 9, "end_step": 9}, r"found 9 and 9"),
        ({"final": 0.5, "begin_step": -1, "end_step": 9}, r"found -1 and 9"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(arguments, message) -> None:
    with pytest.raises(UsageError, match=message):
        SparsitySchedule(**arguments)


def test_what_cannot_be_masked_is_refused(net) -> None:
    with pytest.raises(UsageError, match=r"sparsity: expected 0 to 1, found 1.5"):
        sparsify(net, 1.5)
    with pytest.raises(UsageError, match=r"expected global or layer, found 'block'"):
        sparsify(net, 0.5, scope="block")
    with pytest.raises(UsageError, match=r"found 'small_conv'; did you mean 'small'"):
        sparsify(net, 0.5, exclude=["small_conv"])
    masks = sparsify(net, 0.5)
    with pytest.raises(UsageError, match=r"\(1, 1, 4, 5\), found \(4, 5\); was"):
        apply_masks(net, {"small": masks["small"][0, 0]})
