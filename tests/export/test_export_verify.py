from dataclasses import replace

import keras
import numpy as np
import pytest

from tinypose.export.litert import run_tflite
from tinypose.export.tflite import export_tflite
from tinypose.export.verify import Agreement, compare
from tinypose.metadata import read_metadata


@pytest.fixture(scope="module")
def shifted_file(dot_net, metadata, tmp_path_factory):
    """The dot net with its second keypoint moved by one cell: a wrong export."""
    images = keras.Input((64, 48, 3))
    maps = dot_net(images)["heatmaps_1"]
    moved = keras.ops.roll(maps[..., 1:2], 1, axis=2)
    maps = keras.ops.concatenate([maps[..., :1], moved, maps[..., 2:]], axis=-1)
    path = tmp_path_factory.mktemp("shifted") / "shifted.tflite"
    export_tflite(keras.Model(images, {"heatmaps_1": maps}), metadata, path)
    return path


def agreement_of(net, path, pictures):
    return compare(net, read_metadata(path), pictures, run_tflite(path, pictures))


def test_a_wrong_file_shows_keypoint_by_keypoint(
    dot_net, shifted_file, dots, dot_centres
):
    agreement = agreement_of(dot_net, shifted_file, dots(dot_centres))
    # One cell is four pixels.
    expected = np.tile([0.0, 4.0, 0.0], (4, 1))
    np.testing.assert_allclose(agreement.differences, expected, atol=0.1)
    assert agreement.num_clear == 12
    assert agreement.worst == pytest.approx(4.0, abs=0.1)
    assert agreement.median < 0.01


def test_maps_without_a_clear_peak_do_not_count(dot_net, shifted_file, dots):
    pictures = dots(np.full((2, 3, 2), 24.0))
    pictures[0] = 0  # black: nothing reaches the least score
    pictures[1, :, :, 1] = 200  # one channel flat: all cells tie
    agreement = agreement_of(dot_net, shifted_file, pictures)
    assert np.isfinite(agreement.differences).tolist() == [
        [False, False, False],
        [True, False, True],
    ]


def test_nothing_compared_is_nan():
    agreement = Agreement(np.full((2, 3), np.nan))
    assert agreement.num_clear == 0
    assert np.isnan(agreement.median)
    assert np.isnan(agreement.worst)


def test_heads_are_decoded_before_the_comparison(
    dot_net, metadata, dots, dot_centres, tmp_path
):
    path = tmp_path / "heads.tflite"
    changed = replace(metadata, refinement="quarter")
    export_tflite(dot_net, changed, path, heads=True)
    agreement = agreement_of(dot_net, path, dots(dot_centres))
    assert agreement.num_clear == 12
    assert agreement.worst < 0.01
