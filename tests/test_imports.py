"""Imports follow the road from labels to poses and never point back."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinypose
from tinypose.cli.main import app
from tinypose.inference.tracking import Tracker

SOURCE = Path(tinypose.__file__).parent

CORE = {"errors", "files", "geometry", "images", "metadata", "origin", "quiet"}
CORE |= {"coco_format", "keypoint_names", "skeletons"}
MICRO = {"micro_folder", "micro_interpreter"}
# What each part may import, itself and the version aside.
ALLOWED = {
    "errors": set(),
    "quiet": set(),
    "files": {"errors"},
    "coco_format": set(),
    "geometry": set(),
    "keypoint_names": set(),
    "skeletons": {"errors", "files", "keypoint_names"},
    "picture_headers": {"errors"},
    "images": {"errors", "files", "geometry", "picture_headers"},
    "origin": set(),
    "metadata": {"errors", "files", "geometry", "micro_folder", "origin", "skeletons"},
    "micro_folder": {"errors", "files"},
    "micro_interpreter": {"errors"},
    "codecs": CORE,
    "drawing": CORE | {"codecs"},
    "data": CORE | {"codecs", "drawing", "picture_headers"},
    "models": CORE | {"codecs"},
    "config": CORE | {"models", "data.augment"},
    "weights": set(),
    "training": CORE
    | {"codecs", "compression", "config", "data", "drawing", "models"}
    | {"evaluation.pck", "evaluation.references"},
    "compression": CORE | {"models"},
    "export": CORE | MICRO | {"codecs", "compression", "data", "models"},
    "inference": CORE | MICRO | {"codecs", "drawing", "models", "weights"},
    "evaluation": CORE | {"codecs", "data", "drawing", "inference"},
}
NEVER = {"tensorflow", "keras", "torch", "jax"}
# Parts that import no training library when they are imported.
LIGHT = ("data", "inference", "evaluation", "drawing", "codecs", "weights")
VERBS = [verb.name for verb in (*app.registered_commands, *app.registered_groups)]


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """Yield the imported modules and whether the import is at the top."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module or "", id(node) in top
            if node.module == "tinypose":
                for alias in node.names:
                    yield f"tinypose.{alias.name}", id(node) in top


FILES = sorted(SOURCE.rglob("*.py"))


def part_of(file: Path) -> str:
    return file.relative_to(SOURCE).with_suffix("").parts[0]


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_imports_never_point_back(file: Path) -> None:
    part = part_of(file)
    if part in ("__init__", "__main__", "cli"):
        return
    for module, _ in imports(file):
        if not module.startswith("tinypose."):
            continue
        target = module.removeprefix("tinypose.")
        if target in ("__version__", part) or target.startswith(f"{part}."):
            continue
        names = {target, target.split(".")[0]}
        assert names & ALLOWED[part], f"{part} must not import {module}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_nothing_imports_the_command_line(file: Path) -> None:
    if part_of(file) not in ("cli", "__main__"):
        assert not any(module.startswith("tinypose.cli") for module, _ in imports(file))


@pytest.mark.parametrize("part", LIGHT)
def test_light_parts_import_no_training_library(part: str) -> None:
    modules = ", ".join(
        ".".join(("tinypose", *f.relative_to(SOURCE).with_suffix("").parts))
        for f in FILES
        if part_of(f) == part and f.stem != "__init__"
    )
    check_not_loaded(f"import {modules or 'tinypose.weights'}", NEVER)


def test_the_public_names_are_there() -> None:
    assert tinypose.Tracker is Tracker
    assert "Tracker" in tinypose.__all__
    for name in dir(tinypose):
        assert getattr(tinypose, name) is not None


def test_importing_tinypose_is_light() -> None:
    heavy = NEVER | {"cv2", "numpy", "yaml", "scipy", "rich"}
    check_not_loaded("import tinypose", heavy)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_is_light(verb: str) -> None:
    arguments = [*([verb] if verb else []), "--help"]
    check_not_loaded(
        "from tinypose.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit as e: assert not e.code",
        NEVER | {"cv2"},
    )


def check_not_loaded(code: str, heavy: set[str]) -> None:
    """Run code in a fresh interpreter and look at what it has loaded."""
    code += (
        f"\nimport sys; found = {heavy!r} & set(sys.modules); assert not found, found"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
