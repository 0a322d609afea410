"""Small networks of every family, with weights as after a training."""

import keras
import numpy as np
import pytest

from tinypose.models import build_model

HW = (96, 64)
SIZE = {"input_hw": HW, "num_keypoints": 5}
DEEPPOSE = {"channels": (8, 9, 12, 8, 8), "dense": 16}
# A family, or a family with other options behind a dash.
SMALL = {
    "conv_hourglass": {
        **SIZE,
        "stem_channels": 8,
        "channels": (8, 12, 16),
        "encoder_blocks": (1, 0, 1),
        "decoder_convs": (1, 2),
        "separable_from": 3,
    },
    "tiny_hourglass": {**SIZE, "depth": 2, "channels": 8},
    "deeppose": {**SIZE, **DEEPPOSE},
    "deeppose-local_response": {**SIZE, **DEEPPOSE, "norm": "local_response"},
    "deeppose_cascade": {
        "input_hw": (128, 120),
        "stage_hw": (64, 60),
        "num_keypoints": 5,
        "channels": (8, 8, 12, 8, 8),
        "dense": 16,
        "num_stages": 2,
        "window_hw": (60, 64),
        "window_channels": (8, 8, 12, 8, 8),
        "window_dense": 12,
    },
    "multi_resolution": {
        "input_hw": (64, 64),  # the family takes squares alone
        "num_keypoints": 5,
        "bank_channels": (8, 8, 12),
        "wide_channels": (12, 8),
        "window_cells": 8,
        "fine_channels": (8, 8, 12, 8),
    },
    "part_heatmap": {
        **SIZE,
        "detection_channels": (8, 8, 12, 8, 8),
        "detection_convs": (1, 1, 1, 1, 1),
        "detection_wide": 12,
        "regression_channels": (8, 8, 12, 8, 8, 12),
        "regression_kernels": (5, 3, 3, 5),
        "regression_scale": 2,
    },
    "pose_machine": {
        **SIZE,
        "features": 8,
        "image_features": 6,
        "wide_features": 12,
        "num_stages": 3,
    },
    "pose_machine-plain": {
        **SIZE,
        "features": 8,
        "image_features": 6,
        "wide_features": 12,
        "num_stages": 2,
        "normalise": False,
    },
    "stacked_hourglass": {**SIZE, "depth": 1, "features": 16, "num_stacks": 2},
}


def shake(net: keras.Model) -> None:
    """Give a network weights of which each has an effect."""
    generator = np.random.default_rng(0)
    for layer in net.layers:
        for weight in layer.weights:
            if weight.name in ("gamma", "moving_variance"):
                weight.assign(generator.uniform(0.5, 1.5, weight.shape))
            elif weight.name in ("beta", "moving_mean", "bias"):
                weight.assign(generator.normal(0, 0.3, weight.shape))
            elif weight.name == "kernel":
                fan_in = np.prod(weight.shape[:-1])
                weight.assign(generator.normal(0, fan_in**-0.5, weight.shape))


@pytest.fixture(scope="session", params=SMALL)
def small_name(request) -> str:
    """Run each test that takes it on every small network."""
    return request.param


@pytest.fixture(scope="session")
def small_net():
    """Return a function that gives a network by its name in SMALL.

    The networks are shared: tests change copies.
    """
    made = {}

    def build(name: str) -> keras.Model:
        if name not in made:
            keras.utils.set_random_seed(0)
            made[name] = build_model(name.split("-")[0], **SMALL[name])
            shake(made[name])
        return made[name]

    return build


@pytest.fixture(scope="session")
def pictures():
    """Return a function that gives normalised noise (count, height, width, 3)."""

    def draw(net: keras.Model, count: int) -> np.ndarray:
        shape = (count, *net.input_shape[1:])
        return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")

    return draw
