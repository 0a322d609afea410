r"""Export runs in every precision and format, and measure each file.

    python benchmarks/precisions.py NAME=RUN ... --data lsp=LSP:701-1000 \
        --calibrate lsp=LSP:1-700

A run is a folder or a shipped model with weights. Each file gets a receipt: it runs
in its own runtime, the network in Keras, on the same people. Writes
results/precisions.csv and the table in docs/deploy.md; lines of other models stay.
"""

import argparse
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import describe_machine
from script import run_script
from tables import markdown_table, read_rows, update_table
from tinypose.cli.run_weights import open_weights
from tinypose.data.sample import Sample
from tinypose.data.selection import crop_people
from tinypose.data.sources import describe_spec, load_data
from tinypose.evaluation.receipt import Receipt, format_memory, make_receipt
from tinypose.export.micro import export_micro
from tinypose.export.onnx import export_onnx
from tinypose.export.saved_model import export_saved_model
from tinypose.export.tflite import export_tflite
from tinypose.export.wrapper import load_net
from tinypose.files import write_csv
from tinypose.metadata import CALIBRATED, PRECISIONS

FORMATS = {"onnx": (export_onnx, ".onnx"), "saved_model": (export_saved_model, "")}
MICRO = "micro"
"""A folder for microcontrollers, made from the int8 file."""

NUM_CALIBRATION = 200
NUM_COMPARED = 8
"""Crops on which both interpreters are compared."""


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--calibrate", action="append", required=True)
    parser.add_argument("--out", type=Path, default=Path("results/precisions.csv"))
    arguments = parser.parse_args()
    samples = load_data(arguments.data)
    examples = load_data(arguments.calibrate, limit=NUM_CALIBRATION)
    data = ", ".join(describe_spec(spec) for spec in arguments.data)
    names = [named.partition("=")[0] for named in arguments.runs]
    rows: list[dict[str, Any]] = others(arguments.out, names)
    for named in arguments.runs:
        name, _, run = named.partition("=")
        for kind in (*PRECISIONS, *FORMATS, MICRO):
            with open_weights(Path(run)) as weights:
                receipt = measure(weights, kind, samples, examples, data)
            row = {"format": kind, **asdict(receipt)}
            row |= {"model": name, "machine": describe_machine()}
            rows.append(row)
            rows.sort(key=lambda row: row["model"])
            print(kind, *receipt.lines(), sep="\n")
            # Rows of before may lack what receipts have learned to say since.
            values = [[other.get(key, "") for key in row] for other in rows]
            write_csv(arguments.out, list(row), values)
    update_table(Path("docs/deploy.md"), "precisions", table(rows))


def others(path: Path, names: list[str]) -> list[dict[str, Any]]:
    """Return the lines of a table that are not of these models."""
    return [row for row in read_rows(path) if row["model"] not in names]


def measure(
    weights: Path,
    kind: str,
    samples: list[Sample],
    examples: list[Sample],
    data: str,
) -> Receipt:
    """Export a run's network and return the file's receipt."""
    net, metadata = load_net(weights)
    with tempfile.TemporaryDirectory() as folder:
        if kind in FORMATS:
            export, suffix = FORMATS[kind]
            path = Path(folder) / f"model{suffix}"
            export(net, metadata, path)
        else:
            path = Path(folder) / "model.tflite"
            precision = "int8" if kind == MICRO else kind
            calibration = (
                crop_people(examples, metadata) if precision in CALIBRATED else None
            )
            export_tflite(
                net, metadata, path, precision=precision, calibration=calibration
            )
            if kind == MICRO:
                crops = crop_people(samples[:NUM_COMPARED], metadata)
                path = export_micro(path, Path(folder) / MICRO, crops).folder
        return make_receipt(path, weights, samples, data)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table, one line per file."""
    columns = {
        "model": "{model}",
        "file": "{format}",
        "PCK@0.2": "{pck:.1f} %",
        "against the network": "{change:+.1f} "
        "({change_low:+.1f} to {change_high:+.1f})",
        "median": "{median_px:.2f} px",
        "95 % within": "{p95_px:.2f} px",
        "size": "{size:.0f} KB",
        "1 thread": "{milliseconds:.2f} ms",
        "memory": "{memory}",
        "runtime": "{runtime}",
    }
    lines = []
    for row in rows:
        # Lines that were read are text.
        figures = {key: _number(value) for key, value in row.items()}
        figures["size"] = figures["file_bytes"] / 1000
        num_bytes = figures["peak_memory_bytes"]
        figures["memory"] = format_memory(num_bytes) if num_bytes else "–"
        lines.append([pattern.format(**figures) for pattern in columns.values()])
    return markdown_table(columns, lines)


def _number(value: Any) -> Any:
    """Return the number that a text is, or what it is."""
    for kind in (int, float):
        with suppress(ValueError, TypeError):
            return kind(value) if isinstance(value, str) else value
    return value


if __name__ == "__main__":
    run_script(main)
