"""Processes that make arrays ahead, where threads cannot feed the device.

Python's threads share one lock; processes do not. Each makes whole batches in
memory that it shares with the one that takes them.
"""

import mmap
import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.errors import TinyposeError, UsageError

AHEAD = 2
"""Batches that each process prepares before the first of them is taken."""

Arrays = Sequence[NDArray[Any]]

Shapes = Sequence[tuple[tuple[int, ...], Any]]
"""Shape and dtype of each array of a batch."""


class BatchWorkers:
    """A few processes that make batches ahead, in the order they are asked for.

    They are copies of this process as it is when they start (a fork), and see
    all that ``make`` refers to: start them before the device is used.

    Args:
        make: Returns the arrays of a task; called in the processes.
        num_workers: How many processes.
        max_bytes: Of the arrays of one task, all together.

    Raises:
        UsageError: the system cannot copy processes.
    """

    def __init__(
        self, make: Callable[[Any], Arrays], num_workers: int, max_bytes: int
    ) -> None:
        if sys.platform != "linux":
            raise UsageError(
                "--workers: expected Linux, whose processes can share pictures, found "
                f"{sys.platform}; leave the option out"
            )
        context = multiprocessing.get_context("fork")
        pairs = [context.Pipe() for _ in range(num_workers)]
        self._connections = [mine for mine, _ in pairs]
        self._memory = [
            [mmap.mmap(-1, max_bytes) for _ in range(AHEAD)] for _ in range(num_workers)
        ]
        self._processes = [
            context.Process(
                target=_serve, args=(make, pairs, number, memory), daemon=True
            )
            for number, memory in enumerate(self._memory)
        ]
        with warnings.catch_warnings():
            # Python and JAX warn of threads that a copy lacks: it needs none.
            warnings.simplefilter("ignore")
            # Ctrl-C must not meet a process before it ignores it.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                for process in self._processes:
                    process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for _, theirs in pairs:
            theirs.close()

    def map(self, tasks: Sequence[Any]) -> Iterator[Arrays]:
        """Yield the arrays of each task, in order.

        Raises:
            TinyposeError: a process has ended.
            Exception: what ``make`` raised.
        """
        count = len(self._connections)
        asked = taken = 0
        try:
            while taken < len(tasks):
                while asked < min(taken + AHEAD * count, len(tasks)):
                    self._ask(asked, tasks[asked])
                    asked += 1
                memory = self._memory[taken % count][taken // count % AHEAD]
                taken += 1
                shapes = self._receive(taken - 1)
                # A copy: another batch is about to be made in the same place.
                yield [view.copy() for view in _views(memory, shapes)]
        finally:
            # Whoever stops early leaves batches behind that nobody will take.
            for number in range(taken, asked):
                self._drop(number)

    def close(self) -> None:
        """End the processes."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(timeout=5)
            if process.is_alive():
                process.kill()

    def _ask(self, number: int, task: Any) -> None:
        count = len(self._connections)
        try:
            self._connections[number % count].send((number // count % AHEAD, task))
        except OSError as error:
            raise self._ended(number % count) from error

    def _receive(self, number: int) -> Shapes:
        worker = number % len(self._connections)
        try:
            answer = self._connections[worker].recv()
        except (EOFError, OSError) as error:
            raise self._ended(worker) from error
        if isinstance(answer, BaseException):
            raise answer
        return list(answer)

    def _drop(self, number: int) -> None:
        try:
            self._connections[number % len(self._connections)].recv()
        except (EOFError, OSError):
            pass

    def _ended(self, worker: int) -> TinyposeError:
        process = self._processes[worker]
        process.join(timeout=1)
        return TinyposeError(
            f"expected {len(self._processes)} processes that prepare pictures, found "
            f"one that has ended (exit code {process.exitcode}); if memory ran out, "
            "go on with fewer --workers"
        )


def _serve(
    make: Callable[[Any], Arrays],
    pairs: Sequence[tuple[Connection, Connection]],
    number: int,
    memory: Sequence[mmap.mmap],
) -> None:
    """Answer tasks until the other end is closed."""
    # The one who asks decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    connection = pairs[number][1]
    for other, (mine, theirs) in enumerate(pairs):
        # An end that a copy holds open never reads as closed.
        mine.close()
        if other != number:
            theirs.close()
    while True:
        try:
            slot, task = connection.recv()
        except (EOFError, OSError):
            return
        answer: Any
        try:
            arrays = make(task)
            answer = [(array.shape, array.dtype) for array in arrays]
            for view, array in zip(_views(memory[slot], answer), arrays, strict=True):
                view[...] = array
        except Exception as error:  # whatever it is, training is to say it
            answer = error
        try:
            connection.send(answer)
        except OSError:
            return


def _views(memory: mmap.mmap, shapes: Shapes) -> list[NDArray[Any]]:
    """Return arrays that lie one after the other in shared memory."""
    views, offset = [], 0
    for shape, dtype in shapes:
        array: NDArray[Any] = np.ndarray(shape, dtype, memory, offset)
        views.append(array)
        offset += array.nbytes
    return views
