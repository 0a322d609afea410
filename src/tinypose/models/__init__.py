"""Model families: each pairs a configuration with a builder and its codecs."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinypose.errors import MissingDependencyError, UsageError, did_you_mean

try:
    # Where TensorFlow does not choose oneDNN's convolutions by itself, on CPUs
    # with AVX2 alone, training takes half as long again without them.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import keras
except ImportError as error:
    raise MissingDependencyError("keras", "building models") from error

from tinypose.models.conv_hourglass import (
    ConvHourglassConfig,
    build_conv_hourglass,
    conv_hourglass_codecs,
)
from tinypose.models.deeppose import (
    DeepPoseConfig,
    build_deeppose,
    deeppose_codecs,
)
from tinypose.models.deeppose_cascade import (
    DeepPoseCascadeConfig,
    build_deeppose_cascade,
    deeppose_cascade_codecs,
    deeppose_cascade_phases,
)
from tinypose.models.multi_resolution import (
    MultiResolutionConfig,
    build_multi_resolution,
    multi_resolution_codecs,
    multi_resolution_phases,
)
from tinypose.models.part_heatmap import (
    PartHeatmapConfig,
    build_part_heatmap,
    part_heatmap_codecs,
)
from tinypose.models.phases import Phase
from tinypose.models.pose_machine import (
    PoseMachineConfig,
    build_pose_machine,
    pose_machine_codecs,
)
from tinypose.models.stacked_hourglass import (
    StackedHourglassConfig,
    build_stacked_hourglass,
    stacked_hourglass_codecs,
)
from tinypose.models.tiny_hourglass import (
    TinyHourglassConfig,
    build_tiny_hourglass,
    tiny_hourglass_codecs,
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A model family.

    Args:
        config_class: Frozen dataclass of the family's configuration.
        build: Builds the network from the configuration.
        codecs: Gives the codec of each output, in the order of supervision;
            the last output is the prediction.
        phases: Gives the trainings that the procedure consists of; one, of all
            layers on all outputs, unless told otherwise.
        resizable: Whether the weights fit pictures of every size; not where a
            dense layer sees all cells.
    """

    config_class: type
    build: Callable[[Any], keras.Model]
    codecs: Callable[[Any], dict[str, Any]]
    phases: Callable[[Any], tuple[Phase, ...]] = lambda config: (Phase(name="all"),)
    resizable: bool = True


FAMILIES = {
    "conv_hourglass": Family(
        config_class=ConvHourglassConfig,
        build=build_conv_hourglass,
        codecs=conv_hourglass_codecs,
    ),
    "tiny_hourglass": Family(
        config_class=TinyHourglassConfig,
        build=build_tiny_hourglass,
        codecs=tiny_hourglass_codecs,
    ),
    "deeppose": Family(
        config_class=DeepPoseConfig,
        build=build_deeppose,
        codecs=deeppose_codecs,
        resizable=False,
    ),
    "deeppose_cascade": Family(
        config_class=DeepPoseCascadeConfig,
        build=build_deeppose_cascade,
        codecs=deeppose_cascade_codecs,
        phases=deeppose_cascade_phases,
    ),
    "multi_resolution": Family(
        config_class=MultiResolutionConfig,
        build=build_multi_resolution,
        codecs=multi_resolution_codecs,
        phases=multi_resolution_phases,
    ),
    "part_heatmap": Family(
        config_class=PartHeatmapConfig,
        build=build_part_heatmap,
        codecs=part_heatmap_codecs,
    ),
    "pose_machine": Family(
        config_class=PoseMachineConfig,
        build=build_pose_machine,
        codecs=pose_machine_codecs,
    ),
    "stacked_hourglass": Family(
        config_class=StackedHourglassConfig,
        build=build_stacked_hourglass,
        codecs=stacked_hourglass_codecs,
    ),
}


def build_model(family: str = "tiny_hourglass", **config: Any) -> keras.Model:
    """Build a network of a family; keywords override its default config.

    Raises:
        UsageError: no such family or configuration key.
        ValueError: a value does not fit.
    """
    if family not in FAMILIES:
        hint = did_you_mean(family, FAMILIES)
        raise UsageError(
            f"expected a model family ({', '.join(FAMILIES)}), found {family!r}{hint}"
        )
    try:
        model_config = FAMILIES[family].config_class(**config)
    except TypeError as error:
        raise UsageError(f"{family}: {error}") from error
    return FAMILIES[family].build(model_config)
