"""``tinypose export --target web``: the folder for browsers."""

from pathlib import Path

import typer

from tinypose.cli.export_micro import is_exported
from tinypose.errors import UsageError


def write_web(source: Path, to: Path, *, name: str | None, licence: str | None) -> None:
    """Write the folder from an exported file, and say how to look at it.

    Args:
        source: A ``.tflite`` file, or the name of a shipped model.
        to: The folder.
        name: Of the model, if not the file's.
        licence: Terms of use, if not the file's.

    Raises:
        UsageError: it is something else.
    """
    if not is_exported(source):
        raise UsageError(
            f"{source}: expected an exported .tflite file or a shipped model, which a "
            "browser runs as it is, found something else; first  tinypose export "
            f"{source} --to FILE.tflite"
        )
    from tinypose.export.web import PAGES, export_web
    from tinypose.inference.footprint import size_bytes
    from tinypose.inference.inputs import find_model

    metadata = export_web(find_model(source), to, name=name, licence=licence)
    typer.echo(
        f"wrote {to}: {', '.join(PAGES)} and {metadata.name}, "
        f"{size_bytes(to) / 1000:.0f} kB\n"
        f"next:  python3 -m http.server --directory {to}  and open "
        "http://localhost:8000"
    )
