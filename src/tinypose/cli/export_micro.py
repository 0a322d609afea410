"""``tinypose export --target micro``: the folder for a microcontroller."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tinypose.cli.export_receipt import remove_receipt
from tinypose.cli.quiet import load_keras

if TYPE_CHECKING:
    from tinypose.export.micro import MicroReport
    from tinypose.images import Image


def is_exported(source: Path) -> bool:
    """Return whether what is to be exported is an exported file already."""
    from tinypose.weights import is_shipped

    return is_shipped(source) or source.suffix.lower() == ".tflite"


def repack_micro(
    file: Path,
    to: Path,
    data: Sequence[str],
    num_pictures: int,
    *,
    name: str | None,
    licence: str | None,
) -> None:
    """Write the folder for a microcontroller from an exported int8 file.

    Args:
        file: The file, or the name of a shipped model.
        to: The folder.
        data: Data sets whose people are run through both interpreters.
        num_pictures: How many of them.
        name: Of the model, if not the file's.
        licence: Terms of use, if not the file's.
    """
    from tinypose.data.selection import crop_people
    from tinypose.data.sources import load_data
    from tinypose.inference.inputs import find_model
    from tinypose.metadata import read_metadata

    load_keras()
    model = find_model(file)
    metadata = read_metadata(model)
    crops = crop_people(load_data(data, limit=num_pictures), metadata)
    write_micro(model, to, crops, name or metadata.name, licence=licence)
    remove_receipt(to)
    say_next(to)


def write_micro(
    file: Path,
    to: Path,
    crops: "Image",
    name: str,
    check: "Callable[[Path], None] | None" = None,
    *,
    licence: str | None = None,
) -> "MicroReport":
    """Write the folder and say what is in it; see ``export_micro``."""
    from tinypose.export.micro import export_micro

    report = export_micro(file, to, crops, name=name, licence=licence, check=check)
    typer.echo(
        f"wrote {to}: C sources, {report.model_bytes / 1000:.0f} kB of model, "
        f"operators {', '.join(report.operators)}"
    )
    if report.arena_bytes is None:
        typer.echo(
            "not run in TensorFlow Lite Micro, which has to say how large its arena "
            "is:  pip install tflite-micro",
            err=True,
        )
    else:
        typer.echo(
            f"run in {report.runtime}: arena of "
            f"{report.arena_bytes / 1000:.0f} kB, {100 * (report.equal or 0):.1f} % of "
            f"values equal LiteRT's, largest difference {report.largest_difference} "
            "steps"
        )
    return report


def say_next(to: Path) -> None:
    """Say what to do with the folder."""
    typer.echo(f"next:  make -C {to} && cat {to / 'README.md'}")
