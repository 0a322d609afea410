"""The batches of each epoch of a run, and the processes that make them ahead."""

from tinypose.config import Config
from tinypose.data.crops import Batch, CropDataset
from tinypose.data.pipeline import TrainingBatches
from tinypose.data.workers import BatchWorkers


def batches_at(
    config: Config,
    training: CropDataset,
    epoch: int,
    workers: BatchWorkers | None = None,
) -> TrainingBatches:
    """Return the batches that an epoch, counted from 0, trains on.

    Args:
        config: The configuration of the run.
        training: The training people.
        epoch: It decides the size of the pictures.
        workers: What ``start_workers`` gave.
    """
    config = config.at_epoch(epoch)
    return TrainingBatches(
        training.resized(config.model.input_hw),
        config.training.batch_size,
        config.augment,
        config.training.seed,
        workers,
    )


def start_workers(
    config: Config, training: CropDataset, num_workers: int
) -> BatchWorkers | None:
    """Start processes that make the batches of all epochs; None for threads.

    Args:
        config: The configuration of the run.
        training: The training people.
        num_workers: How many processes; 0 for none.

    Raises:
        UsageError: the system cannot copy processes.
    """
    if not num_workers:
        return None
    # One for all epochs with pictures of the same size.
    sizes: dict[tuple[int, int], TrainingBatches] = {}

    def of_epoch(epoch: int) -> TrainingBatches:
        size = config.at_epoch(epoch).model.input_hw
        if size not in sizes:
            sizes[size] = batches_at(config, training, epoch)
        return sizes[size]

    def make(task: tuple[int, int]) -> Batch:
        epoch, step = task
        return of_epoch(epoch).batch(epoch, step)

    epochs = range(config.training.epochs)
    max_bytes = max(of_epoch(epoch).batch_bytes for epoch in epochs)
    return BatchWorkers(make, num_workers, max_bytes)
