"""How many threads a model may use."""

import os

MAX_THREADS = 4
"""More threads than this slow such small networks down."""


def usable_threads() -> int:
    """Return the number of this process's cores, at most ``MAX_THREADS``."""
    # Containers and taskset give fewer cores than the machine has.
    usable = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )
    return min(usable, MAX_THREADS)
