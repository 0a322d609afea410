import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tinypose.cli.main import main
from tinypose.data.coco_writer import write_coco
from tinypose.data.sample import labelled_box
from tinypose.data.sources import load_data
from tinypose.data.stick_people import stick_people
from tinypose.images import read_image, write_image
from tinypose.inference.pose import Pose
from tinypose.skeletons import AI_CHALLENGER


def _run(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(["data", *map(str, arguments)])
    return caught.value.code or 0


def _coco(folder, pictures=("a.png",)):
    """Write three people, one of them without labels, of 17 keypoints."""
    from tinypose.skeletons import COCO

    for name in pictures:
        write_image(folder / name, np.full((40, 50, 3), 90, np.uint8))
    points = [v for k in range(17) for v in (5 + 2 * k, 4 + 2 * k, 2)]
    people = [(1, points), (2, [v + v % 2 for v in points]), (2, [0] * 51)]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 1, "keypoints": list(COCO.names)}],
        "annotations": [
            {"id": i, "image_id": image, "category_id": 1, "keypoints": keypoints}
            for i, (image, keypoints) in enumerate(people)
        ],
    }
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


def test_check_of_good_data(capsys):
    assert _run("check", "stick_people:1-3") == 0
    out = capsys.readouterr().out
    assert "3 people in 3 pictures" in out
    assert "nothing wrong found" in out


def test_check_says_what_is_wrong_and_writes_it(tmp_path, capsys):
    # Deeper than the folders of other tests, whose pictures would be found.
    path = _coco(tmp_path / "set")
    spec = f"coco={path}:1-2"
    code = _run("check", spec, "--data", "stick_people:1-2", "--out", tmp_path / "out")
    out, err = capsys.readouterr()
    # Half of the COCO pictures are missing, so training cannot start.
    assert code == 1
    assert "training cannot start: the pictures of 1 of 4 people" in err
    assert "pictures are missing" in out
    assert "people without a labelled keypoint, left out" in " ".join(out.split())
    value = json.loads((tmp_path / "out" / "check.json").read_text())
    assert value["num_samples"] == 4
    assert value["counts"]["missing_picture"] == 1
    assert (tmp_path / "out" / "index.html").exists()


def test_check_takes_only_some(capsys):
    assert _run("check", "stick_people:1-30", "--limit", 4) == 0
    assert "4 people" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["check"], 2, "expected labelled data", id="no data"),
        pytest.param(["check", "lps=x"], 2, "did you mean 'lsp'", id="misspelt"),
        pytest.param(["check", "lsp=/gone"], 1, "/gone", id="no such set"),
        pytest.param(
            ["check", "stick_people", "--limit", "0"], 2, "--limit", id="limit 0"
        ),
        pytest.param(["show", "stick_people"], 2, "--out", id="show without --out"),
        pytest.param(
            ["show", "stick_people", "--out", "x", "--count", "0"],
            2,
            "--count",
            id="count",
        ),
    ],
)
def test_wrong_arguments(arguments, code, message, capsys):
    assert _run(*arguments) == code
    assert message in capsys.readouterr().err


def _people(folder, count=6):
    """Return drawn people whose pictures are files, in two folders."""
    people = []
    for i, person in enumerate(stick_people(range(count))):
        picture = folder / "pictures" / f"{i % 2}" / f"{i}.png"
        write_image(picture, person.load_image())
        people.append(replace(person, picture=picture, visible=np.full(14, 2, "u1")))
    return people


def _predictions(path, people, **arrays):
    """Write what two teachers say who are a fifth of a pixel apart."""
    truth = np.stack([person.keypoints_xy for person in people])
    apart = np.array([0.1, 0])
    np.savez(path, first=truth - apart, second=truth + apart, **arrays)
    return path


def test_clean_writes_what_trains(tmp_path, capsys):
    people = _people(tmp_path)
    # One outlier, one gap; the teachers know where both are.
    wrong = [person.keypoints_xy.copy() for person in people]
    wrong[1][5] += 60
    visible = people[2].visible.copy()
    visible[3] = 0
    labels = [
        replace(person, keypoints_xy=keypoints_xy)
        for person, keypoints_xy in zip(people, wrong, strict=True)
    ]
    labels[2] = replace(labels[2], visible=visible)
    pictures = tmp_path / "pictures"
    write_coco(tmp_path / "labels.json", labels, pictures)
    predictions = _predictions(tmp_path / "teachers.npz", people)
    out, report = tmp_path / "clean.json", tmp_path / "report"
    arguments = [f"coco={tmp_path / 'labels.json'},images={pictures}"]
    arguments += ["--predictions", predictions, "--out", out, "--report", report]
    assert _run("clean", *arguments) == 0
    said = capsys.readouterr().out
    assert "6 people, 84 keypoints" in said
    assert "82  97.6 %  labels that the teachers confirm" in said
    assert "1   1.2 %  labels far from where the teachers agree, replaced" in said
    assert "1   1.2 %  missing labels on which the teachers agree, filled" in said
    assert f"look at: {report / 'clean.png'}" in said
    assert read_image(report / "clean.png").shape[2] == 3
    # The command line that it names loads the data.
    (spec,) = re.findall(r"--data (\S+)", said)
    assert spec == f"coco={out},images={tmp_path}"
    for person, cleaned in zip(people, load_data([spec]), strict=True):
        assert cleaned.picture == person.picture
        assert (cleaned.visible == 2).all()
        np.testing.assert_allclose(
            cleaned.keypoints_xy, person.keypoints_xy, atol=0.006
        )
        assert (cleaned.weights > 0.9).all()
        assert cleaned.load_image().shape == person.load_image().shape


@pytest.mark.parametrize(("tolerance", "replaced"), [(0.2, 1), (0.3, 0)])
def test_clean_takes_as_far_as_told_for_the_same_place(
    tmp_path, capsys, tolerance, replaced
):
    people = _people(tmp_path, 3)
    torso = np.linalg.norm(np.subtract(*people[0].keypoints_xy[[3, 6]]))
    moved = people[0].keypoints_xy.copy()
    moved[5] += [0.25 * torso, 0]
    labels = [replace(people[0], keypoints_xy=moved), *people[1:]]
    write_coco(tmp_path / "labels.json", labels, tmp_path / "pictures")
    predictions = _predictions(tmp_path / "teachers.npz", people)
    arguments = [f"coco={tmp_path / 'labels.json'},images={tmp_path / 'pictures'}"]
    arguments += ["--predictions", predictions, "--out", tmp_path / "clean.json"]
    assert _run("clean", *arguments, "--tolerance", tolerance) == 0
    first = load_data([f"coco={tmp_path / 'clean.json'}"])[0].keypoints_xy[5]
    expected = people[0].keypoints_xy[5] if replaced else moved[5]
    np.testing.assert_allclose(first, expected, atol=0.01)


def test_clean_labels_pictures_that_have_no_labels(tmp_path, capsys):
    people = _people(tmp_path, 4)
    names = np.array([f"{i % 2}/{i}.png" for i in range(4)])
    boxes = np.stack([person.box_xywh for person in people])
    predictions = _predictions(
        tmp_path / "teachers.npz", people, names=names, box_xywh=boxes
    )
    out, pictures = tmp_path / "new.json", tmp_path / "pictures"
    arguments = ["--predictions", predictions, "--out", out, "--images", pictures]
    arguments += ["--skeleton", "ai_challenger", "--ignore", "second:neck"]
    assert _run("clean", *arguments) == 0
    assert "52  92.9 %  missing labels on which the" in capsys.readouterr().out
    neck = AI_CHALLENGER.index("neck")
    for person, cleaned in zip(
        people, load_data([f"coco={out},images={pictures}"]), strict=True
    ):
        assert cleaned.picture == person.picture
        assert cleaned.skeleton is AI_CHALLENGER
        np.testing.assert_allclose(cleaned.keypoints_xy, person.keypoints_xy, atol=0.51)
        np.testing.assert_allclose(cleaned.box_xywh, person.box_xywh, atol=0.006)
        # One teacher's word alone counts half.
        assert cleaned.weights[neck] == 0.5
        assert (np.delete(cleaned.weights, neck) > 0.9).all()


class Judge:
    """Knows where the drawn people are, in the order in which they are asked."""

    skeleton = AI_CHALLENGER

    def __init__(self, model, *, flip_test):
        assert flip_test
        self._truth = iter(stick_people(range(6)))

    def predict_batch(self, images, boxes_xywh):
        poses = []
        for image, box in zip(images, boxes_xywh, strict=True):
            person = next(self._truth)
            np.testing.assert_array_equal(image, person.load_image())
            points = person.keypoints_xy.astype(np.float32)
            scores = np.ones(14, np.float32)
            pose = Pose(
                keypoints_xy=points,
                scores=scores,
                skeleton=AI_CHALLENGER,
                box_xywh=box,
            )
            poses.append(pose)
        return poses


def test_a_model_judges_beside_predictions(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tinypose.inference.predictor.Predictor", Judge)
    people = _people(tmp_path)
    wrong = people[1].keypoints_xy.copy()
    wrong[5] += 60
    pictures, out = tmp_path / "pictures", tmp_path / "clean.json"
    labels = [people[0], replace(people[1], keypoints_xy=wrong), *people[2:]]
    write_coco(tmp_path / "labels.json", labels, pictures)
    truth = np.stack([person.keypoints_xy for person in people])
    np.savez(tmp_path / "teacher.npz", teacher=truth)
    arguments = [f"coco={tmp_path / 'labels.json'},images={pictures}"]
    arguments += ["--judge", "runs/mine", "--out", out]
    # Alone it could replace nothing; together with a teacher it can.
    assert _run("clean", *arguments) == 2
    assert "two teachers or more, who can agree, found mine" in capsys.readouterr().err
    arguments += ["--predictions", tmp_path / "teacher.npz"]
    assert _run("clean", *arguments) == 0
    said = capsys.readouterr().out
    assert "83  98.8 %  labels that the teachers confirm" in said
    assert "1   1.2 %  labels far from where the teachers agree, replaced" in said
    # What it may not speak of stays.
    neck = AI_CHALLENGER.names[5]
    assert _run("clean", *arguments, "--ignore", f"mine:{neck}") == 0
    assert "replaced" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param([], 2, "labelled .* --images DIR .*to label", id="nothing"),
        pytest.param(
            ["{coco}", "--images", "{folder}"], 2, "expected either", id="both"
        ),
        pytest.param(["{coco}", "--out", "a.txt"], 2, r"\.json, found a.txt", id="out"),
        pytest.param(
            ["--images", "{folder}/gone"], 1, "gone: expected the folder", id="folder"
        ),
        pytest.param(
            ["{coco}", "--predictions", "gone.npz"], 1, "gone.npz: .*no such", id="npz"
        ),
        pytest.param(
            ["{coco}", "--ignore", "firsst:neck"], 2, "mean 'first'", id="teacher"
        ),
        pytest.param(
            ["{coco}", "--ignore", "first:nekc"], 2, "mean 'neck'", id="keypoint"
        ),
        pytest.param(["{coco}", "--tolerance", "2"], 2, "--tolerance", id="tolerance"),
        pytest.param(
            ["stick_people:1-3"], 2, "picture files, found a drawn one", id="drawn"
        ),
        pytest.param(
            ["{coco}", "coco={folder}/17.json"],
            2,
            "one skeleton, found ai_challenger and coco",
            id="two skeletons",
        ),
        pytest.param(["{coco}:1-2"], 1, "one row per record", id="part"),
        pytest.param(
            ["{coco}", "--judge", "smaal"], 1, "mean 'small'", id="unknown judge"
        ),
        pytest.param(
            ["{coco}", "--judge", "small", "--judge", "small"],
            2,
            "different names, found 'small' twice",
            id="the same judge twice",
        ),
        pytest.param(
            ["{coco}", "--judge", "small", "--ignore", "smaal:neck"],
            2,
            "teacher of first, second, small; did you mean 'small'",
            id="ignored judge",
        ),
        pytest.param(
            ["--images", "{folder}"], 1, "'names' .*found neither", id="no names"
        ),
        pytest.param(
            ["--images", "{folder}", "--skeleton", "lps"],
            1,
            "mean 'lsp'",
            id="skeleton",
        ),
    ],
)
def test_clean_with_wrong_arguments(arguments, code, message, tmp_path, capsys):
    people = _people(tmp_path, 3)
    write_coco(tmp_path / "labels.json", people, tmp_path / "pictures")
    _coco(tmp_path, ("a.png", "b.png")).rename(tmp_path / "17.json")
    spec = f"coco={tmp_path / 'labels.json'},images={tmp_path / 'pictures'}"
    predictions = _predictions(tmp_path / "teachers.npz", people)
    given = [word.format(coco=spec, folder=tmp_path) for word in arguments]
    for option, value in (
        ("--predictions", predictions),
        ("--out", tmp_path / "new.json"),
    ):
        given += [] if option in given else [option, value]
    assert _run("clean", *given) == code
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.startswith("tinypose: error: ") and error.count("\n") == 1
    assert not (tmp_path / "new.json").exists()


def test_clean_needs_somebody_to_ask(tmp_path, capsys):
    out = tmp_path / "new.json"
    assert _run("clean", "coco=x.json", "--out", out) == 2
    assert "--judge MODEL or both, found neither" in capsys.readouterr().err
    asked = ["--images", tmp_path, "--judge", "small"]
    assert _run("clean", *asked, "--out", out) == 2
    assert "two teachers or more, who can agree" in capsys.readouterr().err


def test_run_folders_with_dots_are_told_apart():
    from tinypose.cli.run_weights import model_stem

    runs = ["runs/lr0.001", "runs/lr0.002", "small", "x/small.v2.tflite", "a.npz"]
    stems = ["lr0.001", "lr0.002", "small", "small.v2", "a"]
    assert [model_stem(run) for run in runs] == stems


class Finder:
    """Finds the drawn people by itself; ``other`` sees the third one elsewhere."""

    skeleton = AI_CHALLENGER
    least_score = 0.4

    def __init__(self, model, *, flip_test):
        self.flip_test = flip_test
        self._model = model
        self._people = stick_people(range(6))

    def predict_batch(self, images, boxes_xywh=None):
        assert boxes_xywh is None
        (image,) = images
        points, score = np.zeros((14, 2), np.float32), 0.1
        for number, person in enumerate(self._people):
            if np.array_equal(image, person.load_image()):
                points = person.keypoints_xy.astype(np.float32)
                points += 300 * (self._model == "other" and number == 2)
                score = 0.9
        return [
            Pose(
                keypoints_xy=points,
                scores=np.full(14, score, np.float32),
                skeleton=AI_CHALLENGER,
                box_xywh=np.array([0.0, 0.0, 9.0, 9.0]),
            )
        ]


def test_judges_alone_find_one_person_a_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tinypose.inference.predictor.Predictor", Finder)
    pictures, out = tmp_path / "pictures", tmp_path / "found.json"
    people = stick_people(range(6))
    for number, person in enumerate(people):
        write_image(pictures / f"{number}.png", person.load_image())
    write_image(pictures / "nobody.png", np.full((40, 50, 3), 90, np.uint8))
    (pictures / "damaged.jpg").write_bytes(b"no picture")
    arguments = ["--images", pictures, "--skeleton", "ai_challenger"]
    arguments += ["--judge", "one", "--judge", "other", "--out", out]
    assert _run("clean", *arguments) == 0
    assert "one person in each of 5 pictures, of 8" in capsys.readouterr().out
    found = {
        sample.picture.name: sample
        for sample in load_data([f"coco={out},images={pictures}"])
    }
    assert set(found) == {f"{number}.png" for number in (0, 1, 3, 4, 5)}
    for number in (0, 1, 3, 4, 5):
        person, sample = people[number], found[f"{number}.png"]
        np.testing.assert_allclose(sample.keypoints_xy, person.keypoints_xy, atol=0.01)
        box = labelled_box(person.keypoints_xy, np.ones(14, np.uint8))
        np.testing.assert_allclose(sample.box_xywh, box, atol=0.02)


def test_judges_who_find_nobody(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tinypose.inference.predictor.Predictor", Finder)
    write_image(tmp_path / "nobody.png", np.full((40, 50, 3), 90, np.uint8))
    arguments = ["--images", tmp_path, "--judge", "one", "--judge", "other"]
    assert _run("clean", *arguments, "--out", tmp_path / "found.json") == 1
    assert "one of 1 pictures on whom the judges agree" in capsys.readouterr().err
    assert not (tmp_path / "found.json").exists()


def test_clean_does_not_overwrite_the_labels_it_reads(tmp_path, capsys):
    labels = tmp_path / "labels.json"
    labels.write_text("{}")
    arguments = [f"coco={labels}", "--predictions", "x.npz", "--out", str(labels)]
    with pytest.raises(SystemExit) as stopped:
        main(["data", "clean", *arguments])
    assert stopped.value.code == 2
    assert "found the labels themselves" in capsys.readouterr().err
    assert labels.read_text() == "{}"


@pytest.mark.parametrize("option", ["--out", "--report"])
def test_an_output_that_cannot_be_written_is_known_before_the_work(
    option, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(
        "tinypose.data.sources.load_data", lambda *_, **__: pytest.fail()
    )
    (tmp_path / "file").write_text("x")
    places = {"--out": tmp_path / "new.json", "--report": tmp_path / "report"}
    places[option] = tmp_path / "file" / "new.json"
    given = [word for pair in places.items() for word in pair]
    labels = ["coco=x.json", "--predictions", "x.npz"]
    assert _run("clean", *labels, *given) == 1
    assert f"cannot write {places[option]}" in capsys.readouterr().err
    out = ["--out", tmp_path / "file" / "folder"]
    assert _run("check", "coco=x.json", *out) == _run("show", "coco=x.json", *out) == 1
    assert capsys.readouterr().err.count("cannot write") == 2


def test_check_notes_sides_that_make_no_pairs(tmp_path, capsys):
    path = _coco(tmp_path, ("a.png", "b.png"))
    content = json.loads(path.read_text())
    content["categories"][0]["keypoints"] = [f"rechts_{i}" for i in range(17)]
    path.write_text(json.dumps(content))
    assert _run("check", f"coco={path}:1-1") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "note: the skeleton 'people' has no flip_pairs for rechts_0, rechts_1" in out
    assert "nothing wrong found" not in out


def test_check_of_a_folder_whose_name_is_not_utf8(tmp_path, capsys):
    folder = tmp_path / "g\udce9"
    folder.mkdir()
    path = _coco(folder)
    assert _run("check", f"coco={path}:1-2", "--out", tmp_path / "out") == 1
    assert "look at: " in capsys.readouterr().out
    assert "g\\udce9/b.png" in (tmp_path / "out" / "index.html").read_text("utf-8")


def _two_in_each_picture(folder, count=5):
    """Write labelled people, two in each picture, and return the spec."""
    people = []
    for i, person in enumerate(_people(folder, 2 * count)):
        picture = people[-1].picture if i % 2 else person.picture
        weights = np.linspace(0, 1, 14).round(3)
        people.append(replace(person, picture=picture, weights=weights, area=100.0 + i))
    write_coco(folder / "labels.json", people, folder / "pictures")
    return f"coco={folder / 'labels.json'},images={folder / 'pictures'}"


def test_split_writes_what_trains(tmp_path, capsys):
    spec = _two_in_each_picture(tmp_path)
    outs = [tmp_path / "new" / "train.json", tmp_path / "val.json"]
    options = ["--out-train", outs[0], "--out-val", outs[1], "--val-share", 0.4]
    assert _run("split", spec, *options) == 0
    said = capsys.readouterr().out
    assert f"{outs[0]}: 6 people in 3 pictures" in said
    assert f"{outs[1]}: 4 people in 2 pictures" in said
    # What it names loads the data.
    specs = re.findall(r"^(?:learn from|hold out)  (\S+)$", said, re.MULTILINE)
    sides = [load_data([spec]) for spec in specs]
    assert [len(side) for side in sides] == [6, 4]
    before = {person.area: person for person in load_data([spec])}
    for person in [*sides[0], *sides[1]]:
        own = before.pop(person.area)
        assert person.picture == own.picture
        np.testing.assert_array_equal(person.keypoints_xy, own.keypoints_xy)
        np.testing.assert_array_equal(person.weights, own.weights)
    assert not before
    written = [out.read_bytes() for out in outs]
    assert _run("split", "--data", spec, *options) == 0
    assert [out.read_bytes() for out in outs] == written
    assert _run("split", spec, *options, "--seed", 1) == 0
    assert [out.read_bytes() for out in outs] != written


@pytest.mark.parametrize("verb", ["split", "clean"])
def test_labels_name_pictures_from_their_own_folder(tmp_path, verb, capsys):
    # Pictures of one name in two folders, of which one is called as the new file.
    for place in ("val", "train"):
        people = []
        for i, person in enumerate(stick_people(range(6))):
            picture = tmp_path / place / f"{i}.png"
            write_image(picture, person.load_image())
            people.append(replace(person, picture=picture))
    write_coco(tmp_path / "labels.json", people, tmp_path / "train")
    spec = f"coco={tmp_path / 'labels.json'},images={tmp_path / 'train'}"
    out = tmp_path / "val.json"
    if verb == "split":
        options = ["--out-train", tmp_path / "train.json", "--out-val", out]
    else:
        said = {"names": [person.picture.name for person in people]}
        said |= {n: np.stack([p.keypoints_xy for p in people]) for n in ("a", "b")}
        np.savez(tmp_path / "said.npz", **said)
        options = ["--predictions", tmp_path / "said.npz", "--out", out]
    assert _run(verb, spec, *options) == 0
    written = {sample.picture for sample in load_data([f"coco={out}"])}
    assert written and written <= {person.picture for person in people}


def test_split_stays_when_pictures_come_in_another_folder(tmp_path):
    folder = tmp_path / "photos"
    people = _people(folder, 40)
    held_out = []
    for count, place in ((36, "one"), (40, "two")):
        labels = folder / place / "labels.json"
        write_coco(labels, people[:count], folder)
        options = ["--out-train", tmp_path / "train.json", "--out-val"]
        options += [tmp_path / "val.json", "--val-share", 0.25]
        assert _run("split", f"coco={labels},images={folder}", *options) == 0
        content = json.loads((tmp_path / "val.json").read_text())
        found = [image["file_name"].split("/")[-1] for image in content["images"]]
        held_out.append(set(found))
        # What comes now lies beside the folder that held all.
        for number in range(36, 40):
            picture = folder / "later" / f"{number}.png"
            write_image(picture, people[number].load_image())
            people[number] = replace(people[number], picture=picture)
    assert [len(names) for names in held_out] == [9, 10]
    assert len(held_out[0] - held_out[1]) <= 1


def test_split_writes_both_files_or_neither(tmp_path, capsys, monkeypatch):
    spec = _two_in_each_picture(tmp_path)
    left = sorted(tmp_path.iterdir())
    write, calls = write_coco, []

    def fail_second(path, samples, folder):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "full")
        write(path, samples, folder)

    monkeypatch.setattr("tinypose.data.coco_writer.write_coco", fail_second)
    options = ["--out-train", tmp_path / "train.json", "--out-val", tmp_path / "v.json"]
    assert _run("split", spec, *options) == 1
    assert "disk is full" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == left


def test_split_says_who_is_left_out(tmp_path, capsys):
    path = _coco(tmp_path, ("a.png", "b.png"))
    options = ["--out-train", tmp_path / "t.json", "--out-val", tmp_path / "v.json"]
    assert _run("split", f"coco={path}", *options, "--val-share", "0.5") == 0
    said = capsys.readouterr().out
    assert "1 people without a labelled keypoint, left out by the reader" in said


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        pytest.param(
            {"--out-train": "labels.json"}, 2, "--out-train: .*labels them", id="input"
        ),
        pytest.param(
            {"--out-val": "labels.json"}, 2, "--out-val: .*labels them", id="input, too"
        ),
        pytest.param({"--out-val": "a.txt"}, 2, r"\.json, found .*a.txt", id="name"),
        pytest.param({"--out-val": "t.json"}, 2, "expected two files", id="same"),
        pytest.param({"--out-val": "labels.json/v.json"}, 1, "cannot write", id="file"),
        pytest.param({"--val-share": "0.95"}, 1, "found 5 in all", id="all held out"),
        pytest.param({"--val-share": "1"}, 2, "--val-share", id="share"),
    ],
)
def test_split_with_wrong_arguments(change, code, message, tmp_path, capsys):
    spec = _two_in_each_picture(tmp_path)
    labels = (tmp_path / "labels.json").read_bytes()
    given = {"--out-train": "t.json", "--out-val": "v.json", **change}
    words = [
        word if option == "--val-share" else str(tmp_path / word)
        for option, word in given.items()
    ]
    options = [word for pair in zip(given, words, strict=True) for word in pair]
    assert _run("split", spec, *options) == code
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert (tmp_path / "labels.json").read_bytes() == labels
    assert not (tmp_path / "t.json").exists()


def test_split_of_drawn_people(tmp_path, capsys):
    options = ["--out-train", tmp_path / "t.json", "--out-val", tmp_path / "v.json"]
    assert _run("split", "stick_people:1-4", *options) == 2
    assert "picture files, found a drawn one" in capsys.readouterr().err


def test_show_draws_with_the_configured_heatmaps(tmp_path, capsys):
    pytest.importorskip("tensorflow")
    config = tmp_path / "small.yaml"
    config.write_text(
        "family: tiny_hourglass\nskeleton: lsp\nmodel:\n  input_hw: [64, 96]\n"
    )
    out = tmp_path / "look"
    arguments = ["stick_people:1-5", "--out", out, "--count", 2, "--config", config]
    assert _run("show", *arguments) == 0
    assert f"look at: {out / 'labels.jpg'}" in capsys.readouterr().out.replace("\n", "")
    first = read_image(out / "augmented.jpg")
    assert first.shape[0] > 512
    assert _run("show", *arguments, "--seed", 3) == 0
    second = read_image(out / "augmented.jpg")
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_show_takes_changes_of_its_configuration(tmp_path, capsys):
    pytest.importorskip("tensorflow")
    # Deeper than the folders of other tests, whose pictures would be found.
    labels = _coco(tmp_path / "set", ("a.png",))
    spec = ["--config", "small_finetune", "--set", "model.num_keypoints=17"]
    spec += ["--set", "skeleton=coco"]
    out = tmp_path / "look"
    assert _run("show", f"coco={labels}", "--out", out, *spec) == 0
    said = capsys.readouterr()
    # One of the two pictures is missing.
    assert "left out" in said.err and "b.png" in said.err
    assert (out / "augmented.jpg").exists()
    assert _run("show", f"coco={labels}", "--out", out, *spec[2:]) == 2
    assert "expected --config" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["data"], *(["data", verb] for verb in ("check", "show", "clean", "split"))],
)
def test_help_loads_nothing_heavy(words):
    code = (
        "import sys\nfrom tinypose.cli.main import main\n"
        f"try:\n    main({[*words, '--help']!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'keras', 'cv2', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout or words == ["data"]
