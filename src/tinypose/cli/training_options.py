"""Options that every command has that trains."""

from typing import Annotated

import typer

Limit = Annotated[
    int | None, typer.Option(help="Use at most this many training samples.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, gpu, gpu:0 or gpu:0,1.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing.")]
Workers = Annotated[
    int,
    typer.Option(
        min=0,
        max=256,
        help="Processes that prepare pictures, to feed a GPU; 0: threads do.",
    ),
]
