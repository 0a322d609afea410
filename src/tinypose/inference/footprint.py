r"""What a model file costs when it runs alone in a fresh process.

    python -m tinypose.inference.footprint small.tflite

prints the figures as JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import tinypose
from tinypose.errors import TinyposeError
from tinypose.inference.backends import open_backend
from tinypose.inference.memory import peak_memory
from tinypose.micro_folder import read_micro_folder

WARM_UP, RUNS = 10, 100
"""Runs before the measurement, and its runs."""

_TENSORFLOW_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The cost of a model file.

    Args:
        file_bytes: Size of the file, or of the whole folder; of one for
            microcontrollers, the model's in flash.
        milliseconds: Median of one crop through the model, one thread.
        start_seconds: From nothing loaded but NumPy to the first result.
        peak_memory_bytes: Of the whole process, Python and NumPy included;
            None where the system does not say. Of a folder for microcontrollers,
            the arena.
    """

    file_bytes: int
    milliseconds: float
    start_seconds: float
    peak_memory_bytes: int | None


def measure_footprint(path: str | Path) -> Footprint:
    """Run a model file in a process of its own and return what it costs.

    Raises:
        TinyposeError: the file does not load or run there.
    """
    command = [sys.executable, "-m", __name__, str(path)]
    # It shall import the same package, from wherever this one was.
    paths = [str(Path(tinypose.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # The other runtimes are told by ``open_backend``; TensorFlow listens to these.
    environment |= dict.fromkeys(_TENSORFLOW_THREADS, "1")
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1][:300]
        raise TinyposeError(f"{path}: does not run in a fresh process: {reason}")
    return Footprint(**json.loads(done.stdout.splitlines()[-1]))


def latency(path: str | Path, runs: int = RUNS) -> float:
    """Return the median milliseconds of one crop through a file, one thread.

    Of a file for several pictures at once, its share of them all.
    """
    backend = open_backend(path, num_threads=1)
    batch = backend.fixed_batch
    crops = np.repeat(_crop(backend.metadata.input_hw), batch, axis=0)
    seconds = []
    for _ in range(WARM_UP + runs):
        begun = time.perf_counter()
        backend(crops)
        seconds.append(time.perf_counter() - begun)
    return 1000 * statistics.median(seconds[WARM_UP:]) / batch


def size_bytes(path: str | Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    path = Path(path)
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def _crop(input_hw: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, *input_hw, 3), np.uint8)


def _measure(path: str) -> Footprint:
    begun = time.perf_counter()
    backend = open_backend(path, num_threads=1)
    backend(_crop(backend.metadata.input_hw))
    start = time.perf_counter() - begun
    folder = read_micro_folder(path)
    return Footprint(
        file_bytes=folder.model_bytes if folder else size_bytes(path),
        milliseconds=latency(path),
        start_seconds=start,
        peak_memory_bytes=folder.arena_bytes if folder else peak_memory(),
    )


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(sys.argv[1]))))
