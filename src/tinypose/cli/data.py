"""``tinypose data``: check labelled data, look at it, clean it and split it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinypose.cli.console import progress_bar
from tinypose.cli.data_options import (
    DataOption,
    Limit,
    Specs,
    check_labels_out,
    count_skipped,
    join_specs,
    labels_folder,
    require_one_skeleton,
    require_specs,
)
from tinypose.cli.data_split import split
from tinypose.cli.run_weights import model_stem
from tinypose.errors import TinyposeError, UsageError
from tinypose.files import printable, require_writable

if TYPE_CHECKING:
    from tinypose.data.check import CheckReport
    from tinypose.data.sample import Sample
    from tinypose.data.show import CropView
    from tinypose.data.teachers import Teacher
    from tinypose.inference.predictor import Predictor
    from tinypose.skeletons import Skeleton

app = typer.Typer(no_args_is_help=True)


@app.command()
def check(
    specs: Specs = None,
    data: DataOption = None,
    limit: Limit = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write check.json, index.html and the worst of each kind here.",
            metavar="DIR",
        ),
    ] = None,
) -> None:
    """Report what is wrong, or looks wrong, with labelled data.

    Facts: missing and damaged pictures, empty people, copies. Suspicions, to
    be looked at: left and right swapped, limbs too long, nearly equal pictures.
    Exit code 1 when training could not start with this data.

    Example:  tinypose data check lsp=data/lsp --out check
    """
    chosen = require_specs(specs, data)
    if out is not None:
        require_writable(out / "index.html")

    from tinypose.data.check import check_samples
    from tinypose.data.sources import load_data

    samples = load_data(chosen, limit=limit)
    with progress_bar("checking", len(samples)) as progress:
        report = check_samples(
            samples, skipped=count_skipped(chosen), progress=progress
        )
    _print_report(report)
    if out is not None:
        from tinypose.data.show import write_check

        page = write_check(out, report, samples)[0]
        typer.echo(printable(f"look at: {page}"))
    for blocker in report.blockers:
        typer.echo(f"training cannot start: {blocker}", err=True)
    if report.blockers:
        raise typer.Exit(1)


@app.command()
def show(
    out: Annotated[Path, typer.Option(help="Folder of the pictures.", metavar="DIR")],
    specs: Specs = None,
    data: DataOption = None,
    limit: Limit = None,
    count: Annotated[int, typer.Option(min=1, help="How many people.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Another one, other people.")] = 0,
    config: Annotated[
        Path | None,
        typer.Option(help="Training configuration: crop, augmentation, heatmaps."),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of it, such as skeleton=coco."),
    ] = None,
) -> None:
    """Draw labelled people before and after augmentation, with true heatmaps.

    Example:  tinypose data show lsp=data/lsp --out look
    """
    chosen = require_specs(specs, data)
    if override and config is None:
        raise UsageError(
            f"--set {override[0]}: expected --config with the training's configuration"
        )
    require_writable(out / "labels.jpg")

    from tinypose.data.show import choose_samples, show_samples
    from tinypose.data.sources import load_data
    from tinypose.skeletons import load_skeleton

    view, skeleton = _crop_view(config, override or [], seed)
    target = load_skeleton(skeleton) if skeleton else None
    samples = load_data(chosen, skeleton=target, limit=limit)
    labelled = [sample for sample in samples if (sample.visible > 0).any()]
    picked = choose_samples(labelled or samples, count, seed)
    files, reasons = show_samples(out, picked, view)
    for reason in reasons:
        typer.echo(printable(f"left out: {reason}"), err=True)
    for path in files:
        typer.echo(printable(f"look at: {path}"))


@app.command()
def clean(
    out: Annotated[Path, typer.Option(help="COCO-style JSON to write.")],
    specs: Specs = None,
    data: DataOption = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="What other models say: an .npz with an array (people, keypoints, "
            "x y ...) per model.",
            metavar="FILE",
        ),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="A shipped model, run folder or file that has a say, too; repeatable.",
            metavar="MODEL",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Without labelled data: the pictures that the predictions name. "
            "With judges alone, who find one person in each by themselves: all "
            "right in this folder.",
            metavar="DIR",
        ),
    ] = None,
    skeleton: Annotated[
        str, typer.Option(help="Of the predictions, without labelled data.")
    ] = "lsp",
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            help="TEACHER:KEYPOINT that means another point; repeatable.",
            metavar="TEACHER:KEYPOINT",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Same place, in torso lengths.")
    ] = 0.2,
    report: Annotated[
        Path | None,
        typer.Option(help="Write pictures before and after here.", metavar="DIR"),
    ] = None,
) -> None:
    """Fix, fill and weigh labels with what models say about the people.

    Where models agree with each other, they confirm a label, replace an
    outlier or fill a gap; where they do not, the label stays. Without labelled
    data, pictures are labelled by the models alone: in the boxes that the
    predictions name, or, with judges alone, one person a picture. The result
    trains like any other data. A model of your own helps, too, as one judge among
    others.

    Example:  tinypose data clean lspet=data/lspet --predictions teachers.npz
    --judge medium --out lspet_clean.json
    """
    from tinypose.data.clean import clean_samples
    from tinypose.data.clean_report import REPORT_NAME, summary, write_clean_report
    from tinypose.data.coco_writer import write_coco
    from tinypose.data.teachers import (
        ignore_keypoints,
        match_rows,
        parse_ignored,
        read_predictions,
        unlabelled_samples,
    )
    from tinypose.evaluation.found_people import (
        found_boxes,
        keep_agreed,
        picture_samples,
    )

    chosen = join_specs(specs, data)
    check_labels_out(out, chosen)
    if predictions is None and not judge:
        raise UsageError(
            "expected --predictions FILE, --judge MODEL or both, found neither"
        )
    for path in (out, *([report / REPORT_NAME] if report else [])):
        require_writable(path)
    labelled, target = _labelled(chosen, images, skeleton)
    said = read_predictions(predictions, target) if predictions else None
    judges = _open_judges(judge or [])
    names = [teacher.name for teacher in said.teachers] if said else []
    names += [name for name, _ in judges]
    _expect_distinct(names)
    if len(names) < 2:
        raise UsageError(
            "expected two teachers or more, who can agree, found "
            f"{names[0]} alone; add one with --judge MODEL"
        )
    ignored = parse_ignored(ignore or [], names, target)
    # Without labels and boxes, the judges must find the people.
    is_search = not labelled and said is None
    if said is not None:
        samples = labelled or unlabelled_samples(said, images or Path(), target)
    else:
        samples = labelled or picture_samples(images or Path(), target)
    folder = images or labels_folder(samples, out)
    told = match_rows(said, samples) if said else ()
    teachers = (*told, *_ask(judges, samples, is_search))
    samples = found_boxes(samples, teachers) if is_search else samples
    teachers = ignore_keypoints(teachers, ignored)
    with progress_bar("cleaning", len(samples)) as progress:
        cleaned = clean_samples(
            samples, teachers, tolerance=tolerance, progress=progress
        )
    if is_search:
        cleaned = keep_agreed(cleaned, teachers)
        typer.echo(
            f"one person in each of {len(cleaned)} pictures, of {len(samples)}; in the "
            "others the judges do not see the same one"
        )
    write_coco(out, [person.after for person in cleaned], folder)
    for line in summary(cleaned):
        typer.echo(line)
    typer.echo(printable(f"train with  --data coco={out},images={folder}"))
    if report is not None:
        picture = write_clean_report(report, cleaned)
        typer.echo(printable(f"look at: {picture}"))


app.command()(split)


def _open_judges(models: Sequence[str]) -> "list[tuple[str, Predictor]]":
    """Return the models, each after the name that ``--ignore`` has for it."""
    from tinypose.inference.predictor import Predictor

    named = [(model_stem(model), model) for model in models]
    return [(name, Predictor(model, flip_test=True)) for name, model in named]


def _expect_distinct(names: Sequence[str]) -> None:
    """Raise a UsageError if two teachers have the same name."""
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"--judge: expected judges and teachers of different names, found "
                f"{name!r} twice; rename a file"
            )


def _ask(
    judges: "Sequence[tuple[str, Predictor]]",
    samples: "Sequence[Sample]",
    is_search: bool,
) -> "list[Teacher]":
    """Return what the judges say about the people.

    Args:
        judges: The models, by name.
        samples: The people.
        is_search: Whether the judges must find them, without boxes.
    """
    from tinypose.evaluation.found_people import SearchingPredictor
    from tinypose.evaluation.people import judge_people

    said = []
    for name, model in judges:
        judge = SearchingPredictor(model) if is_search else model
        with progress_bar(f"asking {name}", len(samples)) as progress:
            said.append(judge_people(judge, samples, name=name, progress=progress))
    return said


def _labelled(
    specs: list[str], images: Path | None, skeleton: str
) -> "tuple[list[Sample], Skeleton]":
    """Return the labelled people, if there are any, and their skeleton."""
    from tinypose.data.sources import load_data
    from tinypose.skeletons import load_skeleton

    if bool(specs) == (images is not None):
        raise UsageError(
            "expected either labelled data such as lspet=PATH or --images DIR with "
            "the pictures to label"
        )
    if images is not None:
        if not os.path.isdir(images):
            raise TinyposeError(
                f"{images}: expected the folder of pictures, found none"
            )
        return [], load_skeleton(skeleton)
    samples = load_data(specs)
    require_one_skeleton(samples)
    return samples, samples[0].skeleton


def _crop_view(
    config: Path | None, override: list[str], seed: int
) -> "tuple[CropView, str | None]":
    """Return what training makes of a sample, and the configured skeleton."""
    from tinypose.cli.quiet import load_keras

    load_keras()  # the true heatmaps are made by the code that training uses
    from tinypose.config import Config, find_config, load_config
    from tinypose.data.show import CropView
    from tinypose.models import FAMILIES

    settings = load_config(find_config(config), override) if config else Config()
    codecs = FAMILIES[settings.family].codecs(settings.model)
    view = CropView(
        input_hw=settings.model.input_hw,
        padding=settings.padding,
        augment=settings.augment,
        codec=list(codecs.values())[-1],
        seed=seed,
    )
    return view, settings.skeleton if config else None


def _print_report(report: "CheckReport") -> None:
    """Print one line for each kind of problem, with the worst as an example."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from tinypose.data.check import KINDS

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("number", justify="right")
    table.add_column("what")
    table.add_column("the worst")
    for kind, count in report.counts().items():
        if count:
            worst = report.of_kind(kind)[0]
            example = printable(f"{worst.sample_id}: {worst.detail}")
            table.add_row(str(count), KINDS[kind], escape(example))
    for reason, count in report.skipped.items():
        if count:
            table.add_row(str(count), f"{reason}, left out by the reader", "")
    console = Console(highlight=False)
    console.print(f"{report.num_samples} people in {report.num_pictures} pictures")
    wrong = table.row_count or report.notes
    console.print(table if wrong else "nothing wrong found")
    for note in report.notes:
        console.print(f"note: {escape(printable(note))}")
