"""One fixture holds all decoders together: NumPy, TensorFlow, the exported file."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tinypose.codecs.heatmap import REFINEMENTS, HeatmapCodec
from tinypose.export.decode import decode_heatmaps
from tinypose.quiet import quiet_stderr

FIXTURES = Path(__file__).parent.parent / "fixtures"
CASES = json.loads((FIXTURES / "decode.json").read_text(encoding="utf-8"))["cases"]
NAMES = [case["name"] for case in CASES]


def codec_of(case):
    height, width = np.shape(case["heatmap"])
    return HeatmapCodec(
        input_hw=tuple(case["input_hw"]),
        heatmap_hw=(height, width),
        sigma_cells=case["sigma_cells"],
    )


def maps_of(case):
    return np.array(case["heatmap"], np.float32)[None, :, :, None]


def check(case, refinement, keypoint):
    expected = np.array(case["expected"][refinement])
    np.testing.assert_allclose(keypoint[:2], expected[:2], atol=case["tolerance_px"])
    np.testing.assert_allclose(keypoint[2], expected[2], atol=1e-5)


def converted(codec, shape, refinement):
    """Return a LiteRT interpreter of the decoder alone."""
    from ai_edge_litert.interpreter import Interpreter

    traced = tf.function(
        lambda heatmaps: decode_heatmaps(heatmaps, codec, refinement),
        input_signature=[tf.TensorSpec(shape, tf.float32)],
    )
    with quiet_stderr():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [traced.get_concrete_function()], tf.Module()
        )
        interpreter = Interpreter(model_content=converter.convert())
        interpreter.allocate_tensors()
    return interpreter


def run(interpreter, maps):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], maps)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_numpy_decoder_gives_the_fixture(case, refinement):
    keypoints_xy, scores = codec_of(case).decode(maps_of(case), refinement)
    check(case, refinement, [*keypoints_xy[0, 0], scores[0, 0]])


@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_graph_decoder_gives_the_fixture(case, refinement):
    maps = tf.constant(maps_of(case))
    keypoints = decode_heatmaps(maps, codec_of(case), refinement).numpy()
    assert keypoints.shape == (1, 1, 3)
    check(case, refinement, keypoints[0, 0])


@pytest.mark.parametrize("refinement", REFINEMENTS)
def test_converted_decoder_gives_the_fixture(refinement):
    # Cases of the same shape go through one file, as keypoints of one batch:
    # so batch and keypoint order are under test as well.
    groups = {}
    for case in CASES:
        groups.setdefault(codec_of(case), []).append(case)
    assert max(map(len, groups.values())) >= 10
    for codec, cases in groups.items():
        maps = np.concatenate([maps_of(case) for case in cases], axis=-1)
        maps = np.concatenate([maps, maps[..., ::-1]])
        keypoints = run(converted(codec, maps.shape, refinement), maps)
        assert keypoints.shape == (2, len(cases), 3)
        for index, case in enumerate(cases):
            check(case, refinement, keypoints[0, index])
            check(case, refinement, keypoints[1, -1 - index])


@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize("levels", [None, 128], ids=["float", "int8_steps"])
def test_graph_and_numpy_agree_on_noisy_maps(refinement, levels):
    codec = HeatmapCodec(input_hw=(96, 64), heatmap_hw=(24, 16), sigma_cells=2.0)
    rng = np.random.default_rng(0)
    # Anywhere in the picture and a little outside.
    keypoints_xy = rng.uniform(-4, [68, 100], (7, 11, 2))
    maps = np.array(codec.encode(keypoints_xy, np.ones((7, 11)))[0])
    maps = maps * rng.uniform(0.1, 1.0, (7, 1, 1, 11)) + rng.normal(0, 0.02, maps.shape)
    if levels:
        maps = np.rint(maps * levels) / levels
    maps = maps.astype(np.float32)
    expected_xy, scores = codec.decode(maps, refinement)
    found = decode_heatmaps(tf.constant(maps), codec, refinement).numpy()
    np.testing.assert_allclose(found[..., :2], expected_xy, atol=1e-3)
    np.testing.assert_array_equal(found[..., 2], scores)


def test_only_built_in_operations_and_a_small_decoder():
    codec = HeatmapCodec(input_hw=(256, 256), heatmap_hw=(64, 64))
    interpreter = converted(codec, (1, 64, 64, 14), "dark")
    operations = [details["op_name"] for details in interpreter._get_ops_details()]
    assert not [name for name in operations if name.startswith(("Flex", "Custom"))]
    # Measured 68; a blur of whole maps or one Newton step per keypoint shows here.
    assert len(operations) < 80


def test_fixture_is_what_its_script_writes():
    path = FIXTURES / "make_decode_fixture.py"
    spec = importlib.util.spec_from_file_location("make_decode_fixture", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    built = json.loads(script.to_text(script.build()))["cases"]
    for case, fresh in zip(CASES, built, strict=True):
        expected, found = case["expected"], fresh["expected"]
        assert {**case, "expected": None} == {**fresh, "expected": None}
        # Another processor may round the last place differently.
        for refinement in REFINEMENTS:
            assert found[refinement] == pytest.approx(expected[refinement], abs=2e-4)


def test_fixture_has_hand_worked_cases_of_every_kind():
    by_hand = {case["name"] for case in CASES if case["by_hand"]}
    assert {
        "between_cells",
        "plateau_of_four",
        "last_column",
        "all_negative",
    } <= by_hand
    assert len(by_hand) >= 12


@pytest.mark.parametrize(
    ("shape", "refinement", "message"),
    [
        ((1, 16, 12, 2), "darc", "expected a refinement of .* received 'darc'"),
        ((1, 12, 16, 2), "dark", r"expected heatmaps of .*\(16, 12\) cells"),
    ],
    ids=["unknown_refinement", "wrong_size"],
)
def test_wrong_arguments_are_named(shape, refinement, message):
    codec = HeatmapCodec(input_hw=(64, 48), heatmap_hw=(16, 12))
    with pytest.raises(ValueError, match=message):
        decode_heatmaps(tf.zeros(shape), codec, refinement)


def test_an_open_batch_stays_open():
    codec = HeatmapCodec(input_hw=(64, 48), heatmap_hw=(16, 12))
    traced = tf.function(lambda maps: decode_heatmaps(maps, codec, "dark"))
    concrete = traced.get_concrete_function(
        tf.TensorSpec((None, 16, 12, 2), tf.float32)
    )
    assert concrete.structured_outputs.shape.as_list() == [None, 2, 3]
    maps = np.random.default_rng(0).uniform(size=(5, 16, 12, 2)).astype(np.float32)
    keypoints_xy, scores = codec.decode(maps, "dark")
    found = concrete(tf.constant(maps)).numpy()
    np.testing.assert_allclose(found[..., :2], keypoints_xy, atol=1e-3)
    np.testing.assert_allclose(found[..., 2], scores, atol=1e-6)
