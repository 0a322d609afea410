import json
from dataclasses import replace

import numpy as np
import pytest

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.data.augment import NO_AUGMENT
from tinypose.data.check import CheckReport, check_samples
from tinypose.data.label_checks import Problem
from tinypose.data.show import (
    CELL_HW,
    MAX_ROWS,
    CropView,
    augmented_row,
    choose_samples,
    show_samples,
    suspects_sheet,
    write_check,
)
from tinypose.data.stick_people import stick_people
from tinypose.drawing.numbers import keypoint_list
from tinypose.errors import TinyposeError
from tinypose.images import read_image

CODEC = HeatmapCodec(input_hw=(64, 48), heatmap_hw=(16, 12), sigma_cells=2.0)
VIEW = CropView(input_hw=(64, 48), codec=CODEC)


@pytest.fixture(scope="module")
def people():
    return stick_people(range(6), image_hw=(60, 72))


def test_chosen_samples_depend_on_the_seed_alone(people):
    chosen = choose_samples(people, 3, seed=4)
    assert list(chosen) == sorted(chosen)
    assert all(chosen[i] is people[i] for i in chosen)
    assert list(choose_samples(people, 3, seed=4)) == list(chosen)
    draws = {tuple(choose_samples(people, 3, seed=seed)) for seed in range(8)}
    assert len(draws) > 1
    assert len(choose_samples(people, 99)) == 6


def test_a_row_shows_crops_and_heatmaps(people):
    row = augmented_row(people[0], 0, VIEW)
    assert [image.shape for image in row] == [(64, 48, 3)] * 4
    again = augmented_row(people[0], 0, VIEW)
    assert all(np.array_equal(a, b) for a, b in zip(row, again, strict=True))
    assert not np.array_equal(row[1], row[2])
    assert not np.array_equal(augmented_row(people[0], 1, VIEW)[1], row[1])


def test_without_augmentation_all_crops_are_the_plain_one(people):
    view = CropView(input_hw=(64, 48), codec=CODEC, augment=NO_AUGMENT)
    plain, first, second, _ = augmented_row(people[1], 1, view)
    assert np.array_equal(plain, first)
    assert np.array_equal(plain, second)


def test_sheets_are_written(tmp_path, people):
    files, reasons = show_samples(tmp_path / "look", choose_samples(people, 2), VIEW)
    assert reasons == []
    assert [file.name for file in files] == ["labels.jpg", "augmented.jpg"]
    labels, augmented = (read_image(file) for file in files)
    assert labels.shape[1] > 2 * 256
    # The names of all keypoints are listed below.
    listed = keypoint_list([people[0].skeleton], labels.shape[1])
    difference = labels[-len(listed) :].astype(int) - listed
    assert np.abs(difference).mean() < 5
    # Two rows of four cells.
    assert augmented.shape[0] > 2 * 256
    assert augmented.shape[1] > 4 * 256


def test_pictures_that_do_not_read_are_left_out_of_the_sheets(tmp_path, people):
    missing = replace(people[1], picture=tmp_path / "none.jpg")
    files, reasons = show_samples(tmp_path, {0: people[0], 1: missing}, VIEW)
    assert [file.name for file in files] == ["labels.jpg", "augmented.jpg"]
    assert len(reasons) == 1 and "none.jpg: expected a picture" in reasons[0]
    alone, _ = show_samples(tmp_path / "alone", {0: people[0]}, VIEW)
    for file, same in zip(files, alone, strict=True):
        assert file.read_bytes() == same.read_bytes()
    with pytest.raises(TinyposeError, match=r"none\.jpg: expected a picture"):
        show_samples(tmp_path, {1: missing}, VIEW)


def test_suspect_boxes_are_drawn_wherever_they_lie(people):
    away = replace(people[0], box_xywh=np.array([300.0, 10, 30, 40]))
    problem = Problem("box_outside", "p", "beside")
    sheet = suspects_sheet([problem], {"p": away}).astype(int)
    # Orange lines of the box, right of the people in colour.
    box = (np.abs(sheet - (255, 200, 0)).max(axis=2) < 8).nonzero()[1]
    assert box.size > 20
    assert box.min() > 128


def test_many_samples_fill_several_sheets(tmp_path, people, monkeypatch):
    monkeypatch.setattr("tinypose.data.show.MAX_ROWS", 4)
    files, _ = show_samples(tmp_path, choose_samples(people, 6), VIEW)
    assert [file.name for file in files] == [
        "labels.jpg",
        "augmented.jpg",
        "labels_2.jpg",
        "augmented_2.jpg",
    ]
    first, second = (read_image(file).shape[0] for file in files[1::2])
    assert second * 1.9 < first < second * 2.1


def test_the_rows_of_a_sheet_are_not_too_many_for_a_jpeg():
    assert MAX_ROWS * (CELL_HW[0] + 40) < 65500


def test_names_that_utf8_cannot_hold_are_written(tmp_path, people):
    name = "g\udce9.png#1"
    odd = replace(people[0], sample_id=name)
    problem = Problem("long_limb", name, "in g\udce9")
    report = CheckReport(1, 1, (problem,), notes=("of g\udce9",))
    page, data, sheet = write_check(tmp_path, report, [odd])
    assert page.read_text("utf-8").count("g\\udce9") == 3
    value = json.loads(data.read_text("utf-8"))["problems"][0]
    assert value["sample_id"] == "g\\udce9.png#1"
    assert sheet.exists()


def test_check_is_written_as_json_page_and_pictures(tmp_path, people):
    problems = (
        Problem("long_limb", people[2].sample_id, "2.5 <times> too long", 2.5),
        Problem("same_picture", people[3].sample_id, "a copy", 0, people[1].sample_id),
    )
    report = CheckReport(6, 6, problems, {"crowds": 1})
    files = write_check(tmp_path / "check", report, people)
    assert [file.name for file in files] == [
        "index.html",
        "check.json",
        "long_limb.jpg",
        "same_picture.jpg",
    ]
    page = files[0].read_text()
    assert "2.5 &lt;times&gt; too long" in page
    assert 'src="long_limb.jpg"' in page
    assert "<tr><td>1<td>crowds, left out" in page
    value = json.loads(files[1].read_text())
    assert value["counts"]["long_limb"] == 1
    assert value["problems"][1] == {
        "kind": "same_picture",
        "sample_id": people[3].sample_id,
        "detail": "a copy",
    }
    # A copy is drawn beside its original.
    single, pair = read_image(files[2]), read_image(files[3])
    assert pair.shape[1] - single.shape[1] == 256


def test_people_without_a_picture_are_left_out_of_the_sheet(tmp_path, people):
    lost = people[0].__class__(**{**vars(people[0]), "picture": tmp_path / "x.png"})
    problems = check_samples([lost]).problems
    assert [p.kind for p in problems] == ["missing_picture"]
    assert suspects_sheet(problems, {lost.sample_id: lost}) is None


def test_a_folder_that_is_a_file_is_refused(tmp_path, people):
    (tmp_path / "x").write_text("")
    with pytest.raises(TinyposeError, match="x"):
        show_samples(tmp_path / "x", choose_samples(people, 1), VIEW)
