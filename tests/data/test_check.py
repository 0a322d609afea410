from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from tinypose.data.box_checks import check_box_in_picture, corner_boxes
from tinypose.data.check import KINDS, CheckReport, check_samples
from tinypose.data.crops import CropDataset
from tinypose.data.duplicates import fingerprint, similar_pairs
from tinypose.data.facing import (
    SURPRISING,
    facing_surprise,
    head_patch,
    trunk_turns,
)
from tinypose.data.label_checks import Problem
from tinypose.data.sample import Sample, labelled_box
from tinypose.errors import TinyposeError
from tinypose.images import write_image
from tinypose.skeletons import LSP, Skeleton

HW = (96, 80)

# A person who faces the camera, 60 pixels tall, in the order of LSP.
STANDING = np.array(
    [
        *((34, 78), (34, 64), (35, 50)),  # right ankle, knee, hip
        *((45, 50), (46, 64), (46, 78)),  # left hip, knee, ankle
        *((28, 52), (29, 41), (32, 30)),  # right wrist, elbow, shoulder
        *((48, 30), (51, 41), (52, 52)),  # left shoulder, elbow, wrist
        *((40, 29), (40, 18)),  # neck, head top
    ],
    np.float64,
)


STANDING_BOX = (28, 18, 24, 60)


def _picture(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)
    return cv2.resize(coarse, HW[::-1])


def _person(name, *, points=STANDING, visible=2, picture=None):
    visible = np.full(14, visible, np.uint8) if np.isscalar(visible) else visible
    number = int(name.strip("p"))
    return Sample(
        sample_id=name,
        picture=picture or partial(_picture, number),
        skeleton=LSP,
        keypoints_xy=points,
        visible=visible,
        box_xywh=labelled_box(points, visible),
    )


def _found(samples):
    """Return (kind, sample) of everything found."""
    return [(p.kind, p.sample_id) for p in check_samples(samples).problems]


def test_nothing_is_wrong_with_good_samples():
    report = check_samples([_person(f"p{i}") for i in range(4)])
    assert report.problems == ()
    assert report.blockers == []
    assert (report.num_samples, report.num_pictures) == (4, 4)
    assert set(report.counts()) == set(KINDS)


def test_missing_and_damaged_pictures(tmp_path):
    good = tmp_path / "good.png"
    write_image(good, _picture(0))
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(good.read_bytes()[:60])
    samples = [
        _person("p0", picture=good),
        _person("p1", picture=damaged),
        _person("p2", picture=tmp_path / "gone.png"),
    ]
    report = check_samples(samples)
    found = [(p.kind, p.sample_id) for p in report.problems]
    assert found == [("missing_picture", "p2"), ("damaged_picture", "p1")]
    assert "gone.png" in report.problems[0].detail
    assert "2 of 3" in report.blockers[0]


@pytest.mark.parametrize(
    ("labelled_hw", "detail"),
    [
        (HW, None),
        ((192, 160), "labelled at 160x192, the picture is 80x96: was it resized?"),
        (HW[::-1], "labelled at 96x80, the picture is 80x96: was it turned?"),
    ],
)
def test_pictures_of_another_size_than_their_labels_say(labelled_hw, detail):
    report = check_samples([replace(_person("p1"), labelled_hw=labelled_hw)])
    details = [problem.detail for problem in report.of_kind("other_size")]
    assert details == ([detail] if detail else [])


def test_each_size_that_a_picture_was_labelled_at_is_told():
    person = _person("p1")
    people = [person, replace(_person("p2"), picture=person.picture)]
    people[1] = replace(people[1], labelled_hw=(192, 160))
    (problem,) = check_samples(people).of_kind("other_size")
    assert problem.sample_id == "p2"
    dataset = CropDataset(people[1:] * 2, HW)
    (text,) = dataset.other_size
    assert text.startswith("p2: labelled at 160x192, the picture is 80x96")


def test_a_few_missing_pictures_do_not_stop_training():
    gone = tuple(Problem("missing_picture", f"p{i}", "gone") for i in range(5))
    assert CheckReport(100, 100, gone).blockers == []
    assert len(CheckReport(99, 99, gone).blockers) == 1


def test_people_of_the_same_name_count_each():
    gone = tuple(Problem("missing_picture", f"p{i % 3}", "gone") for i in range(12))
    assert "of 12 of 200 people" in CheckReport(200, 200, gone).blockers[0]


@pytest.mark.parametrize(
    ("box", "kind", "detail"),
    [
        pytest.param(STANDING_BOX, None, "", id="tight"),
        pytest.param((-2, 5, 84, 90), None, "", id="the whole picture, and a bit"),
        pytest.param((80, 5, 20, 60), "box_outside", "20x60 at 80, 5", id="beside"),
        pytest.param((10, -70, 40, 60), "box_outside", "80x96", id="above"),
        pytest.param(
            (30, 55, 25, 25), "odd_box", "10 of 14 labelled keypoints", id="legs"
        ),
        pytest.param((20, 10, 90, 90), "odd_box", "% of a box of", id="far beyond"),
    ],
)
def test_boxes_that_do_not_fit(box, kind, detail):
    sample = replace(_person("p1"), box_xywh=np.array(box, np.float64))
    report = check_samples([sample])
    found = [(problem.kind, problem.sample_id) for problem in report.problems]
    assert found == ([(kind, "p1")] if kind else [])
    assert all(detail in problem.detail for problem in report.problems)


def test_boxes_beside_their_pictures_stop_training():
    beside = [
        replace(_person(f"p{i}"), box_xywh=np.array([90.0, 5, 20, 60]))
        for i in range(2)
    ]
    good = [_person(f"p{i}") for i in range(2, 40)]
    assert check_samples([*beside, *good]).blockers == []
    (reason,) = check_samples([*beside, *good[1:]]).blockers
    assert reason.startswith("the boxes of 2 of 39 people are outside their pictures;")
    mixed = (Problem("box_outside", "p0", ""), Problem("missing_picture", "p1", ""))
    (reason,) = CheckReport(39, 39, mixed).blockers
    assert reason.startswith("the pictures of 1 of 39 people do not read and the boxes")
    with pytest.raises(TinyposeError, match=r"2 of 39 people.*p0: expected a box that"):
        CropDataset([*beside, *good[1:]], (64, 48))
    assert CropDataset([*beside, *good], (64, 48)).unreadable == ["p0", "p1"]


def test_nobody_without_labels_has_a_wrong_box():
    far = np.array([900.0, 5, 20, 60])
    report = check_samples([replace(_person("p0", visible=0), box_xywh=far)])
    assert [problem.kind for problem in report.problems] == ["no_keypoints"]


def _boxed(number, as_corners):
    """Return a person in the middle of the picture, with a loose box."""
    points = np.add(STANDING, (number, -number))
    x, y, width, height = np.add(labelled_box(points, np.full(14, 2)), (-3, -3, 6, 6))
    box = (x, y, x + width, y + height) if as_corners else (x, y, width, height)
    return replace(_person(f"p{number}", points=points), box_xywh=np.array(box))


@pytest.mark.parametrize(
    ("num_corners", "num_others", "found"), [(6, 0, 6), (4, 2, 4), (2, 0, 0)]
)
def test_corners_written_as_boxes(num_corners, num_others, found):
    corners = [_boxed(i, True) for i in range(num_corners)]
    # None of these lies far beyond the picture, nor misses a keypoint.
    assert all(check_box_in_picture(s, (200, 200)) is None for s in corners)
    others = [_boxed(i, False) for i in range(num_corners, num_corners + num_others)]
    problems = list(corner_boxes([*corners, *others]))
    assert [p.sample_id for p in problems] == [f"p{i}" for i in range(found)]
    assert all("write x, y, width, height" in p.detail for p in problems)


def test_boxes_that_are_none_of_corners():
    good = [_boxed(i, False) for i in range(6)]
    # Somebody large, of whom the face alone is labelled.
    face = np.where(np.arange(14) < 12, 0, 2).astype(np.uint8)
    large = replace(_person("p9", visible=face), box_xywh=np.array([20.0, 14, 58, 80]))
    assert list(corner_boxes(good)) == list(corner_boxes([large] * 6)) == []


def test_corners_are_told_once_per_person():
    report = check_samples([_boxed(i, True) for i in range(6)])
    odd = [problem.sample_id for problem in report.of_kind("odd_box")]
    assert sorted(odd) == [f"p{i}" for i in range(6)]
    assert "fit: write x, y, width, height" in report.of_kind("odd_box")[0].detail


def test_few_keypoints_are_fewer_than_the_set_has():
    skeleton = Skeleton(name="pair", names=("a", "b"))

    def person(number, visible):
        return Sample(
            sample_id=f"p{number}",
            picture=partial(_picture, number),
            skeleton=skeleton,
            keypoints_xy=np.array([[10.0, 10], [40, 60]]),
            visible=np.array(visible, np.uint8),
            box_xywh=np.array([9.0, 9, 32, 52]),
        )

    both = [person(i, (2, 2)) for i in range(3)]
    assert _found(both) == []
    assert _found([*both, person(3, (2, 0))]) == [("few_keypoints", "p3")]
    assert _found([person(i, (2, 0)) for i in range(3)]) == []


@pytest.mark.parametrize(
    ("names", "noted"),
    [
        (("links_ohr", "rechts_ohr"), True),
        (("lear", "rear"), False),
        (("wrist", "thumb"), False),
        (("left_ear",), False),
    ],
)
def test_sides_that_make_no_pairs_are_noted(names, noted):
    skeleton = Skeleton.from_dict({"name": "own", "keypoints": names})
    count = len(names)
    person = Sample(
        sample_id="p0",
        picture=partial(_picture, 0),
        skeleton=skeleton,
        keypoints_xy=np.array([[10.0, 10], [40, 60]])[:count],
        visible=np.full(count, 2, np.uint8),
        box_xywh=np.array([9.0, 9, 32, 52]),
    )
    report = check_samples([person])
    assert report.problems == ()
    assert report.to_dict()["notes"] == list(report.notes)
    assert len(report.notes) == noted
    if noted:
        assert "flip_pairs: [[left_ear, right_ear]]" in report.notes[0]
        assert "augment.flip_probability=0" in report.notes[0]


def test_nobody_labelled_stops_training():
    report = check_samples([_person("p0", visible=0)])
    assert [p.kind for p in report.problems] == ["no_keypoints"]
    assert report.blockers == ["nobody has a labelled keypoint"]


def _few():
    visible = np.zeros(14, np.uint8)
    visible[:3] = 2
    return visible


def _moved(index, xy):
    points = STANDING.copy()
    points[index] = xy
    return points


def _crossed_hips():
    points = STANDING.copy()
    points[[2, 3]] = points[[3, 2]]
    return points


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        pytest.param("few_keypoints", {"visible": _few()}, id="three keypoints"),
        pytest.param("tiny_person", {"points": STANDING / 4}, id="15 pixels tall"),
        pytest.param("outside_picture", {"points": _moved(0, (34, 98))}, id="below"),
        pytest.param("outside_picture", {"points": _moved(6, (-2, 52))}, id="left"),
        pytest.param("twisted_trunk", {"points": _crossed_hips()}, id="hips crossed"),
    ],
)
def test_suspicious_labels(kind, changes):
    samples = [_person("p0"), _person("p1", **changes)]
    assert _found(samples) == [(kind, "p1")]


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(_moved(0, (34, 95.9)), id="on the border"),
        pytest.param(STANDING[:, ::-1], id="lying"),
        pytest.param((79, 95) - STANDING, id="upside down"),
    ],
)
def test_labels_that_are_unusual_but_right(points):
    assert _found([_person("p0", points=np.array(points))]) == []


def test_a_limb_far_too_long_for_its_person():
    rng = np.random.default_rng(1)
    samples = [
        _person(f"p{i}", points=STANDING + rng.normal(0, 1, (14, 2))) for i in range(30)
    ]
    # The forearm of 11 pixels becomes one of 40.
    samples[7] = _person("p7", points=_moved(11, (79, 69)))
    problems = check_samples(samples).of_kind("long_limb")
    assert [p.sample_id for p in problems] == ["p7"]
    assert "left_elbow to left_wrist" in problems[0].detail


def test_copies_of_pictures(tmp_path):
    original = _picture(0)
    bright = (original * 0.8 + 20).astype(np.uint8)
    for name, picture in [("a", original), ("b", original), ("c", bright)]:
        write_image(tmp_path / f"{name}.png", picture)
    write_image(tmp_path / "d.png", _picture(5))
    samples = [
        _person(f"p{i}", picture=tmp_path / f"{name}.png", points=STANDING + i)
        for i, name in enumerate("abcd")
    ]
    problems = check_samples(samples).problems
    assert [(p.kind, p.sample_id, p.other) for p in problems] == [
        ("same_picture", "p1", "p0"),
        ("similar_picture", "p2", "p0"),
    ]


def test_a_person_labelled_twice_in_one_picture(tmp_path):
    picture = tmp_path / "a.png"
    write_image(picture, _picture(0))
    samples = [
        _person("p0", picture=picture),
        _person("p1", picture=picture, points=np.add(STANDING, (25, 0))),
        _person("p2", picture=picture, points=STANDING + 0.5),
    ]
    report = check_samples(samples)
    assert [(p.kind, p.sample_id, p.other) for p in report.problems] == [
        ("labelled_twice", "p2", "p0")
    ]
    assert (report.num_samples, report.num_pictures) == (3, 1)


def test_fingerprints_of_the_same_scene_are_close():
    large = cv2.resize(_picture(3), (333, 401))
    others = [fingerprint(_picture(seed)) for seed in range(10, 40)]
    marks = [*others, fingerprint(_picture(3)), fingerprint(large)]
    assert [pair[:2] for pair in similar_pairs(marks)] == [(31, 30)]


def test_flat_pictures_are_not_called_similar():
    flat = [fingerprint(np.full((20, 30, 3), v, np.uint8)) for v in (0, 90, 255)]
    assert list(similar_pairs(flat)) == []


def test_trunk_turns():
    sample = _person("p0")
    shoulders, hips = trunk_turns(sample)
    # 16 and 10 pixels across a trunk of 20.
    assert (shoulders, hips) == pytest.approx((0.8, 0.5))
    mirrored = replace(sample, keypoints_xy=sample.keypoints_xy[LSP.flip_indices])
    assert trunk_turns(mirrored) == pytest.approx((-0.8, -0.5))
    quarter = replace(sample, keypoints_xy=sample.keypoints_xy[:, ::-1] * (-1, 1))
    assert trunk_turns(quarter) == pytest.approx((0.8, 0.5))
    visible = np.full(14, 2, np.uint8)
    visible[LSP.index("left_hip")] = 0
    assert trunk_turns(replace(sample, visible=visible)) is None


def test_swapped_people_are_found_by_the_look_of_the_others():
    """Faces are bright, backs of heads dark; 15 of 300 labels say otherwise."""
    rng = np.random.default_rng(0)
    towards = rng.random(300) < 0.7
    patches = rng.integers(60, 120, (300, 16, 8, 3))
    patches[:, 4:10, 4:] += np.where(towards, 90, -40)[:, None, None, None]
    turns = np.where(towards, 0.5, -0.5)
    swapped = np.arange(7, 300, 20)
    turns[swapped] *= -1
    surprise = facing_surprise(patches.astype(np.uint8), turns)
    assert set(np.argsort(-surprise)[:15]) == set(swapped)
    assert surprise[swapped].mean() > SURPRISING
    assert np.median(np.delete(surprise, swapped)) < 0


def test_head_patch_turns_with_the_person():
    picture = np.zeros((120, 100, 3), np.uint8)
    # A bright spot on the head, between neck and head top.
    cv2.circle(picture, (40, 24), 4, (255, 255, 255), -1)
    upright = head_patch(picture, _person("p0"))
    assert upright.shape == (16, 8, 3)
    # 26 pixels from top to bottom around y = 30 - 0.3 * 20 = 24: the middle.
    rows = upright[:, 7, 0].astype(float)
    assert rows @ np.arange(16) / rows.sum() == pytest.approx(7.5, abs=0.3)
    assert upright[:, :4].max() == 0
    turned = np.stack([119 - STANDING[:, 1], STANDING[:, 0]], axis=1)
    lying = head_patch(np.rot90(picture, -1), _person("p1", points=turned))
    assert np.abs(upright.astype(int) - lying).max() < 4


def test_a_small_set_teaches_nothing_about_facing():
    patches = np.zeros((5, 16, 8, 3), np.uint8)
    assert facing_surprise(patches, [0.5] * 5).tolist() == [0.0] * 5


def test_progress_and_plain_values():
    seen = []
    samples = [_person(f"p{i}") for i in range(3)]
    report = check_samples(samples, skipped={"crowds": 2}, progress=seen.append)
    assert seen == [1, 2, 3]
    value = report.to_dict()
    assert value["num_samples"] == 3
    assert value["skipped"] == {"crowds": 2}
    assert value["counts"]["long_limb"] == 0
