"""Work on many pictures with a few threads."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

NUM_WORKERS = min(max(os.cpu_count() or 1, 2), 8)
"""Threads; decoding and warping release Python's lock, but not all the time."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[Result]:
    """Yield ``function(item)`` of each item, in order, computed ahead in threads.

    When the caller stops early, on Ctrl-C for example, what has not begun is
    dropped: nobody waits for thousands of pictures.
    """
    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        try:
            yield from pool.map(function, items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
