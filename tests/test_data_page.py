"""docs/data.md: its file and skeleton are read, its table is that of the source."""

import json
import re
from pathlib import Path

import numpy as np
import yaml

from tinypose.data.coco import read_coco
from tinypose.images import write_image
from tinypose.skeletons import _FIELDS, SKELETONS, Skeleton

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/data.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (example,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return example


def test_the_file_is_read_as_the_page_says(tmp_path: Path) -> None:
    value = json.loads(block("json"))
    picture = tmp_path / "images" / value["images"][0]["file_name"]
    picture.parent.mkdir(parents=True)
    write_image(picture, np.zeros((720, 1280, 3), np.uint8))
    (tmp_path / "labels.json").write_text(block("json"))
    (hand,) = read_coco(tmp_path / "labels.json")
    assert hand.picture == picture
    assert hand.skeleton.names == ("wrist", "thumb_tip", "left_edge", "right_edge")
    assert hand.skeleton.edges[0] == ("wrist", "thumb_tip")
    assert hand.visible.tolist() == [2, 2, 1, 0]
    # A box counts from the picture's corner, a keypoint from a pixel's centre.
    assert hand.box_xywh.tolist() == [411.5, 207.5, 180, 264]
    labelled = hand.keypoints_xy[hand.visible > 0]
    corner = hand.box_xywh[:2] + hand.box_xywh[2:]
    assert (labelled > hand.box_xywh[:2]).all() and (labelled < corner).all()


def test_the_skeleton_loads_and_every_key_is_told() -> None:
    skeleton = Skeleton.from_dict(yaml.safe_load(block("yaml")))
    assert skeleton.names == tuple(
        json.loads(block("json"))["categories"][0]["keypoints"]
    )
    assert skeleton.torso == ("wrist", "thumb_tip")
    section = PAGE.partition("## Keypoints of your own")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(told) == sorted(_FIELDS)


def test_the_table_of_skeletons_is_that_of_the_source() -> None:
    section = PAGE.partition("## Built-in skeletons")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)
    assert dict(rows) == {
        name: f"{skeleton.num_keypoints}: {', '.join(skeleton.names)}"
        for name, skeleton in SKELETONS.items()
    }
    assert {name for name, value in SKELETONS.items() if not value.head} == {"coco"}
    torsos = {value.torso for value in SKELETONS.values()}
    assert torsos == {("left_shoulder", "right_hip")}


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)", PAGE):
        assert target.startswith("http") or (ROOT / "docs" / target).exists(), target
