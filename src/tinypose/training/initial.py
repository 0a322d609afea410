"""Start training from another model's weights."""

from pathlib import Path

import keras

from tinypose.errors import TinyposeError
from tinypose.models.loading import load_net


def load_initial_weights(net: keras.Model, path: str | Path) -> int:
    """Copy the weights of layers of the same name and shapes into ``net``.

    Args:
        net: The network that is to be trained.
        path: A ``.keras`` file.

    Returns:
        The number of layers that were copied.

    Raises:
        TinyposeError: the file does not load or no layer fits.
    """
    source = {layer.name: layer for layer in load_net(path).layers}
    count = 0
    for layer in net.layers:
        weights = source[layer.name].get_weights() if layer.name in source else []
        shapes = [tuple(variable.shape) for variable in layer.weights]
        if weights and [value.shape for value in weights] == shapes:
            layer.set_weights(weights)
            count += 1
    if count == 0:
        raise TinyposeError(
            f"{path}: expected layers that fit the network, found none of the same "
            "name and shapes; is it of another family or size?"
        )
    return count
