import json
import os
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.ai_challenger import count_skipped, read_ai_challenger
from tinypose.errors import TinyposeError
from tinypose.images import write_image
from tinypose.skeletons import AI_CHALLENGER


def _keypoints(visibility, x=10):
    """Return 14 keypoints in a row, 2 pixels apart."""
    return [v for k in range(14) for v in (x + 2 * k, 5 + k, visibility)]


def _content():
    """Return three people in two pictures, in the original format."""
    mixed = _keypoints(1)
    mixed[2], mixed[5] = 2, 3
    return [
        {
            "image_id": "a1",
            "keypoint_annotations": {"human1": mixed, "human2": _keypoints(3)},
            "human_annotations": {"human1": [8, 4, 39, 20], "human2": [0, 0, 9, 9]},
        },
        {"image_id": "b2", "keypoint_annotations": {"human1": _keypoints(2, x=3)}},
    ]


def _write(folder, content):
    for name in ("a1.jpg", "b2.jpg"):
        write_image(folder / "images" / name, np.zeros((30, 44, 3), np.uint8))
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


def test_original_format(tmp_path):
    first, second = read_ai_challenger(_write(tmp_path, _content()))
    assert first.sample_id == "a1#human1"
    assert first.skeleton is AI_CHALLENGER
    # Their 2 is occluded, their 3 not labelled, their 1 visible.
    assert first.visible.tolist() == [1, 0] + [2] * 12
    assert first.keypoints_xy[2].tolist() == [14.0, 7.0]
    # The corners are the first and last pixel: 32 x 17 of them.
    assert first.box_xywh.tolist() == [7.5, 3.5, 32.0, 17.0]
    assert first.area == 32 * 17
    assert first.picture == tmp_path / "images" / "a1.jpg"
    # No box: the tight one of the keypoints, x 3..29 and y 5..18.
    assert second.box_xywh.tolist() == [3.0, 5.0, 26.0, 13.0]
    assert second.visible.tolist() == [1] * 14


def test_coco_style_format(tmp_path):
    content = {
        "images": [{"id": 1, "file_name": "a1.jpg"}],
        "categories": [
            {"id": 1, "keypoints": [n.replace("_", " ") for n in AI_CHALLENGER.names]}
        ],
        "annotations": [
            {
                "id": 6,
                "image_id": 1,
                "category_id": 1,
                "keypoints": _keypoints(2),
                "bbox": [8, 4, 30, 20],
            }
        ],
    }
    path = _write(tmp_path, content)
    (sample,) = read_ai_challenger(path)
    assert sample.skeleton is AI_CHALLENGER
    assert sample.box_xywh.tolist() == [7.5, 3.5, 30.0, 20.0]
    assert sample.area == 600.0
    assert sum(count_skipped(path).values()) == 0


def test_people_left_out_are_counted(tmp_path):
    path = _write(tmp_path, _content())
    assert count_skipped(path) == {"people without a labelled keypoint": 1}


def _first(change):
    def apply(content):
        change(content[0])

    return apply


MALFORMED = {
    "empty list": (lambda content: content.clear(), "empty list"),
    "record a text": (lambda c: c.__setitem__(0, "x"), r"\[0\]: expected keys"),
    "no image id": (_first(lambda r: r.pop("image_id")), "'image_id'"),
    "image id a number": (_first(lambda r: r.update(image_id=7)), "text.*found 7"),
    "leads outside": (_first(lambda r: r.update(image_id="../a1")), "inside"),
    "no keypoints": (
        _first(lambda r: r.pop("keypoint_annotations")),
        "'keypoint_annotations': expected keys",
    ),
    "wrong length": (
        _first(lambda r: r["keypoint_annotations"].update(human1=[1] * 41)),
        "human1: expected 42 numbers as keypoints, found 41",
    ),
    "visibility 0": (
        _first(lambda r: r["keypoint_annotations"].update(human1=_keypoints(0))),
        r"visibility 1 \(visible\)",
    ),
    "box reversed": (
        _first(lambda r: r["human_annotations"].update(human1=[9, 9, 2, 2])),
        "x1, y1, x2, y2",
    ),
    "box a text": (
        _first(lambda r: r["human_annotations"].update(human1="all")),
        "4 numbers",
    ),
    "nobody labelled": (
        lambda c: [
            c.pop(),
            c[0]["keypoint_annotations"].pop("human1"),
        ],
        "found none",
    ),
}


@pytest.mark.parametrize(("change", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_refused_in_one_line(tmp_path, change, message):
    content = _content()
    change(content)
    path = _write(tmp_path, content)
    with pytest.raises(TinyposeError, match=message) as caught:
        read_ai_challenger(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_file():
    if "TINYPOSE_DATA" not in os.environ:
        pytest.skip("TINYPOSE_DATA does not name the real data")
    folder = Path(os.environ["TINYPOSE_DATA"]) / "samples" / "aic"
    samples = read_ai_challenger(folder / "test_aic.json")
    assert len(samples) == 9
    assert samples[0].skeleton is AI_CHALLENGER
    assert samples[0].area == 213 * 544
    assert samples[0].load_image().shape == (600, 900, 3)
