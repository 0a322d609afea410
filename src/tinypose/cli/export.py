"""``tinypose export``: write a trained network as a file that stands alone."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tinypose.cli.export_job import (
    DEFAULT_DATA,
    NUM_CALIBRATION,
    NUM_PICTURES,
    ExportJob,
)
from tinypose.cli.export_micro import is_exported, repack_micro
from tinypose.cli.export_receipt import receive_receipt
from tinypose.cli.export_web import write_web
from tinypose.errors import UsageError
from tinypose.files import named_path

TARGETS = {".tflite": "tflite", ".onnx": "onnx", ".npz": "weights"}
"""What a file's suffix says; a folder needs --target."""

FOLDERS = ("saved_model", "micro", "web")

UNUSED: dict[str, tuple[str, ...]] = {
    "tflite": (),
    "onnx": ("--precision", "--calibrate"),
    "saved_model": ("--precision", "--calibrate", "--batch"),
    "micro": ("--precision", "--heads", "--batch", "--refinement"),
    "weights": (
        *("--precision", "--calibrate", "--batch", "--heads"),
        *("--data", "--receipt"),
    ),
    "web": (
        *("--precision", "--calibrate", "--batch", "--heads"),
        *("--data", "--receipt", "--refinement"),
    ),
}
"""The options that a target does not take."""


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A run folder of `tinypose train`, a .keras or .npz file, or a "
            "shipped model with weights; with --against or for micro or web, an "
            "exported file.",
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The file to write: .tflite or .onnx; .npz for weights to start "
            "trainings from.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="tflite, onnx, weights, saved_model, micro (C sources for a "
            "microcontroller) or web (a page for browsers), where FILE does not say "
            "it.",
        ),
    ] = None,
    heads: Annotated[
        bool,
        typer.Option("--heads", help="Export raw heatmaps instead of keypoints."),
    ] = False,
    batch: Annotated[
        int, typer.Option(min=1, help="Pictures per run; browsers need 1.")
    ] = 1,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Pictures on which file and network are compared; repeatable.",
            show_default=DEFAULT_DATA,
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="What the network computes in: float32, float16, dynamic, int8 or "
            "int8_per_tensor."
        ),
    ] = "float32",
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help=f"Data for int8, of which {NUM_CALIBRATION} people are taken.",
            show_default="the run's training data",
        ),
    ] = None,
    receipt: Annotated[
        bool,
        typer.Option(
            "--receipt", help="Measure file and network on --data; keep the figures."
        ),
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="PCK@0.2 that the file may lose: with --receipt, or it is not "
            "written; with --against, or the command fails.",
            show_default="1.0",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Measure an exported file against its run again."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model, if not the run's.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence",
            "--license",
            help="Terms of use of the file; those of weights that it was trained from "
            "stay beside them.",
        ),
    ] = None,
    refinement: Annotated[
        str | None,
        typer.Option(help="Sub-pixel decoding: dark, quarter or none."),
    ] = None,
) -> None:
    """Write a trained network as a file: picture in, keypoints out.

    Skeleton, training data and licence go into the file, and the accuracy where
    it computes the same. Network and file are compared on pictures first:
    keypoints may differ by 0.1 pixels, in less than 32 bits by one pixel in the
    median.

    Example:  tinypose export runs/mine --to mine.tflite
    """
    if max_drop is not None and not (receipt or against):
        raise UsageError("--max-drop: expected --receipt, which measures the drop")
    if max_drop is not None and not 0 <= max_drop <= 100:
        raise UsageError(f"--max-drop: expected 0 to 100 points, found {max_drop:g}")
    if (receipt or against) and not data:
        raise UsageError(
            "--receipt: expected --data NAME=PATH, labelled people to measure on"
        )
    used = {
        "--heads": heads,
        "--batch": batch != 1,
        "--data": data,
        "--precision": precision != "float32",
        "--calibrate": calibrate,
        "--receipt": receipt,
        "--refinement": refinement,
    }
    given = _given(name, licence, refinement)
    if against is not None:
        changes = {**used, "--to": to, "--target": target}
        changes |= {"--name": name, "--licence": licence}
        _refuse(changes, set(changes) - {"--data", "--receipt"}, "--against")
        receive_receipt(run, against, data or [], max_drop)
        return
    to, kind = _target(to, target)
    _refuse(used, set(UNUSED[kind]), f"the target {kind}")
    if kind == "web":
        write_web(run, to, name=name, licence=licence)
        return
    if kind == "micro":
        # A microcontroller computes in nothing else.
        precision = "int8"
        trained = _has_weights(run) and (calibrate or receipt or not _is_int8(run))
        if is_exported(run) and not trained:
            _refuse({"--calibrate": calibrate}, {"--calibrate"}, "an exported file")
            _refuse({"--receipt": receipt}, {"--receipt"}, "an exported file")
            shown = data or [DEFAULT_DATA]
            repack_micro(run, to, shown, NUM_PICTURES, name=name, licence=licence)
            return
    _check_precision(precision, calibrate)
    ExportJob(
        run=run,
        to=to,
        kind=kind,
        heads=heads,
        batch=batch,
        precision=precision,
        calibrate=tuple(calibrate or ()),
        data=tuple(data or ()),
        receipt=receipt,
        max_drop=max_drop,
        given=given,
    ).write()


def _target(to: Path | None, target: str | None) -> tuple[Path, str]:
    """Return what to write and its kind.

    Raises:
        UsageError: nothing is named, or the name and the kind disagree.
    """
    if to is None:
        raise UsageError("expected --to FILE, the file to write")
    if target is not None and target not in UNUSED:
        raise UsageError(f"--target: expected {', '.join(UNUSED)}, found {target!r}")
    kind = TARGETS.get(to.suffix.lower())
    if target is None and kind is None:
        raise UsageError(
            f"{to}: expected a file name ending in {', '.join(TARGETS)}, or a folder "
            f"and --target {', '.join(FOLDERS[:-1])} or {FOLDERS[-1]}, found "
            f"{to.suffix or 'no suffix'!r}"
        )
    if target in FOLDERS and kind is not None:
        raise UsageError(f"--target {target}: expected a folder, found the file {to}")
    if target is not None and target not in FOLDERS and target != kind:
        (suffix,) = [suffix for suffix, name in TARGETS.items() if name == target]
        raise UsageError(f"{to}: expected a name ending in {suffix} for {target}")
    return named_path(to), target or kind or ""


def _refuse(used: dict[str, Any], unused: set[str], what: str) -> None:
    wrong = [option for option in used if used[option] and option in unused]
    if wrong:
        raise UsageError(f"{what} takes no {', '.join(wrong)}")


def _given(
    name: str | None, licence: str | None, refinement: str | None
) -> dict[str, Any]:
    """Return what the command line says about the metadata.

    Raises:
        UsageError: there is no such refinement.
    """
    from tinypose.codecs.heatmap import REFINEMENTS

    if refinement is not None and refinement not in REFINEMENTS:
        raise UsageError(
            f"--refinement: expected {', '.join(REFINEMENTS)}, found {refinement!r}"
        )
    given = {"name": name, "licence": licence, "refinement": refinement}
    return {key: value for key, value in given.items() if value is not None}


def _has_weights(run: Path) -> bool:
    """Return whether this is a shipped model with weights to export anew."""
    from tinypose.weights import is_shipped, shipped_weights

    return is_shipped(run) and str(run) in shipped_weights()


def _is_int8(run: Path) -> bool:
    """Return whether a shipped model's own file computes in eight bits."""
    from tinypose.inference.inputs import find_model
    from tinypose.metadata import CALIBRATED, read_metadata

    return read_metadata(find_model(run)).precision in CALIBRATED


def _check_precision(precision: str, calibrate: list[str] | None) -> None:
    from tinypose.metadata import CALIBRATED, PRECISIONS

    if precision not in PRECISIONS:
        raise UsageError(
            f"--precision: expected {', '.join(PRECISIONS)}, found {precision!r}"
        )
    if calibrate and precision not in CALIBRATED:
        raise UsageError(f"--calibrate is for --precision {' and '.join(CALIBRATED)}")
