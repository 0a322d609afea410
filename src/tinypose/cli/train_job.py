"""What ``tinypose train`` does once its options are understood."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from tinypose.cli.moved import (
    moved_record,
    require_same,
    require_same_left_out,
    require_same_teacher,
    require_there,
)
from tinypose.cli.quiet import load_keras_on
from tinypose.errors import UsageError
from tinypose.files import file_sha256


@dataclass(kw_only=True)
class Request:
    """A run that is to be started or resumed.

    Args:
        config: The resolved configuration.
        run_dir: The run folder.
        record: What is written of the request into the run folder.
        training: The training people.
        validation: The validation people.
        is_new: Whether the run folder is still to be made.
        strategy: What ``choose_device`` gave, before any network was built.
        network: File of the pruned network that a new run trains on, if it does.
        device: What the user wants it trained on.
    """

    config: Any
    run_dir: Any
    record: dict[str, Any]
    training: list[Any]
    validation: list[Any]
    is_new: bool
    strategy: Any
    network: Path | None = None
    device: str = "auto"


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
    return run_request(request, quiet)


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
    return run_request(resumed_request(folder, device, [], given), quiet)


def new_request(
    config: Any,
    out: Path,
    device: str,
    record: dict[str, Any],
    override: list[str],
    num_workers: int,
) -> Request:
    """Read what a new run needs, and check that all fits together.

    Args:
        config: The configuration's file or name; see ``find_config``.
        out: The run folder to make.
        device: What to train on; see ``choose_device``.
        record: What is written of the request into the run folder.
        override: ``KEY=VALUE`` of ``--set``.
        num_workers: Processes that will prepare batches.

    Raises:
        TinyposeError: the folder is a run's, or configuration, skeleton, data and
            weights do not fit together.
    """
    strategy = load_keras_on(device)
    from tinypose.config import find_config, load_config
    from tinypose.models import FAMILIES
    from tinypose.skeletons import load_skeleton
    from tinypose.training.pruned import pruned_network
    from tinypose.training.run_dir import RunDir, is_own
    from tinypose.training.teacher import (
        check_at_all_sizes,
        check_teacher,
        load_teacher,
    )

    run_dir = RunDir(out)
    run_dir.require_new()
    if run_dir.network.exists():
        raise UsageError(
            f"{out}: expected a new folder, found a pruned network that is not trained "
            "yet; choose another --out"
        )
    config_file = find_config(config)
    resolved = load_config(config_file, override)
    begun = RunDir(config_file.parent)
    is_chosen = any(text.startswith("skeleton=") for text in override)
    has_copy = config_file == begun.config and begun.skeleton.exists()
    if has_copy and is_own(resolved.skeleton) and not is_chosen:
        # Where that run's own skeleton was may be another machine.
        resolved = replace(resolved, skeleton=str(begun.skeleton))
    run_dir.require_other(config_file)
    if is_own(resolved.skeleton):
        run_dir.require_other(Path(resolved.skeleton))
    if resolved.training.imitate_int8 and not record["init"]:
        raise UsageError(
            "training.imitate_int8: expected --init RUN, trained weights to begin "
            "with: how far activations reach cannot be told from random ones"
        )
    phases = FAMILIES[resolved.family].phases(resolved.model)
    if resolved.training.sparsity and len(phases) > 1 and not record["init"]:
        raise UsageError(
            f"training.sparsity: expected --init RUN: the stages of {resolved.family} "
            "are trained one by one, and weights would be chosen of stages that have "
            "not learned anything"
        )
    skeleton = load_skeleton(resolved.skeleton)
    network = None
    if record["init"]:
        first = weights_file(record["init"])
        may_build = not num_workers
        network = pruned_network(first, resolved, skeleton, may_build=may_build)
    if record["teacher"]:
        # Said before pictures are read, not after. With processes, which are copied
        # after that, no network may be on the device until then.
        check = check_teacher if num_workers else load_teacher
        teacher = weights_file(record["teacher"])
        check_at_all_sizes(teacher, resolved, skeleton, check)
        record = {**record, "teacher_sha256": file_sha256(teacher)}
    made_from = [name for name in (record["init"], record["teacher"]) if name]
    record = {**record, "origins": _origins(map(weights_file, made_from))}
    if is_own(resolved.skeleton):
        own = str(Path(resolved.skeleton).absolute())
        resolved = replace(resolved, skeleton=own)
    request = _read(resolved, skeleton, run_dir, record, strategy)
    request.is_new = True
    request.network = network
    request.device = device
    return request


def resumed_request(
    path: Path, device: str, override: list[str], given: dict[str, Any] | None = None
) -> Request:
    """Read what a run that goes on needs; see ``new_request``.

    Args:
        path: The run folder.
        device: What to train on.
        override: ``KEY=VALUE`` of ``--set``.
        given: Where its data lie now; see ``moved_record``.

    Raises:
        TinyposeError: the folder is no run, or its data have changed or moved.
    """
    strategy = load_keras_on(device)
    from tinypose.config import load_config
    from tinypose.training.run_dir import RunDir

    run_dir = RunDir(path)
    record = moved_record(run_dir.read_run(), given or {})
    require_there(path, record)
    if record.get("teacher"):
        require_same_teacher(path, record, weights_file(record["teacher"]))
    config = load_config(run_dir.config, override)
    _require_same_epochs(config, load_config(run_dir.config).training.epochs)
    request = _read(config, run_dir.load_skeleton(config), run_dir, record, strategy)
    samples = [*request.training, *request.validation]
    require_same(path, record["fingerprint"], samples)
    request.device = device
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
) -> Request:
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
    return Request(
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


def run_request(request: Request, quiet: bool, num_workers: int = 0) -> bool:
    """Train to the end; return whether the user asked to stop when all was done."""
    from tinypose.cli.stopping import stop_requested
    from tinypose.config import save_config
    from tinypose.data.advice import step_advice, training_advice
    from tinypose.data.augment import NO_AUGMENT
    from tinypose.data.sources import describe_spec
    from tinypose.origin import Origin
    from tinypose.training.display import Display
    from tinypose.training.job import TrainingJob
    from tinypose.training.steps import SavedInterrupt
    from tinypose.training.train import run_training

    config, run_dir, record = request.config, request.run_dir, request.record
    # The weights that the run began with may be gone: a checkpoint has others, and
    # a pruned network its own.
    network = request.network
    begun = run_dir.checkpoint.exists() or bool(network) or run_dir.network.exists()
    initial = weights_file(record["init"]) if record["init"] and not begun else None
    # Runs of before there were teachers do not name one.
    teacher = weights_file(record["teacher"]) if record.get("teacher") else None
    often = config.augment.flip_probability
    with Display(quiet=quiet) as display, stop_requested(display.line) as should_stop:
        for text in training_advice(request.training, request.validation, often):
            display.line(f"warning: {text}")
        if network:
            display.line(f"the pruned network of {network} is trained on as it is")
        zeros = _zeros_of(network or initial)
        if zeros > config.training.sparsity:
            display.line(
                f"warning: {zeros:.0%} of the weights are zero at first and will not "
                f"stay so; --set training.sparsity={zeros:g} keeps as many"
            )
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
            # Runs of before origins were kept name none.
            origins=tuple(map(Origin.from_dict, record.get("origins", []))),
            initial=initial,
            teacher=teacher,
            num_workers=num_workers,
            should_stop=should_stop,
        )
        batch_size, epochs = config.training.batch_size, config.training.epochs
        if advice := step_advice(len(job.training), batch_size, epochs):
            display.line(f"warning: {advice}")
        # Only now that everything has been read is there something to resume.
        cached = [job.training, *([job.validation] if job.validation else [])]
        left_out = [name for people in cached for name in people.unreadable]
        beside = [name for people in cached for name in people.beside]
        began = {**record, "left_out": left_out}
        if request.is_new:
            run_dir.create(began, config, job.training.skeleton, network)
        else:
            require_same_left_out(run_dir.path, record["left_out"], left_out, beside)
            run_dir.remove_leftovers()
            run_dir.write_run(began)
            save_config(run_dir.config, config)
        try:
            progress = run_training(job, display, request.strategy)
        except KeyboardInterrupt as stop:
            saved = isinstance(stop, SavedInterrupt)
            display.line(
                f"interrupted, {'everything' if saved else 'the last checkpoint'} "
                f"is saved; go on with  tinypose train --resume {run_dir.path}"
                + (f" --workers {num_workers}" if num_workers else "")
                + (f" --device {request.device}" if request.device != "auto" else "")
            )
            raise
        stopped = should_stop()
    if not quiet:
        best = progress.best
        figure = "" if best is None else f", best {progress.figure} {best:.1f} %"
        typer.echo(f"trained {progress.epoch} epochs{figure}")
        typer.echo(f"model  {run_dir.best}\ncurve  {run_dir.curve}")
    return stopped


def _origins(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Return what a run's record says about the models that it is made from."""
    from tinypose.training.initial import read_origins

    return [origin.to_dict() for origin in read_origins(files)]


def weights_file(name: str) -> Path:
    """Return the file of weights that ``train.weights_name`` gave the name of."""
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
    from tinypose.data.advice import size_advice
    from tinypose.data.crops import MAX_CACHE_BYTES, CropDataset

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
    unknown = dict.fromkeys(
        name
        for own in {s.labelled_skeleton for s in dataset.samples if s.labelled_skeleton}
        for place, name in enumerate(own.names)
        if place not in own.mapping_to(dataset.skeleton)
    )
    if unknown:
        text += f", not in the skeleton and left out: {', '.join(unknown)}"
    if dataset.num_empty:
        text += f", {dataset.num_empty} without labels left out"
    if dataset.unreadable:
        text += (
            f", {len(dataset.unreadable)} with unreadable pictures or boxes beside "
            f"them left out (the first: {dataset.unreadable[0]})"
        )
    display.line(text)
    if advice := size_advice(dataset.other_size):
        display.line(f"warning: {advice}")
    if dataset.num_uncached:
        display.line(
            f"warning: {dataset.num_uncached} of them do not fit into "
            f"{MAX_CACHE_BYTES / 1024**3:.0f} GiB of memory, and their pictures are "
            "read at every use: smaller pictures, of 1000 pixels or so, train faster"
        )
    return dataset


def _zeros_of(file: Path | None) -> float:
    """Return the share of zeros that a file's network was trained for."""
    from tinypose.metadata import carries_metadata, read_metadata

    if file is None or not carries_metadata(file):
        return 0.0
    training = read_metadata(file).config.get("training", {})
    return float(training.get("sparsity", 0.0))
