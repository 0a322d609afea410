"""Fill docs/configuration.md: every key of a configuration, from the source.

    python benchmarks/configuration.py

Names and defaults are the fields of the dataclasses, what they mean is their
docstrings.
"""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

from script import run_script
from tables import markdown_table, update_table
from tinypose.config import Config, TrainingConfig
from tinypose.data.augment import AugmentConfig
from tinypose.models import FAMILIES

PAGE = Path(__file__).parents[1] / "docs/configuration.md"


def main() -> None:
    """Fill the page."""
    for name, text in tables().items():
        update_table(PAGE, name, text)
    print(f"look at: {PAGE}")


def tables() -> dict[str, str]:
    """Return each table of the page as Markdown, by the name of its mark."""
    groups = {"keys": ("", Config), "training": ("training.", TrainingConfig)}
    groups["augment"] = ("augment.", AugmentConfig)
    for name, family in FAMILIES.items():
        groups[name] = ("model.", family.config_class)
    return {name: table(*group) for name, group in groups.items()}


def table(prefix: str, config_class: type[Any]) -> str:
    """Return a line per key: name, default and meaning.

    Args:
        prefix: Of the names, such as ``training.``.
        config_class: A dataclass whose docstring tells of all its fields.
    """
    meanings = arguments_of(config_class)
    lines = []
    for field in dataclasses.fields(config_class):
        default = f"`{plain(field.default)}`"
        if field.default in (dataclasses.MISSING, None):
            default = "see below"
        lines.append((f"`{prefix}{field.name}`", default, meanings[field.name]))
    return markdown_table(("key", "default", "meaning"), lines)


def plain(value: Any) -> str:
    """Return a value as YAML writes it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(plain, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def arguments_of(documented: type[Any]) -> dict[str, str]:
    """Return what a docstring says of each argument, in one line each."""
    text = inspect.cleandoc(documented.__doc__ or "")
    section = text.partition("\nArgs:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): ((?:.|\n(?=     ))+)", section, re.MULTILINE)
    return {
        name: " ".join(meaning.split()).replace("``", "`") for name, meaning in found
    }


if __name__ == "__main__":
    run_script(main)
