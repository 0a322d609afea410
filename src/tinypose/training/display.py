"""What a training run shows: a progress bar with the figures that matter."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


class Display:
    """Show steps, loss, speed and validation; one line per finished epoch.

    Args:
        console: Where to write; standard error unless given.
        quiet: Show nothing.
    """

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
        )
        self._task = self._progress.add_task("", figures="", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, description: str, total: int, completed: int = 0) -> None:
        """Begin a bar of ``total`` steps."""
        self._progress.reset(
            self._task,
            description=description,
            total=total,
            completed=completed,
            figures="",
        )

    def update(self, completed: int, figures: str = "") -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=completed, figures=figures)

    def line(self, text: str) -> None:
        """Print a line that stays, above the bar."""
        self._progress.console.print(text, highlight=False, markup=False)
