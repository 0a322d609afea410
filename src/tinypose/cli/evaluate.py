"""``tinypose evaluate``: measure a model on labelled people."""

import json
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinypose.cli.console import progress_bar
from tinypose.cli.run_weights import model_stem
from tinypose.errors import TinyposeError, UsageError
from tinypose.files import printable

if TYPE_CHECKING:
    from rich.table import Table

    from tinypose.evaluation.result import Evaluation


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A run folder, a .keras or .tflite file, or a shipped model's name."
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            help="Labelled data, such as lsp=PATH or lsp=PATH:701-1000; repeatable.",
            metavar="NAME=PATH[:FIRST-LAST]",
        ),
    ],
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Take only N people, spread over the data."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="People predicted at once.")] = 1,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the mirrored picture.")
    ] = False,
    search: Annotated[
        bool,
        typer.Option(
            "--search",
            help="Give no boxes: look for the one person of each picture, as predict "
            "does.",
        ),
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of a .tflite model.")
    ] = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            help="PCK threshold; repeatable.",
            metavar="FLOAT",
            show_default="0.05 0.1 0.2 0.5",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the report; an earlier one in it is replaced. Without "
            "it, one of another model, of other data, or made in another way gets a "
            "number.",
            metavar="DIR",
            show_default="evaluation-MODEL",
        ),
    ] = None,
) -> None:
    """Measure PCK, PCKh, PCP and OKS on labelled people, and write a report.

    Example:  tinypose evaluate tiny --data lsp=data/lsp:701-1000
    """
    thresholds = _check_thresholds(threshold)
    folder = out or Path(f"evaluation-{model_stem(model)}")
    _check_folder(folder)

    from tinypose.data.sources import load_data
    from tinypose.evaluation import figures, oks
    from tinypose.evaluation.evaluate import evaluate as measure
    from tinypose.evaluation.found_people import SearchingPredictor
    from tinypose.evaluation.report import write_report
    from tinypose.evaluation.tables import percentage
    from tinypose.inference.predictor import Predictor
    from tinypose.quiet import quiet_stderr

    # What is missing shall be said now, not after all the predictions.
    oks.require_library()
    figures.require_library()
    with quiet_stderr():  # opening a .keras file starts TensorFlow
        opened = Predictor(model, num_threads=threads, flip_test=flip)
    predictor = SearchingPredictor(opened, must_find=False) if search else opened
    samples = load_data(data, limit=limit)
    with progress_bar("evaluating", len(samples)) as show:

        def progress(done: int, total: int, pck: float) -> None:
            show(done, f"PCK@0.2 {percentage(pck)}")

        evaluation = measure(
            predictor,
            samples,
            data=", ".join(data),
            batch_size=batch,
            thresholds=thresholds,
            progress=progress,
        )
    path = write_report(folder if out else _free_folder(folder, evaluation), evaluation)
    _print_result(evaluation, path)


def _check_thresholds(values: list[float] | None) -> tuple[float, ...]:
    if not values:
        from tinypose.evaluation.evaluate import THRESHOLDS

        return THRESHOLDS
    wrong = [value for value in values if not 0 < value <= 10]
    if wrong:
        raise UsageError(
            "expected --threshold above 0 and up to 10, in lengths of the torso, found "
            f"{wrong[0]}"
        )
    return tuple(values)


def _free_folder(folder: Path, evaluation: "Evaluation") -> Path:
    """Return the folder, or one beside it if there is another evaluation in it."""
    from tinypose.evaluation.report import JSON_NAME
    from tinypose.files import read_json

    def measured(content: Any) -> tuple[Any, ...]:
        model = {**content["model"], "stated_accuracy": None}
        data = {**content["data"], "left_out": len(content["data"]["left_out"])}
        data["other_size"] = len(data.get("other_size", ()))
        return model, data, [value["threshold"] for value in content["pck"]["at"]]

    wanted = measured(json.loads(json.dumps(evaluation.to_dict())))
    for number in count(1):
        free = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        file = free / JSON_NAME
        if not file.exists():
            return free
        with suppress(TinyposeError, TypeError, KeyError):
            if measured(read_json(file, "an evaluation")) == wanted:
                return free
    raise AssertionError  # there are more numbers than folders


def _check_folder(folder: Path) -> None:
    """Raise a UsageError if the report cannot be written into ``folder``."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise UsageError(
            f"expected --out to be a folder, found the file {existing}; choose "
            "another name"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(
            f"expected --out to be a folder that you may write, found {folder} "
            "without permission; choose another one"
        )


def _print_result(evaluation: "Evaluation", report: Path) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_summary(evaluation))
    for line in [*_totals(evaluation), f"report: {report}"]:
        console.print(line, markup=False, soft_wrap=True)


def _summary(evaluation: "Evaluation") -> "Table":
    """Return the table of PCK by keypoint."""
    from rich.table import Table

    from tinypose.evaluation.pck import mean_known
    from tinypose.evaluation.result import HEADLINE, limb_keypoints
    from tinypose.evaluation.tables import interval, percentage

    accuracy = evaluation.accuracy
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"PCK ({accuracy.references.pck_unit})")
    for value in accuracy.pck:
        table.add_column(f"@{value.threshold:g}", justify="right")
    table.add_column("AUC", justify="right")
    table.add_column(f"95 % @{HEADLINE:g}", justify="right")
    table.add_column("people", justify="right")
    for index, name in enumerate(evaluation.skeleton.names):
        table.add_row(
            name.replace("[", r"\["),
            *(percentage(value.per_keypoint[index]) for value in accuracy.pck),
            percentage(accuracy.auc[index]),
            interval(accuracy.intervals.per_keypoint[:, index]),
            str(accuracy.headline.counts[index]),
            end_section=index == evaluation.skeleton.num_keypoints - 1,
        )
    limbs = [evaluation.limbs_mean(value) for value in accuracy.pck]
    limbs_auc = mean_known(accuracy.auc[limb_keypoints(evaluation.skeleton)])
    means = [value.mean for value in accuracy.pck]
    for label, values, ends in [
        ("limbs only", [*limbs, limbs_auc], accuracy.intervals.limbs_mean),
        ("mean", [*means, mean_known(accuracy.auc)], accuracy.intervals.mean),
    ]:
        numbers = [percentage(value) for value in values]
        count = str(accuracy.num_scored)
        table.add_row(label, *numbers, interval(ends), count, style="bold")
    return table


def _totals(evaluation: "Evaluation") -> list[str]:
    """Return the lines of what is not PCK."""
    from tinypose.data.advice import size_advice
    from tinypose.evaluation.error_kinds import KINDS
    from tinypose.evaluation.tables import percentage

    accuracy, timing = evaluation.accuracy, evaluation.timing
    pckh = percentage(accuracy.pckh.mean) if accuracy.pckh else "unknown"
    oks = accuracy.oks
    lines = [
        f"PCKh@0.5 {pckh} · PCP {percentage(accuracy.pcp.mean)} · "
        f"OKS-AP {percentage(oks.ap)} (AP50 {percentage(oks.ap50)}, "
        f"AP75 {percentage(oks.ap75)}, AR {percentage(oks.ar)})",
        *(["without boxes: each person was searched"] if evaluation.searched else []),
        f"{timing.total:.1f} ms a person: {timing.load:.1f} to read the picture, "
        f"{timing.predict:.1f} to predict",
    ]
    errors = accuracy.errors
    if errors.wrong.any():
        shares = zip(KINDS, errors.total_shares, strict=True)
        kinds = ", ".join(f"{kind} {share:.1f} %" for kind, share in shares)
        lines.insert(0, f"{errors.wrong.sum()} wrong @{errors.threshold:g}: {kinds}")
    left_out = evaluation.num_people - accuracy.num_scored
    if left_out or evaluation.num_skipped:
        lines.append(
            f"{evaluation.num_skipped} people without usable labels skipped, "
            f"{left_out} without a {accuracy.references.pck_unit} not in PCK"
        )
    if advice := size_advice(evaluation.other_size):
        lines.append(f"warning: {advice}")
    if evaluation.left_out:
        lines.append(
            f"{len(evaluation.left_out)} people left out, such as: "
            f"{printable(evaluation.left_out[0])}"
        )
    return lines
