"""The training loop: fit, validate, save; interrupted and resumed at any step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinypose import __version__
from tinypose.compression.sparsity import SparsitySchedule
from tinypose.config import Config
from tinypose.data.crops import CropDataset
from tinypose.data.workers import BatchWorkers
from tinypose.errors import TinyposeError, UsageError
from tinypose.metadata import Metadata
from tinypose.models import FAMILIES
from tinypose.models.cost import count_macs, count_parameters
from tinypose.models.loading import load_net
from tinypose.origin import NOT_STATED, Origin, join_data, join_licences
from tinypose.training.batches import batches_at, start_workers
from tinypose.training.board import Board
from tinypose.training.curve import draw_curve
from tinypose.training.display import Display
from tinypose.training.errors import measure_errors
from tinypose.training.initial import load_initial_weights
from tinypose.training.run_dir import Progress, RunDir
from tinypose.training.stage import stage_at
from tinypose.training.steps import SavedInterrupt, Steps
from tinypose.training.task import (
    PoseTask,
    build_task,
    copy_averages,
    restore_variables,
    variable_arrays,
)
from tinypose.training.teacher import Teacher, load_teacher
from tinypose.training.validation import ValidationResult, Validator


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingJob:
    """Everything a training run works with.

    Args:
        config: The resolved configuration.
        run_dir: Where the results go.
        training: The training people.
        validation: The validation people, if there are any.
        training_data: Names of the data sets, for the model's metadata.
        origins: What the network is made from, likewise.
        initial: Model file whose weights the network starts from, if any.
        teacher: Model file whose heatmaps are learned beside the labels, if any.
        num_workers: Processes that prepare batches; 0 leaves that to threads.
        should_stop: Asked after each step and between the batches of a
            validation; True saves and interrupts.
    """

    config: Config
    run_dir: RunDir
    training: CropDataset
    validation: CropDataset | None = None
    training_data: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    initial: Path | None = None
    teacher: Path | None = None
    num_workers: int = 0
    should_stop: Callable[[], bool] = lambda: False


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

    def _start_from(self, initial: Path) -> None:
        skeleton = self.job.training.skeleton
        found = load_initial_weights(self.task.net, initial, skeleton)
        text = f"{found.copied + found.widened} layers start from {initial}"
        if found.widened:
            text += f", {found.widened} of them widened"
        if found.keypoints < skeleton.num_keypoints:
            text += (
                f", and the head has {found.keypoints} of its "
                f"{skeleton.num_keypoints} keypoints from there"
            )
        self.display.line(text)

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
        self.progress.phase = self._stage.text
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
        begun = self._stage.begin * self.batches.steps_per_epoch
        return self.task.learning_rate_at(max(self.global_step - 1 - begun, 0))

    def _open(self, epoch: int) -> None:
        """Build all that depends on the size of the pictures and on the phase."""
        job, config = self.job, self.job.config.at_epoch(epoch)
        input_hw = config.model.input_hw
        self.config = config
        self._stage = stage_at(job.config, epoch)
        self.batches = batches_at(job.config, job.training, epoch, self.workers)
        teacher = self._load_teacher()
        self.task = self._build(teacher)
        # The averaged weights live in a second network, which is evaluated
        # and saved while the first trains on.
        net = self._new_network(config.model)
        self.averaged = PoseTask(
            net,
            self.task.codecs,
            phase=replace(self._stage.phase, trains=()),
            eight_bits=config.training.imitate_int8,
            teacher=teacher,
            teacher_weight=config.training.teacher_weight,
        )
        self.validator = (
            Validator(job.validation.resized(input_hw)) if job.validation else None
        )

    def _load_teacher(self) -> Teacher | None:
        path, skeleton = self.job.teacher, self.job.training.skeleton
        return load_teacher(path, self.config, skeleton) if path else None

    def _build(self, teacher: Teacher | None) -> PoseTask:
        steps, strategy = self.batches.steps_per_epoch, self.strategy
        arguments: dict[str, Any] = {
            "phase": self._stage.phase,
            "epochs": self._stage.end - self._stage.begin,
            "build": self._new_network,
            "teacher": teacher,
        }
        if strategy is None:
            return build_task(self.config, steps, **arguments)
        with strategy.scope():
            replicas = strategy.num_replicas_in_sync
            return build_task(self.config, steps, replicas, **arguments)

    def _new_network(self, model: Any) -> Any:
        """Return the network that is trained: the family's, or a pruned one."""
        given = self.job.run_dir.network
        if not given.exists():
            return FAMILIES[self.job.config.family].build(model)
        net = load_net(given)
        if tuple(net.input_shape[1:3]) != tuple(model.input_hw):
            raise UsageError(
                f"{given}: expected pictures of {list(net.input_shape[1:3])} as the "
                f"pruned network takes them, found {list(model.input_hw)}; leave "
                "model.input_hw and training.first_sizes as they are"
            )
        return net

    def _require_same_phase(self) -> None:
        """Check that the checkpoint is of the phase that its epoch falls in.

        Raises:
            TinyposeError: the optimizer in it is that of another one.
        """
        found = self.progress.phase
        if found not in (None, self._stage.text):
            raise TinyposeError(
                f"{self.job.run_dir.checkpoint}: expected the phase "
                f"{self._stage.text!r}, as config.yaml has it, found {found!r}; set "
                "training.epochs there to what the run was started with"
            )

    def _enter(self, epoch: int) -> None:
        """Go on with another size of pictures or phase, where the epoch says so."""
        size = self.job.config.at_epoch(epoch).model.input_hw
        resized = size != self.config.model.input_hw
        if epoch == self._stage.end:
            self._begin_phase(epoch)
        elif resized:
            arrays = variable_arrays(self.task)
            self._open(epoch)
            self._restore(arrays, "the smaller network")
        else:
            return
        # What was best before is not what the run is to give.
        self.progress.best = None
        if resized:
            self.display.line(f"pictures of {size[0]}x{size[1]} from here on")

    def _begin_phase(self, epoch: int) -> None:
        """Train something else, from the averaged weights and a fresh start."""
        copy_averages(self.task, self.averaged)
        weights = self.averaged.net.get_weights()
        self._open(epoch)
        for net in (self.task.net, self.averaged.net):
            net.set_weights(weights)
        phase = self._stage.phase
        text = f"{phase.name} from here on"
        if phase.imitates:
            errors = measure_errors(
                self.averaged.net, phase.imitates, self.batches.dataset, phase.reach
            )
            self.task.net.get_layer(phase.centres).set_errors(errors)
            text += f", around errors like those of {phase.imitates}"
        self.display.line(text)

    def _restore(self, arrays: dict[str, Any], source: str) -> None:
        if not restore_variables(self.task, arrays):
            raise TinyposeError(
                f"{source}: expected the variables of {self.config.family} as the "
                "run's config.yaml describes it, found others; was the "
                "configuration changed, or does the family not take pictures of "
                "several sizes?"
            )

    def _finish_epoch(self, images_per_second: float) -> None:
        config, progress = self.job.config.training, self.progress
        epoch = progress.epoch + 1
        result: ValidationResult | None = None
        due = epoch % config.validate_every == 0 or epoch == config.epochs
        if due:
            self._require_finite("weights", *variable_arrays(self.task).values())
            copy_averages(self.task, self.averaged)
            if self.validator:
                result = self.validator.validate(
                    self.averaged, self.task.judged, self._stop_if_asked
                )
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
        self._report(epoch, loss, images_per_second, result)
        progress.epoch, progress.step, progress.losses = epoch, 0, []
        if epoch < config.epochs:
            self._enter(epoch)
        self.save()
        self.job.run_dir.write_history(progress)
        if due:
            draw_curve(self.job.run_dir.curve, progress)

    def _keep_if_best(self, result: ValidationResult | None) -> None:
        pck = result.pck if result else None
        best = self.progress.best
        if pck is None or best is None or pck >= best:
            self.progress.best = pck
            if result:
                self.progress.figure = result.pck_label
            score = result.score if result else 0.0
            self.job.run_dir.save_best(self.averaged.net, self._metadata(score))

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
        self.display.line(text)

    def _metadata(self, usual_score: float) -> Metadata:
        config = self.job.config
        net = self.averaged.net
        prediction, codec = list(self.averaged.codecs.items())[-1]
        accuracy = {}
        # In an early phase it is another output's.
        if self.progress.best is not None and self.task.judged == prediction:
            figure = f"validation {self.progress.figure}"
            accuracy[figure] = round(self.progress.best, 2)
        return Metadata(
            name=self.job.run_dir.path.name,
            family=config.family,
            skeleton=self.job.training.skeleton,
            input_hw=self.config.model.input_hw,
            **codec.description(),
            padding=config.padding,
            training_data=join_data(self.job.training_data, self.job.origins),
            licence=join_licences(NOT_STATED, self.job.origins),
            origins=self.job.origins,
            accuracy=accuracy,
            usual_score=round(usual_score, 3),
            num_parameters=count_parameters(net),
            macs=count_macs(net),
            version=__version__,
            config=config.to_dict(),
        )
