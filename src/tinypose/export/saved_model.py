"""Write a trained network as a TensorFlow SavedModel, for servers."""

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tinypose.export.backend import require_tensorflow
from tinypose.export.folders import require_free
from tinypose.export.wrapper import (
    check_net,
    check_output,
    complete_function,
    exported_metadata,
    noise_crops,
)
from tinypose.files import atomic_folder, write_json
from tinypose.metadata import SAVED_MODEL_MEMBER, Metadata
from tinypose.quiet import quiet_stderr

WRITTEN = re.compile(
    rf"saved_model\.pb|fingerprint\.pb|variables/variables\.[\w-]+"
    rf"|{re.escape(SAVED_MODEL_MEMBER)}"
)
"""The files of an export, relative to its folder."""


def export_saved_model(
    net: keras.Model,
    metadata: Metadata,
    path: str | Path,
    *,
    heads: bool = False,
    check: Callable[[Path], None] | None = None,
) -> Metadata:
    """Export a network as a SavedModel with its metadata beside it.

    The signature ``serving_default`` takes ``images`` (batch, height, width, 3)
    uint8 RGB, any number of them, and gives ``keypoints`` (batch,
    num_keypoints, 3) float32, or the raw output.

    Args:
        net: The network, as ``tinypose.models`` builds it.
        metadata: What is known about it; decides the decoding.
        path: The folder to write; an earlier export there is replaced.
        heads: Export the network's raw output instead of keypoints.
        check: Called with the finished folder, under a temporary name; what it
            raises stops the export.

    Returns:
        The metadata as written.

    Raises:
        UsageError: there is something else at ``path``.
        TinyposeError: Keras does not run on TensorFlow, the network does not fit
            its metadata, gives no finite numbers, or the folder cannot be written.
    """
    path = Path(path)
    require_free(path, "as a SavedModel", _foreign)
    require_tensorflow()
    check_net(net, metadata)
    metadata = exported_metadata(net, metadata, heads=heads)
    function = complete_function(net, metadata)
    spec = tf.TensorSpec((None, *metadata.input_hw, 3), tf.uint8, name="images")
    with atomic_folder(path) as temporary:
        with quiet_stderr():
            served = tf.function(function, input_signature=[spec], autograph=False)
            function = served.get_concrete_function()
            try:
                tf.saved_model.save(tf.Module(), str(temporary), function)
            except tf.errors.ResourceExhaustedError as error:
                # TensorFlow's word for a full disk.
                raise OSError(
                    errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)
                ) from error
        write_json(temporary / SAVED_MODEL_MEMBER, metadata.to_dict())
        with quiet_stderr():
            loaded = tf.saved_model.load(str(temporary))
            (output,) = loaded.signatures["serving_default"](
                images=noise_crops(metadata, 2)
            ).values()
        check_output(np.asarray(output), metadata, 2)
        if check is not None:
            check(temporary)
    return metadata


def _foreign(found: Sequence[str]) -> list[str]:
    """Return the files that are not of an earlier export."""
    # Another program's model has the same files, but no metadata of ours.
    ours = SAVED_MODEL_MEMBER in found
    return [name for name in found if not (ours and WRITTEN.fullmatch(name))]
