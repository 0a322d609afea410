"""The C decoder for microcontrollers gives what the NumPy codec gives."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.export.micro_text import FIXED, fixed_source, score_multiplier

FIXTURE = Path(__file__).parent.parent / "fixtures" / "decode.json"
CASES = json.loads(FIXTURE.read_text(encoding="utf-8"))["cases"]
PIXEL = 256

pytestmark = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("cc")),
    reason="needs make and a C compiler",
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The self-check program, built as its Makefile says: any warning fails."""
    folder = tmp_path_factory.mktemp("decoder")
    for name in FIXED:
        (folder / name).write_text(fixed_source(name), encoding="utf-8")
    done = subprocess.run(
        ["make", "-C", folder, "check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "passed" in done.stdout
    return folder / "decode_test"


def decode(program, maps, input_hw, zero_point=-128, scale=1 / 255):
    """Return what the C decoder makes of maps (height, width, num_keypoints).

    x, y (num_keypoints, 2) in pixels and scores (num_keypoints,) of 0 to 255.
    """
    numbers = [*maps.shape, *input_hw, zero_point, score_multiplier(scale)]
    text = " ".join(map(str, [*numbers, *maps.ravel().tolist()]))
    done = subprocess.run(
        [program, "-"], input=text, capture_output=True, text=True, check=True
    )
    found = np.array([line.split() for line in done.stdout.splitlines()], int)
    assert len(found) == maps.shape[2]
    return found[:, :2] / PIXEL, found[:, 2]


def expected(maps, input_hw, zero_point=-128, scale=1 / 255):
    """Return likewise what the NumPy codec makes of the same values."""
    codec = HeatmapCodec(input_hw=input_hw, heatmap_hw=maps.shape[:2])
    values = (maps.astype(np.float32) - zero_point) * np.float32(scale)
    keypoints_xy, scores = codec.decode(values[None], "quarter")
    return keypoints_xy[0], np.floor(255 * scores[0].astype(np.float64) + 0.5)


def check(program, maps, input_hw, zero_point=-128, scale=1 / 255, atol=0.0):
    found_xy, found_scores = decode(program, maps, input_hw, zero_point, scale)
    keypoints_xy, scores = expected(maps, input_hw, zero_point, scale)
    np.testing.assert_allclose(found_xy, keypoints_xy, rtol=0, atol=atol)
    np.testing.assert_array_equal(found_scores, scores)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_cases_of_the_shared_fixture(program, case):
    heatmap = np.array(case["heatmap"])
    low, high = min(heatmap.min(), 0.0), max(heatmap.max(), 1.0)
    scale = (high - low) / 255
    zero_point = round(-128 - low / scale)
    maps = np.clip(np.rint(heatmap / scale) + zero_point, -128, 127).astype(np.int8)
    check(program, maps[..., None], tuple(case["input_hw"]), zero_point, scale)


def test_hand_worked_cases_of_the_fixture(program):
    """Steps of 1/255 keep the order of these cells: the results are the fixture's."""
    names = {"between_cells", "plateau_of_four", "two_equal_spikes", "last_column"}
    cases = [case for case in CASES if case["name"] in names]
    assert len(cases) == 4
    for case in cases:
        maps = (np.rint(np.array(case["heatmap"]) * 255) - 128).astype(np.int8)
        found_xy, scores = decode(program, maps[..., None], case["input_hw"])
        x, y, score = case["expected"]["quarter"]
        assert found_xy[0].tolist() == [x, y]
        assert scores[0] == round(255 * score)


@pytest.mark.parametrize(
    "shape",
    [(16, 12, 5), (7, 9, 14), (1, 6, 3), (8, 1, 2), (1, 1, 4), (2, 2, 3)],
    ids=str,
)
@pytest.mark.parametrize("levels", [2, 3, 256], ids=lambda levels: f"{levels}_levels")
def test_random_maps_with_ties_and_borders(program, shape, levels):
    rng = np.random.default_rng(sum(shape) + levels)
    for zero_point in (-128, -107, 0, 126):
        maps = (rng.integers(0, levels, shape) - levels // 2).astype(np.int8)
        check(program, maps, (4 * shape[0], 4 * shape[1]), zero_point)


def test_every_cell_as_the_peak(program):
    height, width = 5, 7
    maps = np.full((height, width, height * width), -3, np.int8)
    keypoint = np.arange(height * width)
    maps[keypoint // width, keypoint % width, keypoint] = 90
    check(program, maps, (20, 28))


@pytest.mark.parametrize(
    ("input_hw", "heatmap_hw", "units"),
    [
        ((64, 24), (16, 12), 0.0),  # strides 4 and 2
        ((48, 96), (16, 12), 0.0),  # 3 and 8
        ((18, 21), (12, 14), 0.0),  # 1.5 both
        ((50, 100), (12, 7), 0.5),  # 4.1666..., 14.28571...
        ((97, 33), (13, 31), 0.5),
    ],
    ids=str,
)
def test_other_strides(program, input_hw, heatmap_hw, units):
    maps = np.random.default_rng(4).integers(-128, 128, (*heatmap_hw, 20))
    # The codec computes in float32, a few millionths of 100 pixels.
    atol = (units / PIXEL + 2e-5) if units else 0.0
    check(program, maps.astype(np.int8), input_hw, atol=atol)


def test_the_largest_sizes_do_not_overflow(program):
    maps = np.zeros((2, 2048, 1), np.int8)
    maps[0, 2047] = maps[1, 2046] = 1
    found_xy, _ = decode(program, maps, (4, 4095))  # 2048 * 4095 < 2**23
    # Cell 2047 of 2048, one cell 4095 / 2048 pixels wide.
    assert abs(found_xy[0, 0] - (2047.5 * 4095 / 2048 - 0.5)) <= 0.5 / PIXEL


@pytest.mark.parametrize("scale", [1e-9, 1 / 1009, 1 / 255, 0.013, 0.4, 1.0, 7.0])
def test_scores_of_every_value(program, scale):
    values = np.arange(-128, 128, dtype=np.int8)
    for zero_point in (-128, -7, 100):
        check(program, values.reshape(1, 1, 256), (4, 4), zero_point, scale)


@pytest.mark.parametrize(
    "text", ["3", "0 2 1 8 8 0 1", "1 2 1 8 8 0 1 5", "1 1 1 8 8 0 1 200"]
)
def test_the_program_refuses_what_are_no_maps(program, text):
    done = subprocess.run(
        [program, "-"], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "expected" in done.stderr
