"""Weights alone, to start other trainings from: an ``.npz`` in half precision.

A third of the size of a ``.keras`` file, without the network around them.
"""

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.errors import TinyposeError
from tinypose.files import atomic_path, explain_os_errors, require_file
from tinypose.metadata import MAX_MODEL_BYTES, MEMBER, Metadata, write_metadata

SUFFIX = ".npz"


def save_weights(net: keras.Model, metadata: Metadata, path: str | Path) -> None:
    """Write the weights of a network with its metadata, atomically.

    Raises:
        TinyposeError: a weight is too large for half precision or not finite,
            or the file cannot be written.
    """
    arrays = {}
    for layer in net.layers:
        for number, value in enumerate(layer.get_weights()):
            with np.errstate(over="ignore"):
                half = value.astype(np.float16)
            if not np.isfinite(half).all():
                raise TinyposeError(
                    f"{path}: not written: expected weights that fit half precision, "
                    f"found others in {layer.name}; did the training diverge?"
                )
            arrays[f"{layer.name}/{number}"] = half
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
        write_metadata(temporary, metadata)


def read_weights(path: str | Path) -> dict[str, list[NDArray[Any]]]:
    """Return the weights of each layer, by its name, in single precision.

    Raises:
        TinyposeError: no such file, or it holds no weights.
    """
    file = require_file(path, "weights (.npz)", max_bytes=MAX_MODEL_BYTES)
    weights: dict[str, list[NDArray[Any]]] = {}
    try:
        with explain_os_errors(file, "read"), zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
            names = [name for name in archive.namelist() if name != MEMBER]
            if size > MAX_MODEL_BYTES:
                raise ValueError(f"{size:,} bytes when unpacked")
            for name in names:
                layer, _, number = name.removesuffix(".npy").rpartition("/")
                with archive.open(name) as stream:
                    value = np.lib.format.read_array(stream, allow_pickle=False)
                if int(number) != len(weights.setdefault(layer, [])):
                    raise ValueError(f"{name} out of order")
                weights[layer].append(value.astype(np.float32))
    except (zipfile.BadZipFile, ValueError, EOFError, KeyError) as error:
        raise TinyposeError(
            f"{path}: expected weights that tinypose wrote, found a file that does "
            f"not load ({' '.join(str(error).split())[:200]})"
        ) from error
    return weights
