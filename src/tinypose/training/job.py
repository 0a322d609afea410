"""What a training run is asked to do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinypose.config import Config
from tinypose.data.crops import CropDataset
from tinypose.origin import Origin
from tinypose.training.run_dir import RunDir


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
