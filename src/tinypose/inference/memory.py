"""How much memory this process has held."""

import sys
from pathlib import Path


def peak_memory() -> int | None:
    """Return the most memory that this process has held, in bytes.

    None where the system does not say.
    """
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage() would count what the parent held when it forked, too.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # there is no such module on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on a Mac, kilobytes elsewhere.
    return peak if sys.platform == "darwin" else 1024 * peak
