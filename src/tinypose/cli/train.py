"""``tinypose train``: a configuration and data in, a run folder out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tinypose.cli.train_job import new_request, resumed_request, run_request
from tinypose.cli.training_options import Device, Limit, Quiet, Workers
from tinypose.errors import UsageError

RESUMABLE = (
    "training.epochs",
    "training.validate_every",
    "training.checkpoint_seconds",
)
"""What ``--set`` may change in a run that goes on."""


def train(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG",
            help="Configuration: a YAML file, or one that comes along, such as "
            "small_finetune.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Training data: NAME=PATH[:1-700]; may be repeated. With --resume, "
            "where the run's own lies now; --val and --teacher likewise."
        ),
    ] = None,
    val: Annotated[
        list[str] | None,
        typer.Option(help="Validation data, scored after each epoch."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Run folder to go on with.")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Start from the weights of a shipped model, run folder or file."
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="Learn from the heatmaps of such a model, too; it sees each crop at "
            "its own size."
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE, such as training.epochs=5."),
    ] = None,
    limit: Limit = None,
    device: Device = "auto",
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Train a model on labelled photos, or resume a run.

    Example: tinypose train small_finetune --init small --data coco=train.json
    --val coco=held_out.json --out runs/mine
    """
    if (config is None) == (resume is None):
        raise UsageError("expected either a configuration file or --resume RUN")
    if resume is not None:
        _refuse({"--out": out, "--init": init, "--limit": limit})
        _check_changes(override or [])
        given = {
            "data": data,
            "validation": val,
            "teacher": weights_name("--teacher", teacher) if teacher else None,
        }
        run_request(
            resumed_request(resume, device, override or [], given), quiet, workers
        )
        return
    if out is None or out == Path():  # an unset variable of the shell's
        raise UsageError("expected --out RUN, the run folder to make")
    if not data:
        raise UsageError("expected --data NAME=PATH, the training data")
    from tinypose.data.sources import absolute_spec

    record = {
        "data": [absolute_spec(spec) for spec in data],
        "validation": [absolute_spec(spec) for spec in val or []],
        "limit": limit,
        "init": weights_name("--init", init) if init else None,
        "teacher": weights_name("--teacher", teacher) if teacher else None,
    }
    request = new_request(config, out, device, record, override or [], workers)
    run_request(request, quiet, workers)


def _refuse(options: dict[str, Any]) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(
            f"--resume goes on with the run's own people and folder; drop {given[0]}"
        )


def _check_changes(override: list[str]) -> None:
    """Let a resumed run change only what leaves its steps as they were counted."""
    for change in override:
        key = change.partition("=")[0]
        if key not in RESUMABLE:
            raise UsageError(
                f"--set {change}: a resumed run may only change "
                f"{', '.join(RESUMABLE)}; start a new run for anything else"
            )


def weights_name(option: str, path: Path) -> str:
    """Return what an option names, good from any folder.

    Raises:
        UsageError: a shipped model without weights to start from.
    """
    from tinypose.weights import is_shipped, shipped_weights

    name, name_is_shipped = str(path), is_shipped(path)
    if name_is_shipped and name in shipped_weights():
        return name
    if name_is_shipped or path.suffix.lower() == ".tflite":
        raise UsageError(
            f"{option} {name}: expected a run folder, a .keras or .npz file or a "
            f"shipped model with weights "
            f"({', '.join(shipped_weights()) or 'none here'}); a .tflite file holds "
            "no network to train with"
        )
    return str(path.absolute())
