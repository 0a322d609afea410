"""Coordinates relative to the crop: there and back again."""

import keras
import numpy as np
import pytest

from tinypose.codecs.codec import codec_of
from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.export.decode import decode_coordinates

CODEC = CoordinateCodec(input_hw=(96, 64))


def test_the_crop_reaches_from_minus_to_plus_one_half() -> None:
    # Pixel centres are integers: the crop's left edge is at -1/2.
    corners = np.array([[[-0.5, -0.5], [63.5, 95.5], [31.5, 47.5]]])
    target, weights = CODEC.encode(corners, np.array([[2, 1, 0]]))
    np.testing.assert_allclose(target, [[[-0.5, -0.5], [0.5, 0.5], [0, 0]]], atol=1e-6)
    assert np.asarray(weights).tolist() == [[1, 1, 0]]


def test_unlabelled_keypoints_have_harmless_targets() -> None:
    target, weights = CODEC.encode(np.array([[[np.inf, np.nan]]]), np.array([[0]]))
    assert np.isfinite(np.asarray(target)).all()
    assert float(weights[0, 0]) == 0


def test_decode_inverts_encode() -> None:
    generator = np.random.default_rng(0)
    points = generator.uniform(-20, 100, (3, 5, 2))
    target, _ = CODEC.encode(points, np.full((3, 5), 2))
    raw = keras.ops.convert_to_numpy(target)
    found, scores = CODEC.decode(raw)
    np.testing.assert_allclose(found, points, atol=1e-4)
    inside = (points > -0.5) & (points < [63.5, 95.5])
    np.testing.assert_array_equal(scores, inside.all(-1))
    # The exported graph's decoder is the same.
    graph = np.asarray(decode_coordinates(target, CODEC, "none"))
    np.testing.assert_allclose(graph[..., :2], found, atol=1e-4)
    np.testing.assert_array_equal(graph[..., 2], scores)


def test_unflip_undoes_a_mirror() -> None:
    points = np.array([[[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]]])
    flip = np.array([0, 2, 1])
    mirrored = points[:, flip] * [-1, 1] + [63, 0]  # x becomes width - 1 - x
    raw, _ = CODEC.encode(mirrored, np.full((1, 3), 2))
    found, _ = CODEC.decode(CODEC.unflip(np.asarray(raw), flip))
    np.testing.assert_allclose(found, points, atol=1e-4)


def test_unflip_of_heatmaps_undoes_a_mirror() -> None:
    codec = HeatmapCodec(input_hw=(96, 64), heatmap_hw=(24, 16), sigma_cells=1.5)
    points = np.array([[[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]]])
    flip = np.array([0, 2, 1])
    mirrored = points[:, flip] * [-1, 1] + [63, 0]
    raw, _ = codec.encode(mirrored, np.full((1, 3), 2))
    straight, _ = codec.encode(points, np.full((1, 3), 2))
    unflipped = codec.unflip(keras.ops.convert_to_numpy(raw), flip)
    np.testing.assert_allclose(unflipped, straight, atol=1e-5)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(batch, num_keypoints, 2\)"):
        CODEC.decode(np.zeros((2, 5, 3)))


@pytest.mark.parametrize(
    "codec",
    [CODEC, HeatmapCodec(input_hw=(96, 64), heatmap_hw=(24, 16), sigma_cells=1.5)],
    ids=["coordinates", "heatmaps"],
)
def test_metadata_lead_back_to_the_codec(codec, dot_metadata) -> None:
    from dataclasses import replace

    metadata = replace(dot_metadata, input_hw=(96, 64), **codec.description())
    assert codec_of(metadata) == codec
    assert metadata.raw_output == codec.output
