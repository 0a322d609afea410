"""Time what a user waits for: the help, one picture, and the work per person.

    python benchmarks/first_skeleton.py photo.jpg

Whole processes are timed from outside; the parts of a prediction in one
process, after warm-up, on one thread. Writes results/first_skeleton.csv.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from machine import describe_machine
from script import run_script
from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.files import write_csv
from tinypose.geometry import crop_affine, invert_affine, transform_points
from tinypose.images import read_image, warp_image

HEADER = ("what", "milliseconds_median", "lowest", "highest", "runs", "machine")


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--model", default="small")
    out = Path("results/first_skeleton.csv")
    parser.add_argument("--out", type=Path, default=out)
    arguments = parser.parse_args()
    verb = [sys.executable, "-m", "tinypose"]
    predict = [*verb, "predict", str(arguments.picture), "--model", arguments.model]
    works: dict[str, tuple[Callable[[], object], int]] = {
        "import tinypose": (process([sys.executable, "-c", "import tinypose"]), 7),
        "tinypose --help": (process([*verb, "--help"]), 7),
        "tinypose predict, one picture": (process(predict), 7),
        **parts(arguments.picture),
    }
    rows = []
    for what, (work, runs) in works.items():
        work()
        times = [1000 * timed(work) for _ in range(runs)]
        figures = (statistics.median(times), min(times), max(times))
        rows.append([what, *(f"{t:.2f}" for t in figures), runs, describe_machine()])
        print(*rows[-1])
    write_csv(arguments.out, HEADER, rows)


def process(command: list[str]) -> Callable[[], object]:
    """Return a function that runs a command, its output thrown away."""
    return lambda: subprocess.run(command, check=True, capture_output=True)


def parts(picture: Path) -> dict[str, tuple[Callable[[], object], int]]:
    """Return the work before and after a 256x256 network, per person."""
    image = read_image(picture)
    height, width = image.shape[:2]
    box = (0.1 * width, 0.1 * height, 0.8 * width, 0.8 * height)
    affine = crop_affine(box, (256, 256))
    codec = HeatmapCodec(input_hw=(256, 256), heatmap_hw=(64, 64), sigma_cells=2.0)
    points = np.random.default_rng(0).uniform(20, 235, (14, 2))
    grid = np.mgrid[:64, :64][::-1].transpose(1, 2, 0)[:, :, None]
    squares = ((grid - ((points + 0.5) / 4 - 0.5)) ** 2).sum(axis=-1)
    maps = np.exp(-squares / 8)[None].astype(np.float32)

    def before() -> object:
        return warp_image(image, crop_affine(box, (256, 256)), (256, 256))

    def after() -> object:
        keypoints_xy, _ = codec.decode(maps)
        return transform_points(invert_affine(affine), keypoints_xy[0])

    return {
        "crop of 256x256 (before the network)": (before, 200),
        "decoding 14 maps of 64x64 (after it)": (after, 200),
    }


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    run_script(main)
