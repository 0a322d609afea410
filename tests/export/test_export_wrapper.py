import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinypose.codecs.codec import codec_of
from tinypose.errors import TinyposeError
from tinypose.export.wrapper import (
    check_net,
    exported_metadata,
    keypoint_function,
    load_net,
    raw_function,
)
from tinypose.metadata import PRECISIONS, write_metadata
from tinypose.models import loading


def test_heatmaps_are_the_nets_on_normalised_pictures(hourglass):
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)
    found = raw_function(hourglass, "heatmaps")(tf.constant(images))["heatmaps"]
    expected = hourglass(images.astype(np.float32) / 127.5 - 1)["heatmaps_1"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_keypoints_are_where_the_dots_are(dot_net, metadata, dots, dot_centres):
    function = keypoint_function(dot_net, codec_of(metadata), "dark")
    found = function(tf.constant(dots(dot_centres)))["keypoints"].numpy()
    # Measured 0.19: pooling to cells widens the dots by a little.
    np.testing.assert_allclose(found[..., :2], dot_centres, atol=0.3)
    assert (found[..., 2] > 0.9).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("heads", [False, True])
def test_figures_travel_only_into_what_computes_the_same(
    dot_net, metadata, precision, heads
):
    measured = replace(metadata, receipt={"pck": 1.0})
    written = exported_metadata(dot_net, measured, heads=heads, precision=precision)
    expected = metadata.accuracy if precision == "float32" else {}
    assert (written.accuracy, written.receipt) == (expected, {})


def test_later_changes_of_the_net_do_not_reach_a_wrapped_one(dot_net):
    images = tf.fill((1, 64, 48, 3), tf.constant(255, tf.uint8))
    copy = keras.models.clone_model(dot_net)
    copy.set_weights(dot_net.get_weights())
    function = raw_function(copy, "heatmaps")
    copy.set_weights([np.zeros_like(w) for w in copy.get_weights()])
    np.testing.assert_allclose(function(images)["heatmaps"], 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_hw": (48, 64)}, "input of (48, 64, 3), found (64, 48, 3)"),
        ({"heatmap_hw": (32, 24)}, "heatmaps of (32, 24, 3), found (16, 12, 3)"),
    ],
    ids=["input", "heatmaps"],
)
def test_a_net_that_does_not_fit_its_metadata_is_an_error(
    dot_net, metadata, change, message
):
    check_net(dot_net, metadata)
    with pytest.raises(TinyposeError) as error:
        check_net(dot_net, replace(metadata, **change))
    assert message in str(error.value)


def test_a_saved_net_loads_with_its_metadata(hourglass, metadata, tmp_path):
    path = tmp_path / "best.keras"
    hourglass.save(path)
    write_metadata(path, metadata)
    net, found = load_net(path)
    assert found == metadata
    for saved, loaded in zip(hourglass.weights, net.weights, strict=True):
        np.testing.assert_array_equal(saved.numpy(), loaded.numpy())


def test_code_in_a_strangers_net_is_not_run(metadata, tmp_path):
    images = keras.Input((64, 48, 3))
    maps = keras.layers.AveragePooling2D(4)(images)
    net = keras.Model(images, {"heatmaps_1": keras.layers.Lambda(lambda x: x)(maps)})
    path = tmp_path / "stranger.keras"
    net.save(path)
    write_metadata(path, metadata)
    with pytest.raises(TinyposeError, match="expected a Keras model, found one that"):
        load_net(path)


def test_a_damaged_net_is_an_error_of_one_line(dot_net, metadata, tmp_path):
    whole, path = tmp_path / "whole.keras", tmp_path / "damaged.keras"
    dot_net.save(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            if not member.endswith(".h5"):
                target.writestr(member, source.read(member))
    write_metadata(path, metadata)
    with pytest.raises(TinyposeError) as error:
        load_net(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_net_that_unpacks_to_too_much_is_refused(
    dot_net, metadata, tmp_path, monkeypatch
):
    path = tmp_path / "huge.keras"
    dot_net.save(path)
    write_metadata(path, metadata)
    monkeypatch.setattr(loading, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(TinyposeError, match="at most 100 bytes when unpacked"):
        load_net(path)
