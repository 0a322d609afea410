"""The training loop: fit, validate, save; interrupted and resumed at any step."""

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np

from tinypose.compression.sparsity import SparsitySchedule
from tinypose.data.pipeline import TrainingBatches
from tinypose.data.workers import BatchWorkers
from tinypose.errors import TinyposeError
from tinypose.training.batches import start_workers
from tinypose.training.board import Board
from tinypose.training.curve import draw_curve
from tinypose.training.display import Display
from tinypose.training.errors import measure_errors
from tinypose.training.initial import load_initial_weights
from tinypose.training.job import TrainingJob
from tinypose.training.run_dir import HISTORY_COLUMNS, Progress
from tinypose.training.setup import set_up
from tinypose.training.stage import stage_at
from tinypose.training.steps import SavedInterrupt, Steps
from tinypose.training.task import (
    PoseTask,
    copy_averages,
    restore_variables,
    variable_arrays,
)
from tinypose.training.teacher import teacher_advice
from tinypose.training.validation import ValidationResult, Validator

SPEED = HISTORY_COLUMNS.index("images_per_second")


def run_training(job: TrainingJob, display: Display, strategy: Any = None) -> Progress:
    """Train to the last epoch, from the run's checkpoint if it has one.

    Args:
        job: The run.
        display: Shows how it goes.
        strategy: A ``tf.distribute`` strategy, to train on several devices.

    Returns:
        Where the run stands: the history of all epochs.

    Raises:
        TinyposeError: the loss is not finite (the batch is named), the
            checkpoint does not fit, or a file cannot be written.
        KeyboardInterrupt: ``should_stop`` said so; the checkpoint is written.
    """
    # Before anything is on a device: see BatchWorkers.
    workers = start_workers(job.config, job.training, job.num_workers)
    try:
        loop = _Loop(job, display, strategy, workers)
        try:
            loop.run()
        finally:
            loop.board.close()
    finally:
        if workers:
            workers.close()
    return loop.progress


class _Loop:
    """A run under way: the network, its averages, and where it stands."""

    def __init__(
        self,
        job: TrainingJob,
        display: Display,
        strategy: Any,
        workers: BatchWorkers | None,
    ) -> None:
        self.job = job
        self.display = display
        self.strategy = strategy
        self.workers = workers
        loaded = job.run_dir.load_checkpoint()
        self.progress = loaded[1] if loaded else Progress()
        self._open(self.progress.epoch)
        if loaded:
            self._require_same_phase()
            self._restore(loaded[0], str(job.run_dir.checkpoint))
        elif job.initial:
            self._start_from(job.initial)
        self.board = Board(job.run_dir.tensorboard, self.global_step + 1)
        # Of whole epochs with pictures of this size, and since when this one runs.
        self._seconds: list[float] = []  # see _seconds_left
        self._began: float | None = None
        self._say_what_surprises()

    def _say_what_surprises(self) -> None:
        """Say whom PCK leaves out, and that more epochs raise the learning rate."""
        validator, progress = self.setup.validator, self.progress
        if validator and validator.num_scored < len(validator.dataset):
            self.display.line(
                f"PCK counts {validator.num_scored} of {len(validator.dataset)} "
                "validation people: of the others the torso is not labelled"
            )
        if self.task.teacher:
            names = self.job.training.skeleton.names
            for text in teacher_advice(self.task.teacher, names):
                self.display.line(text)
        if not progress.history or progress.epoch == self.setup.stage.begin:
            return
        last = progress.history[-1][HISTORY_COLUMNS.index("learning_rate")] or 0.0
        begun = self.setup.stage.begin * self.batches.steps_per_epoch
        rate = self.task.learning_rate_at(self.global_step - begun)
        if progress.epoch < self.job.config.training.epochs and rate > 2 * last:
            self.display.line(
                f"the learning rate goes up from {last:.2g} to {rate:.2g}: more epochs "
                "stretch its schedule; PCK may fall at first"
            )

    def _start_from(self, initial: Path) -> None:
        skeleton = self.job.training.skeleton
        found = load_initial_weights(self.task.net, initial, skeleton)
        fitting = found.copied + found.widened
        text = f"{fitting} of {found.layers} layers start from {initial}"
        if found.widened:
            text += f", {found.widened} of them widened"
        if found.keypoints < skeleton.num_keypoints:
            text += (
                f", and the head has {found.keypoints} of its "
                f"{skeleton.num_keypoints} keypoints from there"
            )
        self.display.line(text)

    @property
    def batches(self) -> TrainingBatches:
        return self.setup.batches

    @property
    def task(self) -> PoseTask:
        return self.setup.task

    @property
    def global_step(self) -> int:
        steps = self.batches.steps_per_epoch
        return self.progress.epoch * steps + self.progress.step

    def run(self) -> None:
        epochs = self.job.config.training.epochs
        steps = self.batches.steps_per_epoch
        callback = Steps(self)
        while self.progress.epoch < epochs:
            epoch, done = self.progress.epoch, self.progress.step
            if done == 0 and self.task.sparse:
                self._make_sparse(epoch)
            self._began = None if done else time.monotonic()
            self.display.start(f"epoch {epoch + 1}/{epochs}", steps, done)
            if done < steps:
                self._fit(epoch, done, callback)
            self._finish_epoch(callback.images_per_second)

    def _fit(self, epoch: int, done: int, callback: Steps) -> None:
        try:
            self.task.fit(
                self.task.prepare(self.batches.epoch(epoch, done)),
                initial_epoch=epoch,
                epochs=epoch + 1,
                steps_per_epoch=self.batches.steps_per_epoch - done,
                shuffle=False,
                verbose=0,
                callbacks=[callback],
            )
        except Exception as error:
            # What fails inside tf.data comes out as an error of TensorFlow's.
            if self.batches.failure is not None:
                raise self.batches.failure from error
            raise

    def _make_sparse(self, epoch: int) -> None:
        """Set as many weights to zero as this epoch has."""
        config = self.job.config.training
        schedule = SparsitySchedule(
            final=config.sparsity, end_step=max(config.epochs // 2, 1)
        )
        assert self.task.sparse is not None
        if self.task.sparse.update(schedule.at(epoch + 1)):
            # What was best with fewer zeros is not what the run is to give.
            self.progress.best = None

    def save(self) -> None:
        """Write the checkpoint, unless it would replace a good one by a bad one.

        Raises:
            TinyposeError: a weight is not finite; the checkpoint stays.
        """
        arrays = variable_arrays(self.task)
        self._require_finite("weights", *arrays.values())
        self.progress.phase = self.setup.stage.text
        self.job.run_dir.save_checkpoint(arrays, self.progress)

    def _require_finite(self, what: str, *values: Any) -> None:
        """Check that a training has not diverged.

        Raises:
            TinyposeError: a number is not finite.
        """
        if not all(np.isfinite(value).all() for value in values):
            raise TinyposeError(
                f"expected finite {what}, found others in epoch "
                f"{self.progress.epoch + 1}, step {self.progress.step}; the last "
                "checkpoint is kept; lower training.learning_rate or set "
                "training.clip_norm=1 in a new run"
            )

    def _stop_if_asked(self) -> None:
        """Save and stop between two batches of a validation, where the user asked.

        All steps of the epoch are done: what goes on begins with the validation.

        Raises:
            SavedInterrupt: the user asked to stop; the checkpoint is written.
        """
        if self.job.should_stop():
            self.save()
            raise SavedInterrupt

    def learning_rate(self) -> float:
        """Return the learning rate of the step that was done last."""
        begun = self.setup.stage.begin * self.batches.steps_per_epoch
        return self.task.learning_rate_at(max(self.global_step - 1 - begun, 0))

    def _open(self, epoch: int) -> None:
        """Build all that depends on the size of the pictures and on the phase."""
        self.setup = set_up(self.job, epoch, self.strategy, self.workers)

    def _require_same_phase(self) -> None:
        """Check that the checkpoint is of the phase that its epoch falls in.

        Raises:
            TinyposeError: the optimizer in it is that of another one.
        """
        found, expected = self.progress.phase, self.setup.stage.text
        if found not in (None, expected):
            raise TinyposeError(
                f"{self.job.run_dir.checkpoint}: expected the phase "
                f"{expected!r}, as config.yaml has it, found {found!r}; set "
                "training.epochs there to what the run was started with"
            )

    def _enter(self, epoch: int) -> None:
        """Go on with another size of pictures or phase, where the epoch says so."""
        size = self.job.config.at_epoch(epoch).model.input_hw
        resized = size != self.setup.config.model.input_hw
        if epoch == self.setup.stage.end:
            self._begin_phase(epoch)
        elif resized:
            arrays = variable_arrays(self.task)
            self._open(epoch)
            self._restore(arrays, "the smaller network")
        else:
            return
        # What was best before is not what the run is to give.
        self.progress.best = None
        self._seconds.clear()
        if resized:
            self.display.line(f"pictures of {size[0]}x{size[1]} from here on")

    def _begin_phase(self, epoch: int) -> None:
        """Train something else, from the averaged weights and a fresh start."""
        copy_averages(self.task, self.setup.averaged)
        weights = self.setup.averaged.net.get_weights()
        self._open(epoch)
        averaged = self.setup.averaged.net
        for net in (self.task.net, averaged):
            net.set_weights(weights)
        phase = self.setup.stage.phase
        text = f"{phase.name} from here on"
        if phase.imitates:
            errors = measure_errors(
                averaged, phase.imitates, self.batches.dataset, phase.reach
            )
            self.task.net.get_layer(phase.centres).set_errors(errors)
            text += f", around errors like those of {phase.imitates}"
        self.display.line(text)

    def _restore(self, arrays: dict[str, Any], source: str) -> None:
        if not restore_variables(self.task, arrays):
            raise TinyposeError(
                f"{source}: expected the variables of {self.job.config.family} as the "
                "run's config.yaml describes it, found others; was the "
                "configuration changed, or does the family not take pictures of "
                "several sizes?"
            )

    def _validate(self, validator: Validator) -> ValidationResult:
        """Judge the averaged network, under a bar of its own."""
        batches = itertools.count()
        self.display.start("validation", validator.num_batches)

        def between() -> None:
            self._stop_if_asked()
            self.display.update(next(batches))

        return validator.validate(self.setup.averaged, self.task.judged, between)

    def _finish_epoch(self, images_per_second: float) -> None:
        config, progress = self.job.config.training, self.progress
        if not images_per_second and progress.history:
            # Stopped after its last step, it has no speed of its own.
            images_per_second = progress.history[-1][SPEED] or 0.0
        epoch = progress.epoch + 1
        result: ValidationResult | None = None
        due = epoch % config.validate_every == 0 or epoch == config.epochs
        if due:
            self._require_finite("weights", *variable_arrays(self.task).values())
            copy_averages(self.task, self.setup.averaged)
            if self.setup.validator:
                result = self._validate(self.setup.validator)
                self._require_finite("predictions", result.score, result.loss)
            self._keep_if_best(result)
        loss = float(np.mean(progress.losses))
        progress.history.append(
            [
                float(epoch),
                float(self.global_step),
                loss,
                self.learning_rate(),
                images_per_second,
                result.loss if result else None,
                result.pck if result else None,
            ]
        )
        if self._began is not None:
            self._seconds.append(time.monotonic() - self._began)
        self._report(epoch, loss, images_per_second, result)
        progress.epoch, progress.step, progress.losses = epoch, 0, []
        if epoch < config.epochs:
            self._enter(epoch)
        self.save()
        try:
            self.job.run_dir.write_history(progress)
            if due:
                draw_curve(self.job.run_dir.curve, progress, self._changes())
        except TinyposeError as error:
            # Written anew after the next epoch; a table that is open in another
            # program shall not cost the night.
            self.display.line(f"warning: {error}")

    def _changes(self) -> list[int]:
        """Return after which epochs the pictures' size or the phase changes."""
        config = self.job.config
        kinds = [
            (config.at_epoch(epoch).model.input_hw, stage_at(config, epoch).begin)
            for epoch in range(config.training.epochs)
        ]
        return [n for n in range(1, len(kinds)) if kinds[n] != kinds[n - 1]]

    def _keep_if_best(self, result: ValidationResult | None) -> None:
        pck = result.pck if result else None
        best = self.progress.best
        if pck is None or best is None or pck >= best:
            self.progress.best = pck
            if result:
                self.progress.figure = result.pck_label
            score = result.score if result else 0.0
            metadata = self.setup.describe(self.job, self.progress, score)
            self.job.run_dir.save_best(self.setup.averaged.net, metadata)

    def _report(
        self,
        epoch: int,
        loss: float,
        images_per_second: float,
        result: ValidationResult | None,
    ) -> None:
        text = (
            f"epoch {epoch}/{self.job.config.training.epochs}  loss {loss:.4f}  "
            f"{images_per_second:.0f} images/s"
        )
        if result:
            figures = {"validation/loss": result.loss}
            if result.pck is not None:
                figures["validation/pck"] = result.pck
            self.board.scalars(figures, self.global_step)
            self.board.image("heatmaps", result.picture, self.global_step)
            text += f"  validation loss {result.loss:.4f}"
            if result.pck is not None:
                text += f"  {result.pck_label} {result.pck:.1f} %"
                if self.progress.best is not None:
                    text += f", best {self.progress.best:.1f} %"
        if epoch < self.job.config.training.epochs and self._seconds:
            minutes = self._seconds_left(epoch) / 60
            text += "  about "
            text += f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
            text += " left"
        self.display.line(text)

    def _seconds_left(self, epoch: int) -> float:
        """Return how long the epochs from one on will take, as far as can be told.

        Larger pictures take as much longer as they have more pixels.
        """
        config = self.job.config
        sizes = [
            np.prod(config.at_epoch(each).model.input_hw)
            for each in (epoch - 1, *range(epoch, config.training.epochs))
        ]
        return float(np.median(self._seconds) * np.sum(sizes[1:]) / sizes[0])
