"""Drawn poses, contact sheets and heatmap pictures: what is where."""

import numpy as np
import pytest

from tinypose.drawing.skeletons import (
    DEFAULT_STYLE,
    TRUTH_STYLE,
    DrawStyle,
    contact_sheet,
    draw_pose,
    heatmap_grid,
    keypoint_colours,
    letterbox,
    overlay_heatmaps,
)
from tinypose.skeletons import COCO, LSP, MPII, Skeleton

CROSS = Skeleton(
    name="cross",
    names=("left_hand", "right_hand", "head", "hip"),
    edges=(("left_hand", "head"), ("right_hand", "head"), ("head", "hip")),
    flip_pairs=(("left_hand", "right_hand"),),
)
POINTS = np.array([[160.0, 60.0], [40.0, 60.0], [100.0, 60.0], [100.0, 180.0]])


def grey(height=200, width=220, value=128):
    return np.full((height, width, 3), value, np.uint8)


def changed(before, after):
    return (before != after).any(axis=2)


def nearest(pixel, style=DEFAULT_STYLE):
    """Name the style's colour that a pixel is nearest to."""
    names = ("left", "right", "centre", "outline")
    distances = [
        np.linalg.norm(pixel - np.array(getattr(style, n), float)) for n in names
    ]
    return names[int(np.argmin(distances))]


@pytest.mark.parametrize("background", [0, 128, 255])
def test_sides_have_their_colours_on_any_background(background):
    drawn = draw_pose(grey(value=background), POINTS, CROSS)
    assert nearest(drawn[60, 130]) == "left"
    assert nearest(drawn[60, 70]) == "right"
    assert nearest(drawn[120, 100]) == "centre"
    # The outline is beside the line, whatever the background.
    column = drawn[100:115, :, :].mean(axis=0)
    assert column.min() < 60


def test_limb_lies_between_its_keypoints():
    image = grey()
    mask = changed(image, draw_pose(image, POINTS, CROSS, style=DrawStyle(dots=False)))
    rows, columns = np.nonzero(mask)
    assert columns.min() >= 40 - 4 and columns.max() <= 160 + 4
    assert rows.min() >= 60 - 4 and rows.max() <= 180 + 4
    assert mask[120, 100] and not mask[120, 60] and not mask[120, 140]


def test_dot_is_drawn_to_a_fraction_of_a_pixel():
    image = grey(60, 60, 0)
    style = DrawStyle(outline=(0, 0, 0), centre=(255, 255, 255), width=0.2)
    one = Skeleton(name="one", names=("nose",))
    for x, y in [(30.0, 30.0), (30.25, 29.5), (29.6, 30.9)]:
        drawn = draw_pose(image, [[x, y]], one, style=style)[..., 0].astype(float)
        rows, columns = np.mgrid[:60, :60]
        centre = (
            (drawn * columns).sum() / drawn.sum(),
            (drawn * rows).sum() / drawn.sum(),
        )
        assert centre == pytest.approx((x, y), abs=0.08)


def test_line_width_grows_with_the_person():
    def width(factor):
        image = grey(200 * factor, 220 * factor)
        drawn = draw_pose(image, POINTS * factor, CROSS, style=DrawStyle(dots=False))
        return changed(image, drawn)[120 * factor].sum()

    assert width(4) == pytest.approx(4 * width(1), rel=0.5)


def test_input_is_not_changed():
    image, points, scores = grey(), POINTS.copy(), np.array([0.3, 0.9, 0.9, 0.9])
    draw_pose(image, points, CROSS, scores=scores)
    assert np.array_equal(image, grey()) and np.array_equal(points, POINTS)
    assert scores.tolist() == [0.3, 0.9, 0.9, 0.9]


def test_read_only_and_strided_pictures_can_be_drawn_on():
    image = grey()[:, ::-1]
    image.flags.writeable = False
    assert changed(image, draw_pose(image, POINTS, CROSS)).any()


def test_low_scores_are_left_out_and_middling_ones_faint():
    image = grey()

    def strength(score):
        drawn = draw_pose(image, POINTS, CROSS, scores=[score, 0.9, 0.9, 0.9])
        return np.abs(drawn[55:66, 135:150].astype(int) - 128).sum()

    assert strength(0.19) == 0
    assert 0 < strength(0.25) < strength(0.4) < strength(0.5)
    assert strength(0.5) == strength(1.0)


def test_min_score_decides_what_is_drawn():
    image = grey()
    scores = np.full(4, 0.5)
    drawn = draw_pose(image, POINTS, CROSS, scores=scores, min_score=0.51)
    assert np.array_equal(drawn, image)


def test_keypoints_that_are_not_labelled_are_left_out():
    image = grey()
    mask = changed(image, draw_pose(image, POINTS, CROSS, visible=[2, 0, 1, 2]))
    assert mask[60, 130] and mask[120, 100] and not mask[60, 70]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e300, 3e9], ids=str)
def test_impossible_coordinates_leave_the_rest_drawn(value):
    image, points = grey(), POINTS.copy()
    points[1, 0] = value
    mask = changed(image, draw_pose(image, points, CROSS))
    assert mask[60, 130] and not mask[60, 70]


def test_nan_scores_and_all_missing_draw_nothing():
    image = grey()
    assert np.array_equal(draw_pose(image, POINTS, CROSS, scores=[np.nan] * 4), image)
    assert np.array_equal(draw_pose(image, np.full((4, 2), np.nan), CROSS), image)


def test_limb_that_leaves_the_picture_is_cut_at_its_edge():
    image, points = grey(), POINTS.copy()
    points[3] = 100, 500
    mask = changed(image, draw_pose(image, points, CROSS))
    assert mask[199, 100] and mask[190, 100]


@pytest.mark.parametrize("hw", [(1, 1), (1, 40), (3, 2), (5000, 1)], ids=str)
@pytest.mark.parametrize("skeleton", [LSP, COCO, MPII], ids=lambda s: s.name)
def test_any_size_and_skeleton_can_be_drawn(hw, skeleton):
    rng = np.random.default_rng(0)
    points = rng.uniform(-2, 5, (skeleton.num_keypoints, 2))
    assert draw_pose(grey(*hw), points, skeleton).shape == (*hw, 3)


def test_tiny_pictures_are_enlarged_by_a_whole_factor():
    tiny = grey(20, 22)
    # 22 pixels become 66, the first multiple that reaches 50; edges agree:
    # (10 + 1/2) * 3 - 1/2 = 31.
    points = np.full((4, 2), np.nan)
    points[2] = 10, 6
    drawn = draw_pose(tiny, points, CROSS, enlarge_to=50)
    assert drawn.shape == (60, 66, 3)
    rows, columns = np.nonzero(changed(grey(60, 66), drawn))
    assert (columns.mean(), rows.mean()) == pytest.approx((31, 19), abs=0.1)
    assert draw_pose(tiny, points, CROSS, enlarge_to=22).shape == (20, 22, 3)


def test_wrong_number_of_keypoints_is_named():
    with pytest.raises(ValueError, match="expected 4 keypoints of skeleton 'cross'"):
        draw_pose(grey(), POINTS[:3], CROSS)


def test_truth_style_has_one_colour():
    drawn = draw_pose(grey(value=0), POINTS, CROSS, style=TRUTH_STYLE)
    assert (drawn[60, 70] > 200).all() and (drawn[60, 130] > 200).all()


def test_contact_sheet_has_a_cell_for_each_picture():
    pictures = [grey(30, 60, 250), grey(60, 30, 200), grey(10, 10, 150)]
    sheet = contact_sheet(pictures, columns=2, cell_hw=(40, 50), gap=4)
    # Two rows of 40 and two columns of 50, with gaps of 4 around each.
    assert sheet.shape == (4 + 44 + 44, 4 + 54 + 54, 3)
    assert (sheet[4 + 20, 4 + 25] == 250).all()
    assert (sheet[4 + 20, 58 + 25] == 200).all()
    assert (sheet[48 + 20, 4 + 25] == 150).all()
    # The wide picture has bars above and below, the tall one at its sides.
    assert (sheet[4 + 2, 4 + 25] < 100).all() and (sheet[4 + 20, 58 + 3] < 100).all()


def test_captions_lie_below_the_cells():
    pictures = [grey(30, 60)] * 2
    plain = contact_sheet(pictures, ["", ""], columns=2, cell_hw=(40, 80))
    sheet = contact_sheet(pictures, ["wrist 0.83", ""], columns=2, cell_hw=(40, 80))
    rows, columns = np.nonzero(changed(plain, sheet))
    assert rows.min() >= 48 and columns.max() < 8 + 80 and len(rows) > 40


@pytest.mark.parametrize("title", ["x" * 500, "Zürich 東京", "", "a\nb"], ids=repr)
def test_any_caption_stays_in_its_cell(title):
    sheet = contact_sheet([grey()] * 2, [title, ""], columns=2, cell_hw=(40, 80))
    plain = contact_sheet([grey()] * 2, ["", ""], columns=2, cell_hw=(40, 80))
    assert not changed(plain, sheet)[:, 8 + 80 :].any()


@pytest.mark.parametrize(
    "pictures, titles, columns",
    [
        pytest.param([], None, 2, id="nothing"),
        pytest.param([grey()], ["a", "b"], 2, id="titles"),
        pytest.param([grey()], None, 0, id="columns"),
    ],
)
def test_impossible_sheets_are_refused(pictures, titles, columns):
    with pytest.raises(ValueError, match="expected"):
        contact_sheet(pictures, titles, columns=columns)


def test_letterbox_keeps_the_shape():
    boxed = letterbox(grey(30, 60, 250), (90, 90))
    bright = boxed.min(axis=2) > 240
    rows, columns = np.nonzero(bright)
    # 30 x 60 in 90 x 90 becomes 45 x 90, with 22 rows above.
    assert (rows.min(), np.ptp(rows) + 1) == (22, 45)
    assert (columns.min(), np.ptp(columns) + 1) == (0, 90)


def heatmap(hw, *cells):
    y, x = np.mgrid[: hw[0], : hw[1]]
    maps = [np.exp(-0.5 * ((x - cx) ** 2 + (y - cy) ** 2)) for cx, cy in cells]
    return np.stack(maps, axis=-1)


def test_overlay_lights_up_where_the_maps_do():
    crop = grey(64, 48, 100)
    maps = heatmap((16, 12), (2, 3), (9, 12))
    lit = overlay_heatmaps(crop, maps).astype(int)
    assert lit.shape == crop.shape
    # Cell (2, 3) covers pixels 8 to 11 and 12 to 15.
    assert lit[13, 9].max() > 180 and lit[49, 37].max() > 180
    assert lit[13, 37].max() < 60 and np.array_equal(crop, grey(64, 48, 100))
    assert np.abs(lit[13, 9] - lit[49, 37]).max() > 80


def test_overlay_survives_strange_maps():
    maps = np.full((16, 12, 2), np.nan)
    maps[..., 1] = -1e30
    assert overlay_heatmaps(grey(64, 48), maps).max() < 100
    with pytest.raises(ValueError, match=r"\(height, width, num_keypoints\)"):
        overlay_heatmaps(grey(64, 48), np.zeros((16, 12)))


def test_grid_has_a_tile_for_each_keypoint():
    maps = heatmap((16, 12), (2, 3), (9, 12), (5, 5))
    grid = heatmap_grid(
        grey(64, 48), maps, ["a", "b", "c"], columns=2, cell_hw=(64, 48)
    )
    assert grid.shape == (8 + 2 * (64 + 26 + 8), 8 + 2 * (48 + 8), 3)
    # The tiles of b and a: only one of them is bright where b peaks.
    assert grid[8 + 49, 64 + 37].max() > 180 and grid[8 + 49, 8 + 37].max() < 80
    with pytest.raises(ValueError, match="zip"):
        heatmap_grid(grey(64, 48), maps, ["a", "b"])


@pytest.mark.parametrize("skeleton", [None, COCO], ids=["plain", "coco"])
def test_keypoint_colours_are_distinct(skeleton):
    colours = keypoint_colours(17, skeleton)
    assert len(set(colours)) == 17
    assert all(0 <= value <= 255 for colour in colours for value in colour)


def test_left_keypoints_are_bluish_and_right_ones_reddish():
    colours = dict(zip(LSP.names, keypoint_colours(14, LSP), strict=True))
    for name, (red, _, blue) in colours.items():
        if name.startswith("left"):
            assert blue > red
        elif name.startswith("right"):
            assert red > blue
