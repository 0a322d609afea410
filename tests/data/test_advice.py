"""What is said before a training: mirrored labels, pictures on both sides."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.advice import (
    mirror_advice,
    overlap_advice,
    pair_advice,
    training_advice,
)
from tinypose.data.sample import Sample
from tinypose.data.stick_people import stick_people
from tinypose.skeletons import Skeleton

EARS = Skeleton(name="ears", names=("links_ohr", "rechts_ohr", "nase"))


def people(*pictures: Path) -> list[Sample]:
    """Return a person in each picture."""
    return [
        Sample(
            sample_id=f"p{number}",
            picture=picture,
            skeleton=EARS,
            keypoints_xy=np.zeros((3, 2)),
            visible=np.full(3, 2, np.uint8),
            box_xywh=np.ones(4),
        )
        for number, picture in enumerate(pictures)
    ]


@pytest.mark.parametrize(
    ("skeleton", "flip_probability", "told"),
    [
        pytest.param(EARS, 0.5, True, id="german"),
        pytest.param(EARS, 0.0, False, id="not mirrored"),
        pytest.param(
            Skeleton(name="x", names=EARS.names, flip_pairs=(EARS.names[:2],)),
            0.5,
            False,
            id="declared",
        ),
        pytest.param(EARS.with_pairs([]), 0.5, False, id="none, declared"),
        pytest.param(Skeleton(name="x", names=("tip", "base")), 0.5, False, id="none"),
        pytest.param(Skeleton(name="x", names=("left_ear",)), 0.5, False, id="one"),
        *(
            pytest.param(Skeleton(name="x", names=names), 0.5, True, id=names[0])
            for names in (
                *(("p1", "p2"), ("Keypoint 1", "Keypoint 2"), ("0", "1", "2")),
                *(("lewe_oko", "prawe_oko"), ("spalla_sx", "spalla_dx")),
                *(
                    ("肩(左)", "肩(右)"),
                    ("levé oko", "pravé oko"),
                    ("mata kiri", "mata kanan"),
                ),
            )
        ),
        pytest.param(
            Skeleton(name="x", names=("p1", "p2"), flip_pairs=()).with_pairs([]),
            0.5,
            False,
            id="numbers, declared",
        ),
        pytest.param(
            Skeleton(name="x", names=("thumb_1", "thumb_2")), 0.5, False, id="joints"
        ),
        pytest.param(
            Skeleton(name="x", names=("lever_top", "level_a", "sol")),
            0.5,
            False,
            id="like sides",
        ),
    ],
)
def test_mirrored_labels(skeleton, flip_probability, told) -> None:
    text = mirror_advice(skeleton, flip_probability)
    assert (text is not None) == told
    if text is not None:
        assert skeleton.name in text and "flip_pairs: [[" in text
        assert all(name in text for name in EARS.names[:2]) == (skeleton is EARS)
        assert "\n" not in text


def test_a_name_whose_partner_is_missing_is_told() -> None:
    names = ("left_eye", "right_eye", "left_ear")
    text = mirror_advice(Skeleton.from_dict({"keypoints": names}), 0.5)
    assert text is not None and "no flip_pairs for left_ear:" in text


def test_pairs_of_the_data_that_the_skeleton_lacks(tmp_path: Path) -> None:
    target = Skeleton(name="mine", names=("Nase", "RechtsOhr", "LinksOhr"))
    own = EARS.with_pairs([EARS.names[:2]])
    labelled = [replace(p, skeleton=own) for p in people(tmp_path / "a.png")]
    training = [person.with_skeleton(target) for person in labelled]
    # Mapped again, it is still known what the data said.
    training = [person.with_skeleton(EARS) for person in training]
    text = pair_advice(training, 0.5)
    assert text is not None
    assert "the data swap [links_ohr, rechts_ohr] in mirrored pictures" in text
    assert "the skeleton 'ears', which counts, does not" in text
    assert text in training_advice(training, [], 0.5)
    assert pair_advice(training, 0.0) is None
    # It has them, or lacks a keypoint.
    for names in (own, Skeleton(name="one", names=("links_ohr", "nase"))):
        assert pair_advice([p.with_skeleton(names) for p in labelled], 0.5) is None


def test_pictures_on_both_sides_are_counted(tmp_path: Path) -> None:
    a, b, c = (tmp_path / f"{name}.png" for name in "abc")
    for file in (a, b, c):
        file.touch()
    link, gone = tmp_path / "link.png", tmp_path / "gone.png"
    link.symlink_to(a)
    detour = tmp_path / "x" / ".." / "gone.png"
    training = people(a, a, b, gone)
    assert overlap_advice(training, people(c)) is None
    text = overlap_advice(training, people(c, link, link, detour))
    assert text is not None
    assert text.startswith(
        f"2 of 3 pictures of --val are in --data, too (the first: {link})"
    )


def test_files_without_numbers_are_told_by_their_place(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    number = os.stat_result((0o100644, 0, 1, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "stat", lambda *_, **__: number)
    monkeypatch.chdir(tmp_path)
    training = people(tmp_path / "a.png")
    assert overlap_advice(training, people(Path("b.png"))) is None
    assert overlap_advice(training, people(Path("a.png"))) is not None


def test_nothing_is_said_of_drawn_people() -> None:
    drawn = stick_people(range(3))
    assert list(training_advice(drawn, drawn, 0.5)) == []


def test_all_that_there_is_to_say(tmp_path: Path) -> None:
    training = people(tmp_path / "a.png")
    assert len(list(training_advice(training, training, 0.5))) == 2
    assert len(list(training_advice(training, [], 0.0))) == 0
