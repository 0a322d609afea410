"""Each precision: what the file computes in, and how close it stays."""

from collections import Counter

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tinypose.errors import UsageError
from tinypose.export.layer_errors import layer_errors
from tinypose.export.litert import run_tflite
from tinypose.export.precision import calibration_batches
from tinypose.export.tflite import export_tflite
from tinypose.export.verify import compare
from tinypose.metadata import CALIBRATED, PRECISIONS, read_metadata
from tinypose.models.layers import normalize_images
from tinypose.quiet import quiet_stderr

INT8 = "int8"


@pytest.fixture(scope="module")
def crops(dots, dot_centres):
    """Dots, as the network finds them, and shades in between."""
    shades = np.random.default_rng(3).integers(0, 256, (12, 64, 48, 3), np.uint8)
    return np.concatenate([dots(dot_centres), shades])


@pytest.fixture(scope="module")
def files(dot_hourglass, metadata, crops, tmp_path_factory):
    """The same hourglass in every precision."""
    folder = tmp_path_factory.mktemp("precisions")
    for precision in PRECISIONS:
        export_tflite(
            dot_hourglass,
            metadata,
            folder / f"{precision}.tflite",
            precision=precision,
            calibration=crops if precision in CALIBRATED else None,
        )
    return folder


def open_plainly(path):
    """Return an interpreter of the file as it is, without delegates."""
    with quiet_stderr():
        interpreter = Interpreter(
            str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    return interpreter


def weight_kinds(path):
    """Return the types of the convolutions' weights and how many scales each has."""
    interpreter = open_plainly(path)
    tensors = {t["index"]: t for t in interpreter.get_tensor_details()}
    weights = [
        tensors[op["inputs"][1]]
        for op in interpreter._get_ops_details()
        if op["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]
    kinds = Counter(str(np.dtype(tensor["dtype"])) for tensor in weights)
    scales = max(len(t["quantization_parameters"]["scales"]) for t in weights)
    return set(kinds), scales


@pytest.mark.parametrize(
    ("precision", "kinds", "per_channel"),
    [
        ("float32", {"float32"}, False),
        ("int8", {"int8"}, True),
        ("int8_per_tensor", {"int8"}, False),
    ],
)
def test_the_weights_are_what_the_precision_says(files, precision, kinds, per_channel):
    found, scales = weight_kinds(files / f"{precision}.tflite")
    assert found == kinds
    assert (scales > 1) == per_channel


@pytest.mark.parametrize(
    ("precision", "kind"), [("float16", np.float16), ("dynamic", np.int8)]
)
def test_weights_are_stored_smaller(files, precision, kind):
    kinds = {
        name: {
            np.dtype(tensor["dtype"])
            for tensor in open_plainly(files / f"{name}.tflite").get_tensor_details()
        }
        for name in ("float32", precision)
    }
    assert kinds[precision] - kinds["float32"] == {np.dtype(kind)}


# Medians measured, in pixels: 2e-6, 7e-6, 6e-5, 0.018, 0.018.
@pytest.mark.parametrize(
    ("precision", "limit"),
    [
        ("float32", 1e-4),
        ("float16", 0.001),
        ("dynamic", 0.01),
        ("int8", 0.1),
        ("int8_per_tensor", 0.1),
    ],
)
def test_keypoints_stay_where_they_were(
    dot_hourglass, files, dots, dot_centres, precision, limit
):
    path = files / f"{precision}.tflite"
    pictures = dots(dot_centres)
    metadata = read_metadata(path)
    assert metadata.precision == precision
    agreement = compare(dot_hourglass, metadata, pictures, run_tflite(path, pictures))
    assert agreement.num_clear == 12
    assert agreement.median < limit


@pytest.mark.parametrize(
    ("batch", "seen"),
    [(1, [[0], [1], [2]]), (2, [[0, 1], [2, 0]]), (7, [[0, 1, 2, 0, 1, 2, 0]])],
)
def test_every_crop_calibrates_whatever_the_batch(batch, seen):
    crops = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), np.uint8)
    _, *batches = calibration_batches(crops, (batch, 8, 6, 3))()
    for (found,), indices in zip(batches, seen, strict=True):
        assert np.array_equal(found, normalize_images(crops[indices]))


def test_crops_go_with_the_precisions_that_calibrate(dot_net, metadata, tmp_path):
    crops = np.zeros((1, 64, 48, 3), np.uint8)
    path = tmp_path / "model.tflite"
    for precision, calibration in [(INT8, None), ("float16", crops)]:
        with pytest.raises(UsageError, match="expected crops to calibrate with"):
            export_tflite(
                dot_net, metadata, path, precision=precision, calibration=calibration
            )
    with pytest.raises(UsageError, match=r"expected a precision of float32.*'int4'"):
        export_tflite(dot_net, metadata, path, precision="int4")
    assert list(tmp_path.iterdir()) == []


def test_the_layer_whose_channels_differ_most_is_blamed(hourglass, metadata, crops):
    """One channel a thousand times as large, taken back behind the batch norm.

    One step for all of that layer's values is too coarse for the other
    channels, and the network in full precision is as it was.
    """
    net = keras.models.clone_model(hourglass)
    net.set_weights(hourglass.get_weights())
    layer = net.get_layer("hourglass_1_down_1_pointwise")
    for weight in (layer.kernel, layer.bias):
        weight.assign(weight.numpy() * ([1000] + [1] * (weight.shape[-1] - 1)))
    norm = net.get_layer("hourglass_1_down_1_pointwise_norm")
    norm.moving_mean.assign(norm.moving_mean * ([1000] + [1] * 7))
    norm.moving_variance.assign(norm.moving_variance * ([1e6] + [1] * 7))
    few = crops[:6]
    before = layer_errors(hourglass, metadata, INT8, few)
    after = layer_errors(net, metadata, INT8, few)
    names = {layer.name for layer in hourglass.layers}
    # Weights of 14 convolutions, and what they and 13 norms and two sums give.
    assert Counter(error.part for error in before) == {"weights": 16, "activations": 25}
    assert {error.layer for error in before} <= names
    assert [e.percent for e in before] == sorted(e.percent for e in before)[::-1]
    assert (after[0].layer, after[0].part) == (layer.name, "activations")
    assert after[0].percent > 5 * before[0].percent
    assert after[0].p95_px >= 0
