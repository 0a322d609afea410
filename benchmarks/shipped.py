"""Measure every shipped model: accuracy on labelled people, cost on this machine.

    python benchmarks/shipped.py --data lsp=LSP:701-1000

Boxes are the true ones. Each model runs as it ships, once plain and once with
the mirrored picture averaged in (flip test). Writes results/shipped.csv, the
table in README.md and the accuracy in the files' own metadata.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from machine import describe_machine
from script import run_script
from tables import markdown_table, update_table
from tinypose import __version__
from tinypose.data.sources import describe_spec, load_data
from tinypose.evaluation.evaluate import evaluate
from tinypose.evaluation.result import Evaluation
from tinypose.files import write_csv
from tinypose.inference.footprint import latency
from tinypose.inference.predictor import Predictor
from tinypose.metadata import replace_metadata
from tinypose.weights import shipped

HEADER = (
    "model",
    "flip_test",
    "data",
    "people",
    "pck_0.2",
    "pck_0.2_low",
    "pck_0.2_high",
    "limbs_pck_0.2",
    "pck_0.1",
    "pckh_0.5",
    "pcp",
    "parameters",
    "million_macs",
    "file_bytes",
    "milliseconds_1_thread",
    "tinypose",
    "machine",
)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--out", type=Path, default=Path("results/shipped.csv"))
    arguments = parser.parse_args()
    samples = load_data(arguments.data)
    data = ", ".join(describe_spec(spec) for spec in arguments.data)
    rows = []
    for name, path in shipped().items():
        milliseconds = latency(path)
        results = []
        for flip_test in (False, True):
            predictor = Predictor(name, num_threads=1, flip_test=flip_test)
            results.append(evaluate(predictor, samples, data=data))
        plain, flipped = results
        # The file says of itself what was measured on it.
        accuracy = {
            f"PCK@0.2 on {data}": round(plain.accuracy.headline.mean, 1),
            f"PCK@0.2 with flip test on {data}": round(
                flipped.accuracy.headline.mean, 1
            ),
        }
        usual = float(np.mean([person.pose.score for person in plain.people]))
        changed = replace(
            plain.metadata, accuracy=accuracy, usual_score=round(usual, 3)
        )
        replace_metadata(path, changed)
        rows += [row(name, path, data, result, milliseconds) for result in results]
    write_csv(arguments.out, HEADER, rows)
    update_table(Path("README.md"), "table", table(rows))


def row(
    name: str, path: Path, data: str, result: Evaluation, milliseconds: float
) -> list[object]:
    """Return the figures of one evaluation in the order of ``HEADER``."""
    accuracy = result.accuracy
    low, high = accuracy.intervals.mean
    pck = {value.threshold: value.mean for value in accuracy.pck}
    return [
        name,
        "yes" if result.flip_test else "no",
        data,
        result.num_people,
        f"{pck[0.2]:.1f}",
        f"{low:.1f}",
        f"{high:.1f}",
        f"{result.limbs_mean(accuracy.headline):.1f}",
        f"{pck[0.1]:.1f}",
        f"{accuracy.pckh.mean:.1f}" if accuracy.pckh else "",
        f"{accuracy.pcp.mean:.1f}",
        result.metadata.num_parameters,
        f"{result.metadata.macs / 1e6:.1f}",
        path.stat().st_size,
        f"{milliseconds:.2f}",
        __version__,
        describe_machine(),
    ]


def table(rows: list[list[object]]) -> str:
    """Return the rows as a Markdown table, one line per model."""
    columns = (
        *("model", "PCK@0.2", "with flip test", "limbs", "PCK@0.1", "parameters"),
        *("MMACs", "file", "1 thread"),
    )
    lines = []
    for plain, flipped in zip(rows[::2], rows[1::2], strict=True):
        cells = dict(zip(HEADER, plain, strict=True))
        flip = dict(zip(HEADER, flipped, strict=True))
        interval = f"{cells['pck_0.2_low']} – {cells['pck_0.2_high']}"
        lines.append(
            (
                f"`{cells['model']}`",
                f"{cells['pck_0.2']} % ({interval})",
                f"{flip['pck_0.2']} %",
                f"{cells['limbs_pck_0.2']} %",
                f"{cells['pck_0.1']} %",
                f"{int(str(cells['parameters'])):,}",
                cells["million_macs"],
                f"{round(int(str(cells['file_bytes'])) / 1000)} KB",
                f"{cells['milliseconds_1_thread']} ms",
            )
        )
    return markdown_table(columns, lines)


if __name__ == "__main__":
    run_script(main)
