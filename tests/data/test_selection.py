"""Choosing people, and cutting out what a model sees of them."""

from dataclasses import replace

import numpy as np
import pytest

from tinypose.data.selection import crop_people, spread_evenly
from tinypose.data.stick_people import stick_people
from tinypose.errors import TinyposeError
from tinypose.metadata import read_metadata
from tinypose.weights import shipped


@pytest.mark.parametrize(
    ("total", "most", "chosen"),
    [(5, 9, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (4, 1, [0])],
)
def test_indices_are_spread_over_all(total, most, chosen) -> None:
    assert spread_evenly(total, most) == chosen


def test_pictures_that_do_not_read_are_left_out(tmp_path) -> None:
    metadata = read_metadata(shipped()["nano"])
    people = stick_people(range(4))
    lost = replace(people[1], picture=tmp_path / "none.jpg")
    crops = crop_people(people, metadata)
    assert crops.shape == (4, *metadata.input_hw, 3) and crops.dtype == np.uint8
    some = crop_people([people[0], lost, *people[2:]], metadata)
    assert np.array_equal(some, crops[[0, 2, 3]])
    with pytest.raises(TinyposeError, match=r"none\.jpg: expected a picture"):
        crop_people([lost, people[0], lost], metadata)
