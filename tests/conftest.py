"""Model files with known behaviour, shared by the tests of prediction.

The networks find coloured dots instead of people, so that a test can say to
the pixel where the keypoints must be. On the right half of the crop a red dot
is the ``left_hand``, on the left half the ``right_hand``: a person who faces
the viewer, so that mirroring swaps the two. The green dot is the ``head``.
"""

import random
import sys
from dataclasses import replace

import numpy as np
import pytest

from tinypose.metadata import Metadata, write_metadata
from tinypose.skeletons import Skeleton

DOT_INPUT_HW = (64, 48)
DOT_STRIDE = 4

DOT_METADATA = Metadata(
    name="dots",
    family="tiny_hourglass",
    skeleton=Skeleton(
        name="dots",
        names=("left_hand", "right_hand", "head"),
        edges=(("left_hand", "head"), ("right_hand", "head")),
        flip_pairs=(("left_hand", "right_hand"),),
    ),
    input_hw=DOT_INPUT_HW,
    output="heatmaps",
    heatmap_hw=(16, 12),
    sigma_cells=1.0,
    refinement="dark",
    padding=1.25,
)


def dot_heatmaps(images, biased=False):
    """Return the heatmaps (1, 16, 12, 3) of pictures (1, 64, 48, 3), 0..255."""
    import tensorflow as tf

    red, green, blue = tf.unstack(images / 255.0, axis=-1)
    columns = np.arange(DOT_INPUT_HW[1])
    right = (columns >= DOT_INPUT_HW[1] / 2).astype(np.float32)
    reddish = tf.nn.relu(red - tf.maximum(green, blue))
    greenish = tf.nn.relu(green - tf.maximum(red, blue))
    maps = tf.stack([reddish * right, reddish * (1 - right), greenish], axis=-1)
    maps = tf.nn.avg_pool2d(maps, DOT_STRIDE, DOT_STRIDE, "VALID")
    if biased:
        # A net that errs half a cell to the right, always.
        further = tf.pad(maps[:, :, :-1], [[0, 0], [0, 0], [1, 0], [0, 0]])
        maps = (maps + further) / 2
    return maps


def dot_keypoints(images, biased=False):
    """Return keypoints (1, 3, 3): the centre of mass of each heatmap."""
    import tensorflow as tf

    maps = dot_heatmaps(images)
    share = maps / tf.reduce_sum(maps + 1e-9, axis=(1, 2), keepdims=True)
    rows, columns = np.mgrid[: maps.shape[1], : maps.shape[2]].astype(np.float32)
    x, y = (
        (tf.reduce_sum(share * grid[None, ..., None], axis=(1, 2)) + 0.5) * DOT_STRIDE
        for grid in (columns, rows)
    )
    score = tf.reduce_max(maps, axis=(1, 2))
    bias = DOT_STRIDE / 2 if biased else 0.0
    return tf.stack([x - 0.5 + bias, y - 0.5, score], axis=-1)


def convert_dots(function, dtype):
    """Return a TensorFlow Lite model of a function of pictures of ``dtype``."""
    import tensorflow as tf

    spec = tf.TensorSpec((1, *DOT_INPUT_HW, 3), dtype)
    concrete = tf.function(function).get_concrete_function(spec)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())


def quantised_dots(normalised):
    """Return an int8 model, its input calibrated to pixels or to -1..1."""
    import tensorflow as tf

    def function(images):
        return dot_heatmaps((images + 1) * 127.5 if normalised else images)

    def calibration():
        for colour in [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)]:
            pixels = np.full((1, *DOT_INPUT_HW, 3), colour, np.float32)
            yield [pixels / 127.5 - 1 if normalised else pixels]

    converter = convert_dots(function, tf.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8 if normalised else tf.uint8
    converter.inference_output_type = tf.int8 if normalised else tf.uint8
    return converter.convert()


def keras_dots():
    """Return a network of normalised pictures; its last output finds dots.

    The halves of the picture do not count here: red is the left hand, blue the
    right hand.
    """
    import keras

    images = keras.Input((*DOT_INPUT_HW, 3))
    pooled = keras.layers.AveragePooling2D(DOT_STRIDE)(images)
    conv = keras.layers.Conv2D(3, 1, activation="relu")
    network = keras.Model(
        images, {"heatmaps_1": pooled * 0.0, "heatmaps_2": conv(pooled)}
    )
    # red - (green + blue) / 2 of the 0..1 values, and so on.
    kernel = np.array([[0.5, -0.25, -0.25], [-0.25, -0.25, 0.5], [-0.25, 0.5, -0.25]])
    conv.set_weights([kernel.T[None, None], np.zeros(3)])
    return network


@pytest.fixture(autouse=True)
def seeded():
    """Let a test draw the same numbers whichever tests ran before it."""
    random.seed(0)
    # Nothing is imported for tests that do without.
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(scope="session")
def dot_metadata():
    """Return what the model files here say about themselves."""
    return DOT_METADATA


@pytest.fixture(scope="session")
def dot_models(tmp_path_factory):
    """Return a function that gives the file of a model that finds dots.

    Kinds: ``heads``, ``complete``, ``biased_heads``, ``biased_complete`` (half
    a cell too far right), ``int8``, ``uint8`` (quantised heads), ``keras``.
    """
    folder = tmp_path_factory.mktemp("dot_models")
    made = {}

    def build(kind):
        import tensorflow as tf

        decode = dot_keypoints if kind.endswith("complete") else dot_heatmaps
        biased = kind.startswith("biased")
        if kind in ("int8", "uint8"):
            return quantised_dots(normalised=kind == "int8")
        return convert_dots(
            lambda images: decode(tf.cast(images, tf.float32), biased), tf.uint8
        ).convert()

    def model(kind):
        if kind in made:
            return made[kind]
        path = folder / f"{kind}.{'keras' if kind == 'keras' else 'tflite'}"
        if kind == "keras":
            keras_dots().save(path)
        else:
            path.write_bytes(build(kind))
        output = "keypoints" if kind.endswith("complete") else "heatmaps"
        write_metadata(path, replace(DOT_METADATA, output=output))
        made[kind] = path
        return path

    return model


@pytest.fixture
def paint_dots():
    """Return a function that paints soft dots (x, y, colour) on black."""

    def paint(image_hw, dots, radius=6.0):
        y, x = np.mgrid[: image_hw[0], : image_hw[1]]
        image = np.zeros((*image_hw, 3))
        for centre_x, centre_y, colour in dots:
            channel = "red green blue".split().index(colour)
            squares = (x - centre_x) ** 2 + (y - centre_y) ** 2
            image[..., channel] += np.exp(-0.5 * squares / radius**2)
        return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)

    return paint
