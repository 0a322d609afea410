import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from tinypose.errors import TinyposeError
from tinypose.inference import footprint
from tinypose.inference.footprint import latency, measure_footprint, size_bytes


def test_a_file_s_cost_is_measured_in_a_process_of_its_own(dot_models):
    # What this process has held does not count: it is more than a small model needs.
    ballast = np.ones((1024, 1024, 200), np.uint8)
    path = dot_models("complete")
    cost = measure_footprint(path)
    assert cost.file_bytes == path.stat().st_size
    assert 0 < cost.milliseconds < 1000 * cost.start_seconds
    assert cost.peak_memory_bytes is None or (
        10e6 < cost.peak_memory_bytes < ballast.nbytes
    )
    assert latency(path, runs=3) > 0


def test_a_crop_s_time_is_its_share_of_a_batch(monkeypatch):
    given = []

    def run(crops):
        given.append(len(crops))

    class Backend:
        metadata = SimpleNamespace(input_hw=(8, 8))
        fixed_batch = 4
        __call__ = staticmethod(run)

    monkeypatch.setattr(footprint, "open_backend", lambda *_, **__: Backend())
    clock = itertools.count(0.0, 0.02)
    monkeypatch.setattr(footprint.time, "perf_counter", lambda: next(clock))
    assert latency("model.onnx", runs=3) == pytest.approx(5)
    assert set(given) == {4}


def test_tensorflow_takes_one_thread_like_the_others(dot_models, monkeypatch):
    seen = {}
    run = footprint.subprocess.run

    def spy(command, **options):
        seen.update(options["env"])
        return run(command, **options)

    monkeypatch.setattr(footprint.subprocess, "run", spy)
    measure_footprint(dot_models("complete"))
    assert seen["TF_NUM_INTRAOP_THREADS"] == seen["TF_NUM_INTEROP_THREADS"] == "1"


def test_what_does_not_run_is_one_line(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"nonsense")
    with pytest.raises(TinyposeError) as error:
        measure_footprint(path)
    assert str(error.value).startswith(f"{path}: does not run in a fresh process: ")
    assert "\n" not in str(error.value)


def test_a_folder_is_as_large_as_its_files(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"12")
    assert size_bytes(tmp_path) == 7
    assert size_bytes(tmp_path / "b") == 2
