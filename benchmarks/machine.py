"""What the figures were measured on."""

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """Return the number of processors and their name."""
    return f"{os.cpu_count()} x {_processor()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
