"""Measure what an installation takes: bytes on the disk, and packages.

    python benchmarks/install.py

Installs the project from its folder into new virtual environments, once for
prediction alone and once with all that training and export need. Writes
results/install.csv.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe_machine
from script import run_script
from tinypose import __version__
from tinypose.files import write_csv
from tinypose.inference.footprint import size_bytes

ROOT = Path(__file__).parents[1]
EXTRAS = {"pip install .": "", "pip install '.[train]'": "[train]"}
HEADER = (
    "what",
    "megabytes",
    "packages",
    "largest",
    "python",
    "tinypose",
    "machine",
)


def main() -> None:
    """Install and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/install.csv"))
    arguments = parser.parse_args()
    rows = []
    for what, extra in EXTRAS.items():
        with tempfile.TemporaryDirectory() as folder:
            rows.append([what, *install(Path(folder), extra), __version__])
        rows[-1].append(describe_machine())
        print(*rows[-1])
        write_csv(arguments.out, HEADER, rows)


def install(folder: Path, extra: str) -> list[object]:
    """Install into a new environment; return the figures, Python's version last."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = next(p for p in folder.glob("*/python*") if p.is_file())
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet"]
    subprocess.run([*pip, "install", f"{ROOT}{extra}"], check=True)
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run(
        [str(python), "-c", script], check=True, capture_output=True, text=True
    )
    packages = Path(done.stdout.strip())
    sizes = {
        path.name: size_bytes(path)
        for path in packages.iterdir()
        if path.suffix != ".pth"
    }
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    return [
        f"{sum(sizes.values()) / 1e6:.0f}",
        len(list(packages.glob("*.dist-info"))),
        ", ".join(f"{name} {sizes[name] / 1e6:.0f} MB" for name in largest),
        ".".join(map(str, sys.version_info[:3])),
    ]


if __name__ == "__main__":
    run_script(main)
