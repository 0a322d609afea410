"""What a pruned network may cost, and how that is measured."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinypose.metadata import Metadata

SAVES = {
    "macs": "macs",
    "latency": "macs",
    "parameters": "parameters",
    "size": "parameters",
}
"""What a channel has to save to go early, for each target."""


@dataclass(frozen=True)
class Target:
    """What the pruned network may cost.

    Args:
        kind: ``macs``, ``parameters``, ``size`` (bytes), ``latency``
            (milliseconds) or ``sparsity`` (a share).
        value: In the smallest unit; milliseconds for ``latency``.
    """

    kind: str
    value: float


def measurer(target: Target) -> "Callable[[Any, Metadata], float]":
    """Return what measures a network with its metadata in the target's unit.

    Size and latency are those of a file in the network's ``small_precision``.
    """
    from tinypose.models.cost import count_macs, count_parameters

    if target.kind == "macs":
        return lambda net, metadata: float(count_macs(net))
    if target.kind == "parameters":
        return lambda net, metadata: float(count_parameters(net))

    def measure(net: Any, metadata: "Metadata") -> float:
        from tinypose.export.tflite import export_tflite, small_precision
        from tinypose.export.wrapper import noise_crops
        from tinypose.inference.footprint import latency
        from tinypose.metadata import CALIBRATED

        precision = small_precision(net)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            # Ranges change neither size nor time: noise will do.
            crops = noise_crops(metadata, 2) if precision in CALIBRATED else None
            export_tflite(net, metadata, path, precision=precision, calibration=crops)
            if target.kind == "size":
                return float(path.stat().st_size)
            return latency(path)

    return measure
