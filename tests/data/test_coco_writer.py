"""Labels that are written are the labels that are read."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.coco import count_skipped, read_coco
from tinypose.data.coco_writer import write_coco
from tinypose.data.sample import Sample
from tinypose.data.stick_people import stick_people
from tinypose.errors import TinyposeError
from tinypose.evaluation.references import measure_references
from tinypose.images import write_image
from tinypose.skeletons import LSP, MPII, Skeleton

ONE = np.array([2, *[0] * 13], np.uint8)


def people(folder: Path, skeleton: Skeleton = LSP, count: int = 4) -> list[Sample]:
    """Return people with all flags, odd boxes and weights, two to a picture."""
    generator = np.random.default_rng(7)
    keypoints = skeleton.num_keypoints
    return [
        Sample(
            sample_id=f"p{i}",
            picture=folder / "sub" / f"{i // 2}.png",
            skeleton=skeleton,
            keypoints_xy=generator.uniform(-20, 300, (keypoints, 2)),
            visible=np.arange(i, i + keypoints).astype(np.uint8) % 3,
            box_xywh=generator.uniform(0, 100, 4),
            area=123.25 if i == 1 else None,
            weights=None if i == 3 else generator.uniform(0, 1, keypoints),
        )
        for i in range(count)
    ]


def round_trip(samples: list[Sample], folder: Path) -> list[Sample]:
    write_coco(folder / "new" / "labels.json", samples, folder)
    return read_coco(folder / "new" / "labels.json", folder)


@pytest.mark.parametrize("skeleton", [LSP, MPII], ids=lambda s: s.name)
def test_read_coco_reads_what_was_written(skeleton: Skeleton, tmp_path: Path) -> None:
    before = people(tmp_path, skeleton)
    after = round_trip(before, tmp_path)
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert new.skeleton is skeleton
        assert new.picture == old.picture
        assert new.visible.tolist() == old.visible.tolist()
        labelled = old.visible > 0
        np.testing.assert_allclose(
            new.keypoints_xy[labelled], old.keypoints_xy[labelled], atol=0.0051
        )
        np.testing.assert_allclose(new.box_xywh, old.box_xywh, atol=0.0051)
        if old.weights is None:
            assert new.weights is None
        else:
            np.testing.assert_allclose(new.weights, old.weights, atol=0.00051)
    assert after[1].area == 123.25
    # What evaluation takes where no area is labelled.
    expected = 0.53 * before[0].box_xywh[2:].prod()
    assert after[0].area == pytest.approx(expected, abs=0.0051)


def test_other_programs_find_cocos_conventions(tmp_path: Path) -> None:
    (sample,) = people(tmp_path, count=1)
    sample = replace(sample, box_xywh=np.array([3.0, 4, 10, 20]))
    write_coco(tmp_path / "a.json", [sample], tmp_path)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["images"] == [{"id": 1, "file_name": "sub/0.png"}]
    (category,) = content["categories"]
    assert category["keypoints"] == list(LSP.names)
    first, second = (category["keypoints"][i - 1] for i in category["skeleton"][0])
    assert (first, second) == LSP.edges[0]
    (annotation,) = content["annotations"]
    # A pixel centre at 3 lies 3.5 pixels from the picture's edge.
    assert annotation["bbox"] == [3.5, 4.5, 10.0, 20.0]
    assert annotation["num_keypoints"] == (sample.visible > 0).sum()
    table = np.reshape(annotation["keypoints"], (14, 3))
    assert (table[sample.visible == 0] == 0).all()
    assert len(annotation["keypoint_weights"]) == 14


def test_areas_stay_what_evaluation_divides_by(tmp_path: Path) -> None:
    before = people(tmp_path)
    # A single keypoint has an empty box, and an area of one pixel.
    before[2] = replace(before[2], box_xywh=np.array([3.0, 4, 0, 0]), visible=ONE)
    after = round_trip(before, tmp_path)
    np.testing.assert_allclose(
        measure_references(after).areas, measure_references(before).areas, atol=0.0051
    )


def test_sizes_of_pictures_are_those_of_the_labels_or_the_files(tmp_path) -> None:
    first, second, third = people(tmp_path)[:3]
    write_image(first.picture, np.zeros((20, 30, 3), np.uint8))
    write_image(tmp_path / "b.png", np.zeros((20, 30, 3), np.uint8))
    # Labelled on a larger picture, which data check is still to find out.
    labelled = replace(first, labelled_hw=(40, 60))
    unknown = replace(second, picture=tmp_path / "b.png")
    samples = [labelled, unknown, third]
    assert [s.labelled_hw for s in round_trip(samples, tmp_path)] == [
        (40, 60),
        (20, 30),
        None,  # there is no such file
    ]


def test_head_sizes_stay(tmp_path: Path) -> None:
    first, second = people(tmp_path, MPII)[:2]
    after = round_trip([replace(first, head_size=31.25), second], tmp_path)
    assert [sample.head_size for sample in after] == [31.25, None]


def test_one_picture_of_two_people_is_listed_once(tmp_path: Path) -> None:
    write_coco(tmp_path / "a.json", people(tmp_path), tmp_path)
    content = json.loads((tmp_path / "a.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert sorted(names.values()) == ["sub/0.png", "sub/1.png"]
    shown = [names[person["image_id"]] for person in content["annotations"]]
    assert shown == ["sub/0.png"] * 2 + ["sub/1.png"] * 2


def test_a_skeleton_of_ones_own(tmp_path: Path) -> None:
    own = Skeleton(
        name="hand",
        names=("wrist", "left_edge", "right_edge"),
        edges=(("wrist", "left_edge"), ("wrist", "right_edge")),
        flip_pairs=(("left_edge", "right_edge"),),
    )
    skeleton = round_trip(people(tmp_path, own), tmp_path)[0].skeleton
    assert skeleton.names == own.names
    assert skeleton.edges == own.edges
    assert skeleton.flip_pairs == own.flip_pairs


@pytest.mark.parametrize(
    ("names", "pairs", "written"),
    [
        ("tip_1 tip_2 middle", [("tip_1", "tip_2")], [[1, 2]]),
        ("left_tip right_tip middle", [("left_tip", "middle")], [[1, 3]]),
        ("left_tip right_tip middle", [], []),
        ("ohr_links ohr_rechts nase", [], []),
        ("left_tip right_tip middle", [("left_tip", "right_tip")], None),
        ("ohr_links ohr_rechts nase", None, None),
    ],
)
def test_pairs_stay(tmp_path: Path, names, pairs, written) -> None:
    own = Skeleton(name="own", names=tuple(names.split()))
    own = own if pairs is None else own.with_pairs(pairs)
    after = round_trip(people(tmp_path, own), tmp_path)[0].skeleton
    assert after.flip_pairs == own.flip_pairs
    if written is not None:
        assert after.declares_pairs
    content = json.loads((tmp_path / "new" / "labels.json").read_text())
    (category,) = content["categories"]
    assert category.get("flip_pairs") == written


def test_people_without_labels_are_written_and_left_out_by_readers(tmp_path) -> None:
    samples = people(tmp_path)
    samples[2] = replace(samples[2], visible=np.zeros(14, np.uint8))
    assert len(round_trip(samples, tmp_path)) == 3
    left_out = count_skipped(tmp_path / "new" / "labels.json")
    assert left_out["people without a labelled keypoint"] == 1


def test_folders_are_compared_from_the_root(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    (sample,) = people(Path("pictures"), count=1)
    write_coco("a.json", [sample], tmp_path / "pictures")
    (read,) = read_coco(Path("a.json"), Path("pictures"))
    assert read.picture == sample.picture
    sample = replace(sample, picture=tmp_path / "pictures" / "b.png")
    write_coco("a.json", [sample], Path("pictures"))
    (read,) = read_coco(Path("a.json"), tmp_path / "pictures")
    assert read.picture == sample.picture


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        pytest.param(Path("/elsewhere/a.png"), "/elsewhere/a.png", id="elsewhere"),
        pytest.param(Path("pictures/../a.png"), "a.png", id="beside"),
        pytest.param(stick_people([1])[0].picture, "a drawn one", id="drawn"),
    ],
)
def test_pictures_must_be_files_in_the_folder(picture, found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (sample,) = people(tmp_path, count=1)
    sample = replace(sample, picture=picture)
    with pytest.raises(TinyposeError, match=f"p0: expected a picture inside .*{found}"):
        write_coco(tmp_path / "a.json", [sample], Path("pictures"))
    assert not (tmp_path / "a.json").exists()
