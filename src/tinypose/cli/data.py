"""``tinypose data``: check labelled data, and look at it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinypose.cli.console import progress_bar
from tinypose.errors import UsageError

if TYPE_CHECKING:
    from tinypose.data.check import CheckReport
    from tinypose.data.show import CropView

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
    chosen = _join(specs, data)

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
    chosen = _join(specs, data)

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


def _join(specs: list[str] | None, data: list[str] | None) -> list[str]:
    joined = [*(specs or []), *(data or [])]
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
        encode=list(codecs.values())[-1].encode,
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
