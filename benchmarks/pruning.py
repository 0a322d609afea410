r"""Measure what removing channels, or single weights, buys against training thin.

    python benchmarks/pruning.py "trained: wide=runs/wide" \
        "pruned: half=runs/pruned" "trained: thin=runs/thin" \
        "sparse: 80 % zeros=runs/sparse" \
        --data lsp=LSP:701-1000 --calibrate lsp=LSP:1-700

Runs come from ``tinypose train`` and ``tinypose prune``. The complete file in
eight bits is scored. Bytes and times are those of the networks alone: in eight
bits, in float32, and in float32 with the zeros left out of the file, which is what
TensorFlow Lite's converter can do for a sparse network. Times are medians of
rounds in which all files take turns. Writes results/compression.csv and .png, and
the table in docs/deploy.md.
"""

import argparse
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from machine import describe_machine
from script import run_script
from tables import markdown_table, update_table
from tinypose import __version__
from tinypose.compression.sparsity import measure_sparsity
from tinypose.data.selection import crop_people
from tinypose.data.sources import describe_spec, load_data
from tinypose.evaluation.evaluate import evaluate
from tinypose.export.precision import convert_network, make_converter
from tinypose.export.tflite import export_tflite
from tinypose.export.wrapper import load_net, raw_function
from tinypose.files import atomic_path, write_csv
from tinypose.inference.predictor import Predictor
from tinypose.models.cost import count_macs, count_parameters

if TYPE_CHECKING:
    from tinypose.data.sample import Sample

NUM_CALIBRATION = 200
WARM_UP, ROUNDS, RUNS_PER_ROUND = 10, 20, 5
MARKS = {"trained": "o", "pruned": "D", "sparse": "s"}
COLOURS = {"trained": "#3f6fb0", "pruned": "#d55e00", "sparse": "#5a9e5a"}

HEADER = (
    "kind",
    "name",
    "limbs_pck_0.2",
    "limbs_low",
    "limbs_high",
    "pck_0.2",
    "parameters",
    "million_macs",
    "zeros_percent",
    "int8_bytes",
    "int8_zipped_bytes",
    "float32_bytes",
    "float32_without_zeros_bytes",
    "int8_milliseconds",
    "float32_milliseconds",
    "float32_without_zeros_milliseconds",
    "epochs",
    "data",
    "tinypose",
    "machine",
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A run with what it is called.

    Args:
        kind: A key of ``MARKS``.
        name: What the table says.
        run: Its folder.
    """

    kind: str
    name: str
    run: Path

    @staticmethod
    def parse(text: str) -> "Entry":
        """Read ``KIND: NAME=RUN``."""
        kind, colon, rest = text.partition(":")
        name, equals, run = rest.rpartition("=")
        if not colon or not equals or kind not in MARKS:
            raise SystemExit(
                f"expected KIND: NAME=RUN with a kind of {', '.join(MARKS)}, "
                f"found {text!r}"
            )
        return Entry(kind=kind, name=name.strip(), run=Path(run))


def main() -> None:
    """Measure and write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="KIND: NAME=RUN")
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--calibrate", action="append", required=True)
    parser.add_argument("--out", type=Path, default=Path("results/compression.csv"))
    arguments = parser.parse_args()
    entries = [Entry.parse(text) for text in arguments.runs]
    people = load_data(arguments.data)
    examples = load_data(arguments.calibrate, limit=NUM_CALIBRATION)
    data = ", ".join(describe_spec(spec) for spec in arguments.data)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        timed: list[Callable[[], None]] = []
        for number, entry in enumerate(entries):
            row, files = measure(entry, people, examples, Path(folder), number)
            rows.append({**row, "data": data})
            timed += [run_once(file) for file in files]
            print(row)
        times = iter(take_turns(timed))
    for row in rows:
        for kind in ("int8", "float32", "float32_without_zeros"):
            row[f"{kind}_milliseconds"] = f"{next(times):.3f}"
        row |= {"tinypose": __version__, "machine": describe_machine()}
    write_csv(arguments.out, HEADER, [[row[key] for key in HEADER] for row in rows])
    update_table(Path("docs/deploy.md"), "compression", table(rows))
    draw(arguments.out.with_suffix(".png"), rows)


def measure(
    entry: Entry,
    people: "list[Sample]",
    examples: "list[Sample]",
    folder: Path,
    number: int,
) -> tuple[dict[str, object], list[Path]]:
    """Export a run; return its figures and the files whose times count."""
    net, metadata = load_net(entry.run / "best.keras")
    complete, int8, float32, without = (
        folder / f"{number}_{kind}.tflite"
        for kind in ("complete", "int8", "float32", "without")
    )
    crops = crop_people(examples, metadata)
    export_tflite(net, metadata, complete, precision="int8", calibration=crops)
    shape = (1, *metadata.input_hw, 3)
    output = metadata.output
    int8.write_bytes(convert_network(net, output, shape, "int8", crops))
    float32.write_bytes(convert_network(net, output, shape, "float32"))
    converter = make_converter(raw_function(net, output), shape, tf.uint8)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    without.write_bytes(converter.convert())
    result = evaluate(Predictor(complete), people)
    low, high = result.accuracy.intervals.limbs_mean
    row = {
        "kind": entry.kind,
        "name": entry.name,
        "limbs_pck_0.2": f"{result.limbs_mean(result.accuracy.headline):.1f}",
        "limbs_low": f"{low:.1f}",
        "limbs_high": f"{high:.1f}",
        "pck_0.2": f"{result.accuracy.headline.mean:.1f}",
        "parameters": count_parameters(net),
        "million_macs": f"{count_macs(net) / 1e6:.1f}",
        "zeros_percent": f"{100 * measure_sparsity(net):.0f}",
        "int8_bytes": int8.stat().st_size,
        "int8_zipped_bytes": len(zlib.compress(int8.read_bytes(), 9)),
        "float32_bytes": float32.stat().st_size,
        "float32_without_zeros_bytes": without.stat().st_size,
        "epochs": metadata.config["training"]["epochs"],
    }
    return row, [int8, float32, without]


def run_once(path: Path) -> Callable[[], None]:
    """Return a function that runs a file on noise, one thread."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    noise = np.random.default_rng(0).integers(0, 256, source["shape"], np.uint8)
    interpreter.set_tensor(source["index"], noise)
    invoke: Callable[[], None] = interpreter.invoke
    return invoke


def take_turns(works: Sequence[Callable[[], None]]) -> list[float]:
    """Return the median milliseconds of each work; all are measured in turns."""
    times: list[list[float]] = [[] for _ in works]
    for work in works:
        for _ in range(WARM_UP):
            work()
    for _ in range(ROUNDS):
        for work, taken in zip(works, times, strict=True):
            for _ in range(RUNS_PER_ROUND):
                begun = time.perf_counter()
                work()
                taken.append(1000 * (time.perf_counter() - begun))
    return [statistics.median(taken) for taken in times]


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return the rows as a Markdown table, one line per run."""
    columns = (
        *("network", "limbs PCK@0.2", "MMACs", "parameters", "zeros", "int8", "zipped"),
        *("float32 without zeros", "1 thread int8", "float32", "without zeros"),
    )
    lines = []
    for row in rows:
        kilobytes = {
            key: f"{float(str(row[f'{key}_bytes'])) / 1000:.0f} KB"
            for key in ("int8", "int8_zipped", "float32_without_zeros")
        }
        times = [
            f"{float(str(row[f'{key}_milliseconds'])):.2f} ms"
            for key in ("int8", "float32", "float32_without_zeros")
        ]
        cells = [
            f"{row['kind']}: {row['name']}",
            f"{row['limbs_pck_0.2']} % ({row['limbs_low']} – {row['limbs_high']})",
            row["million_macs"],
            f"{int(str(row['parameters'])):,}",
            f"{row['zeros_percent']} %",
            *kilobytes.values(),
            *times,
        ]
        lines.append(cells)
    return markdown_table(columns, lines)


def draw(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Draw accuracy against latency, a colour per kind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for kind, mark in MARKS.items():
        chosen = [row for row in rows if row["kind"] == kind]
        if not chosen:
            continue
        cost, gain, low, high = (
            np.array([float(str(row[key])) for row in chosen])
            for key in ("int8_milliseconds", "limbs_pck_0.2", "limbs_low", "limbs_high")
        )
        axes.errorbar(
            cost,
            gain,
            yerr=[gain - low, high - gain],
            fmt=mark,
            color=COLOURS[kind],
            capsize=3,
            label=kind,
        )
        for x, y, row in zip(cost, gain, chosen, strict=True):
            axes.annotate(
                str(row["name"]), (x, y), xytext=(8, -3), textcoords="offset points"
            )
    axes.set_xlabel(
        f"milliseconds for one crop in int8, 1 thread ({rows[0]['machine']})"
    )
    axes.set_ylabel(f"limbs PCK@0.2, %, true box ({rows[0]['data']})")
    axes.margins(x=0.2)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


if __name__ == "__main__":
    run_script(main)
