"""The learning curve as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinypose.errors import MissingDependencyError
from tinypose.files import atomic_path
from tinypose.training.run_dir import HISTORY_COLUMNS, Progress


def draw_curve(path: Path, progress: Progress, changes: Sequence[int] = ()) -> None:
    """Draw loss and PCK over the epochs as a PNG file.

    Args:
        path: The file.
        progress: The run.
        changes: After which epochs the pictures' size or the phase changes: losses
            before and after do not compare.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "drawing curves") from error
    figure = Figure(figsize=(9, 4), dpi=110, layout="constrained")
    loss_axes, other_axes = figure.subplots(1, 2)
    loss_axes.plot(*_known(progress, "loss"), **_style(progress), label="training")
    epochs, pck = _known(progress, "pck")
    if epochs:
        losses = _known(progress, "validation_loss")
        loss_axes.plot(*losses, **_style(progress), label="validation")
        other_axes.plot(epochs, pck, **_style(progress), color="tab:green")
        title = f"validation {progress.figure} in %"
        if progress.best is not None:
            title += f", best {progress.best:.1f}"
        other_axes.set_title(title)
    else:
        rates = _known(progress, "learning_rate")
        other_axes.plot(*rates, **_style(progress), color="tab:gray")
        other_axes.set_title("learning rate (no validation set)")
    loss_axes.set_title("loss")
    loss_axes.legend()
    for axes in (loss_axes, other_axes):
        for epoch in changes:
            if epoch < len(progress.history):
                axes.axvline(epoch + 0.5, color="0.6", lw=1, ls=":")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _known(progress: Progress, column: str) -> tuple[list[float], list[float]]:
    """Return the epochs at which a column of the history is known, and it."""
    number = HISTORY_COLUMNS.index(column)
    rows = [row for row in progress.history if row[number] is not None]
    return [row[0] or 0.0 for row in rows], [row[number] or 0.0 for row in rows]


def _style(progress: Progress) -> dict[str, Any]:
    few = len(progress.history) < 40
    return {"marker": "o" if few else None, "markersize": 3}
