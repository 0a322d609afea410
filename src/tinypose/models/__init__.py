"""Model families: each pairs a configuration with a builder and its codecs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinypose.errors import MissingDependencyError, UsageError, did_you_mean

try:
    import keras
except ImportError as error:
    raise MissingDependencyError("keras", "building models") from error

from tinypose.models.conv_hourglass import (
    ConvHourglassConfig,
    build_conv_hourglass,
    conv_hourglass_codecs,
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
    """

    config_class: type
    build: Callable[[Any], keras.Model]
    codecs: Callable[[Any], dict[str, Any]]


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
