"""Pruned networks: the same answers, names and shapes; less of everything else."""

import keras
import numpy as np
import pytest
from keras import layers

from helpers.families import SMALL
from tinypose.compression.channels import find_channels
from tinypose.compression.costs import COSTS, PruningCosts
from tinypose.compression.pruning import choose_channels, prune_channels, shrink_to
from tinypose.compression.selection import kept_after, removal_order
from tinypose.errors import TinyposeError, UsageError
from tinypose.export.litert import run_tflite
from tinypose.export.tflite import export_tflite
from tinypose.metadata import Metadata
from tinypose.models import FAMILIES
from tinypose.models.cost import count_macs, count_parameters
from tinypose.models.layers import normalize_images
from tinypose.skeletons import Skeleton
from tinypose.training.task import PoseTask


def random_scores(net: keras.Model) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    groups = find_channels(net).prunable.values()
    return {group.name: generator.uniform(0, 1, group.size) for group in groups}


def silence(net: keras.Model, keep: dict[str, np.ndarray]) -> None:
    """Set to zero all that makes or shifts the channels that are not kept."""
    found = find_channels(net)
    silent = np.zeros(found.num_channels, bool)
    for name, channels in keep.items():
        numbers = found.groups[name].channels
        silent[np.setdiff1d(numbers, numbers[channels])] = True
    for name, ids in found.outputs.items():
        for weight in net.get_layer(name).weights:
            if weight.name in ("gamma", "beta", "bias", "kernel"):
                value = weight.numpy()
                slices = value.reshape(-1, len(ids))  # a view
                slices[:, silent[ids]] = 0
                weight.assign(value)


def two_of_three(net: keras.Model) -> dict[str, np.ndarray]:
    """Return a selection that drops channels at both ends and in the middle."""
    groups = find_channels(net).prunable.values()
    return {g.name: np.flatnonzero(np.arange(g.size) % 3) for g in groups}


def assert_equal_outputs(one: keras.Model, other: keras.Model, images) -> None:
    expected, found = one(images), other(images)
    assert list(found) == list(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def silent_and_pruned(small_name, small_net):
    """Return a small network of which some channels are zero, with and without them."""
    silent = prune_channels(small_net(small_name), {})
    keep = two_of_three(silent)
    silence(silent, keep)
    return silent, prune_channels(silent, keep), keep


def test_channels_that_are_zero_are_not_missed(silent_and_pruned, pictures) -> None:
    silent, pruned, _ = silent_and_pruned
    images = pictures(silent, 2)
    assert_equal_outputs(silent, pruned, images)
    for key, value in pruned(images).items():
        assert np.std(value) > 0.01, key  # otherwise the test would show nothing


def test_only_sizes_change(silent_and_pruned) -> None:
    silent, pruned, _ = silent_and_pruned
    names = [layer.name for layer in silent.layers]
    assert [layer.name for layer in pruned.layers] == names
    assert (pruned.name, type(pruned)) == (silent.name, type(silent))
    for key, tensor in silent.output.items():
        assert pruned.output[key].shape == tensor.shape
    assert pruned.count_params() < 0.9 * silent.count_params()


@pytest.mark.parametrize("cost", COSTS)
def test_costs_are_those_of_the_pruned_network(silent_and_pruned, cost) -> None:
    silent, pruned, keep = silent_and_pruned
    found = find_channels(silent)
    costs = PruningCosts(silent, found, cost)
    for name, channels in keep.items():
        numbers = found.groups[name].channels
        places = costs.places(np.setdiff1d(numbers, numbers[channels]))
        assert costs.saved(places) > 0
        costs.remove(places)
    assert COSTS[cost](pruned) == costs.total


def tiny_net(*between, units: int = 2) -> keras.Model:
    """Return a network with layers between convolutions of 8 and 6 channels."""
    images = keras.Input((4, 6, 3), name="images")
    x = layers.Conv2D(8, 3, name="first", activation="relu")(images)
    for layer in between:
        x = layer(x)
    x = layers.Conv2D(6, 1, name="second", activation="relu")(x)
    x = layers.Dense(units, name="last")(x)
    return keras.Model(images, {"numbers": x})


def test_the_right_slices_are_left() -> None:
    net = tiny_net(layers.DepthwiseConv2D(1, depth_multiplier=2, name="depthwise"))
    pruned = prune_channels(net, {"first": [6, 1], "second": [0, 5]})

    def both(name: str):
        old, new = net.get_layer(name), pruned.get_layer(name)
        return zip(old.get_weights(), new.get_weights(), strict=True)

    (kernel, left), (bias, left_bias) = both("first")
    np.testing.assert_array_equal(left, kernel[..., [1, 6]])
    np.testing.assert_array_equal(left_bias, bias[[1, 6]])
    (kernel, left), (bias, left_bias) = both("depthwise")
    np.testing.assert_array_equal(left, kernel[:, :, [1, 6]])
    np.testing.assert_array_equal(left_bias, bias[[2, 3, 12, 13]])
    (kernel, left), _ = both("second")
    np.testing.assert_array_equal(left, kernel[:, :, [2, 3, 12, 13]][..., [0, 5]])
    (kernel, left), _ = both("last")
    np.testing.assert_array_equal(left, kernel[[0, 5]])


def test_layers_that_are_not_followed_stay_as_they_are(pictures) -> None:
    inner = keras.Input((2, 4, 8))
    nested = keras.Model(inner, layers.Conv2D(8, 1)(inner), name="nested")
    shuffle = layers.Reshape((4, 2, 8), name="shuffle")
    net = tiny_net(layers.Conv2D(8, 1, groups=2), nested, shuffle)
    keep = {"second": [0, 1, 4]}
    silence(net, keep)
    pruned = prune_channels(net, keep)
    assert_equal_outputs(net, pruned, pictures(net, 2))
    assert pruned.get_layer("second").filters == 3


def test_shared_layers_are_pruned_once(pictures) -> None:
    images = keras.Input((4, 6, 3))
    a, b = (layers.Conv2D(5, 3, padding="same", name=name)(images) for name in "ab")
    shared, norm = layers.Conv2D(4, 1, name="shared"), layers.BatchNormalization()
    one, two = (layers.Conv2D(2, 1)(norm(shared(x))) for x in (a, b))
    net = keras.Model(images, {"one": one, "two": two})
    keep = {"a": [0, 3], "shared": [1, 2, 3]}
    silence(net, keep)
    pruned = prune_channels(net, keep)
    assert_equal_outputs(net, pruned, pictures(net, 2))
    assert pruned.get_layer("b").filters == 2


@pytest.fixture
def hourglass(small_net) -> keras.Model:
    return small_net("conv_hourglass")


@pytest.fixture
def pruned(hourglass) -> keras.Model:
    return prune_channels(hourglass, two_of_three(hourglass))


def test_a_copy_gives_the_same_and_shares_nothing(hourglass, pictures) -> None:
    copy, images = prune_channels(hourglass, {}), pictures(hourglass, 2)
    assert_equal_outputs(hourglass, copy, images)
    before = hourglass(images)["heatmaps_1"]
    silence(copy, two_of_three(copy))
    assert np.abs(copy(images)["heatmaps_1"] - before).max() > 0.01
    np.testing.assert_array_equal(hourglass(images)["heatmaps_1"], before)


def test_a_pruned_network_saves_and_loads(pruned, pictures, tmp_path) -> None:
    pruned.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras", safe_mode=True)
    assert_equal_outputs(pruned, again, pictures(pruned, 2))


def test_a_pruned_network_is_pruned_again(pruned, pictures) -> None:
    keep = two_of_three(pruned)
    silence(pruned, keep)
    again = prune_channels(pruned, keep)
    assert_equal_outputs(pruned, again, pictures(pruned, 2))
    assert again.count_params() < pruned.count_params()


def test_every_weight_of_a_pruned_network_learns(pruned, pictures) -> None:
    import tensorflow as tf

    images = pictures(pruned, 2)
    with tf.GradientTape() as tape:
        outputs = pruned(images, training=True)["heatmaps_1"]
        target = tf.random.stateless_normal(outputs.shape, [1, 2])
        loss = tf.reduce_sum((outputs - target) ** 2)
    values = [variable.value for variable in pruned.trainable_variables]
    for value, gradient in zip(values, tape.gradient(loss, values), strict=True):
        assert float(tf.reduce_max(tf.abs(gradient))) > 0, value.name


def test_phases_find_their_layers_in_a_pruned_network(small_net) -> None:
    family = FAMILIES["deeppose_cascade"]
    net = prune_channels(small_net("deeppose_cascade"), {})
    net.get_layer("centres_2").set_errors(
        np.random.default_rng(0).normal(size=(9, 5, 2))
    )
    net = prune_channels(net, two_of_three(net))
    assert net.get_layer("centres_2").factor.numpy().any()
    config = family.config_class(**SMALL["deeppose_cascade"])
    phase = family.phases(config)[1]
    task = PoseTask(net, family.codecs(config), phase=phase)
    task.compile(optimizer="sgd", jit_compile=False)
    before = {weight.path: weight.numpy() for weight in net.weights}
    labels = {
        "keypoints_xy": np.random.default_rng(1).uniform(9, 99, (3, 5, 2)),
        "visible": np.full((3, 5), 2),
        "weights": np.ones((3, 5)),
    }
    images = np.random.default_rng(2).integers(0, 256, (3, 128, 120, 3), np.uint8)
    labels = {key: value.astype("float32") for key, value in labels.items()}
    task.train_on_batch({"images": images, **labels}, labels)
    changed = {
        weight.path.split("/")[0]
        for weight in net.weights
        if (weight.numpy() != before[weight.path]).any()
    }
    assert changed and all(name.startswith("stage_2_") for name in changed)


def test_a_pruned_network_exports(pruned, pictures, tmp_path) -> None:
    metadata = Metadata(
        name="pruned",
        family="conv_hourglass",
        skeleton=Skeleton(name="test", names=tuple("abcde")),
        input_hw=pruned.input_shape[1:3],
        output="heatmaps",
        heatmap_hw=pruned.output["heatmaps_1"].shape[1:3],
        sigma_cells=1.5,
        refinement="dark",
    )
    file = tmp_path / "pruned.tflite"
    written = export_tflite(pruned, metadata, file, heads=True)
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 64, 3), np.uint8)
    expected = pruned(normalize_images(images))["heatmaps_1"]
    # Measured 2e-6, of values up to 5.
    np.testing.assert_allclose(run_tflite(file, images), expected, atol=1e-4)
    assert written.macs == count_macs(pruned)


def test_the_least_important_per_cost_goes_first() -> None:
    net = tiny_net()
    # A channel of the first saves 2 * 4 * (27 + 6) multiplications, one of the
    # second 2 * 4 * (8 + 2): 264 and 80. So 3.3 to 1 is a draw.
    scores = {"first": np.full(8, 3.2), "second": np.full(6, 1.0)}
    order = removal_order(net, scores, min_channels=1, divisor=1)
    assert (order[0].group, order[0].cost) == ("first", count_macs(net) - 264)
    scores["first"][:] = 3.4
    order = removal_order(net, scores, min_channels=1, divisor=1)
    assert (order[0].group, order[0].cost) == ("second", count_macs(net) - 80)


def test_within_a_group_the_least_important_goes_first() -> None:
    scores = {"first": [5, 1, 4, 8, 2, 9, 3, 7]}
    order = removal_order(tiny_net(), scores, min_channels=2, divisor=3)
    # Of 8 channels 6 are a multiple of 3, then 3; 0 would be less than 2.
    assert [removal.channels.tolist() for removal in order] == [[1, 4], [0, 2, 6]]
    assert kept_after(scores, order)["first"].tolist() == [3, 5, 7]


def test_no_group_is_emptied_while_others_are_full() -> None:
    # By their scores, all of the first group's would go before the second's.
    scores = {"first": np.full(8, 1e-6), "second": np.full(6, 10.0)}
    order = removal_order(tiny_net(), scores, min_channels=1, divisor=1)
    names = [removal.group for removal in order]
    half = ["first"] * 4 + ["second"] * 3
    assert names == [*half, "first", "first", "first", "second", "second"]


def test_groups_that_are_small_already_are_left_alone() -> None:
    scores = {"first": np.ones(8), "second": np.ones(6)}
    order = removal_order(tiny_net(), scores, min_channels=6, divisor=2)
    assert {removal.group for removal in order} == {"first"}


@pytest.mark.parametrize("cost", ["macs", "parameters"])
def test_a_fraction_of_the_cost_goes(hourglass, cost) -> None:
    count = {"macs": count_macs, "parameters": count_parameters}[cost]
    scores = random_scores(hourglass)
    keep = choose_channels(
        hourglass, scores, fraction=0.4, cost=cost, min_channels=2, divisor=2
    )
    assert all(len(kept) >= 2 and len(kept) % 2 == 0 for kept in keep.values())
    share = count(prune_channels(hourglass, keep)) / count(hourglass)
    assert 0.5 < share <= 0.6


def test_a_target_of_what_it_costs_changes_nothing() -> None:
    net = tiny_net()
    scores, target = random_scores(net), count_macs(net)
    assert choose_channels(net, scores, target=target) == {}
    shrunk = shrink_to(net, scores, count_macs, target)
    assert (shrunk.keep, shrunk.value) == ({}, target)


def test_shrinking_stops_where_the_target_is_reached() -> None:
    net = tiny_net(layers.Conv2D(16, 1, name="middle"))
    scores = random_scores(net)
    measured = []

    def kilobytes(net: keras.Model) -> float:
        measured.append(4 * net.count_params() / 1024)
        return measured[-1]

    target = 0.5 * kilobytes(net)
    options = {"min_channels": 2, "divisor": 2}
    order = removal_order(net, scores, **options)
    shrunk = shrink_to(net, scores, kilobytes, target, **options)
    # The whole network, all removals, and a bisection of 12 of them.
    assert (len(order), len(measured)) == (12, 1 + 2 + 4)
    assert kilobytes(shrunk.net) == shrunk.value <= target
    count = [removal.cost for removal in order].index(count_macs(shrunk.net)) + 1
    # One removal less is not enough.
    keep = kept_after(scores, order[: count - 1])
    assert kilobytes(prune_channels(net, keep)) > target


@pytest.mark.parametrize("how", ["choose", "shrink"])
def test_a_target_out_of_reach_names_the_least(how) -> None:
    net = tiny_net()
    # 2 x 4 positions of 27 x 4 and 4 x 4 weights, and of 4 x 2: 1056.
    message = r"at least 1,056, found 1,000: .* at least 4 channels .* multiple of 4"
    with pytest.raises(TinyposeError, match=message):
        if how == "choose":
            choose_channels(net, random_scores(net), target=1000)
        else:
            shrink_to(net, random_scores(net), count_macs, 1000)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"first_conv": [0]}, r"expected a channel group, .*; did you mean 'first'"),
        ({"last": [0]}, r"'last': .* found that it reaches the output 'last'"),
        ({"first": []}, r"'first': .* from 0 to 7, at least one, found \[\]"),
        ({"first": [8]}, r"'first': .* found \[8\]"),
        ({"first": [-1]}, r"'first': .* found \[-1\]"),
        ({"first": [True] * 8}, r"'first': .* found \[True"),
    ],
)
def test_what_cannot_be_kept_is_refused(keep, message) -> None:
    with pytest.raises(UsageError, match=message):
        prune_channels(tiny_net(), keep)


@pytest.mark.parametrize(
    ("scores", "arguments", "message"),
    [
        ({"first": [1.0]}, {"target": 1}, r"expected 8 scores .* shape \(1,\)"),
        ({"first": [-1.0] * 8}, {"target": 1}, r"found some below 0"),
        ({"last": [1.0] * 2}, {"target": 1}, r"reaches the output"),
        ({}, {"target": 1, "cost": "bytes"}, r"\(macs, parameters\), found 'bytes'"),
        ({}, {"target": 1, "divisor": 0}, r"divisor: expected at least 1, found 0"),
        ({}, {"fraction": 1.5}, r"fraction: expected 0 to 1, found 1.5"),
        ({}, {}, r"expected either a target or a fraction"),
        ({}, {"target": 1, "fraction": 0.5}, r"expected either"),
    ],
)
def test_choices_that_make_no_sense_are_refused(scores, arguments, message) -> None:
    with pytest.raises(UsageError, match=message):
        choose_channels(tiny_net(), scores, **arguments)
