"""What a configuration costs, before anything is trained."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinypose import __version__
from tinypose.config import Config
from tinypose.export.tflite import export_tflite
from tinypose.inference.footprint import latency
from tinypose.metadata import CALIBRATED, Metadata
from tinypose.models import FAMILIES
from tinypose.models.cost import count_macs, count_parameters
from tinypose.skeletons import load_skeleton

NUM_CALIBRATION = 8


def export_untrained(config: Config, path: Path, precision: str = "float32") -> None:
    """Write the file of a configuration's network; weights of any value take as long.

    In eight bits the ranges of noise stand for those of pictures.
    """
    family = FAMILIES[config.family]
    net = family.build(config.model)
    codec = list(family.codecs(config.model).values())[-1]
    metadata = Metadata(
        name=config.family,
        family=config.family,
        skeleton=load_skeleton(config.skeleton),
        input_hw=config.model.input_hw,
        **codec.description(),
        padding=config.padding,
        num_parameters=count_parameters(net),
        macs=count_macs(net),
        version=__version__,
        config=config.to_dict(),
    )
    noise = np.random.default_rng(0)
    shape = (NUM_CALIBRATION, *config.model.input_hw, 3)
    calibration = (
        noise.integers(0, 256, shape, np.uint8) if precision in CALIBRATED else None
    )
    export_tflite(net, metadata, path, precision=precision, calibration=calibration)


def untrained_latencies(
    configs: Sequence[Config], precision: str = "float32", rounds: int = 1
) -> list[float]:
    """Return the milliseconds of a picture through each file, one thread.

    All take turns in each round, so that a noisy machine meets all alike; the
    fastest round of each counts.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.tflite" for number in range(len(configs))]
        for config, file in zip(configs, files, strict=True):
            export_untrained(config, file, precision)
        turns = [[latency(file) for file in files] for _ in range(rounds)]
    return [float(fastest) for fastest in np.min(turns, axis=0)]
