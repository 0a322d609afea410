"""``tinypose export --receipt``: measure a file, and keep what was found."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tinypose.cli.quiet import load_keras
from tinypose.cli.run_weights import open_weights
from tinypose.errors import TinyposeError, UsageError
from tinypose.files import file_sha256, named_path

if TYPE_CHECKING:
    from tinypose.data.sample import Sample
    from tinypose.evaluation.receipt import Receipt
    from tinypose.export.layer_errors import LayerError

EXPORTED = (".tflite", ".onnx")
"""Files that a receipt can be written into."""

NUM_BLAMED = 5
"""Layers that a refusal names."""

OTHER_PRECISIONS = {"int8": "float16", "int8_per_tensor": "int8 or float16"}
"""What to try where a precision loses too much."""


def receive_receipt(
    file: Path, run: Path, data: Sequence[str], max_drop: float | None
) -> None:
    """Measure an exported file anew, and write what was found into it.

    Args:
        file: The file, or the folder of a SavedModel or for a microcontroller.
        run: What it was made from; see ``open_weights``.
        data: Data sets of labelled people.
        max_drop: PCK@0.2 in points that it may lose.

    Raises:
        TinyposeError: it is no exported file, or loses more.
    """
    file = named_path(file)
    _require_exported(file)
    load_keras()
    from tinypose.data.sources import load_data
    from tinypose.export.rewrite import rewrite_metadata
    from tinypose.inference.backends import open_backend

    metadata = open_backend(file).metadata
    with open_weights(run) as weights:
        receipt = measure_file(file, weights, data, load_data(data))
    for line in receipt.lines():
        typer.echo(line)
    require_accuracy(receipt, max_drop, str(file), [])
    rewrite_metadata(file, replace(metadata, receipt=receipt.to_dict()))
    write_receipt(file, receipt, [])


def _require_exported(file: Path) -> None:
    """Check that a receipt can be written into what the user names.

    Raises:
        UsageError: it is a shipped model, a run, or anything else.
    """
    from tinypose.metadata import is_saved_model
    from tinypose.micro_folder import read_micro_folder
    from tinypose.weights import is_shipped

    if is_shipped(file):
        raise UsageError(
            f"{file}: expected an exported file, which gets the receipt, found the "
            "name of a shipped model, which stays as it is; export it to a file first"
        )
    if not file.exists():
        raise TinyposeError(f"{file}: expected an exported file, found nothing there")
    if file.is_file():
        exported = file.suffix.lower() in EXPORTED
        found = repr(file.suffix or "no suffix")
    else:
        exported = is_saved_model(file) or read_micro_folder(file) is not None
        found = "another folder"
    if not exported:
        raise UsageError(
            f"{file}: expected an exported file ({' or '.join(EXPORTED)}, or a folder "
            f"of --target saved_model or micro), found {found}; name the run with "
            "--against"
        )


def write_receipt(
    file: Path, receipt: "Receipt", layers: "Sequence[LayerError]"
) -> None:
    """Write a receipt beside its file, with the file's own hash."""
    from tinypose.files import write_json

    value: dict[str, Any] = {"file": file.name}
    if file.is_file():
        value["file_sha256"] = file_sha256(file)
    value |= receipt.to_dict()
    if layers:
        value["layers"] = [asdict(layer) for layer in layers]
    write_json(_receipt_path(file), value)


def remove_receipt(file: Path) -> None:
    """Remove the receipt of a file that stood here before, if there is one."""
    from tinypose.files import explain_os_errors

    path = _receipt_path(file)
    if path.is_file():
        with explain_os_errors(path, "remove"):
            path.unlink()
        typer.echo(f"removed {path}, which was of the file before")


def _receipt_path(file: Path) -> Path:
    from tinypose.evaluation.receipt import SUFFIX

    return file.with_name(file.name + SUFFIX)


def measure_file(
    file: Path, weights: Path, data: Sequence[str], samples: "Sequence[Sample]"
) -> "Receipt":
    """Return the receipt of a file, with a progress bar.

    Args:
        file: The file, or a SavedModel's folder.
        weights: The ``.keras`` file that it was made from.
        data: Names of the data sets.
        samples: Their people.
    """
    from tinypose.data.sources import describe_spec
    from tinypose.evaluation.receipt import make_receipt
    from tinypose.training.display import Display

    described = ", ".join(describe_spec(spec) for spec in data)
    with Display(quiet=False) as display:
        display.start("measuring", 2 * len(samples))
        before = 0

        def progress(done: int, total: int, _pck: float) -> None:
            # The file is measured first, then the network.
            nonlocal before
            display.update(before + done)
            before += total if done == total else 0

        return make_receipt(file, weights, samples, described, progress)


def require_accuracy(
    receipt: "Receipt",
    max_drop: float | None,
    what: str,
    layers: "Sequence[LayerError]",
    others: str | None = None,
) -> None:
    """Raise a TinyposeError where a file loses too much.

    Args:
        receipt: What was measured.
        max_drop: PCK@0.2 in points that may be lost; None for the default.
        what: How the message begins.
        layers: Those to blame, the costliest first.
        others: Precisions to try; None where no other will do.
    """
    from tinypose.evaluation.receipt import DEFAULT_MAX_DROP
    from tinypose.evaluation.references import pck_label
    from tinypose.evaluation.result import HEADLINE

    allowed = DEFAULT_MAX_DROP if max_drop is None else max_drop
    if -receipt.change <= allowed:
        return
    label = pck_label(receipt.pck_unit, HEADLINE)
    blamed = ", ".join(
        f"{layer.part} of {layer.layer} {layer.percent:.1f} %"
        for layer in layers[:NUM_BLAMED]
    )
    text = (
        f"{what}: expected at most {allowed:g} points of {label} lost on "
        f"{receipt.data}, found {-receipt.change:.1f} ({receipt.pck:.1f} % against "
        f"the network's {receipt.network_pck:.1f} %; 95 % interval on "
        f"{receipt.num_people} people: {-receipt.change_high:.1f} to "
        f"{-receipt.change_low:.1f})"
    )
    if blamed:
        text += f"; most changed by {blamed}; calibrate with people like those who lose"
        text += f", try --precision {others}, or " if others else " or "
        text += "fine-tune the run with --set training.imitate_int8=true"
    raise TinyposeError(f"{text}; or allow it with --max-drop")
