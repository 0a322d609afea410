"""Small networks of every family, with weights as after a training."""

import keras
import numpy as np
import pytest

from helpers.families import SMALL as FAMILIES
from tinypose.models import build_model

DEEPPOSE = {"channels": (8, 9, 12, 8, 8)}
# A family, or a family with other options behind a dash.
SMALL = {
    **FAMILIES,
    "conv_hourglass": {
        **FAMILIES["conv_hourglass"],
        "stem_channels": 8,
    },
    "conv_hourglass-stacked": {
        **FAMILIES["conv_hourglass"],
        "stem_channels": 8,
        "num_stacks": 2,
    },
    "deeppose": {**FAMILIES["deeppose"], **DEEPPOSE},
    "deeppose-local_response": {
        **FAMILIES["deeppose"],
        **DEEPPOSE,
        "norm": "local_response",
    },
    "pose_machine": {**FAMILIES["pose_machine"], "num_stages": 3},
    "pose_machine-plain": {**FAMILIES["pose_machine"], "normalise": False},
    "stacked_hourglass": {
        **FAMILIES["stacked_hourglass"],
        "features": 16,
        "num_stacks": 2,
    },
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
