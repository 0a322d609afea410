"""``tinypose models``: what can be trained, and what comes with the package."""

from typing import Annotated, Any

import typer

from tinypose.cli.quiet import load_keras
from tinypose.errors import MissingDependencyError


def models(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for programs.")
    ] = False,
) -> None:
    """List the model families and the shipped models, with size and cost.

    Example:  tinypose models
    """
    shipped = shipped_models()
    hint = ""
    try:
        families = model_families()
    except MissingDependencyError as error:
        families, hint = None, str(error)
    if as_json:
        import json

        typer.echo(json.dumps({"families": families, "shipped": shipped}, indent=2))
        return
    _print_tables(families, shipped)
    if hint:
        typer.echo(f"families are not listed: {hint}", err=True)


def model_families() -> list[dict[str, Any]]:
    """Return each family's name, input, heatmaps and cost with its defaults.

    Raises:
        MissingDependencyError: the training extra is not installed.
    """
    load_keras()
    from tinypose.models import FAMILIES
    from tinypose.models.cost import count_macs, count_parameters

    rows = []
    for name, family in FAMILIES.items():
        net = family.build(family.config_class())
        rows.append(
            {
                "family": name,
                "input_hw": list(net.input_shape[1:3]),
                "num_parameters": count_parameters(net),
                "macs": count_macs(net),
            }
        )
    return rows


def shipped_models() -> list[dict[str, Any]]:
    """Return what the metadata of each shipped model say, with its file size."""
    from tinypose.metadata import read_metadata
    from tinypose.weights import shipped

    rows = []
    for name, path in shipped().items():
        metadata = read_metadata(path)
        rows.append(
            {
                "name": name,
                "family": metadata.family,
                "input_hw": list(metadata.input_hw),
                "output": metadata.output,
                "num_parameters": metadata.num_parameters,
                "macs": metadata.macs,
                "file_bytes": path.stat().st_size,
                "skeleton": metadata.skeleton.name,
                "num_keypoints": metadata.skeleton.num_keypoints,
                "accuracy": dict(metadata.accuracy),
                "licence": metadata.licence,
            }
        )
    return rows


def _print_tables(
    families: list[dict[str, Any]] | None, shipped: list[dict[str, Any]]
) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if families is not None:
        console.print(_family_table(families))
    if shipped:
        console.print(_shipped_table(shipped))
        for row in shipped:
            figures = [f"{k} {v:.1f}" for k, v in row["accuracy"].items()]
            for figure in figures or ["accuracy not stated"]:
                console.print(f"  {row['name']}: {figure}", soft_wrap=True)
    else:
        console.print("no shipped models")


def _family_table(rows: list[dict[str, Any]]) -> Any:
    table = _table("Families (with their default configuration)")
    table.add_column("family", overflow="fold")
    for title in ("input", "parameters", "MACs"):
        table.add_column(title, justify="right", overflow="fold")
    for row in rows:
        table.add_row(row["family"], _input(row), *_cost(row))
    return table


def _shipped_table(rows: list[dict[str, Any]]) -> Any:
    table = _table("Shipped models (for --model)")
    table.add_column("name", overflow="fold")
    table.add_column("family", overflow="fold")
    for title in ("input", "parameters", "MACs", "file"):
        table.add_column(title, justify="right", overflow="fold")
    table.add_column("keypoints", overflow="fold")
    for row in rows:
        table.add_row(
            row["name"],
            row["family"],
            _input(row),
            *_cost(row),
            f"{row['file_bytes'] / 1000:.0f} kB",
            f"{row['num_keypoints']}, {row['skeleton']}",
        )
    return table


def _table(title: str) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # Close together, so that the longest names fit into 80 columns.
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True
    )


def _input(row: dict[str, Any]) -> str:
    height, width = row["input_hw"]
    return f"{width} x {height}"


def _cost(row: dict[str, Any]) -> tuple[str, str]:
    return f"{row['num_parameters']:,}", f"{row['macs'] / 1e6:,.1f} M"
