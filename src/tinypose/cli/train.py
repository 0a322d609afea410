"""``tinypose train``: a configuration and data in, a run folder out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tinypose.errors import TinyposeError, UsageError


def train(
    config: Annotated[
        Path | None,
        typer.Argument(help="Configuration, such as configs/tiny_hourglass.yaml."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Training data: NAME=PATH[:1-700]; may be repeated."),
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
        typer.Option(help="Start from the weights of this run folder or .keras file."),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE, such as training.epochs=5."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Use at most this many training samples.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, gpu, gpu:0 or gpu:0,1.")
    ] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing.")] = False,
) -> None:
    """Train a model on labelled photos, or resume a run.

    Example: tinypose train configs/tiny_hourglass.yaml --data lsp=LSP:1-700
    --val lsp=LSP:701-1000 --out runs/tiny
    """
    if (config is None) == (resume is None):
        raise UsageError("expected either a configuration file or --resume RUN")
    if resume is not None:
        _refuse({"--out": out, "--data": data, "--init": init, "--val": val})
        _run(_resumed(resume, override or []), device, quiet)
        return
    if out is None:
        raise UsageError("expected --out RUN, the run folder to make")
    if not data:
        raise UsageError("expected --data NAME=PATH, the training data")
    run = {
        "data": data,
        "validation": val or [],
        "limit": limit,
        "init": str(init) if init else None,
    }
    _run(_new(config, out, run, override or []), device, quiet)


def _refuse(options: dict[str, Any]) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(
            f"--resume goes on with the run's own data and folder; drop {given[0]}"
        )


def _new(config: Any, out: Path, run: dict[str, Any], override: list[str]) -> Any:
    from tinypose.config import load_config, save_config
    from tinypose.training.run_dir import RunDir

    resolved = load_config(config, override)
    run_dir = RunDir(out)
    job = _prepare(resolved, run_dir, run)
    run_dir.create({**run, "fingerprint": job["fingerprint"]})
    save_config(run_dir.config, resolved)
    return job


def _resumed(path: Path, override: list[str]) -> Any:
    from tinypose.config import load_config
    from tinypose.training.run_dir import RunDir

    run_dir = RunDir(path)
    run = run_dir.read_run()
    job = _prepare(load_config(run_dir.config, override), run_dir, run)
    if run.get("fingerprint") != job["fingerprint"]:
        raise TinyposeError(
            f"{path}: expected the data that the run was started with, found other "
            "samples or labels under the same names; start a new run"
        )
    return job


def _prepare(config: Any, run_dir: Any, run: dict[str, Any]) -> dict[str, Any]:
    """Read and check everything that needs no training library yet."""
    from tinypose.data.fingerprint import fingerprint
    from tinypose.data.sources import load_data
    from tinypose.skeletons import load_skeleton

    skeleton = load_skeleton(config.skeleton)
    if config.model.num_keypoints != skeleton.num_keypoints:
        raise UsageError(
            f"model.num_keypoints: expected {skeleton.num_keypoints}, as the "
            f"skeleton {skeleton.name!r} has, found {config.model.num_keypoints}"
        )
    training = load_data(run["data"], skeleton, run["limit"])
    validation = load_data(run["validation"], skeleton) if run["validation"] else []
    return {
        "config": config,
        "run_dir": run_dir,
        "run": run,
        "training": training,
        "validation": validation,
        "fingerprint": fingerprint([*training, *validation]),
    }


def _run(job: dict[str, Any], device: str, quiet: bool) -> None:
    from tinypose.cli.stopping import stop_requested
    from tinypose.inference.inputs import find_model
    from tinypose.training.device import choose_device
    from tinypose.training.display import Display
    from tinypose.training.train import TrainingJob, run_training

    config, run_dir, run = job["config"], job["run_dir"], job["run"]
    strategy = choose_device(device)
    with Display(quiet=quiet) as display, stop_requested() as should_stop:
        datasets = [
            _cache(config, samples, display) if samples else None
            for samples in (job["training"], job["validation"])
        ]
        training_job = TrainingJob(
            config=config,
            run_dir=run_dir,
            training=datasets[0],
            validation=datasets[1],
            training_data=tuple(_public_name(spec) for spec in run["data"]),
            initial=find_model(run["init"]) if run["init"] else None,
            should_stop=should_stop,
        )
        try:
            progress = run_training(training_job, display, strategy)
        except KeyboardInterrupt:
            display.line(
                f"interrupted, everything is saved; go on with  "
                f"tinypose train --resume {run_dir.path}"
            )
            raise
    if not quiet:
        best = f", best PCK@0.2 {progress.best:.1f} %" if progress.best else ""
        typer.echo(f"trained {progress.epoch} epochs{best}")
        typer.echo(f"model  {run_dir.best}\ncurve  {run_dir.curve}")


def _cache(config: Any, samples: list[Any], display: Any) -> Any:
    from tinypose.data.pipeline import CropDataset

    display.start("reading pictures", len(samples))
    dataset = CropDataset(
        samples,
        config.model.input_hw,
        padding=config.padding,
        progress=display.update,
    )
    text = f"{len(dataset)} people"
    if dataset.num_empty:
        text += f", {dataset.num_empty} without labels left out"
    if dataset.unreadable:
        text += (
            f", {len(dataset.unreadable)} with unreadable pictures left out "
            f"(the first: {dataset.unreadable[0]})"
        )
    display.line(text)
    return dataset


def _public_name(spec: str) -> str:
    """Return a data set's name and range, without the path."""
    from tinypose.data.sources import parse_spec

    parsed = parse_spec(spec)
    ranges = ",".join(f"{low}-{high}" for low, high in parsed.ranges)
    return f"{parsed.name} {ranges}".strip()
