"""Skeletons: built-in ones are consistent, one's own are checked."""

import re

import numpy as np
import pytest

from tinypose.errors import TinyposeError
from tinypose.keypoint_names import usual_sigmas
from tinypose.skeletons import (
    AI_CHALLENGER,
    COCO,
    DEFAULT_SIGMA,
    LSP,
    MPII,
    SKELETONS,
    Skeleton,
    load_skeleton,
    unpaired_sides,
)

ALL = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)


@ALL
def test_flip_pairs_mirror_left_and_right_names(skeleton: Skeleton) -> None:
    flipped = [skeleton.names[i] for i in skeleton.flip_indices]
    for name, other in zip(skeleton.names, flipped, strict=True):
        swapped = (
            name.replace("left", "#").replace("right", "left").replace("#", "right")
        )
        assert other == swapped


@ALL
def test_every_keypoint_has_an_edge_and_a_sigma(skeleton: Skeleton) -> None:
    assert {i for edge in skeleton.edge_indices for i in edge} == set(
        range(skeleton.num_keypoints)
    )
    assert skeleton.sigmas.shape == (skeleton.num_keypoints,)


# AI Challenger measured left and right apart.
@pytest.mark.parametrize("skeleton", [COCO, MPII], ids=lambda s: s.name)
def test_sigmas_are_equal_on_both_sides(skeleton: Skeleton) -> None:
    np.testing.assert_array_equal(
        skeleton.sigmas, skeleton.sigmas[skeleton.flip_indices]
    )


@ALL
def test_to_dict_and_back(skeleton: Skeleton) -> None:
    assert Skeleton.from_dict(skeleton.to_dict()) == skeleton


@pytest.mark.parametrize(
    ("skeleton", "count"), [(AI_CHALLENGER, 14), (LSP, 14), (MPII, 16), (COCO, 17)]
)
def test_number_of_keypoints(skeleton: Skeleton, count: int) -> None:
    assert skeleton.num_keypoints == count


def test_sigmas_are_those_of_the_keypoints_names() -> None:
    """Published values, whatever the order: COCO's, CrowdPose's, AI Challenger's."""
    assert LSP.sigmas[LSP.index("left_hip")] == 0.107
    assert COCO.sigmas[COCO.index("right_hip")] == 0.107
    assert COCO.sigmas.tolist()[:5] == [0.026, 0.025, 0.025, 0.035, 0.035]
    assert LSP.sigmas[LSP.index("head_top")] == 0.079
    assert AI_CHALLENGER.sigmas[AI_CHALLENGER.index("left_hip")] == 0.03843971
    assert usual_sigmas(("nose", "tail")) == ()


def test_mapping_by_name() -> None:
    mapping = COCO.mapping_to(LSP)
    assert COCO.names[mapping[LSP.index("right_knee")]] == "right_knee"
    assert mapping[LSP.index("neck")] == -1
    assert mapping[LSP.index("head_top")] == -1


def test_mapping_does_not_mind_the_spelling() -> None:
    labelled = Skeleton(name="file", names=("nose", "left_ear", "r_ear", "head_top"))
    own = Skeleton(name="own", names=("R-Ear", "leftEar", "Nose", "tail"))
    assert labelled.mapping_to(own).tolist() == [2, 1, 0, -1]
    # What is spelled alike comes first.
    twice = Skeleton(name="twice", names=("Ear", "ear"))
    assert twice.mapping_to(twice).tolist() == [0, 1]
    assert twice.mapping_to(Skeleton(name="ear", names=("EAR",))).tolist() == [0]


@pytest.mark.parametrize(
    ("here", "there", "found"),
    [
        (("head_top", "neck"), ("neck", "head"), [1, 0]),
        (("head", "neck"), ("head_top", "neck"), [0, 1]),
        # The middle of the head is not its top.
        (("head", "head_top", "neck"), ("head_top", "neck"), [1, 2]),
        (("head_top", "neck"), ("head", "head_top", "neck"), [-1, 0, 1]),
        (("head", "tail"), ("head_top", "tail"), [-1, 1]),
    ],
)
def test_mapping_of_the_head(here, there, found) -> None:
    source = Skeleton(name="here", names=here)
    assert source.mapping_to(Skeleton(name="there", names=there)).tolist() == found


def test_flip_pairs_follow_from_the_names() -> None:
    names = ["tail", "left_ear", "right_ear", "R-Eye", "L-Eye", "leftHand", "left_toe"]
    skeleton = Skeleton.from_dict({"keypoints": names})
    assert skeleton.flip_pairs == (("left_ear", "right_ear"), ("L-Eye", "R-Eye"))
    assert skeleton.flip_indices.tolist() == [0, 2, 1, 4, 3, 5, 6]
    none = Skeleton.from_dict({"keypoints": names, "flip_pairs": []})
    assert none.flip_pairs == ()


def test_mapping_of_sides_in_any_spelling() -> None:
    own = Skeleton(name="own", names=("left_wrist", "right_wrist", "nose"))
    file = Skeleton(name="file", names=("Nose", "rwrist", "lwrist"))
    assert file.mapping_to(own).tolist() == [2, 1, 0]
    assert own.mapping_to(file).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("names", "unpaired"),
    [
        (("links_ohr", "rechts_ohr"), ["links_ohr", "rechts_ohr"]),
        (("左手", "鼻"), ["左手"]),
        (("leftEar", "nose"), ["leftEar"]),
        (("left_eye", "right_eye", "left_ear", "ohr_links"), ["left_ear", "ohr_links"]),
        (("left", "right", "light"), []),
        (("l_l", "l_r", "u_l", "u_r"), ["l_l", "l_r"]),
        (("wrist", "thumb tip", "sole", "leg", "lip", "rear", "lap", "rim"), []),
        (("wrist_1", "wrist_2"), []),
    ],
)
def test_names_that_speak_of_sides_in_no_pair(names, unpaired) -> None:
    skeleton = Skeleton.from_dict({"keypoints": names})
    assert unpaired_sides(skeleton) == unpaired


def test_pairs_that_are_written_down_are_told_from_those_of_the_names() -> None:
    ears = {"keypoints": ["left_ear", "right_ear"]}
    by_names = Skeleton.from_dict(ears)
    none = Skeleton.from_dict({**ears, "flip_pairs": []})
    assert (by_names.declares_pairs, none.declares_pairs) == (False, True)
    assert by_names.with_pairs([("right_ear", "left_ear")]) is by_names
    assert by_names.with_pairs([]) == none
    assert by_names.with_pairs([]).declares_pairs
    # What is the same is equal, however it came about.
    assert Skeleton(name="custom", names=none.names) == none


def test_own_skeleton_from_yaml(tmp_path) -> None:
    file = tmp_path / "hand.yaml"
    file.write_text(
        "name: hand\nkeypoints: [wrist, left_tip, right_tip]\n"
        "edges: [[wrist, left_tip], [wrist, right_tip]]\n"
        "flip_pairs: [[left_tip, right_tip]]\n"
    )
    hand = load_skeleton(file)
    assert hand.names == ("wrist", "left_tip", "right_tip")
    np.testing.assert_array_equal(hand.flip_indices, [0, 2, 1])
    np.testing.assert_array_equal(hand.sigmas, [DEFAULT_SIGMA] * 3)
    assert hand.torso is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "expected a skeleton, a mapping"),
        ("name: x", "'keypoints'"),
        ("keypoints: []", "at least one keypoint"),
        ("keypoints: [a, a]", "distinct"),
        ("keypoints: nose", "a list of names"),
        ("keypoints: [1, 2]", "expected names in 'keypoints', found 1; quote it: '1'"),
        ("keypoints: [nose]\nedges: [[nose, nos]]", "did you mean 'nose'"),
        ("keypoints: [a, b]\nedges: [[a, b, a]]", "two names"),
        ("keypoints: [a, b]\nflip_pair: [[a, b]]", "did you mean 'flip_pairs'"),
        ("keypoints: [a, b, c]\nflip_pairs: [[a, b], [b, c]]", "at most one flip"),
        ("keypoints: [a, b]\noks_sigmas: [0.1]", "expected 2 oks_sigmas"),
        ("keypoints: [a]\noks_sigmas: [0]", "positive"),
        ("keypoints: [a\n", "does not parse"),
        ("keypoints: !!python/object/apply:os.getcwd []", "does not parse"),
    ],
)
def test_wrong_files_get_one_line(tmp_path, text: str, message: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(TinyposeError, match=re.escape(message)) as caught:
        load_skeleton(file)
    assert "\n" not in str(caught.value)
    assert "wrong.yaml" in str(caught.value)


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(TinyposeError, match="did you mean 'coco'"):
        load_skeleton("coc")
