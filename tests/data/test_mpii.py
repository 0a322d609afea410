import json
import os
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.mpii import count_skipped, read_mpii
from tinypose.errors import TinyposeError
from tinypose.images import write_image
from tinypose.skeletons import MPII


def _person(**changes):
    person = {
        "image": "a.png",
        "joints": [[11 + 2 * k, 6 + k] for k in range(16)],
        "joints_vis": [1] * 16,
        "center": [25.0, 13.0],
        "scale": 0.2,
    }
    return {**person, **changes}


def _content():
    """Return three people: with a head box, partly labelled, not labelled."""
    partly = _person(joints_vis=[0, 1] + [1] * 14, image="b.png")
    partly["joints"][0] = [-1.0, -1.0]
    return [
        _person(head_box=[20, 4, 26, 12]),
        partly,
        _person(joints_vis=[0] * 16),
    ]


def _write(folder, content):
    for name in ("a.png", "b.png"):
        write_image(folder / "images" / name, np.zeros((30, 48, 3), np.uint8))
    path = folder / "train.json"
    path.write_text(json.dumps(content))
    return path


def test_people_are_read_as_labelled(tmp_path):
    first, second = read_mpii(_write(tmp_path, _content()))
    assert first.sample_id == "a.png#0"
    assert first.skeleton is MPII
    # MATLAB counts from 1.
    assert first.keypoints_xy[0].tolist() == [10.0, 5.0]
    assert first.visible.tolist() == [2] * 16
    assert first.box_xywh.tolist() == [10.0, 5.0, 30.0, 15.0]
    # 0.6 of the diagonal of a 6 x 8 box, which is 10.
    assert first.head_size == pytest.approx(6.0)
    assert second.visible.tolist() == [0] + [2] * 15
    assert second.box_xywh.tolist() == [12.0, 6.0, 28.0, 14.0]
    assert second.head_size is None
    assert second.picture == tmp_path / "images" / "b.png"


def test_people_left_out_are_counted(tmp_path):
    path = _write(tmp_path, _content())
    assert count_skipped(path) == {"people without a labelled keypoint": 1}


def test_the_test_set_has_no_labels(tmp_path):
    person = _person()
    del person["joints"], person["joints_vis"]
    path = _write(tmp_path, [person])
    with pytest.raises(TinyposeError, match="test set of MPII has no labels"):
        read_mpii(path)


MALFORMED = {
    "empty list": ([], "empty list"),
    "keys and values": ({"images": []}, "coco=FILE"),
    "a number": (3, "list of people"),
    "record a list": ([[]], r"\[0\]: expected keys"),
    "no picture": ([_person(image=None)], "'image'"),
    "picture outside": ([_person(image="../a.png")], "inside"),
    "15 pairs": ([_person(joints=[[1, 1]] * 15)], "16 pairs as 'joints', found 15"),
    "joints a text": ([_person(joints="x")], "16 pairs as 'joints', found 'x'"),
    "three numbers": ([_person(joints=[[1, 1, 1]] * 16)], "2 numbers"),
    "NaN": ([_person(joints=[[1, float("nan")]] * 16)], "finite"),
    "no joints_vis": ([_person(joints_vis=None)], "'joints_vis'"),
    "head box short": ([_person(headbox=[1, 2])], "'headbox'"),
}


@pytest.mark.parametrize(("content", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_refused_in_one_line(tmp_path, content, message):
    path = _write(tmp_path, content)
    with pytest.raises(TinyposeError, match=message) as caught:
        read_mpii(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_file():
    if "TINYPOSE_DATA" not in os.environ:
        pytest.skip("TINYPOSE_DATA does not name the real data")
    folder = Path(os.environ["TINYPOSE_DATA"]) / "samples" / "mpii"
    samples = read_mpii(folder / "test_mpii.json")
    assert [int((s.visible > 0).sum()) for s in samples] == [16, 16, 14, 14, 16]
    assert samples[0].keypoints_xy[0].tolist() == [803.0, 710.0]
