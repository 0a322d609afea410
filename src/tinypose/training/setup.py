"""What an epoch is trained with: its pictures, its networks and their judge."""

from dataclasses import dataclass, replace
from typing import Any

from tinypose import __version__
from tinypose.config import Config
from tinypose.data.pipeline import TrainingBatches
from tinypose.data.workers import BatchWorkers
from tinypose.errors import UsageError
from tinypose.metadata import Metadata
from tinypose.models import FAMILIES
from tinypose.models.cost import count_macs, count_parameters
from tinypose.models.loading import load_net
from tinypose.origin import NOT_STATED, join_data, join_licences
from tinypose.training.batches import batches_at
from tinypose.training.job import TrainingJob
from tinypose.training.run_dir import Progress
from tinypose.training.stage import Stage, stage_at
from tinypose.training.task import PoseTask, build_task
from tinypose.training.teacher import Teacher, load_teacher
from tinypose.training.validation import Validator


@dataclass(frozen=True, eq=False, kw_only=True)
class Setup:
    """All of a run that depends on an epoch's size of pictures and on its phase.

    Args:
        config: The run's configuration, with that size.
        stage: The phase, and its part of the epochs.
        batches: What the network learns from.
        task: The network that learns.
        averaged: A second network, for the averaged weights: it is judged and saved
            while the first trains on.
        validator: Its judge, where there are validation people.
    """

    config: Config
    stage: Stage
    batches: TrainingBatches
    task: PoseTask
    averaged: PoseTask
    validator: Validator | None

    def describe(
        self, job: TrainingJob, progress: Progress, usual_score: float
    ) -> Metadata:
        """Return what a file of the averaged network says of it.

        Args:
            job: The run.
            progress: Where the run stands, this network its best.
            usual_score: Mean score of the validation people's keypoints.
        """
        net = self.averaged.net
        prediction, codec = list(self.averaged.codecs.items())[-1]
        accuracy = {}
        # In an early phase it is another output's.
        if progress.best is not None and self.task.judged == prediction:
            # Files in full precision compute something else then.
            how = ", eight bits imitated" if job.config.training.imitate_int8 else ""
            accuracy[f"validation {progress.figure}{how}"] = round(progress.best, 2)
        return Metadata(
            name=job.run_dir.path.name,
            family=job.config.family,
            skeleton=job.training.skeleton,
            input_hw=self.config.model.input_hw,
            **codec.description(),
            padding=job.config.padding,
            training_data=join_data(job.training_data, job.origins),
            licence=join_licences(NOT_STATED, job.origins),
            origins=job.origins,
            accuracy=accuracy,
            usual_score=round(usual_score, 3),
            num_parameters=count_parameters(net),
            macs=count_macs(net),
            version=__version__,
            config=job.config.to_dict(),
        )


def set_up(
    job: TrainingJob,
    epoch: int,
    strategy: Any = None,
    workers: BatchWorkers | None = None,
) -> Setup:
    """Build what an epoch, counted from 0, is trained with.

    Args:
        job: The run.
        epoch: It decides the size of the pictures and the phase.
        strategy: A ``tf.distribute`` strategy, to train on several devices.
        workers: What ``start_workers`` gave.

    Raises:
        UsageError: the configuration does not fit the family, the pruned network
            or the teacher.
    """
    config = job.config.at_epoch(epoch)
    stage = stage_at(job.config, epoch)
    batches = batches_at(job.config, job.training, epoch, workers)
    skeleton = job.training.skeleton
    teacher = load_teacher(job.teacher, config, skeleton) if job.teacher else None
    task = _task(job, config, stage, batches.steps_per_epoch, teacher, strategy)
    averaged = PoseTask(
        _new_network(job, config.model),
        task.codecs,
        phase=replace(stage.phase, trains=()),
        eight_bits=config.training.imitate_int8,
        teacher=teacher,
        teacher_weight=config.training.teacher_weight,
    )
    judges = job.validation
    return Setup(
        config=config,
        stage=stage,
        batches=batches,
        task=task,
        averaged=averaged,
        validator=Validator(judges.resized(config.model.input_hw)) if judges else None,
    )


def _task(
    job: TrainingJob,
    config: Config,
    stage: Stage,
    steps: int,
    teacher: Teacher | None,
    strategy: Any,
) -> PoseTask:
    arguments: dict[str, Any] = {
        "phase": stage.phase,
        "epochs": stage.end - stage.begin,
        "build": lambda model: _new_network(job, model),
        "teacher": teacher,
    }
    if strategy is None:
        return build_task(config, steps, **arguments)
    with strategy.scope():
        return build_task(config, steps, strategy.num_replicas_in_sync, **arguments)


def _new_network(job: TrainingJob, model: Any) -> Any:
    """Return the network that is trained: the family's, or a pruned one."""
    given = job.run_dir.network
    if not given.exists():
        return FAMILIES[job.config.family].build(model)
    net = load_net(given)
    if tuple(net.input_shape[1:3]) != tuple(model.input_hw):
        raise UsageError(
            f"{given}: expected pictures of {list(net.input_shape[1:3])} as the "
            f"pruned network takes them, found {list(model.input_hw)}; leave "
            "model.input_hw and training.first_sizes as they are"
        )
    return net
