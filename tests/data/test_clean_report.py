"""What cleaning did, in numbers and as a picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tinypose.data.clean import CleanedSample
from tinypose.data.clean_report import summary, write_clean_report
from tinypose.data.stick_people import stick_people
from tinypose.images import read_image

BEFORE = stick_people([1, 2, 3], image_hw=(72, 56))


def cleaned(number: int, *actions: str, swapped: bool = False) -> CleanedSample:
    before = BEFORE[number]
    after = replace(before, keypoints_xy=before.keypoints_xy + 6.0)
    rest = ("kept",) * (before.skeleton.num_keypoints - len(actions))
    return CleanedSample(
        before=before, after=after, actions=(*actions, *rest), swapped=swapped
    )


def test_summary_counts_what_happened() -> None:
    people = [cleaned(0, "filled", "filled"), cleaned(1, "empty", swapped=True)]
    assert summary(people) == [
        "2 people, 28 keypoints",
        "     25  89.3 %  labels that teachers neither confirm nor outvote, kept",
        "      2   7.1 %  missing labels on which the teachers agree, filled",
        "      1   3.6 %  keypoints that stay without a label",
        "      1  people had left and right swapped",
    ]


def test_people_who_changed_are_drawn(tmp_path: Path) -> None:
    people = [cleaned(0), cleaned(1, "filled_alone"), cleaned(2, "replaced")]
    path = write_clean_report(tmp_path / "new", people)
    assert path == tmp_path / "new" / "clean.png"
    both = read_image(path)
    one = read_image(write_clean_report(tmp_path, people[:2]))
    # A cell is a person before beside the same person after.
    assert both.shape[1] > 1.9 * one.shape[1]
    before, after = one[8:200, 8:200], one[8:200, 200:392]
    assert not np.array_equal(before, after)


def test_pictures_that_do_not_read_are_left_out(tmp_path: Path) -> None:
    person = cleaned(0, "filled")
    gone = replace(person.before, picture=tmp_path / "gone.png")
    path = write_clean_report(
        tmp_path, [replace(person, before=gone, after=gone), cleaned(1, "filled")]
    )
    good = read_image(write_clean_report(tmp_path / "b", [cleaned(1, "filled")]))
    np.testing.assert_array_equal(read_image(path), good)
    path = write_clean_report(tmp_path, [replace(person, before=gone, after=gone)])
    assert read_image(path).shape[2] == 3
