"""Configuration: a tree of frozen dataclasses, to and from YAML.

Order of precedence: the dataclasses' defaults, the YAML file, ``--set``.
A YAML file is whole by itself: no inheritance, no code, no environment.
"""

import copy
import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinypose.data.augment import AugmentConfig
from tinypose.errors import TinyposeError, UsageError, did_you_mean
from tinypose.files import parse_yaml, read_yaml
from tinypose.geometry import BOX_PADDING
from tinypose.models import FAMILIES

MAX_SEED = 2**32 - 1
"""NumPy's generators of old, which Keras seeds too, take no more."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the model is trained.

    Args:
        epochs: Passes over the training set.
        first_sizes: Smaller pictures to begin with, as [epochs, height, width]
            each; the remaining epochs have the model's own size. For families
            that are convolutional throughout.
        batch_size: Samples per step.
        optimizer: ``adam``, ``adamw`` or ``muon``.
        learning_rate: The highest learning rate.
        schedule: ``cosine`` (warm-up, then cosine to zero) or ``exponential``
            (the 2018 course: times ``decay_rate`` every ``decay_steps``).
        warmup_steps: Steps of linear warm-up, for ``cosine``.
        decay_rate: For ``exponential``.
        decay_steps: For ``exponential``.
        weight_decay: For ``adamw`` and ``muon``.
        clip_norm: Largest norm of the whole gradient; 0 for no limit.
        ema: Momentum of the averaged weights that are evaluated and saved; 0
            for none.
        teacher_weight: Share of a teacher's heatmaps in the loss of each keypoint
            that it knows (``--teacher``); the labels have the rest.
        mixed_bfloat16: Compute convolutions in bfloat16: faster on GPUs, and on
            CPUs with AMX, slower on others. What is saved is in float32.
        imitate_int8: Round weights and activations to eight bits in every step,
            so that the trained weights bear it; the statistics of batch norm
            stay as they are. For trained weights only (``--init``).
        sparsity: Share of the weights of convolutions and dense layers, without
            the first and the last, that becomes zero over the first half of the
            epochs: the smallest, see ``tinypose.compression.sparsity``.
        seed: Of the initial weights and all random draws.
        validate_every: Epochs between validations.
        checkpoint_seconds: Time between checkpoints within an epoch.
    """

    epochs: int = 20
    first_sizes: tuple[tuple[int, int, int], ...] = ()
    batch_size: int = 16
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup_steps: int = 200
    decay_rate: float = 0.95
    decay_steps: int = 2000
    weight_decay: float = 1e-4
    clip_norm: float = 0.0
    ema: float = 0.995
    teacher_weight: float = 0.5
    mixed_bfloat16: bool = False
    imitate_int8: bool = False
    sparsity: float = 0.0
    seed: int = 0
    validate_every: int = 1
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        lowest = {
            **dict.fromkeys(("epochs", "batch_size", "decay_steps"), 1),
            **{"validate_every": 1, "warmup_steps": 0, "seed": 0},
            **{"weight_decay": 0, "clip_norm": 0, "decay_rate": 0},
            "checkpoint_seconds": 0,
        }
        for name, low in lowest.items():
            if getattr(self, name) < low:
                raise UsageError(
                    f"training.{name}: expected at least {low}, "
                    f"found {getattr(self, name)}"
                )
        if self.seed > MAX_SEED:
            raise UsageError(
                f"training.seed: expected at most {MAX_SEED}, found {self.seed}"
            )
        smaller = sum(size[0] for size in self.first_sizes)
        if self.first_sizes and (
            smaller >= self.epochs or any(min(size) < 1 for size in self.first_sizes)
        ):
            raise UsageError(
                "training.first_sizes: expected [epochs, height, width] each, and "
                f"fewer than training.epochs = {self.epochs} in all, found "
                f"{[list(size) for size in self.first_sizes]}"
            )
        _check_choice("training.optimizer", self.optimizer, ("adam", "adamw", "muon"))
        _check_choice("training.schedule", self.schedule, ("cosine", "exponential"))
        if not self.learning_rate > 0:
            raise UsageError(
                "training.learning_rate: expected more than 0, found "
                f"{self.learning_rate}"
            )
        if not 0 < self.teacher_weight <= 1:
            raise UsageError(
                "training.teacher_weight: expected more than 0 and at most 1, found "
                f"{self.teacher_weight}"
            )
        if self.mixed_bfloat16 and self.imitate_int8:
            raise UsageError(
                "training.mixed_bfloat16: expected false with training.imitate_int8, "
                "whose rounding needs float32"
            )
        for name in ("ema", "sparsity"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    f"training.{name}: expected 0 or more and below 1, "
                    f"found {getattr(self, name)}"
                )


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides a training run, except paths.

    Args:
        family: The model family, a key of ``tinypose.models.FAMILIES``.
        skeleton: A built-in skeleton's name or a YAML file's path.
        model: The family's own configuration.
        padding: How much larger than the person's box the crop is.
        augment: Random changes to the training samples.
        training: Optimiser, schedule and so on.
    """

    family: str = "tiny_hourglass"
    skeleton: str = "lsp"
    model: Any = None
    padding: float = BOX_PADDING
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        _check_choice("family", self.family, tuple(FAMILIES))
        if self.model is None:
            object.__setattr__(self, "model", FAMILIES[self.family].config_class())
        if self.padding < 1:
            raise UsageError(f"padding: expected at least 1, found {self.padding}")
        if self.training.first_sizes and not FAMILIES[self.family].resizable:
            raise UsageError(
                f"training.first_sizes: expected none for {self.family}, whose dense "
                "layers take pictures of one size, found "
                f"{[list(size) for size in self.training.first_sizes]}; remove them"
            )
        begin = 0
        for epochs, _, _ in self.training.first_sizes:
            self._model_at(begin)  # raises where the size does not fit
            begin += epochs

    def at_epoch(self, epoch: int) -> "Config":
        """Return the config with the size of pictures that an epoch has.

        Args:
            epoch: Counted from 0.
        """
        return dataclasses.replace(self, model=self._model_at(epoch))

    def _model_at(self, epoch: int) -> Any:
        end = 0
        own_height, own_width = self.model.input_hw
        for epochs, height, width in self.training.first_sizes:
            end += epochs
            if width * own_height != height * own_width:
                raise UsageError(
                    "training.first_sizes: expected the aspect ratio of "
                    f"model.input_hw, {own_height}x{own_width}, found {height}x{width}"
                )
            if epoch < end:
                try:
                    return dataclasses.replace(self.model, input_hw=(height, width))
                except ValueError as error:
                    raise UsageError(f"training.first_sizes: {error}") from error
        return self.model

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; ``from_dict`` gives an equal config back."""
        values: dict[str, Any] = _plain(dataclasses.asdict(self))
        return values

    @staticmethod
    def from_dict(value: Any, source: str = "configuration") -> "Config":
        """Build a config from plain values.

        Raises:
            UsageError: an unknown key (the nearest is named), a wrong type or
                a value out of range.
        """
        if not isinstance(value, Mapping):
            raise UsageError(
                f"{source}: expected keys and values, found {type(value).__name__}"
            )
        family = value.get("family", "tiny_hourglass")
        _check_choice(f"{source}: family", family, tuple(FAMILIES))
        classes = {"model": FAMILIES[family].config_class}
        try:
            config: Config = _build(Config, value, source, "", classes)
        except ValueError as error:
            raise UsageError(f"{source}: {error}") from error
        return config


def shipped_configs() -> dict[str, Path]:
    """Return the configurations that come along by name, sorted by name."""
    package = Path(__file__).parent
    # A wheel has them inside the package, a checkout beside its sources.
    installed, checkout = package / "configs", package.parents[1] / "configs"
    folder = installed if installed.is_dir() else checkout
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(name_or_path: str | Path) -> Path:
    """Return the file of a configuration, given its path or name.

    Args:
        name_or_path: A file, which wins if it exists; or the name of one of
            ``shipped_configs``, also as ``NAME.yaml`` or ``configs/NAME.yaml``.

    Raises:
        TinyposeError: there is no such configuration; names those that come along.
    """
    path, known = Path(name_or_path), shipped_configs()
    name = path.name.removesuffix(".yaml")
    may_be_name = str(path.parent) in (".", "configs")
    is_known = may_be_name and name in known
    if path.is_file() or (path.exists() and not is_known):
        return path
    if is_known:
        return known[name]
    raise TinyposeError(
        f"{path}: expected a training configuration, a YAML file or one of "
        f"{', '.join(known) or 'none here'}, found no such file"
        f"{did_you_mean(name, known) if may_be_name else ''}"
    )


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML config and apply ``dotted.key=value`` overrides.

    Raises:
        TinyposeError: the file is missing or not YAML.
        UsageError: a key or value does not fit; the nearest key is named.
    """
    value = read_yaml(path, "a training configuration")
    if not isinstance(value, dict):
        raise UsageError(
            f"{path}: expected keys and values, found {type(value).__name__}"
        )
    return apply_overrides(value, overrides, str(path))


def apply_overrides(
    value: dict[str, Any], overrides: Iterable[str], source: str
) -> Config:
    """Return the config of plain ``value`` after ``dotted.key=value`` changes."""
    import yaml

    value = copy.deepcopy(value)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise UsageError(
                f"--set: expected KEY=VALUE such as training.epochs=5, "
                f"found {override!r}"
            )
        *parents, last = key.split(".")
        node = value
        for parent in parents:
            if node.get(parent) is None:  # ``augment:`` with nothing below it
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise UsageError(f"--set {override}: {parent!r} holds no keys")
        try:
            node[last] = parse_yaml(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise UsageError(f"--set {override}: not a YAML value") from error
    return Config.from_dict(value, source)


def save_config(path: str | Path, config: Config) -> None:
    """Write the resolved config as YAML; it loads back equal."""
    import yaml

    from tinypose.files import write_text

    write_text(path, yaml.safe_dump(config.to_dict(), sort_keys=False))


def _build(
    cls: Any,
    value: Any,
    source: str,
    prefix: str,
    classes: Mapping[str, type] | None = None,
) -> Any:
    if not isinstance(value, Mapping):
        raise UsageError(
            f"{source}: expected keys under {prefix.rstrip('.')!r}, found {value!r}"
        )
    hints = typing.get_type_hints(cls)
    arguments = {}
    for key, item in value.items():
        if key not in hints:
            hint = did_you_mean(f"{prefix}{key}", [f"{prefix}{name}" for name in hints])
            raise UsageError(
                f"{source}: unknown key {prefix}{key}{hint} "
                f"(known here: {', '.join(hints)})"
            )
        kind = (classes or {}).get(key, hints[key])
        if dataclasses.is_dataclass(kind):
            if item is not None:
                arguments[key] = _build(kind, item, source, f"{prefix}{key}.")
        else:
            arguments[key] = _convert(kind, item, f"{source}: {prefix}{key}")
    return cls(**arguments)


def _convert(kind: Any, value: Any, where: str) -> Any:
    """Return ``value`` as ``kind``, allowing only what loses nothing."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(kind):
            return None
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
        return _convert(kind, value, where)
    if origin is tuple:
        kinds = typing.get_args(kind)
        if isinstance(value, (list, tuple)):
            if kinds[-1] is Ellipsis:
                kinds = (kinds[0],) * len(value)
            if len(value) == len(kinds):
                return tuple(
                    _convert(k, v, where) for k, v in zip(kinds, value, strict=True)
                )
        raise UsageError(f"{where}: expected {_describe(kind)}, found {value!r}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError as error:
            raise UsageError(
                f"{where}: expected a finite number, found one that is too large"
            ) from error
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 1e-3 (no dot) as text.
        with suppress(ValueError):
            value = float(value)
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where}: expected a finite number, found {value}")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UsageError(f"{where}: expected {kind.__name__}, found {value!r}")
    return value


def _describe(kind: Any) -> str:
    """Return how a type is written in a configuration: ``a list [int, int]``."""
    if typing.get_origin(kind) is not tuple:
        return str(kind.__name__)
    first, *others = typing.get_args(kind)
    if others == [Ellipsis]:
        return f"a list of {_describe(first)}"
    names = (_describe(each) for each in (first, *others))
    return f"a list [{', '.join(names)}]"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _check_choice(where: str, value: Any, choices: tuple[str, ...]) -> None:
    if value in choices:
        return
    hint = did_you_mean(str(value), choices)
    raise UsageError(
        f"{where}: expected one of {', '.join(choices)}, found {value!r}{hint}"
    )
