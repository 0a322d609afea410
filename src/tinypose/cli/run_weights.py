"""The weights of a run folder, as commands take them."""

from pathlib import Path

from tinypose.errors import TinyposeError, UsageError


def find_weights(run: Path) -> Path:
    """Return the ``.keras`` file of a run folder, or the file itself.

    Raises:
        TinyposeError: nothing there, no run folder, or no weights in it yet.
    """
    from tinypose.training.run_dir import RunDir

    if not run.exists():
        raise TinyposeError(
            f"{run}: expected a run folder or a .keras file, found nothing there"
        )
    if run.is_file():
        if run.suffix.lower() != ".keras":
            raise UsageError(
                f"{run}: expected a run folder or a file ending in .keras, found "
                f"{run.suffix or 'no suffix'!r}"
            )
        return run
    files = RunDir(run)
    if files.best.exists():
        return files.best
    if files.config.exists():
        raise TinyposeError(
            f"{run}: expected a trained run, found one without {files.best.name}; "
            f"train it first:  tinypose train --resume {run}"
        )
    raise TinyposeError(
        f"{run}: expected a run folder of `tinypose train` (with {files.config.name} "
        f"and {files.best.name}), found another folder"
    )
