"""Receipts: the file's own figures, and the difference that they show."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from tinypose.cli.main import main
from tinypose.data.sample import Sample
from tinypose.errors import TinyposeError
from tinypose.evaluation.receipt import format_memory, make_receipt
from tinypose.export.tflite import export_tflite
from tinypose.metadata import read_metadata, replace_metadata
from tinypose.skeletons import Skeleton

PEOPLE = 6


@pytest.fixture(scope="module")
def people(dot_metadata):
    """Pictures of three dots each: a hand, a hand and a head."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:64, :48]
    samples = []
    for number in range(PEOPLE):
        # The order of the skeleton: red, blue, green.
        centres = np.array([[14, 30], [34, 30], [24, 46]]) + rng.uniform(-3, 3, (3, 2))
        picture = np.zeros((64, 48, 3))
        for channel, centre in zip((0, 2, 1), centres, strict=True):
            squares = ((np.stack([x, y], -1) - centre) ** 2).sum(axis=-1)
            picture[..., channel] = 255 * np.exp(-0.5 * squares / 4**2)
        samples.append(
            Sample(
                sample_id=str(number),
                picture=lambda picture=picture: picture.round().astype(np.uint8),
                skeleton=dot_metadata.skeleton,
                keypoints_xy=centres,
                visible=np.ones(3, np.uint8),
                box_xywh=np.array([6.0, 10.0, 36.0, 44.0]),
            )
        )
    return samples


@pytest.fixture(scope="module")
def shifted_file(dot_models, dot_metadata, tmp_path_factory):
    """The network with all maps smeared half a cell to the right, exported."""
    net = keras.models.load_model(dot_models("keras"))
    images = keras.Input((64, 48, 3))
    maps = net(images)["heatmaps_2"]
    further = keras.ops.pad(maps[:, :, :-1], [[0, 0], [0, 0], [1, 0], [0, 0]])
    path = tmp_path_factory.mktemp("receipts") / "shifted.tflite"
    moved = keras.Model(images, {"heatmaps_1": (maps + further) / 2})
    export_tflite(moved, dot_metadata, path)
    return path


@pytest.fixture(scope="module")
def losing_file(dot_models, dot_metadata, tmp_path_factory):
    """The network with all maps three cells further up where a corner is white."""
    net = keras.models.load_model(dot_models("keras"))
    images = keras.Input((64, 48, 3))
    maps = net(images)["heatmaps_2"]
    higher = keras.ops.pad(maps[:, 3:], [[0, 0], [0, 3], [0, 0], [0, 0]])
    corner = keras.ops.mean(images[:, :2, :2], axis=(1, 2, 3), keepdims=True)
    marked = keras.ops.relu(corner)  # white is 1, black is -1
    path = tmp_path_factory.mktemp("receipts") / "losing.tflite"
    moved = keras.Model(images, {"heatmaps_1": maps + marked * (higher - maps)})
    export_tflite(moved, dot_metadata, path)
    return path


@pytest.fixture(scope="module")
def two_plain_of_six(people):
    """The people, four of them with a white corner."""

    def mark(sample):
        picture = sample.load_image().copy()
        picture[:16, :16] = 255
        return replace(sample, picture=lambda: picture)

    return [*people[:2], *map(mark, people[2:])]


def test_the_same_model_twice_differs_in_nothing(dot_models, people):
    path = dot_models("keras")
    receipt = make_receipt(path, path, people, "dots")
    assert receipt.change == receipt.change_low == receipt.change_high == 0
    assert receipt.pck == receipt.network_pck == 100
    assert (receipt.median_px, receipt.worst_px) == (0, 0)
    assert receipt.num_compared == 3 * PEOPLE
    assert receipt.runtime.startswith("Keras 3")
    assert len(receipt.data_sha256) == 64


def test_a_file_that_is_half_a_cell_off_is_measured_so(
    dot_models, shifted_file, people
):
    receipt = make_receipt(shifted_file, dot_models("keras"), people, "dots")
    # Half a cell of four pixels.
    assert receipt.median_px == pytest.approx(2.0, abs=0.2)
    assert receipt.median_px <= receipt.p95_px <= receipt.worst_px < 3
    assert receipt.num_compared == 3 * PEOPLE
    assert receipt.runtime.startswith("LiteRT ")
    assert receipt.file_bytes > 0 and receipt.milliseconds > 0
    assert receipt.change == pytest.approx(receipt.pck - receipt.network_pck, abs=0.01)
    assert receipt.change_low <= receipt.change <= receipt.change_high
    assert json.loads(json.dumps(receipt.to_dict())) == receipt.to_dict()
    text = "\n".join(receipt.lines())
    # Dots have no torso.
    assert f"PCK@0.2 of the box side {receipt.pck:.1f} %" in text and "LiteRT" in text


def test_a_file_that_loses_people_is_measured_so(
    dot_models, losing_file, two_plain_of_six
):
    network = dot_models("keras")
    receipt = make_receipt(losing_file, network, two_plain_of_six, "dots")
    # Three cells are 12 px of the crop, or 10.3 of the picture; 0.2 of a box of
    # 44 is 8.8. So four of six people lose all keypoints.
    assert (receipt.pck, receipt.network_pck) == (pytest.approx(100 / 3, abs=0.01), 100)
    assert receipt.change == pytest.approx(-200 / 3, abs=0.01)
    # Of six people drawn, all are losers in (2/3)^6 = 8.8 %, one or none is in
    # 1.8 %, and two or fewer are in 10 % of the draws.
    assert receipt.change_low == pytest.approx(-100, abs=0.01)
    assert receipt.change_high == pytest.approx(-100 / 3, abs=0.01)
    assert receipt.median_px == pytest.approx(12, abs=0.2)
    assert "-66.7 points (95 %: -100.0 to -33.3)" in "\n".join(receipt.lines())


@pytest.mark.parametrize(("max_drop", "code"), [(66, 1), (67, 0)])
def test_the_command_refuses_a_file_that_loses_more(
    max_drop,
    code,
    dot_models,
    losing_file,
    two_plain_of_six,
    tmp_path,
    monkeypatch,
    capsys,
):
    monkeypatch.setattr("tinypose.data.sources.load_data", lambda _: two_plain_of_six)
    path = tmp_path / "mine.tflite"
    path.write_bytes(losing_file.read_bytes())
    command = ["export", path, "--against", dot_models("keras"), "--data"]
    command += ["stick_people:1-6", "--max-drop", max_drop]
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in command])
    assert stopped.value.code == code
    refused = (
        "found 66.7 (33.3 % against the network's 100.0 %; 95 % interval on 6 people: "
        "33.3 to 100.0)"
    )
    assert (refused in capsys.readouterr().err) is (code == 1)
    # A refused file says nothing of itself, and has nothing beside it.
    accepted = code == 0
    assert bool(read_metadata(path).receipt) is accepted
    assert (tmp_path / "mine.tflite.receipt.json").exists() is accepted


def test_only_people_who_are_scored_count(dot_models, people):
    path = dot_models("keras")
    alone = replace(people[0], visible=np.array([1, 0, 0], np.uint8))
    alone = replace(alone, box_xywh=np.array([*alone.keypoints_xy[0], 0.0, 0.0]))
    receipt = make_receipt(path, path, [alone, *people[1:]], "dots")
    assert receipt.num_people == PEOPLE - 1
    # Those who are scored are of one picture: they stand for themselves.
    pair = [people[1], replace(people[2], picture=people[1].picture)]
    receipt = make_receipt(path, path, [alone, *pair], "dots")
    assert receipt.change_low == receipt.change_high == 0
    message = "dots: expected people with a labelled torso.*none among 1, so nobody can"
    with pytest.raises(TinyposeError, match=message):
        make_receipt(path, path, [alone], "dots")


def test_other_keypoints_are_refused(dot_models, people, tmp_path):
    path = tmp_path / "other.tflite"
    path.write_bytes(dot_models("complete").read_bytes())
    metadata = read_metadata(path)
    other = Skeleton(name="other", names=("cyan", "green", "blue"))
    replace_metadata(path, replace(metadata, skeleton=other))
    with pytest.raises(TinyposeError, match="is it made from another run"):
        make_receipt(path, dot_models("keras"), people, "dots")


def test_a_network_that_sees_nothing_clearly_is_said_so(dot_models, people):
    dark = [replace(s, picture=lambda: np.zeros((64, 48, 3), np.uint8)) for s in people]
    receipt = make_receipt(dot_models("complete"), dot_models("keras"), dark, "dark")
    assert (receipt.num_compared, receipt.median_px, receipt.worst_px) == (
        0,
        None,
        None,
    )
    assert "no keypoint that the network sees clearly" in "\n".join(receipt.lines())


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 KiB"), (130_096, "127 KiB"), (2**20, "1 MiB"), (83 * 2**20, "83 MiB")],
)
def test_memory_is_given_in_the_unit_that_shows_it(num_bytes: int, text: str) -> None:
    assert format_memory(num_bytes) == text
