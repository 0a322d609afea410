"""Processes that make arrays ahead: in order, and honest about what went wrong."""

import os
import signal
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tinypose.data import workers
from tinypose.data.workers import BatchWorkers
from tinypose.errors import TinyposeError, UsageError

if sys.platform != "linux":
    pytest.skip("processes share memory on Linux alone", allow_module_level=True)


def make(task: int) -> list[np.ndarray]:
    """Return arrays of two dtypes, of a shape that depends on the task."""
    if task == 13:
        raise TinyposeError("expected a lucky number, found 13")
    if task == 99:
        os._exit(3)
    time.sleep(0.01 * (task % 3))  # so that the first are not always the first
    return [np.full((task % 4 + 1, 3), task, np.uint8), np.array([task], np.float32)]


@pytest.fixture
def three() -> Iterator[BatchWorkers]:
    """Three processes."""
    made = BatchWorkers(make, 3, max_bytes=64)
    yield made
    made.close()


def values(batches: Iterator[list[np.ndarray]]) -> list[float]:
    found = []
    for first, second in batches:
        assert first.dtype == np.uint8
        assert second.dtype == np.float32
        assert first.shape == (second[0] % 4 + 1, 3)
        assert (first == second[0]).all()
        found.append(float(second[0]))
    return found


@pytest.mark.parametrize("tasks", [range(0), range(1), range(2, 4), range(12)])
def test_what_is_asked_for_comes_in_order(three, tasks) -> None:
    assert values(three.map(tasks)) == list(tasks)
    # And once more, with the same processes.
    assert values(three.map(tasks[::-1])) == list(tasks[::-1])


def test_arrays_that_are_kept_do_not_change(three) -> None:
    kept = list(three.map(range(12)))
    assert values(iter(kept)) == list(range(12))


def test_who_stops_early_can_ask_again(three) -> None:
    batches = three.map(range(12))
    next(batches)
    batches.close()
    assert values(three.map(range(20, 25))) == list(range(20, 25))


def test_an_error_is_the_makers_own_and_only_of_its_task(three) -> None:
    batches = three.map(range(12, 24))
    assert next(batches)[1] == 12
    with pytest.raises(TinyposeError, match="lucky number, found 13"):
        next(batches)
    assert values(three.map(range(5))) == list(range(5))


def test_a_process_that_ends_is_reported(three) -> None:
    with pytest.raises(TinyposeError, match=r"exit code 3.*fewer --workers"):
        list(three.map([1, 99, 2, 3]))
    # Also when it had ended before it was asked.
    with pytest.raises(TinyposeError, match="that has ended"):
        list(three.map(range(12)))


def test_ctrl_c_is_for_the_one_who_asks(three) -> None:
    for process in three._processes:
        os.kill(process.pid, signal.SIGINT)
    assert values(three.map(range(6))) == list(range(6))


def test_closed_processes_are_gone(three) -> None:
    processes = list(three._processes)
    next(three.map(range(12)))
    three.close()
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_other_systems_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(workers.sys, "platform", "darwin")
    with pytest.raises(UsageError, match=r"expected Linux.*found darwin"):
        BatchWorkers(make, 1, max_bytes=64)
