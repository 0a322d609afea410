"""Measure our models and other people's in one run: accuracy against cost.

    python benchmarks/pareto.py --data lsp=LSP:701-1000 --peers FOLDER

FOLDER holds the peers' files, which are not ours to ship; ``peers.py`` names
them. Without it, ours alone are measured; a peer whose file or runtime is
missing is skipped, and said so.

Accuracy. Every model gets the same crops: the true box, 1.25 times as large
(ours as their files say). Jittered boxes stand for a detector's: each side is
1.10 to 1.25 times as long or that many times shorter (log-uniform, both as
likely), and the centre lies 10 to 25 % of the larger side away, in any
direction (uniform); the draws depend on the person alone, so all models get the
same. Ours also search without a box. Pictures of LSP are cropped around their
person, where there is nothing to search: each is put somewhere onto a canvas of
its mean colour, 2.5 times as wide and as high. PCK is the mean over keypoints that
model and data have in common; limbs are the twelve shoulders, elbows, wrists,
hips, knees and ankles.

Cost. A latency is the median of --runs invocations of the network alone, its
input set, after ten warm-ups. All models take turns in five rounds, so that a
noisy machine meets all alike; ratios to MoveNet Lightning int8 of the same run
travel better than milliseconds. Start-up is that of a fresh process: importing
the runtime, loading the file and the first result, median of three; Python and
NumPy are there already, but count in its peak memory. Parameters and
operations are counted in the files.

Writes results/pareto.csv, a picture of it and the table in README.md. A run
without all people, all peers or all invocations, or with a --model that is not
shipped, writes only where --out says, and never the table.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import peers
from machine import describe_machine
from peers import PEERS, LiteRT, Peer, Runtime
from plot_pareto import draw_pareto
from script import run_script
from tables import markdown_table, update_table
from tinypose import __version__
from tinypose.data.sample import Sample
from tinypose.data.sources import describe_spec, load_data
from tinypose.errors import TinyposeError, UsageError
from tinypose.evaluation.bootstrap import (
    mean_of_draws,
    percentile_interval,
    resample_pck,
)
from tinypose.evaluation.pck import (
    FloatArray,
    mean_known,
    normalised_errors,
    pck_of_errors,
)
from tinypose.evaluation.references import measure_references
from tinypose.evaluation.result import limb_keypoints
from tinypose.files import write_csv
from tinypose.geometry import crop_affine, invert_affine, transform_points
from tinypose.images import Image, warp_image
from tinypose.inference.predictor import Predictor
from tinypose.skeletons import Skeleton
from tinypose.weights import shipped

OUT = Path("results/pareto.csv")
REFERENCE = PEERS[0].name
RUNS, ROUNDS, WARM_UPS, STARTS = 100, 5, 10, 3
THREADS = (1, 2)
REST_SECONDS = 0.05
"""A pause before each turn: the threads of the model before go to sleep."""

JITTER = (0.10, 0.25)
"""How far a jittered box is off, in size and in place: at least, at most."""

CANVAS = 2.5
"""Sides of the picture in which a person is searched, in sides of LSP's."""

HEADER = (
    "model",
    "by",
    "runtime",
    "input_hw",
    "data",
    "people",
    "keypoints",
    "limbs_pck_0.2_percent",
    "limbs_pck_0.2_low_percent",
    "limbs_pck_0.2_high_percent",
    "pck_0.2_percent",
    "pck_0.1_percent",
    "limbs_pck_0.1_percent",
    "limbs_pck_0.2_jittered_box_percent",
    "limbs_pck_0.2_no_box_percent",
    "milliseconds_1_thread",
    "milliseconds_2_threads",
    "times_movenet_lightning_int8_1_thread",
    "times_movenet_lightning_int8_2_threads",
    "invocations",
    "start_up_milliseconds",
    "peak_memory_mib",
    "file_bytes",
    "parameters",
    "million_macs",
    "licence",
    "source",
    "tinypose",
    "machine",
)


class Contender(Protocol):
    """A model that is measured, ours or not."""

    name: str
    by: str
    runtime: type[Runtime]
    files: tuple[Path, ...]
    input_hw: tuple[int, int]
    skeleton: Skeleton
    licence: str
    source: str
    searches: bool

    def prepare(self, crop: Image) -> Any:
        """Return the network's input for a crop (height, width, 3)."""

    def locate(self, picture: Image, box_xywh: FloatArray | None) -> FloatArray:
        """Return keypoints_xy (num_keypoints, 2), picture pixels."""


class Ours:
    """A model of tinypose, through its own ``Predictor``."""

    by = "tinypose"
    runtime: type[Runtime] = LiteRT
    searches = True

    def __init__(self, name: str, path: Path) -> None:
        self._predictor = Predictor(path, num_threads=1)
        metadata = self._predictor.metadata
        self.name = name
        self.files: tuple[Path, ...] = (path,)
        self.input_hw, self.skeleton = metadata.input_hw, metadata.skeleton
        self.licence, self.source = metadata.licence, "tinypose"

    def prepare(self, crop: Image) -> Any:
        """Return the crop: what else there is to do is inside the file."""
        return crop[None]

    def locate(self, picture: Image, box_xywh: FloatArray | None) -> FloatArray:
        """Predict as anyone would."""
        return self._predictor(picture, box_xywh).keypoints_xy.astype(np.float64)


class Theirs:
    """A peer's model: our crop, its network, its way to read it."""

    by = "others"
    searches = False

    def __init__(self, peer: Peer, folder: Path) -> None:
        self._peer = peer
        self.name, self.licence, self.source = peer.name, peer.licence, peer.source
        self.input_hw, self.skeleton = peer.input_hw, peer.skeleton
        self.runtime, self.prepare = peer.runtime, peer.prepare
        self.files = tuple(folder / file for file in peer.files)
        self._network = peer.runtime(self.files, 1)

    def locate(self, picture: Image, box_xywh: FloatArray | None) -> FloatArray:
        """Crop, run the network and map the keypoints back."""
        assert box_xywh is not None  # it does not search
        affine = crop_affine(box_xywh, self.input_hw)
        crop = warp_image(picture, affine, self.input_hw)
        self._network.feed(self.prepare(crop))
        self._network.invoke()
        keypoints_xy = self._peer.decode(self._network.read())
        return transform_points(invert_affine(affine), keypoints_xy)


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """PCK in percent; nan where it was not measured.

    Args:
        keypoints: Number of keypoints that model and data have in common.
        limbs_interval: Bootstrap interval of ``limbs``, 95 %.
    """

    keypoints: int
    limbs: float
    limbs_interval: tuple[float, float]
    all_keypoints: float
    strict: float
    limbs_strict: float
    limbs_jittered: float
    limbs_no_box: float


def main() -> None:
    """Measure and write."""
    arguments = parse_arguments()
    samples = load_data(arguments.data, limit=arguments.limit)
    data = ", ".join(describe_spec(spec) for spec in arguments.data)
    contenders, all_there = gather(arguments.model, arguments.peers, arguments.only)
    if not contenders:
        raise TinyposeError("expected a model to measure, found none; look at --only")
    seconds = measure_latencies(contenders, arguments.runs)
    rows = []
    for contender in contenders:
        accuracy = measure_accuracy(contender, samples)
        row = figures(contender, accuracy, seconds)
        row |= {"data": data, "people": len(samples)}
        rows.append(row)
        print(progress_line(row), flush=True)
    rows.sort(key=lambda row: -float(str(row["limbs_pck_0.2_percent"])))
    whole = all_there and arguments.limit is None and arguments.runs >= RUNS
    whole &= arguments.only is None and not arguments.model
    write_results(rows, arguments.out, whole)


def parse_arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--peers", type=Path, help="folder of the peers' files")
    parser.add_argument(
        *("--model", "-m"),
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="further .tflite files of tinypose",
    )
    parser.add_argument("--only", help="a pattern: measure models of these names")
    parser.add_argument("--limit", type=int, help="measure this many people")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--out", type=Path, help=f"default for a whole run: {OUT}")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error(f"--runs: expected at least 1, found {arguments.runs}")
    return arguments


def gather(
    files: Sequence[Path], folder: Path | None, only: str | None
) -> tuple[list[Contender], bool]:
    """Return the models to measure, and whether every peer is among them."""
    try:
        wanted = re.compile(only or "", re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"--only: expected a pattern, found {only!r}") from error
    named = shipped()
    for file in files:
        named[str(file) if file.stem in named else file.stem] = file
    found: list[Contender] = [
        Ours(name, path) for name, path in named.items() if wanted.search(name)
    ]
    all_there = True
    for peer in PEERS:
        if not wanted.search(peer.name):
            continue
        try:
            found.append(open_peer(peer, folder))
        except TinyposeError as error:
            print(f"{peer.name}: skipped, {error}", flush=True)
            all_there = False
    return found, all_there


def open_peer(peer: Peer, folder: Path | None) -> Theirs:
    """Return a peer's model, loaded.

    Raises:
        TinyposeError: a file or its runtime is missing, or it does not load.
    """
    if folder is None:
        raise TinyposeError("say where its files are with --peers FOLDER")
    absent = [name for name in peer.files if not (folder / name).is_file()]
    if absent:
        raise TinyposeError(f"put {' and '.join(absent)} ({peer.source}) into {folder}")
    packages = peer.runtime.missing()
    if packages:
        raise TinyposeError(f"run  pip install {' '.join(packages)}")
    try:
        return Theirs(peer, folder)
    except Exception as error:
        # Every runtime raises errors of its own.
        raise TinyposeError(f"its file does not load ({error})") from error


def jitter_boxes(boxes_xywh: FloatArray, seeds: Sequence[int]) -> FloatArray:
    """Return boxes (n, 4) that are wrong as a detector's are.

    Each side, apart, becomes 1.10 to 1.25 times as long or that many times
    shorter, and the centre moves by 10 to 25 % of the larger side, in any
    direction; see ``JITTER``.

    Args:
        boxes_xywh: (n, 4), pixels.
        seeds: n numbers; a box's draws depend on its own alone.
    """
    jittered = []
    for (x, y, width, height), seed in zip(boxes_xywh, seeds, strict=True):
        rng = np.random.default_rng(seed)
        low, high = np.log1p(JITTER)
        growth = rng.uniform(low, high, size=2) * rng.choice([-1, 1], size=2)
        distance = rng.uniform(*JITTER) * max(width, height)
        angle = rng.uniform(0, 2 * np.pi)
        sides = np.array([width, height]) * np.exp(growth)
        centre = np.array([x + width / 2, y + height / 2])
        centre += distance * np.array([np.cos(angle), np.sin(angle)])
        jittered.append(np.concatenate([centre - sides / 2, sides]))
    return np.array(jittered, np.float64).reshape(-1, 4)


def put_on_canvas(picture: Image, seed: int) -> tuple[Image, FloatArray]:
    """Return a larger picture that has this one somewhere, and where.

    Args:
        picture: (height, width, 3).
        seed: It decides the place alone.

    Returns:
        (CANVAS * height, CANVAS * width, 3), and the corner's x and y (2,).
    """
    height, width = picture.shape[:2]
    hw = round(CANVAS * height), round(CANVAS * width)
    canvas = np.empty((*hw, 3), np.uint8)
    canvas[:] = picture.mean(axis=(0, 1)).round()
    y, x = np.random.default_rng([seed, 1]).integers([hw[0] - height, hw[1] - width])
    canvas[y : y + height, x : x + width] = picture
    return canvas, np.array([x, y], np.float64)


def measure_accuracy(contender: Contender, samples: Sequence[Sample]) -> Accuracy:
    """Predict everyone with the true box, with a jittered one and with none."""
    true_boxes = np.stack([sample.box_xywh for sample in samples])
    seeds = [zlib.crc32(sample.sample_id.encode()) for sample in samples]
    jittered = jitter_boxes(true_boxes, seeds)
    found: dict[str, list[FloatArray]] = {"true": [], "jittered": [], "no": []}
    for sample, seed, true_box, box in zip(
        samples, seeds, true_boxes, jittered, strict=True
    ):
        picture = sample.load_image()
        found["true"].append(contender.locate(picture, true_box))
        found["jittered"].append(contender.locate(picture, box))
        if contender.searches:
            canvas, corner = put_on_canvas(picture, seed)
            found["no"].append(contender.locate(canvas, None) - corner)
    reference = measure_references(samples).pck
    # By name: what the model or the data lack is not labelled.
    mapped = [sample.with_skeleton(contender.skeleton) for sample in samples]
    truth = np.stack([sample.keypoints_xy for sample in mapped])
    visible = np.stack([sample.visible for sample in mapped])
    errors = {
        box: normalised_errors(np.stack(points), truth, visible, reference)
        for box, points in found.items()
        if points
    }
    return summarise(errors, limb_keypoints(contender.skeleton))


def summarise(errors: dict[str, FloatArray], limbs: list[int]) -> Accuracy:
    """Return the figures of errors (num_people, num_keypoints) by kind of box."""
    true = errors["true"]
    at_02, at_01 = pck_of_errors(true, 0.2), pck_of_errors(true, 0.1)
    low, high = percentile_interval(mean_of_draws(resample_pck(true, 0.2), limbs))

    def limbs_of(box: str) -> float:
        if box not in errors:
            return float("nan")
        return mean_known(pck_of_errors(errors[box], 0.2).per_keypoint[limbs])

    return Accuracy(
        keypoints=int((at_02.counts > 0).sum()),
        limbs=limbs_of("true"),
        limbs_interval=(float(low), float(high)),
        all_keypoints=at_02.mean,
        strict=at_01.mean,
        limbs_strict=mean_known(at_01.per_keypoint[limbs]),
        limbs_jittered=limbs_of("jittered"),
        limbs_no_box=limbs_of("no"),
    )


def measure_latencies(
    contenders: Sequence[Contender], runs: int
) -> dict[tuple[str, int], list[float]]:
    """Return the seconds of each invocation, by model and number of threads."""
    networks = {}
    for contender, threads in product(contenders, THREADS):
        network = contender.runtime(contender.files, threads)
        network.feed(contender.prepare(random_crop(contender.input_hw)))
        networks[contender.name, threads] = network
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in networks}
    for number in range(ROUNDS):
        # Everyone's share of the runs; the first rounds take what is left.
        share = runs // ROUNDS + (number < runs % ROUNDS)
        for key, network in networks.items() if share else ():
            time.sleep(REST_SECONDS)
            seconds[key] += list(invocations(network, share))
        print(f"latency: round {number + 1} of {ROUNDS}", flush=True)
    return seconds


def invocations(network: Runtime, runs: int) -> Iterator[float]:
    """Warm up and yield the seconds of each of ``runs`` invocations."""
    for _ in range(WARM_UPS):
        network.invoke()
    for _ in range(runs):
        begun = time.perf_counter()
        network.invoke()
        yield time.perf_counter() - begun


def measure_start(contender: Contender) -> tuple[float, float]:
    """Return seconds to the first result and peak MiB of a fresh process."""
    shape = contender.prepare(random_crop(contender.input_hw)).shape
    command = [sys.executable, peers.__file__, contender.runtime.__name__]
    command += [",".join(map(str, shape)), *map(str, contender.files)]
    starts = []
    for _ in range(STARTS):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise TinyposeError(f"{contender.name} does not start: {done.stderr}")
        starts.append(json.loads(done.stdout.splitlines()[-1]))
    seconds, peaks = (
        statistics.median(start[key] for start in starts)
        for key in ("seconds", "peak_mib")
    )
    return seconds, peaks


def random_crop(input_hw: tuple[int, int]) -> Image:
    """Return a picture (height, width, 3) of noise, always the same."""
    return np.random.default_rng(0).integers(0, 256, (*input_hw, 3), np.uint8)


def figures(
    contender: Contender,
    accuracy: Accuracy,
    seconds: dict[tuple[str, int], list[float]],
) -> dict[str, object]:
    """Return one model's row by the names of ``HEADER``, data set excluded."""
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    start, peak = measure_start(contender)
    shape = contender.prepare(random_crop(contender.input_hw)).shape
    parameters, macs = contender.runtime.count_cost(contender.files, shape)
    low, high = accuracy.limbs_interval
    one, two = (medians[contender.name, threads] for threads in THREADS)
    return {
        "model": contender.name,
        "by": contender.by,
        "runtime": contender.runtime.title,
        "input_hw": "x".join(map(str, contender.input_hw)),
        "keypoints": accuracy.keypoints,
        "limbs_pck_0.2_percent": _number(accuracy.limbs),
        "limbs_pck_0.2_low_percent": _number(low),
        "limbs_pck_0.2_high_percent": _number(high),
        "pck_0.2_percent": _number(accuracy.all_keypoints),
        "pck_0.1_percent": _number(accuracy.strict),
        "limbs_pck_0.1_percent": _number(accuracy.limbs_strict),
        "limbs_pck_0.2_jittered_box_percent": _number(accuracy.limbs_jittered),
        "limbs_pck_0.2_no_box_percent": _number(accuracy.limbs_no_box),
        "milliseconds_1_thread": _number(1000 * one, 2),
        "milliseconds_2_threads": _number(1000 * two, 2),
        "times_movenet_lightning_int8_1_thread": _ratio(one, medians, 1),
        "times_movenet_lightning_int8_2_threads": _ratio(two, medians, 2),
        "invocations": len(seconds[contender.name, 1]),
        "start_up_milliseconds": _number(1000 * start, 0),
        "peak_memory_mib": _number(peak, 0),
        "file_bytes": sum(file.stat().st_size for file in contender.files),
        "parameters": parameters,
        "million_macs": _number(macs / 1e6),
        "licence": contender.licence,
        "source": contender.source,
        "tinypose": __version__,
        "machine": describe_machine(),
    }


def progress_line(row: dict[str, object]) -> str:
    """Return a model's main figures as a line."""
    return (
        f"{row['model']:<34} limbs {row['limbs_pck_0.2_percent']:>5} % "
        f"({row['limbs_pck_0.2_low_percent']}-{row['limbs_pck_0.2_high_percent']}), "
        f"jittered {row['limbs_pck_0.2_jittered_box_percent']:>5} %  "
        f"{row['milliseconds_1_thread']:>6} ms, "
        f"{row['million_macs']} MMACs, {row['parameters']:,} parameters"
    )


def write_results(rows: list[dict[str, object]], out: Path | None, whole: bool) -> None:
    """Write CSV, picture and table; of a part, only what was asked for."""
    if out is None and not whole:
        print("a part of the whole: written nowhere; --out FILE.csv writes it")
        print(table(rows), end="")
        return
    path = out or OUT
    write_csv(path, HEADER, [[row[name] for name in HEADER] for row in rows])
    picture = path.with_suffix(".png")
    draw_pareto(picture, rows)
    print(f"-> {path}, {picture}")
    readme = Path("README.md")
    if whole and out is None and readme.exists():
        update_table(readme, "pareto", table(rows))


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return the rows as a Markdown table, one line per model."""
    columns = {
        "model": "{model}",
        "limbs PCK@0.2": "{limbs_pck_0.2_percent} % "
        "({limbs_pck_0.2_low_percent} – {limbs_pck_0.2_high_percent})",
        "jittered box": "{limbs_pck_0.2_jittered_box_percent} %",
        "no box": "{limbs_pck_0.2_no_box_percent} %",
        "limbs PCK@0.1": "{limbs_pck_0.1_percent} %",
        "1 thread": "{milliseconds_1_thread} ms",
        "2 threads": "{milliseconds_2_threads} ms",
        "file": "{kilobytes} KB",
        "parameters": "{parameters}",
        "MMACs": "{million_macs}",
        "start-up": "{start_up_milliseconds} ms",
        "memory": "{peak_memory_mib} MiB",
        "runtime": "{runtime}",
    }
    lines = []
    for row in rows:
        values = dict(row)
        if row["by"] == Ours.by:
            values["model"] = f"**`{row['model']}`**"
        values["kilobytes"] = f"{round(int(str(row['file_bytes'])) / 1000):,}"
        values["parameters"] = f"{int(str(row['parameters'])):,}"
        lines.append([_fill(pattern, values) for pattern in columns.values()])
    return markdown_table(columns, lines)


def _fill(pattern: str, values: dict[str, object]) -> str:
    """Put values in their places; a cell with an empty one is a dash."""
    # Not str.format(): it takes the dots of the names for attributes.
    names = re.findall(r"{(.+?)}", pattern)
    if any(values[name] == "" for name in names):
        return "–"
    return re.sub(r"{(.+?)}", lambda match: str(values[match[1]]), pattern)


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else ""


def _ratio(value: float, medians: dict[tuple[str, int], float], threads: int) -> str:
    reference = medians.get((REFERENCE, threads))
    return _number(value / reference, 3) if reference else ""


if __name__ == "__main__":
    run_script(main)
