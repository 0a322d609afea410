"""What the commands of ``tinypose data`` share: options and checks."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinypose.errors import UsageError

if TYPE_CHECKING:
    from tinypose.data.sample import Sample

Specs = Annotated[
    list[str] | None,
    typer.Argument(
        help="Labelled data, such as lsp=PATH or stick_people:1-500.",
        metavar="NAME=PATH[:FIRST-LAST]...",
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        help="The same as an option, as the other commands have it; repeatable.",
        metavar="NAME=PATH[:FIRST-LAST]",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Take only N people, spread over the data."),
]


def labels_folder(samples: "Sequence[Sample]", *labels: Path) -> Path:
    """Return the folder from which files of labels are to name the pictures.

    Where all files are to lie in a folder that holds the pictures, it is that one:
    then they are found without being told where. Otherwise it is the innermost
    that holds all pictures.

    Args:
        samples: The people, in pictures.
        labels: The files that are to be written.

    Raises:
        UsageError: there is no such folder.
    """
    folders = set()
    for sample in samples:
        if not isinstance(sample.picture, Path):
            raise UsageError(
                "expected people in picture files, found a drawn one, "
                f"{sample.sample_id}"
            )
        folders.add(os.path.abspath(sample.picture.parent))
    try:
        inner = Path(os.path.commonpath(folders))
    except ValueError as error:  # on Windows
        raise UsageError(
            "expected pictures on one drive, found them on several; take one set at a "
            "time"
        ) from error
    homes = {Path(os.path.abspath(path)).parent for path in labels}
    home = homes.pop() if len(homes) == 1 else inner
    return home if inner.is_relative_to(home) else inner


def join_specs(specs: list[str] | None, data: list[str] | None) -> list[str]:
    """Return the sets that arguments and options name."""
    return [*(specs or []), *(data or [])]


def require_specs(specs: list[str] | None, data: list[str] | None) -> list[str]:
    """Return the sets that arguments and options name, one at least."""
    joined = join_specs(specs, data)
    if not joined:
        raise UsageError(
            "expected labelled data such as lsp=PATH or stick_people, found none"
        )
    return joined


def check_labels_out(out: Path, specs: list[str], option: str = "--out") -> None:
    """Raise a UsageError if new labels are no JSON or would overwrite given ones."""
    from tinypose.data.sources import parse_spec

    if out.suffix != ".json":
        raise UsageError(f"{option}: expected a name ending in .json, found {out}")
    for spec in specs:
        path = parse_spec(spec).path
        if path is not None and path.resolve() == out.resolve():
            raise UsageError(
                f"{option}: expected a new file, found the labels themselves, {out}; "
                "choose another name"
            )


def require_one_skeleton(samples: "Sequence[Sample]") -> None:
    """Raise a UsageError if people have several skeletons: a file has one."""
    skeletons = {sample.skeleton.names: sample.skeleton for sample in samples}
    if len(skeletons) > 1:
        found = " and ".join(skeleton.name for skeleton in skeletons.values())
        raise UsageError(
            f"expected data of one skeleton, found {found}; take one set at a time"
        )


def count_skipped(specs: Sequence[str]) -> dict[str, int]:
    """Return how many people the readers leave out of the files, by reason."""
    from tinypose.data import ai_challenger, coco, mpii, yolo_pose
    from tinypose.data.sources import parse_spec

    counters = {
        "ai_challenger": ai_challenger.count_skipped,
        "coco": coco.count_skipped,
        "mpii": mpii.count_skipped,
    }
    total: dict[str, int] = {}
    for spec in specs:
        parsed = parse_spec(spec)
        if parsed.path is None:
            continue
        if parsed.split is not None:
            counts = yolo_pose.count_skipped(parsed.path, parsed.split)
        elif parsed.name in counters:
            counts = counters[parsed.name](parsed.path)
        else:
            continue
        for reason, number in counts.items():
            total[reason] = total.get(reason, 0) + number
    return total
