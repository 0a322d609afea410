"""``tinypose data split``: people to train on, and others to hold out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinypose.cli.data_options import (
    DataOption,
    Specs,
    check_labels_out,
    count_skipped,
    labels_folder,
    require_one_skeleton,
    require_specs,
)
from tinypose.errors import UsageError
from tinypose.files import atomic_path, printable, require_writable

if TYPE_CHECKING:
    from tinypose.data.sample import Sample


def split(
    out_train: Annotated[
        Path,
        typer.Option(help="COCO-style JSON to write, to train on.", metavar="FILE"),
    ],
    out_val: Annotated[
        Path,
        typer.Option(help="COCO-style JSON to write, held out.", metavar="FILE"),
    ],
    specs: Specs = None,
    data: DataOption = None,
    val_share: Annotated[
        float,
        typer.Option(min=0.001, max=0.999, help="Of the pictures, to be held out."),
    ] = 0.2,
    seed: Annotated[
        int, typer.Option(min=0, help="Another one holds out other pictures.")
    ] = 0,
    by_folder: Annotated[
        bool,
        typer.Option(
            "--by-folder",
            help="Keep all pictures of a folder together, such as a video's frames.",
        ),
    ] = False,
) -> None:
    """Divide labelled people by picture, to train on some and measure on others.

    All people of a picture go to the same side. The same pictures and seed give
    the same division, and pictures added later change little in it.

    Example:  tinypose data split coco=labels.json --out-train train.json
    --out-val val.json
    """
    chosen = require_specs(specs, data)
    _check_outputs(out_train, out_val, chosen)

    from tinypose.data.coco_writer import write_coco
    from tinypose.data.sources import load_data
    from tinypose.data.split import split_by_picture

    samples = load_data(chosen)
    require_one_skeleton(samples)
    folder = labels_folder(samples, out_train, out_val)
    training, validation = split_by_picture(
        samples, val_share, seed, by_folder=by_folder
    )
    # Both or neither: a half of a new division would not fit an old other half.
    with atomic_path(out_train) as first, atomic_path(out_val) as second:
        write_coco(first, training, folder)
        write_coco(second, validation, folder)
    _say_what_is_left_out(chosen)
    for out, part in ((out_train, training), (out_val, validation)):
        typer.echo(printable(f"{out}: {_count(part)}"))
    for what, out in (("learn from", out_train), ("hold out", out_val)):
        typer.echo(printable(f"{what}  coco={out},images={folder}"))


def _check_outputs(out_train: Path, out_val: Path, specs: list[str]) -> None:
    for option, out in (("--out-train", out_train), ("--out-val", out_val)):
        check_labels_out(out, specs, option)
    if out_train.resolve() == out_val.resolve():
        raise UsageError(
            f"expected two files for --out-train and --out-val, found {out_val} for "
            "both"
        )
    for out in (out_train, out_val):
        require_writable(out)


def _count(samples: "list[Sample]") -> str:
    pictures = {sample.picture for sample in samples}
    return f"{len(samples)} people in {len(pictures)} pictures"


def _say_what_is_left_out(specs: list[str]) -> None:
    for reason, number in count_skipped(specs).items():
        if number:
            typer.echo(f"{number} {reason}, left out by the reader")
