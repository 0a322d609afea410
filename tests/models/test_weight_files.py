"""Weights alone: they come back, and what is none is said in one line."""

import keras
import numpy as np
import pytest

from tinypose.errors import TinyposeError
from tinypose.metadata import Metadata, read_metadata
from tinypose.models import build_model
from tinypose.models.weight_files import read_weights, save_weights
from tinypose.skeletons import LSP


@pytest.fixture(scope="module")
def net() -> keras.Model:
    return build_model(
        "conv_hourglass",
        input_hw=(32, 32),
        channels=(8, 12),
        encoder_blocks=(0, 1),
        decoder_convs=(1,),
    )


@pytest.fixture
def metadata() -> Metadata:
    return Metadata(
        name="mine",
        family="conv_hourglass",
        skeleton=LSP,
        input_hw=(32, 32),
        output="heatmaps",
        heatmap_hw=(8, 8),
        sigma_cells=1.5,
        refinement="dark",
    )


def test_weights_come_back_with_their_metadata(net, metadata, tmp_path) -> None:
    path = tmp_path / "w.npz"
    save_weights(net, metadata, path)
    weights = read_weights(path)
    assert set(weights) == {layer.name for layer in net.layers if layer.weights}
    for name, values in weights.items():
        for value, original in zip(
            values, net.get_layer(name).get_weights(), strict=True
        ):
            assert value.dtype == np.float32
            np.testing.assert_allclose(value, original, rtol=1e-3, atol=1e-6)
    assert read_metadata(path) == metadata
    assert [file.name for file in tmp_path.iterdir()] == ["w.npz"]


@pytest.mark.parametrize("bad", [1e6, np.nan])
def test_weights_that_do_not_fit_are_not_written(metadata, tmp_path, bad) -> None:
    inputs = keras.Input((4, 4, 3))
    net = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="conv")(inputs))
    net.get_layer("conv").set_weights([np.full((1, 1, 3, 2), bad), np.zeros(2)])
    with pytest.raises(TinyposeError, match="fit half precision, found others in conv"):
        save_weights(net, metadata, tmp_path / "w.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["text", "truncated", "objects"])
def test_what_is_no_weights_is_one_line(net, metadata, tmp_path, kind) -> None:
    path = tmp_path / "w.npz"
    if kind == "text":
        path.write_text("no weights")
    elif kind == "truncated":
        save_weights(net, metadata, path)
        path.write_bytes(path.read_bytes()[:-300])
    else:
        np.savez(path, **{"layer/0": np.array([{"a": 1}], object)})
    with pytest.raises(
        TinyposeError, match="expected weights that tinypose wrote"
    ) as e:
        read_weights(path)
    assert "\n" not in str(e.value)


def test_a_missing_file_is_one_line(tmp_path) -> None:
    with pytest.raises(TinyposeError, match="weights"):
        read_weights(tmp_path / "none.npz")
