"""From a picture to keypoints in its pixels, through real model files."""

from dataclasses import replace

import numpy as np
import pytest

from tinypose import weights
from tinypose.errors import TinyposeError, UsageError
from tinypose.geometry import transform_points
from tinypose.images import write_image
from tinypose.inference import inputs
from tinypose.inference.pose import LEAST_MEAN_SCORE
from tinypose.inference.predictor import MAX_BATCH, Predictor
from tinypose.metadata import read_metadata, replace_metadata, write_metadata

HALF_PIXEL = 0.5
# Where the dots are in a picture of 150 x 110, and a tight box around them.
DOTS = [(78.3, 40.7, "red"), (31.2, 60.1, "red"), (52.6, 99.4, "green")]
TRUTH = np.array([[x, y] for x, y, _ in DOTS])
BOX = (20, 25, 70, 85)


@pytest.fixture
def picture(paint_dots):
    return paint_dots((150, 110), DOTS)


@pytest.mark.parametrize(
    "kind, limit",
    # Measured: 0.84 for int8, 0.12 cells; its lowest values are rounded away.
    [("heads", 0.5), ("complete", 0.5), ("int8", 1.0), ("uint8", 1.0)],
)
def test_keypoints_are_in_picture_pixels(dot_models, picture, kind, limit):
    pose = Predictor(dot_models(kind))(picture, BOX)
    assert np.abs(pose.keypoints_xy - TRUTH).max() < limit
    assert pose.keypoints_xy.dtype == pose.scores.dtype == np.float32
    assert pose.keypoints_xy.shape == (3, 2) and pose.scores.shape == (3,)
    assert (pose.scores > 0.5).all() and (pose.scores <= 1).all()
    assert pose.box_xywh.tolist() == list(BOX)
    assert pose.skeleton.names == ("left_hand", "right_hand", "head")
    assert pose.keypoint("head")[:2] == pytest.approx((52.6, 99.4), abs=HALF_PIXEL)


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((10, 15, 90, 110), id="loose"),
        pytest.param((-15, 20, 140, 90), id="beyond_both_sides"),
        pytest.param((10, -30, 90, 140), id="above_the_picture"),
        pytest.param((10, 30, 90, 150), id="below_the_picture"),
        pytest.param((10, 70, 90, 0), id="no_height"),
    ],
)
def test_boxes_of_all_kinds_give_the_same_keypoints(dot_models, picture, box):
    pose = Predictor(dot_models("heads"))(picture, box)
    assert np.abs(pose.keypoints_xy - TRUTH).max() < HALF_PIXEL


@pytest.mark.parametrize("factor", [2, 5], ids=["shrunk_2", "shrunk_5"])
def test_large_pictures_are_shrunk_without_a_shift(dot_models, paint_dots, factor):
    truth = TRUTH * factor + 0.3
    dots = [(*xy, colour) for xy, (_, _, colour) in zip(truth, DOTS, strict=True)]
    large = paint_dots((150 * factor, 110 * factor), dots, radius=6.0 * factor)
    pose = Predictor(dot_models("heads"))(large, np.array(BOX) * factor)
    # Half a pixel of the crop, which is smaller than the picture.
    crop_pixel = 70 * factor * 1.25 / 48
    assert np.abs(pose.keypoints_xy - truth).max() < HALF_PIXEL * crop_pixel


@pytest.mark.parametrize("kind", ["heads", "complete"])
def test_flip_test_swaps_left_and_right_back(dot_models, picture, kind):
    plain = Predictor(dot_models(kind))(picture, BOX)
    flipped = Predictor(dot_models(kind), flip_test=True)(picture, BOX)
    assert flipped.keypoints_xy == pytest.approx(plain.keypoints_xy, abs=HALF_PIXEL)
    assert np.abs(flipped.keypoints_xy - TRUTH).max() < HALF_PIXEL


@pytest.mark.parametrize("kind", ["biased_heads", "biased_complete"])
def test_flip_test_cancels_a_bias_to_one_side(dot_models, picture, kind):
    plain = Predictor(dot_models(kind))(picture, BOX)
    flipped = Predictor(dot_models(kind), flip_test=True)(picture, BOX)
    # Half a cell is 2 crop pixels of 70 * 1.25 / 48 picture pixels: 3.65.
    bias = (plain.keypoints_xy - TRUTH)[:, 0]
    assert bias == pytest.approx([3.65] * 3, abs=0.5)
    assert np.abs(flipped.keypoints_xy - TRUTH).max() < HALF_PIXEL


def test_flip_test_believes_the_surer_where_they_disagree(dot_metadata, monkeypatch):
    class Doubtful:
        metadata = replace(dot_metadata, output="keypoints", padding=1.0)

        def __init__(self):
            # Crop, then mirror image: there x is counted from the right, and
            # left and right hands are swapped.
            self.answers = [
                [[10, 30, 0.9], [40, 30, 0.2], [20, 50, 0.6]],
                [[47 - 20, 30, 0.8], [47 - 30, 30, 0.3], [47 - 24, 50, 0.2]],
            ]

        def __call__(self, crops):
            return np.array([self.answers.pop(0)], np.float32)

    module = "tinypose.inference.predictor"
    monkeypatch.setattr(f"{module}.open_backend", lambda path, **_: Doubtful())
    monkeypatch.setattr(f"{module}.find_model", lambda model: model)
    image = np.zeros((64, 48, 3), np.uint8)
    pose = Predictor("any", flip_test=True)(image, (-0.5, -0.5, 48, 64))
    # Left hand: 10 (0.9) or 30 (0.3): the surer. Right hand: 40 (0.2) or 20
    # (0.8): the surer. Head: 20 (0.6) and 24 (0.2) agree: 21.
    assert pose.keypoints_xy[:, 0] == pytest.approx([10, 20, 21], abs=1e-4)
    assert pose.scores == pytest.approx([0.6, 0.5, 0.4])


def test_keras_file_and_run_folder_predict(dot_models, paint_dots, tmp_path):
    # For this network red is the left hand and blue the right hand, anywhere.
    dots = [
        (x, y, c) for (x, y, _), c in zip(DOTS, ("red", "blue", "green"), strict=True)
    ]
    picture = paint_dots((150, 110), dots)
    (tmp_path / "best.keras").write_bytes(dot_models("keras").read_bytes())
    for model in (dot_models("keras"), tmp_path):
        pose = Predictor(model)(picture, BOX)
        assert np.abs(pose.keypoints_xy - TRUTH).max() < HALF_PIXEL


def test_batch_agrees_with_single_calls(dot_models, paint_dots, picture):
    predictor = Predictor(dot_models("heads"))
    other = paint_dots((90, 200), [(60, 30, "red"), (90, 70, "green")])
    pictures, boxes = (
        [picture, other, picture],
        [BOX, (40, 10, 70, 70), (5, 5, 90, 120)],
    )
    together = predictor.predict_batch(pictures, boxes)
    for pose, image, box in zip(together, pictures, boxes, strict=True):
        single = predictor(image, box)
        assert pose.keypoints_xy == pytest.approx(single.keypoints_xy)
        assert pose.box_xywh.tolist() == list(box)


def test_long_batches_keep_their_order(dot_models, paint_dots):
    predictor = Predictor(dot_models("heads"))
    picture = paint_dots((150, 110), DOTS)
    shifts = np.arange(MAX_BATCH + 5)
    boxes = [(20 - 0.2 * shift, 25, 70, 85) for shift in shifts]
    poses = predictor.predict_batch([picture] * len(boxes), boxes)
    assert [pose.box_xywh[0] for pose in poses] == [box[0] for box in boxes]
    assert all(np.abs(p.keypoints_xy[2] - TRUTH[2]).max() < HALF_PIXEL for p in poses)


def test_batch_may_mix_boxes_and_searches(dot_models, paint_dots, picture):
    predictor = Predictor(dot_models("heads"))
    poses = predictor.predict_batch([picture, picture], [None, BOX])
    assert poses[1].box_xywh.tolist() == list(BOX)
    assert poses[0].box_xywh.tolist() != list(BOX)
    assert predictor.predict_batch([]) == []


def test_wrong_number_of_boxes_is_named(dot_models, picture):
    with pytest.raises(UsageError, match="found 2 pictures and 1 boxes"):
        Predictor(dot_models("heads")).predict_batch([picture, picture], [BOX])


def test_person_is_found_without_a_box(dot_models, paint_dots):
    # An eighth of the picture's height, near its upper right corner.
    truth = TRUTH * (0.5, 0.8) + np.array([300, 40])
    dots = [(*xy, c) for xy, c in zip(truth, ("red", "blue", "green"), strict=True)]
    scene = paint_dots((400, 480), dots, radius=3.0)
    pose = Predictor(dot_models("keras"))(scene)
    assert np.abs(pose.keypoints_xy - truth).max() < HALF_PIXEL
    assert pose.box_xywh[0] > 280 and pose.box_xywh[2:].max() < 100


def test_picture_may_be_a_path_or_grey(dot_models, picture, tmp_path):
    predictor = Predictor(dot_models("heads"))
    write_image(tmp_path / "a.png", picture)
    expected = predictor(picture, BOX).keypoints_xy
    for image in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert predictor(image, BOX).keypoints_xy == pytest.approx(expected)
    grey = predictor(picture[..., 0], BOX)
    assert grey.scores.max() < 0.2


def test_input_is_not_changed(dot_models, picture):
    before, box = picture.copy(), np.array(BOX, float)
    Predictor(dot_models("heads"), flip_test=True)(picture, box)
    assert np.array_equal(picture, before) and box.tolist() == list(BOX)


@pytest.mark.parametrize(
    "box, message",
    [
        pytest.param((1, 2, 3), "four finite numbers", id="three"),
        pytest.param((1, 2, np.nan, 4), "four finite numbers", id="nan"),
        pytest.param((1, 2, np.inf, 4), "four finite numbers", id="infinite"),
        pytest.param("1,2,3,4", "four finite numbers", id="text"),
        pytest.param([[1, 2, 3, 4]], "four finite numbers", id="nested"),
        pytest.param((1, 2, -3, 4), "positive width and height", id="minus"),
        pytest.param((1, 2, 0, 0), "positive width and height", id="empty"),
        pytest.param((500, 2, 30, 40), "overlaps the picture of 110", id="beside"),
    ],
)
def test_senseless_boxes_are_refused(dot_models, picture, box, message):
    with pytest.raises(UsageError, match=message) as info:
        Predictor(dot_models("heads"))(picture, box)
    assert "\n" not in str(info.value)


def test_heatmaps_come_with_their_affine(dot_models, picture):
    maps, image_to_crop = Predictor(dot_models("heads")).heatmaps(picture, BOX)
    assert maps.shape == (16, 12, 3) and maps.dtype == np.float32
    expected = (transform_points(image_to_crop, TRUTH) + 0.5) / 4 - 0.5
    flat = maps.reshape(-1, 3).argmax(axis=0)
    peaks = np.stack([flat % 12, flat // 12], axis=-1)
    assert np.abs(peaks - expected).max() <= 0.5 + 0.1


def test_heatmaps_without_a_box_follow_the_found_person(dot_models, picture):
    predictor = Predictor(dot_models("heads"))
    maps, _ = predictor.heatmaps(picture)
    expected, _ = predictor.heatmaps(picture, predictor(picture).box_xywh)
    assert np.array_equal(maps, expected)


def test_complete_file_has_no_heatmaps(dot_models, picture):
    with pytest.raises(TinyposeError, match="--heads"):
        Predictor(dot_models("complete")).heatmaps(picture, BOX)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refinement": "best"}, "update tinypose"),
        ({"sigma_cells": 0.0}, "expected sigma_cells of at least"),
    ],
    ids=["refinement", "sigma"],
)
def test_unknown_decoding_is_refused(dot_models, tmp_path, changes, message):
    data = dot_models("heads").read_bytes()
    path = tmp_path / "new.tflite"
    path.write_bytes(data[: data.index(b"PK\x03\x04")])
    write_metadata(path, replace(read_metadata(dot_models("heads")), **changes))
    with pytest.raises(TinyposeError, match=message):
        Predictor(path)


def test_shipped_name_is_found_first(dot_models, monkeypatch, tmp_path):
    for module in (inputs, weights):
        monkeypatch.setattr(module, "shipped", lambda: {"dots": dot_models("heads")})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dots").mkdir()
    with pytest.warns(weights.SameNameWarning):
        predictor = Predictor("dots")
    assert predictor.path == dot_models("heads")
    assert predictor.name == predictor.metadata.name == "dots"


def test_unknown_name_suggests_the_nearest(monkeypatch, tmp_path):
    monkeypatch.setattr(inputs, "shipped", lambda: {"tiny": tmp_path})
    with pytest.raises(TinyposeError, match="did you mean 'tiny'"):
        Predictor("tinny")
    with pytest.raises(TinyposeError, match=r"found no such thing: 'a/b\.tflite'$"):
        Predictor("a/b.tflite")


def test_run_folder_without_a_model_is_explained(tmp_path):
    with pytest.raises(TinyposeError, match=r"best\.keras, found none"):
        Predictor(tmp_path)


def test_no_threads_is_refused(dot_models):
    with pytest.raises(UsageError, match="at least 1 thread, found 0"):
        Predictor(dot_models("heads"), num_threads=0)


def test_prediction_loads_no_tensorflow(dot_models, tmp_path, picture):
    import subprocess
    import sys

    write_image(tmp_path / "a.png", picture)
    code = (
        "import sys; from tinypose import Predictor; "
        f"pose = Predictor({str(dot_models('heads'))!r})"
        f"({str(tmp_path / 'a.png')!r}, {BOX}); "
        "print(*[m for m in ('tensorflow', 'keras', 'rich') if m in sys.modules], "
        "round(float(pose.scores.min())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
    assert done.stderr == ""


def test_model_that_gives_no_numbers_is_explained(dot_metadata, monkeypatch):
    class Diverged:
        metadata = dot_metadata

        def __call__(self, crops):
            return np.full((len(crops), 16, 12, 3), np.nan, np.float32)

    module = "tinypose.inference.predictor"
    monkeypatch.setattr(f"{module}.open_backend", lambda path, **_: Diverged())
    monkeypatch.setattr(f"{module}.find_model", lambda model: model)
    with pytest.raises(TinyposeError, match="did its training diverge"):
        Predictor("any")(np.zeros((64, 48, 3), np.uint8))


def test_a_model_says_what_score_is_too_little(dot_models, tmp_path):
    path = tmp_path / "sure.tflite"
    path.write_bytes(dot_models("heads").read_bytes())
    unknown = Predictor(path).least_score
    replace_metadata(path, replace(read_metadata(path), usual_score=0.75))
    assert Predictor(path).least_score == pytest.approx(0.4875)
    assert unknown == LEAST_MEAN_SCORE


def test_regression_looks_closer_though_its_scores_do_not_grow(
    dot_metadata, monkeypatch
):
    class Regression:
        """Says that the person fills the middle half of whatever it sees."""

        metadata = replace(dot_metadata, output="coordinates", heatmap_hw=None)

        def __call__(self, crops):
            points = [[-0.25, -0.25], [0.25, -0.25], [0.0, 0.25]]
            return np.repeat(np.float32([points]), len(crops), axis=0)

    module = "tinypose.inference.predictor"
    monkeypatch.setattr(f"{module}.open_backend", lambda path, **_: Regression())
    monkeypatch.setattr(f"{module}.find_model", lambda model: model)
    pose = Predictor("any")(np.zeros((640, 480, 3), np.uint8))
    # Three passes: half of the padded crop each time.
    assert pose.box_xywh[3] < 640 / 4
