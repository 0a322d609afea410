"""``tinypose prune``: remove channels or weights from a trained run and train on."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinypose.cli.quiet import load_keras
from tinypose.cli.training_options import Device, Limit, Quiet
from tinypose.errors import UsageError

if TYPE_CHECKING:
    from tinypose.metadata import Metadata
    from tinypose.training.run_dir import RunDir

UNITS = {
    "macs": {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9},
    "parameters": {"": 1.0, "K": 1e3, "M": 1e6},
    "size": {"B": 1.0, "KB": 1e3, "MB": 1e6},
    "latency": {"ms": 1.0, "s": 1e3},
    "sparsity": {"": 1.0, "%": 0.01},
}
"""What can be a target, and its units."""

SAVES = {
    "macs": "macs",
    "latency": "macs",
    "parameters": "parameters",
    "size": "parameters",
}
"""What a channel has to save to go early, for each target."""

EXAMPLES = "macs=50M, parameters=300K, size=200KB, latency=2ms or sparsity=80%"

LEARNING_RATE = 0.3
"""Of the learning rate of the run that is pruned."""

REQUEST = "request.json"
"""What was asked for, in the folder that is made."""

REPORT = "prune.json"
DEFAULT_ROUNDS = 3
DEFAULT_IMPORTANCE = "taylor"


@dataclass(frozen=True)
class Target:
    """What the pruned network may cost.

    Args:
        kind: A key of ``UNITS``.
        value: In the smallest unit; milliseconds for ``latency``.
    """

    kind: str
    value: float


def prune(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder of `tinypose train`."),
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="KIND=VALUE",
            help=f"{EXAMPLES}; size and latency are those of the int8 file here, on "
            "one thread. For a sparsity, single weights become zero instead: the "
            "file packs into fewer bytes and is no faster.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Training data; repeatable.",
            show_default="the run's",
        ),
    ] = None,
    val: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="Validation data."),
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=1, help="Epochs of training after each round.")
    ] = 10,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds of removing channels and training.")
    ] = DEFAULT_ROUNDS,
    importance: Annotated[
        str, typer.Option(help="taylor, magnitude or batch_norm.")
    ] = DEFAULT_IMPORTANCE,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE, such as training.learning_rate=0.001."),
    ] = None,
    limit: Limit = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Remove the least important channels of a run until it costs little enough.

    After each round the smaller network is trained on, from 0.3 of the run's
    learning rate. For a sparsity, the smallest weights become zero over the first
    half of the epochs. Interrupted, the same command goes on where it was.

    Example:  tinypose prune runs/mine --target macs=50M --out runs/pruned
    """
    goal = parse_target(target)
    load_keras()
    from tinypose.cli.run_weights import find_weights
    from tinypose.compression.importance import METHODS
    from tinypose.files import write_json
    from tinypose.training.run_dir import RunDir

    if importance not in METHODS:
        raise UsageError(
            f"--importance: expected {', '.join(METHODS)}, found {importance!r}"
        )
    find_weights(run)  # says what is wrong with the folder
    record = _record(run, data, val, limit)
    changes = [*(override or []), f"training.epochs={epochs}"]
    if goal.kind == "sparsity" and (rounds, importance) != (
        DEFAULT_ROUNDS,
        DEFAULT_IMPORTANCE,
    ):
        raise UsageError(
            "--rounds and --importance are for removing channels; a sparsity has "
            "neither"
        )
    request = {
        "run": str(run.absolute()),
        "target": {goal.kind: goal.value},
        "data": record["data"],
        "limit": record["limit"],
        "rounds": rounds,
        "importance": importance,
        "set": changes,
    }
    _check_folder(run, out, request)
    if goal.kind == "sparsity":
        if not RunDir(out).network.exists():
            _make_sparse(run, out, goal.value, changes, request)
        _train(out, record, device, quiet)
        return
    measure = measurer(goal)
    source, start = run, 0.0
    for number in range(1, rounds + 1):
        folder = out if number == rounds else out / f"round_{number}"
        if not RunDir(folder).network.exists():
            start = start or _starting_cost(run, goal, measure)
            # Each round takes the same share of what the last one left.
            step = Target(goal.kind, start * (goal.value / start) ** (number / rounds))
            if number == 1:
                write_json(out / REQUEST, request)
            factor = LEARNING_RATE if number == 1 else 1.0
            _make(
                *(source, folder, step, record, changes, factor),
                *(importance, measure, quiet),
            )
        _train(folder, record, device, quiet)
        source = folder


def parse_target(text: str) -> Target:
    """Return what ``KIND=VALUE`` says.

    Raises:
        UsageError: it says nothing of the kind.
    """
    kind, _, amount = text.partition("=")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*|%)", amount.strip())
    units = {unit.lower(): factor for unit, factor in UNITS.get(kind, {}).items()}
    if match is None or match[2].lower() not in units or not float(match[1]) > 0:
        raise UsageError(f"--target: expected {EXAMPLES}, found {text!r}")
    target = Target(kind, float(match[1]) * units[match[2].lower()])
    if kind == "sparsity" and not target.value < 1:
        raise UsageError(f"--target: expected a sparsity below 100%, found {text!r}")
    return target


def measurer(target: Target) -> "Callable[[Any, Metadata], float]":
    """Return what measures a network with its metadata in the target's unit."""
    from tinypose.models.cost import count_macs, count_parameters

    if target.kind == "macs":
        return lambda net, metadata: float(count_macs(net))
    if target.kind == "parameters":
        return lambda net, metadata: float(count_parameters(net))

    def measure(net: Any, metadata: "Metadata") -> float:
        from tinypose.export.tflite import export_tflite
        from tinypose.export.wrapper import noise_crops
        from tinypose.inference.footprint import latency

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            # Ranges change neither size nor time: noise will do.
            crops = noise_crops(metadata, 2)
            export_tflite(net, metadata, path, precision="int8", calibration=crops)
            if target.kind == "size":
                return float(path.stat().st_size)
            return latency(path)

    return measure


def _check_folder(run: Path, out: Path, request: dict[str, Any]) -> None:
    """Check that nothing but the same request has been begun in a folder.

    Raises:
        UsageError: another run is there, or other things were asked for.
    """
    from tinypose.files import read_json
    from tinypose.training.run_dir import RunDir

    if out.resolve() == run.resolve():
        raise UsageError(f"--out {out}: expected another folder than the run's own")
    if not (out / REQUEST).exists():
        if RunDir(out).config.exists():
            raise UsageError(
                f"--out {out}: expected a new folder, found a run that this command "
                "did not make"
            )
        return
    before = read_json(out / REQUEST, "what was asked of tinypose prune")
    for key, value in request.items():
        if before.get(key) != value:
            raise UsageError(
                f"--out {out}: expected the same request as it was begun with "
                f"({key}: {before.get(key)}), found {value}; choose another folder"
            )


def _starting_cost(
    run: Path, goal: Target, measure: "Callable[[Any, Metadata], float]"
) -> float:
    """Return what the run's network costs.

    Raises:
        UsageError: it costs no more than the target already.
    """
    cost = measure(*_network(run))
    if cost <= goal.value:
        raise UsageError(
            f"--target {goal.kind}: expected less than {run} has, {cost:,.4g}, found "
            f"{goal.value:,.4g}"
        )
    return cost


def _record(
    run: Path, data: list[str] | None, val: list[str] | None, limit: int | None
) -> dict[str, Any]:
    """Return what the pruned run trains on."""
    from tinypose.data.sources import absolute_spec
    from tinypose.training.run_dir import RunDir

    before: dict[str, Any] = {"data": [], "validation": [], "limit": None}
    if RunDir(run).run.exists():
        before = RunDir(run).read_run()
    record = {
        "data": [absolute_spec(spec) for spec in data or before["data"]],
        "validation": [absolute_spec(spec) for spec in val or before["validation"]],
        "limit": limit or before["limit"],
        "init": None,
    }
    if not record["data"]:
        raise UsageError(f"{run}: expected --data NAME=PATH, the training data")
    return record


def _network(run: Path) -> "tuple[Any, Metadata]":
    from tinypose.cli.run_weights import find_weights
    from tinypose.export.wrapper import load_net

    return load_net(find_weights(run))


def _make(
    source: Path,
    folder: Path,
    target: Target,
    record: dict[str, Any],
    changes: list[str],
    factor: float,
    importance: str,
    measure: "Callable[[Any, Metadata], float]",
    quiet: bool,
) -> None:
    """Prune a run's network and write what the next run starts with.

    Args:
        source: The run.
        folder: Of the next run.
        target: What the network may cost.
        record: What is trained on.
        changes: Overrides of the configuration.
        factor: Of the run's learning rate.
        importance: How channels are weighed.
        measure: Measures a network in the target's unit.
        quiet: Print nothing.
    """
    from tinypose.compression.pruning import shrink_to
    from tinypose.config import save_config
    from tinypose.data.pipeline import CropDataset
    from tinypose.data.selection import spread_evenly
    from tinypose.data.sources import load_data
    from tinypose.files import write_json
    from tinypose.models.cost import count_macs, count_parameters
    from tinypose.skeletons import load_skeleton
    from tinypose.training.pruning import NUM_PICTURES, weigh_channels
    from tinypose.training.run_dir import RunDir

    net, metadata = _network(source)
    config = _config_after(source, metadata, changes, factor)
    people = load_data(record["data"], load_skeleton(config.skeleton))
    # Of all data sets, not of the first alone.
    chosen = [people[index] for index in spread_evenly(len(people), NUM_PICTURES)]
    dataset = CropDataset(chosen, config.model.input_hw, padding=config.padding)
    scores = weigh_channels(net, config, dataset, importance)
    pruned = shrink_to(
        net,
        scores,
        lambda smaller: measure(smaller, metadata),
        target.value,
        cost=SAVES[target.kind],
    )
    run_dir = RunDir(folder)
    save_config(run_dir.config, config)
    report = {
        "source": str(source.absolute()),
        "target": {target.kind: target.value},
        "reached": pruned.value,
        "macs": [count_macs(net), count_macs(pruned.net)],
        "parameters": [count_parameters(net), count_parameters(pruned.net)],
        "kept": {name: len(kept) for name, kept in pruned.keep.items()},
    }
    write_json(folder / REPORT, report)
    _save_network(run_dir, pruned.net, metadata)
    if not quiet:
        (macs, fewer), (parameters, less) = report["macs"], report["parameters"]
        typer.echo(
            f"{folder}: {macs / 1e6:.1f} -> {fewer / 1e6:.1f} million "
            f"multiply-accumulates, {parameters:,} -> {less:,} parameters"
        )


def _make_sparse(
    source: Path,
    folder: Path,
    sparsity: float,
    changes: list[str],
    request: dict[str, Any],
) -> None:
    """Write what a run that sets weights to zero starts with."""
    from tinypose.config import save_config
    from tinypose.files import write_json
    from tinypose.training.run_dir import RunDir

    net, metadata = _network(source)
    changes = [f"training.sparsity={sparsity}", *changes]
    run_dir = RunDir(folder)
    config = _config_after(source, metadata, changes, LEARNING_RATE)
    write_json(folder / REQUEST, request)
    save_config(run_dir.config, config)
    _save_network(run_dir, net, metadata)


def _config_after(
    source: Path, metadata: "Metadata", changes: list[str], factor: float
) -> Any:
    """Return the configuration of the training that follows."""
    from tinypose.config import apply_overrides

    values = dict(metadata.config)
    rate = factor * values["training"]["learning_rate"]
    first = [
        "training.first_sizes=[]",
        "training.sparsity=0",
        f"training.learning_rate={rate}",
    ]
    return apply_overrides(values, [*first, *changes], str(source))


def _save_network(run_dir: "RunDir", net: Any, metadata: "Metadata") -> None:
    """Write what a training starts with; its presence says that it has begun."""
    from tinypose.files import atomic_path
    from tinypose.metadata import write_metadata

    with atomic_path(run_dir.network) as temporary:
        net.save(temporary)
        write_metadata(temporary, replace(metadata, accuracy={}, receipt={}))


def _train(folder: Path, record: dict[str, Any], device: str, quiet: bool) -> None:
    """Train a pruned network, from where it stands."""
    from tinypose.cli.train import continue_run, start_run
    from tinypose.config import load_config
    from tinypose.training.run_dir import RunDir

    run_dir = RunDir(folder)
    if not run_dir.run.exists():
        start_run(folder, record, device, quiet)
        return
    loaded = run_dir.load_checkpoint()
    epochs = load_config(run_dir.config).training.epochs
    if loaded is None or loaded[1].epoch < epochs:
        continue_run(folder, device, quiet)
    elif not quiet:
        typer.echo(f"{folder}: trained already")
