"""What the figures were measured on."""

import os
import platform
from pathlib import Path

EIGHT_BITS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "asimddp": "dot products",
    "avx2": "AVX2",
}
"""By flag of the system's, instructions that decide how fast eight bits are."""


def describe_machine(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the number of processors, their name and their instructions.

    Args:
        info: What Linux tells of its processors.
    """
    lines = info.read_text().splitlines() if info.exists() else []
    facts = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition(":") for line in lines)
    }
    name = facts.get("model name") or platform.processor() or platform.machine()
    flags = (facts.get("flags") or facts.get("features") or "").split()
    known = [text for flag, text in EIGHT_BITS.items() if flag in flags]
    return f"{os.cpu_count()} x {name}" + (f" ({known[0]})" if known else "")
