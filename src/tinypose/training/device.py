"""Choose the devices that train."""

import re
from typing import Any

from tinypose.errors import TinyposeError, UsageError

_FORM = re.compile(r"auto|cpu|gpu(:\d+(,\d+)*)?")


def choose_device(device: str) -> Any:
    """Make only the named devices visible; call it before anything is built.

    Args:
        device: ``auto``, ``cpu``, ``gpu`` (all of them), ``gpu:0`` or
            ``gpu:0,1``.

    Returns:
        A ``tf.distribute`` strategy for several GPUs, else None.

    Raises:
        UsageError: another form, or a choice that the backend does not take.
        TinyposeError: there is no such GPU.
    """
    if not _FORM.fullmatch(device):
        raise UsageError(
            f"--device: expected auto, cpu, gpu, gpu:0 or gpu:0,1, found {device!r}"
        )
    import keras

    if keras.backend.backend() != "tensorflow":
        if device == "auto":
            return None
        raise UsageError(
            f"--device {device}: expected auto with the Keras backend "
            f"{keras.backend.backend()}; choose the device through the backend"
        )
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return None
    if device == "auto" and not gpus:
        return None
    chosen = _chosen(device, gpus)
    tf.config.set_visible_devices(chosen, "GPU")
    for gpu in chosen:
        tf.config.experimental.set_memory_growth(gpu, True)
    if len(chosen) < 2:
        return None
    return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(len(chosen))])


def _chosen(device: str, gpus: list[Any]) -> list[Any]:
    if device == "auto":
        return gpus[:1]
    if device == "gpu":
        numbers = list(range(max(len(gpus), 1)))
    else:
        numbers = [int(number) for number in device.partition(":")[2].split(",")]
    missing = [number for number in numbers if number >= len(gpus)]
    if missing:
        raise TinyposeError(
            f"--device {device}: expected GPU {missing[0]}, found {len(gpus)} GPUs; "
            "use --device cpu, or check the driver and that the installed "
            "TensorFlow has GPU support"
        )
    return [gpus[number] for number in numbers]
