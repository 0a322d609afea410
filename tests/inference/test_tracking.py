"""Following a person through a video, and the filter that steadies them."""

from dataclasses import replace

import numpy as np
import pytest

from tinypose.errors import UsageError
from tinypose.inference import tracking
from tinypose.inference.pose import LEAST_MEAN_SCORE, Pose
from tinypose.inference.search import overlap
from tinypose.inference.tracking import OneEuroFilter, Tracker
from tinypose.skeletons import Skeleton

SKELETON = Skeleton(name="four", names=("a", "b", "c", "d"))
SHAPE = np.array([[20.0, 0.0], [0.0, 45.0], [40.0, 55.0], [20.0, 100.0]])
FRAME = np.zeros((400, 600, 3), np.uint8)


def at(x, y):
    """Return the person, 40 wide and 100 tall, with its top left at (x, y)."""
    return SHAPE + np.array([x, y])


TIGHT = [300.0, 200.0, 40.0, 100.0]


class FakePredictor:
    """Sees the person in boxes that hold them, or anywhere without a box."""

    def __init__(self):
        self.person_xy = at(300, 200)
        self.calls = []

    def __call__(self, image, box_xywh=None):
        self.calls.append(None if box_xywh is None else np.array(box_xywh))
        return self._look(image, box_xywh)

    def _look(self, image, box_xywh):
        box = self._tight() if box_xywh is None else np.array(box_xywh, float)
        centre = box[:2] + box[2:] / 2
        reach = box[2:].max() * 1.25 / 2
        seen = (
            self.person_xy is not None
            and (np.abs(self.person_xy - centre) <= reach).all()
        )
        points = self.person_xy if seen else np.zeros((4, 2))
        return Pose(
            keypoints_xy=np.float32(points),
            scores=np.full(4, 0.8 if seen else 0.1, np.float32),
            skeleton=SKELETON,
            box_xywh=box,
        )

    def _tight(self):
        if self.person_xy is None:
            return np.array([0.0, 0, 600, 400])
        return np.array([*self.person_xy.min(axis=0), 40.0, 100.0])


@pytest.fixture
def predictor():
    return FakePredictor()


def test_first_frame_is_searched_and_the_next_follow(predictor):
    track = Tracker(predictor, smooth=False)
    for index in range(9):
        predictor.person_xy = at(300 + 8 * index, 200 - 3 * index)
        pose = track(FRAME, index / 25)
        assert track.found
        assert np.abs(pose.keypoints_xy - predictor.person_xy).max() < 1e-3
    searches = [call is None for call in predictor.calls]
    assert searches == [True] + [False] * 8
    # The box goes with the person: it keeps their size and holds them.
    assert overlap(predictor.calls[-1], predictor._tight()) > 0.3
    assert predictor.calls[-1][3] == pytest.approx(120, abs=5)


def test_what_the_model_says_of_its_scores_decides_who_is_found(predictor):
    assert Tracker(predictor)(FRAME, 0.0).score == pytest.approx(0.8)
    for least, given, found in ((0.9, None, False), (0.9, 0.7, True)):
        predictor.least_score = least
        track = Tracker(predictor, least_score=given)
        track(FRAME, 0.0)
        assert track.found == found


def test_followed_person_is_searched_anew_now_and_then(predictor):
    track = Tracker(predictor, smooth=False)
    for index in range(25):
        track(FRAME, index / 25)
    searched = [i for i, call in enumerate(predictor.calls) if call is None]
    # The first frame, then on the 10th and 20th: after looking in the box.
    assert searched == [0, 10, 21]


@pytest.mark.parametrize("chosen", [False, True], ids=["anyone", "chosen"])
def test_clearly_better_place_is_moved_to_unless_the_user_chose(predictor, chosen):
    track = Tracker(predictor, smooth=False, box_xywh=TIGHT if chosen else None)
    for index in range(8):
        track(FRAME, index / 25)
    # Somebody who scores higher appears; the one before stays where they were.
    known = predictor.__call__

    def call(image, box_xywh=None):
        if box_xywh is not None:
            return known(image, box_xywh)
        return Pose(
            keypoints_xy=np.float32(at(20, 30)),
            scores=np.full(4, 0.95, np.float32),
            skeleton=SKELETON,
            box_xywh=np.array([20.0, 30, 40, 100]),
        )

    track._predict = call
    poses = [track(FRAME, (8 + index) / 25) for index in range(4)]
    assert (poses[-1].keypoints_xy[0, 0] < 100) != chosen


class Crowd(FakePredictor):
    """Two people; the first one, whom the user chose, is hidden on some frames."""

    def __init__(self, other_x=390):
        super().__init__()
        self.people_xy = [at(300, 200), at(other_x, 200)]
        self.hidden = False

    def __call__(self, image, box_xywh=None):
        self.calls.append(box_xywh)
        best = None
        for person_xy in self.people_xy[self.hidden :]:
            self.person_xy = person_xy
            pose = self._look(image, box_xywh)
            if best is None or pose.score > best.score:
                best = pose
        return best


def follow_chosen(hidden_frames, num_frames, *, crowd=None, smooth=False):
    """Return where the person at the left was seen on each frame; None if not."""
    crowd = crowd or Crowd()
    track = Tracker(crowd, smooth=smooth, box_xywh=TIGHT)
    seen = []
    for index in range(num_frames):
        crowd.hidden = index in hidden_frames
        pose = track(FRAME, index / 25)
        seen.append(float(pose.keypoints_xy[0, 0]) if track.found else None)
    return seen


@pytest.mark.parametrize("count", [1, tracking.KEEP_CHOSEN - 1])
def test_chosen_person_is_waited_for(count):
    hidden = range(4, 4 + count)
    seen = follow_chosen(hidden, 20)
    assert seen == [None if index in hidden else 320.0 for index in range(20)]


@pytest.mark.parametrize("count", [1, tracking.KEEP_CHOSEN - 1])
def test_neighbour_in_the_same_crop_is_not_the_chosen_person(count):
    hidden = range(4, 4 + count)
    crowd = Crowd(other_x=350)
    seen = follow_chosen(hidden, 24, crowd=crowd, smooth=True)
    expected = [None if index in hidden else 320.0 for index in range(24)]
    assert [x if x is None else round(x, 3) for x in seen] == expected


def test_followed_pose_of_another_person_is_not_blended(predictor):
    track = Tracker(predictor)
    for index in range(4):
        track(FRAME, index / 25)
    # Within the same box, but nowhere near the one before.
    predictor.person_xy = at(350, 200)
    pose = track(FRAME, 4 / 25)
    assert len(predictor.calls) == 5 and track.found
    assert np.abs(pose.keypoints_xy - predictor.person_xy).max() < 1e-3


def test_chosen_person_of_few_sure_keypoints_is_the_same(predictor):
    track = Tracker(predictor, box_xywh=TIGHT)
    sure = predictor._look

    def look(image, box_xywh):
        scores = np.float32([0.95, 0.95, 0.2, 0.2])
        return replace(sure(image, box_xywh), scores=scores)

    for index in range(12):
        if index == 4:
            predictor._look = look
        track(FRAME, index / 25)
        assert track.found


def test_given_box_without_height_is_followed(predictor):
    track = Tracker(predictor, box_xywh=[260, 250, 120, 0])
    poses = [track(FRAME, index / 25) for index in range(3)]
    assert track.found
    assert np.abs(poses[-1].keypoints_xy - predictor.person_xy).max() < 1e-3


def test_chosen_person_who_stays_away_is_given_up():
    seen = follow_chosen(range(4, 100), 60)
    gone = 4 + tracking.KEEP_CHOSEN
    assert seen[4:gone] == [None] * tracking.KEEP_CHOSEN and seen[gone] == 410.0
    # The other one was not chosen, but is followed like anyone.
    assert set(seen[gone:]) == {410.0}


def test_chosen_person_may_leave_the_picture(predictor):
    track = Tracker(predictor, smooth=False, box_xywh=TIGHT)
    track(FRAME, 0.0)
    predictor.person_xy = None
    track._box = np.array([700.0, 200, 40, 100])
    track(FRAME, 0.1)
    assert not track.found
    assert predictor.calls[-1].tolist() == [-0.5, -0.5, 600, 400]


def test_given_box_is_followed_without_a_search(predictor):
    track = Tracker(predictor, smooth=False, box_xywh=TIGHT)
    track(FRAME, 0.0)
    track(FRAME, 0.1)
    assert predictor.calls[0].tolist() == TIGHT
    assert all(call is not None for call in predictor.calls)


def test_lost_person_is_searched_at_once_and_found_again(predictor):
    track = Tracker(predictor, smooth=False)
    track(FRAME, 0.0)
    predictor.person_xy = at(20, 30)  # a jump out of the box
    pose = track(FRAME, 0.1)
    assert np.abs(pose.keypoints_xy - predictor.person_xy).max() < 1e-3
    assert [call is None for call in predictor.calls] == [True, False, True]


def test_empty_scene_is_searched_on_some_frames_only(predictor):
    predictor.person_xy = None
    track = Tracker(predictor, smooth=False)
    for index in range(11):
        pose = track(FRAME, index / 25)
        assert pose.score < LEAST_MEAN_SCORE and not track.found
    searched = [index for index, call in enumerate(predictor.calls) if call is None]
    assert searched == [0, tracking.SEARCH_EVERY, 2 * tracking.SEARCH_EVERY]
    # On the other frames the whole picture is looked at, once.
    assert len(predictor.calls) == 11
    assert predictor.calls[1].tolist() == [-0.5, -0.5, 600, 400]


def test_person_who_comes_back_is_followed_again(predictor):
    track = Tracker(predictor)
    track(FRAME, 0.0)
    predictor.person_xy = None
    for index in range(1, 8):
        track(FRAME, index / 25)
    predictor.person_xy = at(100, 60)
    pose = track(FRAME, 8 / 25)
    # The filter has forgotten the place before.
    assert np.abs(pose.keypoints_xy - predictor.person_xy).max() < 1e-3
    before = len(predictor.calls)
    track(FRAME, 9 / 25)
    assert len(predictor.calls) == before + 1 and predictor.calls[-1] is not None


def test_person_after_a_cut_is_not_blended_with_the_one_before(predictor):
    track = Tracker(predictor)
    for index in range(5):
        predictor.person_xy = at(100 + index, 60)
        track(FRAME, index / 25)
    # Somebody else, where nobody was, in the very next frame.
    predictor.person_xy = at(500, 250)
    pose = track(FRAME, 5 / 25)
    assert track.found
    assert np.abs(pose.keypoints_xy - predictor.person_xy).max() < 1e-3


@pytest.mark.parametrize(
    "place, same", [((20, 30), False), ((304, 200), True)], ids=["other", "same"]
)
def test_switch_to_a_better_place_is_smooth_for_the_same_person_only(
    predictor, place, same
):
    track = Tracker(predictor)
    for index in range(tracking.LOOK_AROUND_EVERY - 1):
        track(FRAME, index / 25)
    followed = predictor(FRAME, track._box)
    better = replace(
        followed,
        keypoints_xy=np.float32(at(*place)),
        scores=np.full(4, 0.95, np.float32),
    )
    track._predict = lambda _, box_xywh=None: better if box_xywh is None else followed
    pose = track(FRAME, (tracking.LOOK_AROUND_EVERY - 1) / 25)
    assert pose.score > followed.score
    lag = np.abs(pose.keypoints_xy - better.keypoints_xy).max()
    assert lag > 0.5 if same else lag < 1e-3


def test_person_whom_a_search_finds_in_the_same_place_stays_smooth(predictor):
    track = Tracker(predictor)
    for index in range(5):
        track(FRAME, index / 25)
    # The box of the frame before shows little: they are searched, and found.
    box = track._box.copy()
    predictor.person_xy = at(304, 200)
    track._predict = lambda image, box_xywh=None: (
        predictor(image)
        if box_xywh is None
        else predictor._look(image, np.array([0.0, 0, 8, 8]))
    )
    pose = track(FRAME, 5 / 25)
    assert track.found and overlap(box, predictor._tight()) > tracking.SAME_PERSON
    assert np.abs(pose.keypoints_xy - predictor.person_xy).max() > 0.5


def test_tracker_refuses_a_senseless_box(predictor):
    with pytest.raises(UsageError, match="four finite numbers"):
        Tracker(predictor, box_xywh=[1, 2, np.nan, 4])


def test_tracker_refuses_a_box_beside_the_picture(predictor):
    track = Tracker(predictor, box_xywh=[700, 20, 30, 40])
    with pytest.raises(UsageError, match="overlaps the picture of 600 x 400"):
        track(FRAME, 0.0)


def test_smoothing_steadies_a_person_at_rest(predictor):
    rng = np.random.default_rng(0)
    still = at(300, 200)
    raw, smooth = [], []
    for steady, found in ((False, raw), (True, smooth)):
        track = Tracker(predictor, smooth=steady)
        for index in range(60):
            predictor.person_xy = still + rng.normal(0, 1, (4, 2))
            found.append(track(FRAME, index / 25).keypoints_xy)
    assert np.std(smooth[20:], axis=0).mean() < 0.6 * np.std(raw[20:], axis=0).mean()
    assert np.mean(smooth[20:], axis=0) == pytest.approx(still, abs=1.0)


def test_filter_passes_the_first_points_and_rest_unchanged():
    smooth = OneEuroFilter()
    for index in range(5):
        assert smooth(SHAPE, index / 25, 100.0) == pytest.approx(SHAPE)


def test_filter_at_constant_cutoff_is_the_textbook_low_pass():
    # beta 0 leaves the cutoff at 1 Hz. With dt = 0.1 s and the time constant
    # 1 / (2 pi) s, each step takes 1 / (1 + 1 / (2 pi 0.1)) = 0.385870 of the
    # way: 0.385870 after one, 1 - (1 - 0.385870)^2 = 0.622844 after two.
    smooth = OneEuroFilter(min_cutoff=1.0, beta=0.0)
    smooth(np.zeros((1, 2)), 0.0, 10.0)
    step = np.ones((1, 2))
    assert smooth(step, 0.1, 10.0) == pytest.approx(np.full((1, 2), 0.385870), abs=1e-6)
    assert smooth(step, 0.2, 10.0) == pytest.approx(np.full((1, 2), 0.622844), abs=1e-6)


def test_filter_follows_fast_points_closely():
    slow, quick = OneEuroFilter(beta=0.0), OneEuroFilter()
    lag = {}
    for name, smooth in (("slow", slow), ("quick", quick)):
        for index in range(30):
            points = np.array([[20.0 * index, 0.0]])
            lag[name] = points[0, 0] - smooth(points, index / 25, 100.0)[0, 0]
    assert 0 < lag["quick"] < 0.3 * lag["slow"]


def test_points_do_not_influence_each_other():
    alone, together = OneEuroFilter(), OneEuroFilter()
    rng = np.random.default_rng(0)
    for index in range(10):
        points = rng.normal(0, 30, (3, 2))
        one = alone(points[:1], index / 25, 50.0)
        assert together(points, index / 25, 50.0)[:1] == pytest.approx(one)


def test_size_sets_the_scale():
    near, far = OneEuroFilter(), OneEuroFilter()
    rng = np.random.default_rng(0)
    for index in range(10):
        points = rng.normal(0, 3, (3, 2))
        large = near(points * 10, index / 25, 400.0)
        assert far(points, index / 25, 40.0) * 10 == pytest.approx(large)


def test_standing_time_does_not_divide_by_zero():
    smooth = OneEuroFilter()
    smooth(SHAPE, 1.0, 100.0)
    assert np.isfinite(smooth(SHAPE + 5, 1.0, 100.0)).all()


def test_reset_forgets():
    smooth = OneEuroFilter()
    smooth(SHAPE, 0.0, 100.0)
    smooth.reset()
    assert smooth(SHAPE + 50, 0.04, 100.0) == pytest.approx(SHAPE + 50)


def test_score_that_drops_below_the_usual_is_a_loss(predictor):
    track = Tracker(predictor, smooth=False)
    for index in range(6):
        track(FRAME, index / 25)

    def fainter(image, box_xywh=None):
        predictor.calls.append(box_xywh)
        pose = predictor._look(image, box_xywh)
        return replace(pose, scores=pose.scores * 0.5)

    track._predict = fainter
    # 0.4 is more than LEAST_MEAN_SCORE, but half of what was usual: searched anew,
    # in vain, until whoever is there counts as somebody new.
    found = []
    for index in range(6, 16):
        track(FRAME, index / 25)
        found.append(track.found)
    assert found[: tracking.SEARCH_EVERY] == [False] * tracking.SEARCH_EVERY
    assert all(found[tracking.SEARCH_EVERY :])


def test_what_scores_too_little_for_the_model_is_nobody(predictor):
    # The person scores 0.8: enough for any model but one that is surer.
    for least, found in [(0.5, True), (0.9, False)]:
        track = Tracker(predictor, smooth=False, least_score=least)
        track(FRAME, 0.0)
        assert track.found is found
