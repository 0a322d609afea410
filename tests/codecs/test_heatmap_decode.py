"""NumPy decoding of heatmaps: where the peak is, to a fraction of a cell."""

from dataclasses import replace

import numpy as np
import pytest

from tinypose.codecs.heatmap import (
    BLUR_FRACTION,
    REFINEMENTS,
    HeatmapCodec,
    gaussian_kernel,
)

# Strides of 4 along y and 6 along x; batch 2, 3 keypoints.
CODEC = HeatmapCodec(input_hw=(80, 96), heatmap_hw=(20, 16), sigma_cells=1.5)


def gaussians(cells_xy, codec=CODEC, sigma=None, height=1.0):
    """Return maps (batch, h, w, K) with a Gaussian at each cell (batch, K, 2)."""
    cells_xy = np.asarray(cells_xy, np.float64)
    y, x = np.mgrid[: codec.heatmap_hw[0], : codec.heatmap_hw[1]][..., None]
    squares = (x - cells_xy[:, None, None, :, 0]) ** 2
    squares = squares + (y - cells_xy[:, None, None, :, 1]) ** 2
    return height * np.exp(-0.5 * squares / (sigma or codec.sigma_cells) ** 2)


def pixels(cells_xy, codec=CODEC):
    # Edges agree: x + 1/2 = (cell + 1/2) * stride.
    return (np.asarray(cells_xy) + 0.5) * codec.stride_xy - 0.5


def single(values, codec=CODEC):
    """Return a map with the given {(x, y): value}, all else 0."""
    maps = np.zeros((1, *codec.heatmap_hw, 1))
    for (x, y), value in values.items():
        maps[0, y, x, 0] = value
    return maps


CELLS = np.array(
    [[[5.3, 7.8], [2.1, 16.4], [12.5, 3.0]], [[8.0, 10.0], [3.7, 4.49], [6.6, 12.51]]]
)


def test_dark_is_within_half_a_pixel_also_near_the_border():
    xy, scores = CODEC.decode(gaussians(CELLS))
    assert xy.shape == (2, 3, 2) and xy.dtype == np.float32
    assert np.abs(xy - pixels(CELLS)).max() < 0.5
    assert scores.shape == (2, 3) and (scores > 0.8).all() and (scores <= 1).all()


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0])
def test_dark_is_within_half_a_pixel_in_the_border_cells(sigma):
    codec = replace(CODEC, sigma_cells=sigma)
    last = np.array(codec.heatmap_hw[::-1]) - 1
    # All over the map, in its border cells and a little beyond.
    cells = np.random.default_rng(0).uniform(-0.9, last + 0.9, (200, 3, 2))
    xy, _ = codec.decode(gaussians(cells, codec))
    error = np.abs(xy - pixels(cells))
    highest = np.clip(np.rint(cells), 0, last)
    # Along an axis without a neighbour on both sides nothing can be said.
    inside = (highest > 0) & (highest < last)
    assert 0.05 < np.mean(~inside) < 0.5
    assert error[inside].max() < 0.01
    assert xy[~inside] == pytest.approx(pixels(highest)[~inside], abs=1e-3)


@pytest.mark.parametrize(
    "refinement, limit_cells", [("none", 0.5), ("quarter", 0.25), ("dark", 0.001)]
)
def test_error_of_each_refinement(refinement, limit_cells):
    rng = np.random.default_rng(0)
    cells = rng.uniform([4, 4], [11, 15], (50, 3, 2))
    xy, _ = CODEC.decode(gaussians(cells), refinement)
    error = np.abs(xy - pixels(cells)) / CODEC.stride_xy
    assert error.max() <= limit_cells + 1e-4
    # It is not better than it should be either: the refinements differ.
    assert error.max() > limit_cells / 10


def test_dark_withstands_noise_better_than_quarter():
    rng = np.random.default_rng(1)
    cells = rng.uniform([4, 4], [11, 15], (60, 3, 2))
    maps = gaussians(cells) + rng.normal(0, 0.03, (60, 20, 16, 3))
    errors = {
        refinement: np.abs(CODEC.decode(maps, refinement)[0] - pixels(cells)).mean()
        for refinement in REFINEMENTS
    }
    assert errors["dark"] < errors["quarter"] < errors["none"]


def test_quarter_moves_towards_the_higher_neighbour():
    # Peak at (5, 7); right and above are the higher neighbours.
    maps = single({(5, 7): 0.9, (6, 7): 0.5, (4, 7): 0.2, (5, 6): 0.4, (5, 8): 0.1})
    xy, scores = CODEC.decode(maps, "quarter")
    # x = (5.25 + .5) * 6 - .5 = 34, y = (6.75 + .5) * 4 - .5 = 28.5
    assert xy[0, 0] == pytest.approx([34.0, 28.5])
    assert scores[0, 0] == pytest.approx(0.9)


def test_quarter_stays_between_equal_neighbours():
    xy, _ = CODEC.decode(single({(5, 7): 0.9, (4, 7): 0.3, (6, 7): 0.3}), "quarter")
    assert xy[0, 0] == pytest.approx([5.5 * 6 - 0.5, 7.5 * 4 - 0.5])


@pytest.mark.parametrize("refinement", REFINEMENTS)
def test_first_of_equal_peaks_in_reading_order_wins(refinement):
    maps = single({(9, 4): 0.7, (3, 12): 0.7})
    xy, _ = CODEC.decode(maps, refinement)
    assert xy[0, 0] == pytest.approx([9.5 * 6 - 0.5, 4.5 * 4 - 0.5], abs=1e-3)


@pytest.mark.parametrize("refinement", ["none", "dark"])
@pytest.mark.parametrize("x, y", [(0, 5), (15, 5), (5, 0), (5, 19), (0, 0), (15, 19)])
def test_no_step_across_the_border(x, y, refinement):
    xy, _ = CODEC.decode(gaussians([[[x, y]]]), refinement)
    assert xy[0, 0] == pytest.approx(pixels([x, y]), abs=1e-3)


@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize(
    "maps",
    [
        pytest.param(np.zeros((1, 20, 16, 2)), id="empty"),
        pytest.param(np.full((1, 20, 16, 2), 0.5), id="flat"),
        pytest.param(-gaussians([[[5.2, 7.3], [3, 3]]]), id="negative"),
        pytest.param(np.full((1, 20, 16, 2), 1e30), id="huge"),
    ],
)
def test_maps_without_a_peak_give_finite_keypoints(maps, refinement):
    xy, scores = CODEC.decode(maps, refinement)
    assert np.isfinite(xy).all()
    assert (xy >= -0.5).all() and (xy <= (95.5, 79.5)).all()
    assert (scores >= 0).all() and (scores <= 1).all()


def test_dark_step_is_at_most_one_cell():
    # A ridge that climbs to the right: the paraboloid's top is far away.
    y, x = np.mgrid[:20, :16]
    ridge = np.exp(-0.5 * ((y - 10) / 2.0) ** 2 - 0.5 * ((x - 20) / 9.0) ** 2)
    ridge[:, 10:] = 0
    xy, _ = CODEC.decode(ridge[None, ..., None])
    assert abs((xy[0, 0, 0] + 0.5) / 6 - 0.5 - 9) <= 1 + 1e-5


def test_decoding_one_map_does_not_depend_on_the_others():
    maps = gaussians(CELLS) + np.random.default_rng(2).normal(0, 0.02, (2, 20, 16, 3))
    together, _ = CODEC.decode(maps)
    for sample, keypoint in np.ndindex(2, 3):
        one = maps[sample : sample + 1, ..., keypoint : keypoint + 1]
        assert CODEC.decode(one)[0][0, 0] == pytest.approx(
            together[sample, keypoint], abs=1e-4
        )


def test_input_is_not_changed_and_integers_decode():
    maps = np.rint(gaussians(CELLS) * 100).astype(np.int8)
    before = maps.copy()
    xy, scores = CODEC.decode(maps)
    assert np.array_equal(maps, before)
    assert np.abs(xy - pixels(CELLS)).max() < 0.3
    assert (scores == 1).all()


def test_no_maps_give_no_keypoints():
    xy, scores = CODEC.decode(np.zeros((0, 20, 16, 3)))
    assert xy.shape == (0, 3, 2) and scores.shape == (0, 3)


def test_wrong_shape_and_refinement_are_named():
    with pytest.raises(ValueError, match=r"\(batch, 20, 16, num_keypoints\).*\(1, 16"):
        CODEC.decode(np.zeros((1, 16, 20, 3)))
    with pytest.raises(ValueError, match="'best'"):
        CODEC.decode(np.zeros((1, 20, 16, 3)), "best")


@pytest.mark.parametrize("sigma, length", [(0.7, 3), (1.5, 3), (2.0, 5), (6.0, 9)])
def test_kernel_is_a_normalised_symmetric_gaussian(sigma, length):
    kernel = gaussian_kernel(sigma)
    assert len(kernel) == length
    assert kernel.sum() == pytest.approx(1)
    assert kernel == pytest.approx(kernel[::-1])
    middle = length // 2
    ratio = kernel[middle + 1] / kernel[middle]
    assert ratio == pytest.approx(np.exp(-0.5 / (sigma * BLUR_FRACTION) ** 2))
