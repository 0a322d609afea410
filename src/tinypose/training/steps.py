"""After each training step: figures, the checkpoint when due, interruption."""

import math
import time
from typing import Any, Protocol

import keras
import numpy as np

from tinypose.data.pipeline import TrainingBatches
from tinypose.errors import TinyposeError
from tinypose.training.board import Board
from tinypose.training.display import Display
from tinypose.training.run_dir import Progress

BOARD_EVERY = 20
"""Steps between two figures on TensorBoard."""

RECENT = 50
"""Steps over which the progress bar averages the loss."""


class Run(Protocol):
    """What the callback needs to know of the run that it serves."""

    job: Any
    display: Display
    board: Board
    progress: Progress

    @property
    def batches(self) -> TrainingBatches:
        """What this epoch learns from."""

    @property
    def global_step(self) -> int:
        """Steps done since the beginning."""

    def learning_rate(self) -> float:
        """Return the learning rate of the last step."""

    def save(self) -> None:
        """Write the checkpoint."""


class SavedInterrupt(KeyboardInterrupt):
    """The user asked to stop, and the checkpoint of this step is written."""


class Steps(keras.callbacks.Callback):
    """Keep count of a run's steps while Keras' ``fit`` makes them.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.images_per_second = 0.0
        self._saved_at = time.monotonic()
        self._begun = 0.0
        self._first_step = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock of this epoch."""
        self._begun = time.monotonic()
        self._first_step = self.run.progress.step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the step, show it, and save where due.

        Raises:
            TinyposeError: the loss is not finite.
            SavedInterrupt: the user asked to stop; the checkpoint is written.
        """
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise TinyposeError(self._describe_failure(loss))
        progress = self.run.progress
        progress.losses.append(loss)
        progress.step += 1
        steps = progress.step - self._first_step
        seconds = time.monotonic() - self._begun
        self.images_per_second = steps * self.run.batches.batch_size / seconds
        self._show(loss)
        interrupted = self.run.job.should_stop()
        period = self.run.job.config.training.checkpoint_seconds
        if interrupted or time.monotonic() - self._saved_at >= period:
            self.run.save()
            self._saved_at = time.monotonic()
        if interrupted:
            raise SavedInterrupt

    def _show(self, loss: float) -> None:
        run, speed = self.run, self.images_per_second
        if run.global_step % BOARD_EVERY == 0:
            run.board.scalars(
                {
                    "training/loss": loss,
                    "training/learning_rate": run.learning_rate(),
                    "training/images_per_second": speed,
                },
                run.global_step,
            )
        recent = float(np.mean(run.progress.losses[-RECENT:]))
        figures = f"loss {recent:.4f}  {speed:.0f} images/s"
        run.display.update(run.progress.step, figures)

    def _describe_failure(self, loss: float) -> str:
        run = self.run
        epoch, step = run.progress.epoch, run.progress.step
        samples = run.job.training.samples
        names = [samples[i].sample_id for i in run.batches.indices(epoch, step)]
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        return (
            f"expected a finite loss, found {loss} in epoch {epoch + 1}, step "
            f"{step + 1} (batch: {shown}); lower training.learning_rate or set "
            "training.clip_norm=1 and start anew"
        )
