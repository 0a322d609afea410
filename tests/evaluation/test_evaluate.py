import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tinypose.data.stick_people import stick_people
from tinypose.errors import MissingDependencyError, TinyposeError, UsageError
from tinypose.evaluation import oks
from tinypose.evaluation.evaluate import evaluate
from tinypose.keypoint_names import usual_sigmas
from tinypose.skeletons import AI_CHALLENGER, LSP, MPII, Skeleton

pytest.importorskip("faster_coco_eval")

NAN = np.nan


def test_metrics_of_known_errors(make_person, make_predictor, arm_xy):
    # Torso 10: the elbow is off by 2 = 0.2, the wrist by 6 = 0.6 of it.
    offsets = np.array([[0, 0], [0, 0], [0, -2], [6, 0]])
    predictor = make_predictor([arm_xy, arm_xy + offsets])
    result = evaluate(predictor, [make_person(), make_person()], data="two arms")
    accuracy = result.accuracy
    assert [value.threshold for value in accuracy.pck] == [0.05, 0.1, 0.2, 0.5]
    np.testing.assert_allclose(accuracy.headline.per_keypoint, [100, 100, 100, 50])
    assert accuracy.headline.mean == 87.5
    np.testing.assert_allclose(accuracy.pck[1].per_keypoint, [100, 100, 50, 50])
    # All four keypoints of this skeleton are limb keypoints.
    assert result.limbs_mean(accuracy.headline) == 87.5
    # Head (here: elbow to wrist) 5: errors of 2 and 6 are 0.4 and 1.2 of it.
    assert accuracy.pckh is not None
    np.testing.assert_allclose(accuracy.pckh.per_keypoint, [100, 100, 100, 50])
    # Upper arm 15 long, limit 7.5; forearm 5 long, limit 2.5: 6 is too far.
    np.testing.assert_allclose(accuracy.pcp.per_limb, [100, 50])
    # (exp(0) * 3 + ...) / 4 of the first person is 1; the box is 20 x 8.
    areas = 0.53 * 20 * 8
    second = np.mean([1, 1, np.exp(-4 / (0.08 * areas)), np.exp(-36 / (0.02 * areas))])
    assert accuracy.oks.mean == pytest.approx(100 * (1 + second) / 2)
    assert result.people[1].num_right == 3
    # Errors 0, 0, 0.2, 0.6.
    assert result.people[1].mean_error == pytest.approx(0.2)


def test_perfect_predictions_reach_100_everywhere(make_person, make_predictor, arm_xy):
    result = evaluate(make_predictor([arm_xy] * 3), [make_person()] * 3)
    accuracy = result.accuracy
    for value in [*accuracy.pck, accuracy.pckh, accuracy.pcp]:
        assert value.mean == 100
    for name in ("ap", "ap50", "ap75", "ar", "mean"):
        assert getattr(accuracy.oks, name) == pytest.approx(100)
    np.testing.assert_array_equal(accuracy.intervals.mean, [100, 100])
    np.testing.assert_array_equal(accuracy.curve, 100)


def test_curve_and_intervals_agree_with_the_headline(
    make_person, make_predictor, arm_xy
):
    rng = np.random.default_rng(4)
    predictions = [arm_xy + rng.normal(size=(4, 2)) * 2 for _ in range(60)]
    result = evaluate(make_predictor(predictions), [make_person()] * 60)
    accuracy = result.accuracy
    at = int(np.argmin(np.abs(accuracy.curve_thresholds - 0.2)))
    np.testing.assert_allclose(accuracy.curve[at], accuracy.headline.per_keypoint)
    low, high = accuracy.intervals.mean
    assert low < accuracy.headline.mean < high
    low, high = accuracy.intervals.per_keypoint
    assert (low <= accuracy.headline.per_keypoint).all()
    assert (high >= accuracy.headline.per_keypoint).all()


def test_person_without_torso_is_predicted_but_not_in_pck(
    make_person, make_predictor, arm_xy
):
    people = [make_person(), make_person(visible=[0, 2, 2, 2])]
    result = evaluate(make_predictor([arm_xy, arm_xy + 9]), people)
    assert result.num_people == 2
    assert result.accuracy.num_scored == 1
    assert result.accuracy.headline.mean == 100
    np.testing.assert_array_equal(result.accuracy.headline.counts, [1, 1, 1, 1])
    assert result.people[1].num_scored == 0
    assert result.accuracy.oks.num_people == 2


def test_person_without_labels_is_skipped_and_counted(
    make_person, make_predictor, arm_xy
):
    people = [make_person(visible=[0, 0, 0, 0]), make_person()]
    result = evaluate(make_predictor([arm_xy]), people)
    assert (result.num_people, result.num_skipped) == (1, 1)
    assert result.accuracy.headline.mean == 100


def test_keypoints_are_matched_by_name(make_person, make_predictor):
    rng = np.random.default_rng(0)
    points = rng.uniform(5, 55, (14, 2))
    person = make_person(points, skeleton=LSP)
    in_order = points[LSP.mapping_to(AI_CHALLENGER)]
    result = evaluate(make_predictor([in_order], skeleton=AI_CHALLENGER), [person])
    assert result.accuracy.headline.mean == 100
    assert result.skeleton is AI_CHALLENGER
    np.testing.assert_array_equal(result.accuracy.headline.counts, [1] * 14)


def test_names_that_are_spelt_otherwise_are_the_same(make_person, make_predictor):
    model = Skeleton(name="model", names=("Wrist", "Thumb Tip"))
    data = Skeleton(name="data", names=("thumb_tip", "wrist"))
    points = np.array([[10.0, 20.0], [40.0, 20.0]])
    person = make_person(points, skeleton=data)
    result = evaluate(make_predictor([points[::-1]], skeleton=model), [person])
    assert result.accuracy.headline.mean == 100


def test_keypoints_that_the_data_lack_are_unknown(make_person, make_predictor):
    points = np.random.default_rng(0).uniform(5, 55, (14, 2))
    predicted = np.zeros((16, 2))
    source = LSP.mapping_to(MPII)
    predicted[source >= 0] = points[source[source >= 0]]
    person = make_person(points, skeleton=LSP)
    result = evaluate(make_predictor([predicted], skeleton=MPII), [person])
    unknown = np.isnan(result.accuracy.headline.per_keypoint)
    assert [MPII.names[i] for i in np.flatnonzero(unknown)] == ["pelvis", "thorax"]
    assert result.accuracy.headline.mean == 100


def test_torso_of_the_data_serves_a_model_that_has_none(make_person, make_predictor):
    wrists = Skeleton(name="wrists", names=("right_wrist", "left_wrist"))
    points = np.random.default_rng(0).uniform(5, 55, (14, 2))
    person = make_person(points, skeleton=LSP)
    torso = np.linalg.norm(
        points[LSP.index("left_shoulder")] - points[LSP.index("right_hip")]
    )
    predicted = points[LSP.mapping_to(wrists)] + [[0, 0.19 * torso], [0.21 * torso, 0]]
    result = evaluate(make_predictor([predicted], skeleton=wrists), [person])
    assert result.accuracy.references.pck_unit == "torso"
    np.testing.assert_array_equal(result.accuracy.headline.per_keypoint, [100, 0])


def test_the_models_torso_goes_before_that_of_the_data(
    make_person, make_predictor, arm, arm_xy
):
    own = replace(arm, torso=("left_elbow", "left_wrist"), head=None)
    predictor = make_predictor([arm_xy + np.array([0, 1.5])], skeleton=own)
    result = evaluate(predictor, [make_person()])
    # 1.5 of 5 pixels; of the 10 of the data's torso it would be right.
    assert result.accuracy.references.pck.tolist() == [5.0]
    assert result.accuracy.headline.mean == 0
    # The data's head serves a model that has none.
    assert result.accuracy.references.head.tolist() == [5.0]


@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_people_of_no_use_are_left_out(make_person, make_predictor, arm_xy, batch_size):
    def damaged():
        raise TinyposeError("im3.jpg: no picture")

    people = [make_person(sample_id=f"im{i}") for i in range(40)]
    people[3] = replace(people[3], picture=damaged)
    predictor = make_predictor([arm_xy + i / 10 for i in range(80)])
    predict_batch = predictor.predict_batch

    def refuse_im7(images, boxes_xywh):
        if any(box[0] > 900 for box in boxes_xywh):
            raise UsageError("expected a box that overlaps the picture")
        return predict_batch(images, boxes_xywh)

    predictor.predict_batch = refuse_im7
    people[7] = replace(people[7], box_xywh=np.array([999.0, 0, 9, 9]))
    result = evaluate(predictor, people, batch_size=batch_size)
    assert result.num_people == len(result.accuracy.references.pck) == 38
    assert [person.sample.sample_id for person in result.people] == [
        f"im{i}" for i in range(40) if i not in (3, 7)
    ]
    assert "im3.jpg: no picture" in result.left_out
    assert any("im7: expected a box" in reason for reason in result.left_out)
    # Each prediction is held against its own person: they get worse one by one.
    errors = [person.errors[0] for person in result.people]
    np.testing.assert_allclose(np.diff(errors), np.hypot(0.1, 0.1) / 10, atol=1e-6)


def test_too_many_people_of_no_use_are_an_error(make_person, make_predictor, arm_xy):
    def damaged():
        raise TinyposeError("im0.jpg: no picture")

    people = [replace(make_person(), picture=damaged), *[make_person()] * 9]
    with pytest.raises(TinyposeError, match=r"1 of 10 .*im0.jpg: no picture.*check"):
        evaluate(make_predictor([arm_xy] * 10), people)


def test_box_side_normalises_where_there_is_no_torso(
    make_person, make_predictor, arm, arm_xy
):
    skeleton = replace(arm, torso=None, head=None)
    # The box is 20 x 8: 0.2 of its larger side is 4.
    offsets = np.array([[0, 0], [0, 4.1], [4, 0], [0, -3.9]])
    person = make_person(skeleton=skeleton)
    result = evaluate(make_predictor([arm_xy + offsets], skeleton), [person])
    references = result.accuracy.references
    assert references.pck_unit == "box side"
    assert "larger side" in references.pck_name
    np.testing.assert_array_equal(
        result.accuracy.headline.per_keypoint, [100, 0, 100, 100]
    )
    assert result.accuracy.pckh is None
    assert references.head_name == ""


@pytest.mark.parametrize("labelled", [0, 1])
def test_box_side_normalises_where_nobody_has_a_labelled_torso(
    make_person, make_predictor, arm_xy, labelled
):
    # Upper bodies: no hip. The larger side of the box is 20, a torso is 10.
    people = [
        make_person(visible=[2, 0, 2, 2]),
        make_person(visible=[2, labelled, 2, 2]),
    ]
    off = arm_xy + np.array([0, 3])
    accuracy = evaluate(make_predictor([off, off]), people).accuracy
    if labelled:
        assert accuracy.references.pck_unit == "torso"
        assert (accuracy.num_scored, accuracy.headline.mean) == (1, 0)
    else:
        assert accuracy.references.pck_unit == "box side"
        assert "nobody's torso is labelled" in accuracy.references.pck_name
        assert (accuracy.num_scored, accuracy.headline.mean) == (2, 100)


def test_pckh_of_mpii_has_the_published_mean(make_person, make_predictor):
    """Only pelvis and thorax are wrong, of one person, and a wrist of the other."""
    points = np.random.default_rng(0).uniform(5, 55, (16, 2))
    few = np.zeros(16, np.uint8)
    few[[MPII.index("left_wrist"), MPII.index("pelvis")]] = 2
    people = [make_person(points, v, MPII, head_size=10.0) for v in (None, few)]
    first, second = points.copy(), points.copy()
    first[[MPII.index("pelvis"), MPII.index("thorax")]] += 50
    second[MPII.index("left_wrist")] += 50
    accuracy = evaluate(make_predictor([first, second], skeleton=MPII), people).accuracy
    assert accuracy.pckh is not None
    # 14 of 15 labels are right; the mean of keypoints alone is (13 + 1/2) / 14.
    assert accuracy.pckh.mean == pytest.approx(100 * 14 / 15)
    assert accuracy.pckh.per_keypoint[MPII.index("thorax")] == 0


def test_area_under_the_curve(make_person, make_predictor, arm_xy):
    # Errors of 0, 0.1, 0.255 and 0.6 torsos. The curve, in steps of 0.01, rises
    # at 0, at 0.1 and at 0.26, half of each step before counts.
    offsets = np.array([[0, 0], [1, 0], [2.55, 0], [6, 0]])
    result = evaluate(make_predictor([arm_xy + offsets]), [make_person()])
    expected = [100, 100 * 0.405 / 0.5, 100 * 0.245 / 0.5, 0]
    np.testing.assert_allclose(result.accuracy.auc, expected)
    value = json.loads(json.dumps(result.to_dict()))["pck"]["auc"]
    assert value["range"] == [0.0, 0.5]
    assert value["mean"] == pytest.approx(np.mean(expected), abs=1e-4)
    assert value["per_keypoint"]["left_wrist"] == 0


def test_kinds_of_errors_are_reported(make_person, make_predictor, arm_xy):
    predicted = arm_xy.copy()
    predicted[3] = arm_xy[2]  # the wrist at the elbow, 5 of 10 pixels off
    result = evaluate(make_predictor([predicted]), [make_person()])
    value = json.loads(json.dumps(result.to_dict()))["pck"]["errors"]
    assert value["all"]["wrong"] == 1
    assert value["per_keypoint"]["left_wrist"]["other"] == 100


def test_labelled_head_size_comes_before_the_head_pair(
    make_person, make_predictor, arm_xy
):
    # 0.5 of the labelled head 20 is 10, of the pair's 5 it is 2.5.
    people = [make_person(head_size=20.0), make_person()]
    off = arm_xy + np.array([[0, 0], [0, 0], [9, 0], [0, 0]])
    result = evaluate(make_predictor([off, off]), people)
    assert result.accuracy.pckh is not None
    np.testing.assert_allclose(result.accuracy.pckh.per_keypoint, [100, 100, 50, 100])
    name = result.accuracy.references.head_name
    assert name.startswith("labelled head size")
    assert "left_elbow" in name


def test_labelled_area_comes_before_the_box(make_person, make_predictor, arm_xy):
    people = [make_person(area=400.0), make_person()]
    result = evaluate(make_predictor([arm_xy, arm_xy]), people)
    references = result.accuracy.references
    np.testing.assert_allclose(references.areas, [400, 0.53 * 160])
    assert references.areas_name.startswith("labelled area")
    assert "0.53" in references.areas_name


def test_batches_change_nothing_but_the_calls(make_person, make_predictor, arm_xy):
    rng = np.random.default_rng(1)
    predictions = [arm_xy + rng.normal(size=(4, 2)) for _ in range(7)]
    people = [make_person(sample_id=str(index)) for index in range(7)]
    seen = []
    one = evaluate(make_predictor(predictions), people)
    predictor = make_predictor(predictions)
    three = evaluate(
        predictor, people, batch_size=3, progress=lambda *args: seen.append(args)
    )
    assert [len(boxes) for boxes in predictor.calls] == [3, 3, 1]
    assert [args[:2] for args in seen] == [(3, 7), (6, 7), (7, 7)]
    assert seen[-1][2] == pytest.approx(three.accuracy.headline.mean)
    assert three.accuracy.headline.mean == one.accuracy.headline.mean
    assert [p.sample.sample_id for p in three.people] == list("0123456")
    assert three.timing.batch_size == 3


def test_scores_rank_the_poses_for_average_precision(
    make_person, make_predictor, arm_xy
):
    predictions = [arm_xy, arm_xy + 40]
    people = [make_person(), make_person()]
    good = evaluate(make_predictor(predictions, scores=[0.9, 0.1]), people)
    bad = evaluate(make_predictor(predictions, scores=[0.1, 0.9]), people)
    assert good.accuracy.oks.ap == pytest.approx(2 * bad.accuracy.oks.ap)


def test_oks_has_the_sigmas_of_the_data(make_person, make_predictor, arm_xy):
    """Models of any skeleton are judged alike on the same labels."""
    (drawn,) = stick_people([1])
    own = replace(AI_CHALLENGER, name="own", oks_sigmas=(0.5,) * 14)
    found = []
    for skeleton in (AI_CHALLENGER, own):
        predictor = make_predictor([drawn.keypoints_xy + 3], skeleton=skeleton)
        result = evaluate(predictor, [drawn])
        found.append((result.accuracy.oks.mean, result.accuracy.sigmas_of))
    assert found[0] == found[1] and found[0][1] == "ai_challenger"
    # Two files of one form are one kind of data, whatever each is called.
    usual = replace(drawn.skeleton, oks_sigmas=usual_sigmas(drawn.skeleton.names))
    people = [replace(drawn, skeleton=replace(usual, name=name)) for name in "ab"]
    for few in (people, people[:1]):
        seen = [drawn.keypoints_xy + 3] * len(few)
        predictor = make_predictor(seen, skeleton=AI_CHALLENGER)
        result = evaluate(predictor, few).accuracy
        assert result.sigmas_of == "a" and result.oks.mean > 2 * found[0][0]
    # The model's, where the data have none, or those of another file.
    arm = make_person().skeleton
    sharp = replace(arm, name="sharp", oks_sigmas=(0.02,) * 4)
    for sigmas in ((), (0.1,) * 4):
        person = replace(make_person(), skeleton=replace(arm, oks_sigmas=sigmas))
        result = evaluate(make_predictor([arm_xy + 3], skeleton=sharp), [person])
        assert result.accuracy.sigmas_of == "sharp"


def test_labels_of_another_size_than_the_picture_are_told(
    make_person, make_predictor, arm_xy
):
    people = [make_person(), replace(make_person(), labelled_hw=(120, 180))]
    people += [replace(make_person(), labelled_hw=(60, 90))]
    found = evaluate(make_predictor([arm_xy] * 3), people).other_size
    (text,) = found
    assert "labelled at 180x120, the picture is 90x60: was it resized?" in text


def test_thresholds_can_be_chosen_and_hold_the_headline(
    make_person, make_predictor, arm_xy
):
    result = evaluate(make_predictor([arm_xy]), [make_person()], thresholds=[0.7, 0.3])
    assert [value.threshold for value in result.accuracy.pck] == [0.2, 0.3, 0.7]


def test_single_keypoint_gets_a_box_that_can_be_cropped(
    make_person, make_predictor, arm_xy
):
    person = make_person(visible=[0, 0, 2, 0])
    predictor = make_predictor([arm_xy])
    result = evaluate(predictor, [person])
    np.testing.assert_array_equal(predictor.calls[0][0], [*arm_xy[2], 1, 1])
    assert np.isfinite(result.accuracy.oks.ap)
    assert np.isnan(result.accuracy.headline.mean)


def test_samples_are_not_changed(make_person, make_predictor, arm_xy):
    person = make_person(visible=[2, 1, 2, 0])
    copies = person.keypoints_xy.copy(), person.visible.copy(), person.box_xywh.copy()
    evaluate(make_predictor([arm_xy + 3]), [person])
    for array, copy in zip(
        (person.keypoints_xy, person.visible, person.box_xywh), copies, strict=True
    ):
        np.testing.assert_array_equal(array, copy)


def test_plain_values_are_valid_json(make_person, make_predictor, arm_xy):
    # NaN, infinite and stray-byte values are the ones that break JSON.
    predicted = arm_xy.copy()
    predicted[3] = NAN
    people = [make_person(visible=[2, 2, 0, 2])]
    result = evaluate(make_predictor([predicted]), people, data="lsp=\udcff:1-1")
    text = json.dumps(result.to_dict(), allow_nan=False, ensure_ascii=False)
    value = json.loads(text.encode())
    assert value["data"] == {
        "description": r"lsp=\udcff:1-1",
        "num_people": 1,
        "num_skipped": 0,
        "left_out": [],
        "other_size": [],
        "boxes": "labelled",
    }
    at = next(entry for entry in value["pck"]["at"] if entry["threshold"] == 0.2)
    assert at["mean"] == pytest.approx(200 / 3, abs=1e-3)
    assert at["per_keypoint"]["left_elbow"] == {"pck": None, "count": 0}
    assert at["per_keypoint"]["left_wrist"] == {"pck": 0.0, "count": 1}
    assert value["model"]["name"] == "fake"
    assert len(value["pck"]["curve"]["mean"]) == len(
        value["pck"]["curve"]["thresholds"]
    )


@pytest.mark.parametrize(
    ("skeleton", "visible", "message"),
    [
        pytest.param(None, None, "found none", id="no-people"),
        pytest.param("legs", [2, 2], "found only others", id="nothing-in-common"),
        pytest.param("arm", [0, 0, 0, 0], "found none among 1", id="nothing-labelled"),
    ],
)
def test_nothing_to_evaluate_is_an_error(
    make_person, make_predictor, arm, arm_xy, skeleton, visible, message
):
    people = []
    if skeleton:
        legs = Skeleton(name="legs", names=("left_knee", "right_knee"))
        chosen = arm if skeleton == "arm" else legs
        people = [make_person(arm_xy[: len(visible)], visible, chosen)]
    with pytest.raises(TinyposeError, match=message):
        evaluate(make_predictor([arm_xy]), people)


def test_wrong_box_names_the_person(make_person, make_predictor, arm_xy):
    predictor = make_predictor([arm_xy])

    def refuse(images, boxes_xywh):
        raise UsageError("expected a box that overlaps the picture")

    predictor.predict_batch = refuse
    with pytest.raises(TinyposeError, match=r"1 of 1 .*lsp/im7: .*overlaps") as caught:
        evaluate(predictor, [make_person(sample_id="lsp/im7")])
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 0}, {"thresholds": [0.2, 0.0]}],
    ids=["batch", "threshold"],
)
def test_wrong_option_is_an_error(make_person, make_predictor, arm_xy, options):
    with pytest.raises(ValueError, match="expected a batch_size"):
        evaluate(make_predictor([arm_xy]), [make_person()], **options)


def test_missing_library_is_said_before_predicting(
    make_person, make_predictor, arm_xy, monkeypatch
):
    monkeypatch.setattr(oks, "find_spec", lambda name: None)
    predictor = make_predictor([arm_xy])
    with pytest.raises(MissingDependencyError):
        evaluate(predictor, [make_person()])
    assert predictor.calls == []


def test_import_loads_no_training_stack():
    code = (
        "import sys, tinypose.evaluation.evaluate, tinypose.evaluation.report\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'faster_coco_eval', 'scipy'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
