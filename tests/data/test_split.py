"""Splits: by picture, whatever the order, stable when pictures are added."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.sample import Sample
from tinypose.data.split import split_by_picture
from tinypose.data.stick_people import stick_people
from tinypose.errors import TinyposeError

FOLDER = Path("/photos")


def people(count: int) -> list[Sample]:
    """Return two people in each of so many pictures."""
    return [
        replace(person, sample_id=f"{i}", picture=FOLDER / "day" / f"{i // 2}.png")
        for i, person in enumerate(stick_people(range(2 * count)))
    ]


def names(samples: list[Sample]) -> set[str]:
    return {Path(str(sample.picture)).name for sample in samples}


def test_people_of_a_picture_stay_together() -> None:
    training, validation = split_by_picture(people(10), 0.3, 0)
    assert (len(training), len(validation)) == (14, 6)
    assert names(training) | names(validation) == {f"{i}.png" for i in range(10)}
    assert not names(training) & names(validation)
    # In their order.
    assert [int(s.sample_id) for s in training] == sorted(
        int(s.sample_id) for s in training
    )


def test_names_and_seed_alone_decide() -> None:
    samples = people(12)
    _, held_out = split_by_picture(samples, 0.25, 3)
    order = np.random.default_rng(0).permutation(24)
    _, again = split_by_picture([samples[i] for i in order], 0.25, 3)
    assert names(held_out) == names(again)
    moved = [
        replace(s, picture=Path("/x") / Path(str(s.picture)).relative_to(FOLDER))
        for s in samples
    ]
    assert names(split_by_picture(moved, 0.25, 3)[1]) == names(held_out)
    others = [names(split_by_picture(samples, 0.25, s)[1]) for s in range(6)]
    assert len({frozenset(other) for other in others}) > 1


def test_more_pictures_move_few() -> None:
    before = names(split_by_picture(people(40), 0.25, 0)[1])
    after = names(split_by_picture(people(44), 0.25, 0)[1])
    assert len(before - after) <= 2


def test_pictures_in_another_folder_move_few() -> None:
    # Those above FOLDER change what all of them have in common.
    more = [
        replace(person, picture=Path("/") / f"new_{number}.png")
        for number, person in enumerate(stick_people(range(4)))
    ]
    before = names(split_by_picture(people(40), 0.25, 0)[1])
    after = names(split_by_picture([*more, *people(40)], 0.25, 0)[1])
    assert len(before - after) <= 2


def test_pictures_of_one_name_are_told_apart() -> None:
    samples = [
        replace(person, picture=FOLDER / day / f"{number}.png")
        for day in ("a", "b", "c")
        for number, person in enumerate(stick_people(range(20)))
    ]

    def places(samples: list[Sample]) -> set[Path]:
        return {Path(str(sample.picture)) for sample in samples}

    held_out = places(split_by_picture(samples, 0.25, 0)[1])
    assert len(held_out) == 15
    # By chance, some share their names and most do not.
    assert 8 <= len({place.name for place in held_out}) < 15
    assert places(split_by_picture(samples[::-1], 0.25, 0)[1]) == held_out
    # A third of them is new, in a folder of its own.
    before = places(split_by_picture(samples[:40], 0.25, 0)[1])
    assert len(before - held_out) <= 4


@pytest.mark.parametrize("new", ["attic", "zoo"])
def test_a_new_folder_of_the_same_names_moves_few(new) -> None:
    def photos(day: str) -> list[Sample]:
        return [
            replace(person, picture=FOLDER / day / f"{number}.png")
            for number, person in enumerate(stick_people(range(40)))
        ]

    def places(samples: list[Sample]) -> set[Path]:
        return {Path(str(sample.picture)) for sample in samples}

    before = places(split_by_picture(photos("kitchen"), 0.25, 0)[1])
    both = [*photos("kitchen"), *photos(new)]
    after = places(split_by_picture(both, 0.25, 0)[1])
    assert len(before) == 10 and len(before - after) <= 4


def test_what_belongs_together_stays_together() -> None:
    frames = [
        replace(person, picture=FOLDER / f"video_{number % 8}" / f"{number}.png")
        for number, person in enumerate(stick_people(range(40)))
    ]
    training, held_out = split_by_picture(frames, 0.25, 0, by_folder=True)
    folders = [
        {Path(str(s.picture)).parent for s in side} for side in (training, held_out)
    ]
    assert not folders[0] & folders[1] and len(folders[1]) == 2
    one = [
        replace(s, picture=FOLDER / "video" / f"{i}.png") for i, s in enumerate(frames)
    ]
    with pytest.raises(TinyposeError, match="found 1 folders of 40 in all"):
        split_by_picture(one, 0.25, 0, by_folder=True)
    # Of folders of all sizes, those that come close to the share.
    sizes = {"a": 3, "b": 4, "c": 33}
    places = [f"{name}/{i}" for name, size in sizes.items() for i in range(size)]
    uneven = [
        replace(s, picture=FOLDER / f"{place}.png")
        for s, place in zip(frames, places, strict=True)
    ]
    for seed in range(6):
        held_out = split_by_picture(uneven, 0.2, seed, by_folder=True)[1]
        assert len(held_out) in (3, 4, 7)
    # Copies of a photo, as Roboflow names them.
    copies = [
        replace(s, picture=FOLDER / f"IMG_{i // 4}_jpg.rf.{i:032x}.jpg")
        for i, s in enumerate(frames)
    ]
    training, held_out = split_by_picture(copies, 0.2, 0)
    sources = [
        {str(s.picture).split(".rf.")[0] for s in side} for side in (training, held_out)
    ]
    assert not sources[0] & sources[1] and len(held_out) == 8


def test_a_file_of_two_names_is_one_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text(name)
    (tmp_path / "c.png").symlink_to(tmp_path / "a.png")
    samples = [
        replace(person, picture=tmp_path / f"{name}.png")
        for name, person in zip("abc", stick_people(range(3)), strict=True)
    ]
    for seed in range(4):
        sides = split_by_picture(samples, 0.5, seed)
        assert {"a.png", "c.png"} in map(names, sides)


@pytest.mark.parametrize(("count", "share"), [(1, 0.5), (3, 0.9)])
def test_a_side_without_pictures(count: int, share: float) -> None:
    with pytest.raises(TinyposeError, match=f"found {count} in all"):
        split_by_picture(people(count), share, 0)


def test_one_picture_is_held_out_at_least() -> None:
    assert len(names(split_by_picture(people(3), 0.01, 0)[1])) == 1
