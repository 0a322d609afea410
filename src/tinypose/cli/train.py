"""``tinypose train``: a configuration and data in, a run folder out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tinypose.cli.moved import (
    moved_record,
    require_same,
    require_same_teacher,
    require_there,
    weights_digest,
)
from tinypose.cli.quiet import load_keras_on
from tinypose.cli.training_options import Device, Limit, Quiet, Workers
from tinypose.errors import TinyposeError, UsageError

RESUMABLE = (
    "training.epochs",
    "training.validate_every",
    "training.checkpoint_seconds",
)
"""What ``--set`` may change in a run that goes on."""


def train(
    config: Annotated[
        Path | None,
        typer.Argument(help="Configuration, such as configs/small.yaml."),
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
        typer.Option(help="Learn from the heatmaps of such a model, too."),
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

    Example: tinypose train configs/small.yaml --data lsp=LSP:1-700
    --val lsp=LSP:701-1000 --out runs/mine
    """
    if (config is None) == (resume is None):
        raise UsageError("expected either a configuration file or --resume RUN")
    if resume is not None:
        _refuse({"--out": out, "--init": init, "--limit": limit})
        _check_changes(override or [])
        given = {
            "data": data,
            "validation": val,
            "teacher": _weights_name("--teacher", teacher) if teacher else None,
        }
        _run(_resumed(resume, device, override or [], given), quiet, workers)
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
        "init": _weights_name("--init", init) if init else None,
        "teacher": _weights_name("--teacher", teacher) if teacher else None,
    }
    _run(_new(config, out, device, record, override or [], workers), quiet, workers)


@dataclass(kw_only=True)
class _Request:
    """A run that is to be started or resumed.

    Args:
        config: The resolved configuration.
        run_dir: The run folder.
        record: What is written of the request into the run folder.
        training: The training people.
        validation: The validation people.
        is_new: Whether the run folder is still to be made.
        strategy: What ``choose_device`` gave, before any network was built.
    """

    config: Any
    run_dir: Any
    record: dict[str, Any]
    training: list[Any]
    validation: list[Any]
    is_new: bool
    strategy: Any


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


def start_run(folder: Path, record: dict[str, Any], device: str, quiet: bool) -> bool:
    """Train in a folder that holds a configuration, and a network, already.

    Returns:
        Whether the user asked to stop when all was done.
    """
    strategy = load_keras_on(device)
    from tinypose.config import load_config
    from tinypose.training.run_dir import RunDir

    run_dir = RunDir(folder)
    run_dir.require_new()
    config = load_config(run_dir.config)
    request = _read(config, run_dir.load_skeleton(config), run_dir, record, strategy)
    request.is_new = True
    return _run(request, quiet)


def continue_run(
    folder: Path, device: str, quiet: bool, given: dict[str, Any] | None = None
) -> bool:
    """Go on with a run, as ``--resume`` does; see ``start_run``.

    Args:
        folder: The run.
        device: What to train on.
        quiet: Print nothing.
        given: Where its data lie now; see ``moved_record``.
    """
    return _run(_resumed(folder, device, [], given), quiet)


def _new(
    config: Any,
    out: Path,
    device: str,
    record: dict[str, Any],
    override: list[str],
    num_workers: int,
) -> _Request:
    strategy = load_keras_on(device)
    from tinypose.config import load_config
    from tinypose.skeletons import load_skeleton
    from tinypose.training.run_dir import RunDir, is_own
    from tinypose.training.teacher import check_teacher, load_teacher

    run_dir = RunDir(out)
    run_dir.require_new()
    resolved = load_config(config, override)
    if resolved.training.imitate_int8 and not record["init"]:
        raise UsageError(
            "training.imitate_int8: expected --init RUN, trained weights to begin "
            "with: how far activations reach cannot be told from random ones"
        )
    skeleton = load_skeleton(resolved.skeleton)
    if record["teacher"]:
        # Said before pictures are read, not after. With processes, which are copied
        # after that, no network may be on the device until then.
        check = check_teacher if num_workers else load_teacher
        teacher = _weights_file(record["teacher"])
        check(teacher, resolved.at_epoch(0), skeleton)
        record = {**record, "teacher_sha256": weights_digest(teacher)}
    if is_own(resolved.skeleton):
        own = str(Path(resolved.skeleton).absolute())
        resolved = replace(resolved, skeleton=own)
    request = _read(resolved, skeleton, run_dir, record, strategy)
    request.is_new = True
    return request


def _resumed(
    path: Path, device: str, override: list[str], given: dict[str, Any] | None = None
) -> _Request:
    strategy = load_keras_on(device)
    from tinypose.config import load_config
    from tinypose.training.run_dir import RunDir

    run_dir = RunDir(path)
    record = moved_record(run_dir.read_run(), given or {})
    require_there(path, record)
    if record.get("teacher"):
        require_same_teacher(path, record, _weights_file(record["teacher"]))
    config = load_config(run_dir.config, override)
    _require_same_epochs(config, load_config(run_dir.config).training.epochs)
    request = _read(config, run_dir.load_skeleton(config), run_dir, record, strategy)
    samples = [*request.training, *request.validation]
    require_same(path, record["fingerprint"], samples)
    return request


def _require_same_epochs(config: Any, begun: int) -> None:
    """Check that phases, which share the epochs out, stay where they were.

    Args:
        config: Of the run that goes on.
        begun: The epochs that it was started with.

    Raises:
        UsageError: there are several phases and other epochs.
    """
    from tinypose.models import FAMILIES

    phases = FAMILIES[config.family].phases(config.model)
    if len(phases) > 1 and config.training.epochs != begun:
        raise UsageError(
            f"--set training.epochs={config.training.epochs}: expected {begun}, as the "
            f"run was started with: {', '.join(phase.name for phase in phases)} share "
            "them out; start a new run for more or fewer"
        )


def _read(
    config: Any, skeleton: Any, run_dir: Any, record: dict[str, Any], strategy: Any
) -> _Request:
    """Read the labels and check that all fits together."""
    from tinypose.data.fingerprint import training_fingerprint
    from tinypose.data.sources import load_data

    if config.model.num_keypoints != skeleton.num_keypoints:
        raise UsageError(
            f"model.num_keypoints: expected {skeleton.num_keypoints}, as the "
            f"skeleton {skeleton.name!r} has, found {config.model.num_keypoints}"
        )
    training = load_data(record["data"], skeleton, record["limit"])
    names = record["validation"]
    validation = load_data(names, skeleton) if names else []
    return _Request(
        config=config,
        run_dir=run_dir,
        record={
            **record,
            "fingerprint": training_fingerprint([*training, *validation]),
        },
        training=training,
        validation=validation,
        is_new=False,
        strategy=strategy,
    )


def _run(request: _Request, quiet: bool, num_workers: int = 0) -> bool:
    """Train to the end; return whether the user asked to stop when all was done."""
    from tinypose.cli.stopping import stop_requested
    from tinypose.config import save_config
    from tinypose.data.augment import NO_AUGMENT
    from tinypose.data.sources import describe_spec
    from tinypose.training.display import Display
    from tinypose.training.steps import SavedInterrupt
    from tinypose.training.train import TrainingJob, run_training

    config, run_dir, record = request.config, request.run_dir, request.record
    # A checkpoint holds the weights: those that the run began with may be gone.
    begun = run_dir.checkpoint.exists()
    initial = _weights_file(record["init"]) if record["init"] and not begun else None
    # Runs of before there were teachers do not name one.
    teacher = _weights_file(record["teacher"]) if record.get("teacher") else None
    with Display(quiet=quiet) as display, stop_requested(display.line) as should_stop:
        job = TrainingJob(
            config=config,
            run_dir=run_dir,
            training=_cache(
                config, request.training, config.augment, display, should_stop
            ),
            validation=(
                _cache(config, request.validation, NO_AUGMENT, display, should_stop)
                if request.validation
                else None
            ),
            training_data=tuple(
                # Listed twice, a set is seen twice as often; that is in the run folder.
                dict.fromkeys(describe_spec(spec) for spec in record["data"])
            ),
            initial=initial,
            teacher=teacher,
            num_workers=num_workers,
            should_stop=should_stop,
        )
        # Only now that everything has been read is there something to resume.
        left_out = [
            *job.training.unreadable,
            *(job.validation.unreadable if job.validation else []),
        ]
        if request.is_new:
            skeleton = job.training.skeleton
            run_dir.create({**record, "left_out": left_out}, config, skeleton)
        elif left_out != record["left_out"]:
            raise TinyposeError(
                f"{run_dir.path}: expected the same {len(record['left_out'])} "
                f"unreadable pictures as at the start, found {len(left_out)}; are "
                "all pictures still there, and where --data says?"
            )
        else:
            run_dir.remove_leftovers()
            run_dir.write_run(record)
            save_config(run_dir.config, config)
        try:
            progress = run_training(job, display, request.strategy)
        except KeyboardInterrupt as stop:
            saved = isinstance(stop, SavedInterrupt)
            display.line(
                f"interrupted, {'everything' if saved else 'the last checkpoint'} "
                f"is saved; go on with  tinypose train --resume {run_dir.path}"
            )
            raise
        stopped = should_stop()
    if not quiet:
        best = progress.best
        figure = "" if best is None else f", best PCK@0.2 {best:.1f} %"
        typer.echo(f"trained {progress.epoch} epochs{figure}")
        typer.echo(f"model  {run_dir.best}\ncurve  {run_dir.curve}")
    return stopped


def _weights_name(option: str, path: Path) -> str:
    """Return what an option names, good from any folder.

    Raises:
        UsageError: a shipped model without weights to start from.
    """
    from tinypose.weights import shipped, shipped_weights

    name = str(path)
    if name in shipped_weights():
        return name
    if name in shipped() or path.suffix.lower() == ".tflite":
        raise UsageError(
            f"{option} {name}: expected a run folder, a .keras or .npz file or a "
            f"shipped model with weights "
            f"({', '.join(shipped_weights()) or 'none here'}); a .tflite file holds "
            "no network to train with"
        )
    return str(path.absolute())


def _weights_file(name: str) -> Path:
    from tinypose.inference.inputs import find_model
    from tinypose.weights import shipped_weights

    return shipped_weights().get(name) or find_model(name)


def _cache(
    config: Any,
    samples: list[Any],
    augment: Any,
    display: Any,
    should_stop: Callable[[], bool],
) -> Any:
    from tinypose.data.pipeline import CropDataset

    def progress(done: int) -> None:
        display.update(done)
        if should_stop():
            raise KeyboardInterrupt

    display.start("reading pictures", len(samples))
    dataset = CropDataset(
        samples,
        config.model.input_hw,
        padding=config.padding,
        augment=augment,
        progress=progress,
    )
    text = f"{len(dataset)} people"
    labelled = {
        name
        for sample in dataset.samples
        for name, flag in zip(sample.skeleton.names, sample.visible, strict=True)
        if flag
    }
    never = [name for name in dataset.skeleton.names if name not in labelled]
    if never:
        text += f", nowhere labelled and masked: {', '.join(never)}"
    if dataset.num_empty:
        text += f", {dataset.num_empty} without labels left out"
    if dataset.unreadable:
        text += (
            f", {len(dataset.unreadable)} with unreadable pictures left out "
            f"(the first: {dataset.unreadable[0]})"
        )
    display.line(text)
    return dataset
