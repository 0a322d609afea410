"""``tinypose prune``: remove channels or weights from a trained run and train on."""

import re
from pathlib import Path
from typing import Annotated

import typer

from tinypose.cli.prune_job import PruneJob
from tinypose.cli.prune_record import training_record
from tinypose.cli.prune_target import Target
from tinypose.cli.quiet import load_keras_on
from tinypose.cli.train import weights_name
from tinypose.cli.training_options import Device, Limit, Quiet
from tinypose.errors import UsageError

UNITS = {
    "macs": {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9},
    "parameters": {"": 1.0, "K": 1e3, "M": 1e6},
    "size": {"B": 1.0, "KB": 1e3, "MB": 1e6},
    "latency": {"ms": 1.0, "s": 1e3},
    "sparsity": {"": 1.0, "%": 0.01},
}
"""What can be a target, and its units."""

EXAMPLES = "macs=50M, parameters=300K, size=200KB, latency=2ms or sparsity=80%"

NETWORK_KEYS = ("family", "skeleton", "model")
"""Of a configuration: what the network to be pruned was built from."""

DEFAULT_EPOCHS = 10
DEFAULT_ROUNDS = 3
DEFAULT_IMPORTANCE = "taylor"


def prune(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder of `tinypose train`."),
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="KIND=VALUE",
            help=f"{EXAMPLES}; size and latency are those of the int8 file here "
            "(deeppose_cascade and multi_resolution: dynamic), on one thread. For a "
            "sparsity, single weights become zero instead: the file packs into fewer "
            "bytes and is no faster.",
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
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="Learn from the heatmaps of a shipped model, run folder or file, too: "
            "RUN itself knows what is removed from it."
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Epochs of training after each round.",
            show_default=str(DEFAULT_EPOCHS),
        ),
    ] = None,
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
    load_keras_on(device)  # before the run's network is loaded
    from tinypose.cli.run_weights import find_weights
    from tinypose.compression.importance import METHODS

    if importance not in METHODS:
        raise UsageError(
            f"--importance: expected {', '.join(METHODS)}, found {importance!r}"
        )
    find_weights(run)  # says what is wrong with the folder
    teacher_name = weights_name("--teacher", teacher) if teacher else None
    changes = _changes(override or [], epochs)
    if goal.kind == "sparsity" and (rounds, importance) != (
        DEFAULT_ROUNDS,
        DEFAULT_IMPORTANCE,
    ):
        raise UsageError(
            "--rounds and --importance are for removing channels; a sparsity has "
            "neither"
        )
    PruneJob(
        run=run,
        out=out,
        target=goal,
        record=training_record(run, data, val, limit, teacher_name),
        given={"data": data, "validation": val, "teacher": teacher_name},
        changes=changes,
        rounds=rounds,
        importance=importance,
        device=device,
        quiet=quiet,
    ).do()


def _changes(override: list[str], epochs: int | None) -> list[str]:
    """Return the overrides, the number of epochs included.

    Raises:
        UsageError: it is given twice, or a change is of the network that is there.
    """
    for text in override:
        section = re.split(r"[.=]", text)[0]
        if section in NETWORK_KEYS:
            raise UsageError(
                f"--set {text}: expected {section} as the run has it; its channels are "
                "removed to meet --target, and anything else is for a new run"
            )
    given = [text for text in override if text.startswith("training.epochs=")]
    if given and epochs is not None:
        raise UsageError(
            f"expected either --epochs {epochs} or --set {given[-1]}, found both"
        )
    if not given:
        override = [*override, f"training.epochs={epochs or DEFAULT_EPOCHS}"]
    return override


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
