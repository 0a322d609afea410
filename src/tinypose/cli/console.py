"""What the verbs show while they work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[..., None]]:
    """Show how many are done and the time left, on standard error.

    Args:
        what: The work, in a word.
        total: How many there are to do.

    Yields:
        A function to call with the number done and, if there are any, figures
        to show beside the bar.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    with Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=total, figures="")

        def update(done: int, figures: str = "") -> None:
            bar.update(task, completed=done, figures=figures)

        yield update
