"""Keep the tables of the documents in step with the results."""

import csv
from collections.abc import Iterable
from pathlib import Path

from tinypose.files import write_text


def update_table(path: Path, name: str, new: str) -> None:
    """Write ``new`` between the marks ``<!-- name -->`` and ``<!-- /name -->``.

    A document without them stays as it is.
    """
    text = path.read_text(encoding="utf-8")
    before, first, rest = text.partition(f"<!-- {name} -->")
    _, second, after = rest.partition(f"<!-- /{name} -->")
    if second:
        write_text(path, f"{before}{first}\n{new}{second}{after}")


def markdown_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table as Markdown.

    Args:
        columns: Its headings.
        rows: A cell for each of them.
    """
    columns = list(columns)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(map(str, cells))} |" for cells in rows]
    return "\n".join(lines) + "\n"


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the lines of a CSV table by the names in its header."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_lines(path: Path) -> list[list[str]]:
    """Return the lines of a CSV table below its header; none without a file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [list(row) for row in csv.reader(file)][1:]
