"""What a pruned network trains on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinypose.errors import UsageError

if TYPE_CHECKING:
    from tinypose.origin import Origin


def training_record(
    run: Path,
    data: list[str] | None,
    val: list[str] | None,
    limit: int | None,
    teacher: str | None = None,
) -> dict[str, Any]:
    """Return what the pruned run trains on.

    Args:
        run: The run that is pruned.
        data: Training data; the run's own if none.
        val: Validation data, likewise.
        limit: How many people of all data sets together; the run's own limit where
            its data are the run's own.
        teacher: Model from whose heatmaps it learns; see ``train_job.weights_file``.

    Raises:
        UsageError: nobody knows the training data, or the teacher does not fit.
    """
    from tinypose.cli.run_weights import find_weights
    from tinypose.data.sources import absolute_spec
    from tinypose.metadata import read_metadata
    from tinypose.training.run_dir import RunDir

    metadata = read_metadata(find_weights(run))
    # On its own data the run goes on; with others, it is what the next begins with.
    origins = metadata.as_origins() if data else metadata.origins
    before: dict[str, Any] = {"data": [], "validation": [], "limit": None}
    if RunDir(run).run.exists():
        before = RunDir(run).read_run()
    record = {
        "data": [absolute_spec(spec) for spec in data or before["data"]],
        "validation": [absolute_spec(spec) for spec in val or before["validation"]],
        "limit": limit if data else limit or before["limit"],
        "init": None,
        "origins": [origin.to_dict() for origin in origins],
    }
    if not record["data"]:
        raise UsageError(f"{run}: expected --data NAME=PATH, the training data")
    return record | _teacher_record(run, teacher, origins) if teacher else record


def _teacher_record(
    run: Path, teacher: str, origins: "tuple[Origin, ...]"
) -> dict[str, Any]:
    """Return the entries of a run's record that a teacher adds or changes."""
    from tinypose.cli.run_weights import find_weights
    from tinypose.cli.train_job import weights_file
    from tinypose.config import Config
    from tinypose.files import file_sha256
    from tinypose.metadata import read_metadata
    from tinypose.origin import join_origins
    from tinypose.training.initial import read_origins
    from tinypose.training.teacher import load_teacher

    file, own = weights_file(teacher), find_weights(run)
    metadata = read_metadata(own)
    config = Config.from_dict(metadata.config, str(run))
    load_teacher(file, config, metadata.skeleton)  # says what does not fit
    # The run itself, before it was pruned, adds nothing that it was not made of.
    if file.resolve() != own.resolve():
        origins = join_origins([*origins, *read_origins([file])])
    return {
        "teacher": teacher,
        "teacher_sha256": file_sha256(file),
        "origins": [origin.to_dict() for origin in origins],
    }
