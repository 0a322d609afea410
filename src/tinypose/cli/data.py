"""``tinypose data``: check labelled data, look at it and clean it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinypose.cli.console import progress_bar
from tinypose.errors import TinyposeError, UsageError

if TYPE_CHECKING:
    from tinypose.data.check import CheckReport
    from tinypose.data.sample import Sample
    from tinypose.data.show import CropView
    from tinypose.data.teachers import Teacher
    from tinypose.inference.predictor import Predictor
    from tinypose.skeletons import Skeleton

app = typer.Typer(no_args_is_help=True)

Specs = Annotated[
    list[str] | None,
    typer.Argument(
        help="Labelled data, such as lsp=PATH or stick_people:1-500.",
        metavar="NAME=PATH[:FIRST-LAST]...",
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        help="The same as an option, as the other commands have it; repeatable.",
        metavar="NAME=PATH[:FIRST-LAST]",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Take only N people, spread over the data."),
]


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
    chosen = _require(specs, data)

    from tinypose.data.check import check_samples
    from tinypose.data.sources import load_data

    samples = load_data(chosen, limit=limit)
    with progress_bar("checking", len(samples)) as progress:
        report = check_samples(samples, skipped=_skipped(chosen), progress=progress)
    _print_report(report)
    if out is not None:
        from tinypose.data.show import write_check

        typer.echo(f"look at: {write_check(out, report, samples)[0]}")
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
) -> None:
    """Draw labelled people before and after augmentation, with true heatmaps.

    Example:  tinypose data show lsp=data/lsp --out look
    """
    chosen = _require(specs, data)

    from tinypose.data.show import choose_samples, show_samples
    from tinypose.data.sources import load_data
    from tinypose.skeletons import load_skeleton

    view, skeleton = _crop_view(config, seed)
    target = load_skeleton(skeleton) if skeleton else None
    samples = load_data(chosen, skeleton=target, limit=limit)
    labelled = [sample for sample in samples if (sample.visible > 0).any()]
    picked = choose_samples(labelled or samples, count, seed)
    for path in show_samples(out, picked, view):
        typer.echo(f"look at: {path}")


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
            help="Without labelled data: the pictures that the predictions name.",
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
    data, pictures are labelled by the models alone. The result trains like any
    other data. A model of your own helps, too, as one judge among others.

    Example:  tinypose data clean lspet=data/lspet --predictions teachers.npz
    --judge medium --out lspet_clean.json
    """
    from tinypose.data.clean import clean_samples
    from tinypose.data.clean_report import summary, write_clean_report
    from tinypose.data.coco_writer import write_coco
    from tinypose.data.teachers import (
        ignore_keypoints,
        match_rows,
        parse_ignored,
        read_predictions,
        unlabelled_samples,
    )

    if out.suffix != ".json":
        raise UsageError(f"--out: expected a name ending in .json, found {out}")
    if predictions is None and not judge:
        raise UsageError(
            "expected --predictions FILE, --judge MODEL or both, found neither"
        )
    chosen = _join(specs, data)
    _spare_labels(out, chosen)
    labelled, target = _labelled(chosen, images, skeleton)
    said = read_predictions(predictions, target) if predictions else None
    if not labelled and said is None:
        raise UsageError(
            "--images: expected --predictions FILE, too, which names the pictures, "
            "found --judge alone"
        )
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
    samples = labelled or unlabelled_samples(said, images or Path(), target)
    folder = images or _common_folder(samples)
    teachers = [*(match_rows(said, samples) if said else ())]
    teachers += _ask(judges, samples)
    teachers = ignore_keypoints(teachers, ignored)
    with progress_bar("cleaning", len(samples)) as progress:
        cleaned = clean_samples(
            samples, teachers, tolerance=tolerance, progress=progress
        )
    write_coco(out, [person.after for person in cleaned], folder)
    for line in summary(cleaned):
        typer.echo(line)
    typer.echo(f"train with  --data coco={out},images={folder}")
    if report is not None:
        typer.echo(f"look at: {write_clean_report(report, cleaned)}")


def _open_judges(models: Sequence[str]) -> "list[tuple[str, Predictor]]":
    """Return the models, each after the name that ``--ignore`` has for it."""
    from tinypose.inference.predictor import Predictor

    return [(Path(model).stem, Predictor(model, flip_test=True)) for model in models]


def _expect_distinct(names: Sequence[str]) -> None:
    """Raise a UsageError if two teachers have the same name."""
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"--judge: expected judges and teachers of different names, found "
                f"{name!r} twice; rename a file"
            )


def _ask(
    judges: "Sequence[tuple[str, Predictor]]", samples: "Sequence[Sample]"
) -> "list[Teacher]":
    """Return what the judges say about the people."""
    from tinypose.evaluation.people import judge_people

    said = []
    for name, predictor in judges:
        with progress_bar(f"asking {name}", len(samples)) as progress:
            said.append(judge_people(predictor, samples, name=name, progress=progress))
    return said


def _spare_labels(out: Path, specs: list[str]) -> None:
    """Raise a UsageError if the cleaned labels would overwrite the given ones."""
    from tinypose.data.sources import parse_spec

    for spec in specs:
        path = parse_spec(spec).path
        if path is not None and path.resolve() == out.resolve():
            raise UsageError(
                f"--out: expected a new file, found the labels themselves, {out}; "
                "choose another name"
            )


def _labelled(
    specs: list[str], images: Path | None, skeleton: str
) -> "tuple[list[Sample], Skeleton]":
    """Return the labelled people, if there are any, and their skeleton."""
    from tinypose.data.sources import load_data
    from tinypose.skeletons import load_skeleton

    if bool(specs) == (images is not None):
        raise UsageError(
            "expected either labelled data such as lspet=PATH or --images DIR with "
            "the pictures that the predictions name"
        )
    if images is not None:
        if not images.is_dir():
            raise TinyposeError(
                f"{images}: expected the folder of pictures, found none"
            )
        return [], load_skeleton(skeleton)
    samples = load_data(specs)
    skeletons = {sample.skeleton.names: sample.skeleton for sample in samples}
    if len(skeletons) > 1:
        found = " and ".join(skeleton.name for skeleton in skeletons.values())
        raise UsageError(
            f"expected data of one skeleton, found {found}; clean one set at a time"
        )
    return samples, samples[0].skeleton


def _common_folder(samples: "Sequence[Sample]") -> Path:
    """Return the folder that holds all pictures."""
    import os

    folders = set()
    for sample in samples:
        if not isinstance(sample.picture, Path):
            raise UsageError(
                "expected people in picture files, found a drawn one, "
                f"{sample.sample_id}"
            )
        folders.add(os.path.abspath(sample.picture.parent))
    return Path(os.path.commonpath(folders))


def _join(specs: list[str] | None, data: list[str] | None) -> list[str]:
    return [*(specs or []), *(data or [])]


def _require(specs: list[str] | None, data: list[str] | None) -> list[str]:
    joined = _join(specs, data)
    if not joined:
        raise UsageError(
            "expected labelled data such as lsp=PATH or stick_people, found none"
        )
    return joined


def _crop_view(config: Path | None, seed: int) -> "tuple[CropView, str | None]":
    """Return what training makes of a sample, and the configured skeleton."""
    from tinypose.cli.quiet import load_keras

    load_keras()  # the true heatmaps are made by the code that training uses
    from tinypose.config import Config, load_config
    from tinypose.data.show import CropView
    from tinypose.models import FAMILIES

    settings = load_config(config) if config else Config()
    codecs = FAMILIES[settings.family].codecs(settings.model)
    view = CropView(
        input_hw=settings.model.input_hw,
        padding=settings.padding,
        augment=settings.augment,
        codec=list(codecs.values())[-1],
        seed=seed,
    )
    return view, settings.skeleton if config else None


def _skipped(specs: Sequence[str]) -> dict[str, int]:
    """Return how many people the readers leave out of the files, by reason."""
    from tinypose.data import ai_challenger, coco, mpii
    from tinypose.data.sources import parse_spec

    counters = {
        "ai_challenger": ai_challenger.count_skipped,
        "coco": coco.count_skipped,
        "mpii": mpii.count_skipped,
    }
    total: dict[str, int] = {}
    for spec in specs:
        parsed = parse_spec(spec)
        if parsed.path is None or parsed.name not in counters:
            continue
        counts = counters[parsed.name](parsed.path)
        for reason, number in counts.items():
            total[reason] = total.get(reason, 0) + number
    return total


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
            example = f"{worst.sample_id}: {worst.detail}"
            table.add_row(str(count), KINDS[kind], escape(example))
    for reason, count in report.skipped.items():
        if count:
            table.add_row(str(count), f"{reason}, left out by the reader", "")
    console = Console(highlight=False)
    console.print(f"{report.num_samples} people in {report.num_pictures} pictures")
    console.print(table if table.row_count else "nothing wrong found")
