"""Draw results/pareto.csv: accuracy against latency, a point per model.

    python benchmarks/plot_pareto.py results/pareto.csv

``pareto.py`` draws it too, at the end of its run.
"""

import argparse
import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from script import run_script
from tinypose.files import atomic_path, require_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

COLOURS = {"tinypose": "#d55e00", "others": "#3f6fb0"}
INK = "#333333"
NEAR_PLACES = 4
"""A name at one of the first places touches its point or bar."""

TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)

Row = Mapping[str, object]


def main() -> None:
    """Draw the CSV file on the command line, beside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    path: Path = parser.parse_args().table
    require_file(path, "a table that pareto.py wrote")
    with open(path, encoding="utf-8", newline="") as file:
        draw_pareto(path.with_suffix(".png"), list(csv.DictReader(file)))


def draw_pareto(path: Path, rows: Sequence[Row]) -> None:
    """Draw limb PCK@0.2 and its interval against the latency on one thread.

    Args:
        path: The picture, PNG.
        rows: What ``pareto.py`` measured, by the names of its columns.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    for by, colour in COLOURS.items():
        _plot_points(axes, [row for row in rows if row["by"] == by], by, colour)
    _plot_frontier(axes, rows)
    _dress(axes, rows)
    # Where the labels fit is known once everything else has its place.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    _label_points(axes, rows)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (cost, gain) that no other beats in both, by rising cost."""
    best: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or gain > best[-1][1]:
            best.append((cost, gain))
    return best


def _point(row: Row) -> tuple[float, float]:
    cost, gain = row["milliseconds_1_thread"], row["limbs_pck_0.2_percent"]
    return float(str(cost)), float(str(gain))


def _interval(row: Row) -> tuple[float, float]:
    low, high = (row[f"limbs_pck_0.2_{end}_percent"] for end in ("low", "high"))
    return float(str(low)), float(str(high))


def _plot_points(axes: "Axes", rows: Sequence[Row], by: str, colour: str) -> None:
    if not rows:
        return
    points = [_point(row) for row in rows]
    intervals = [_interval(row) for row in rows]
    below = [gain - low for (_, gain), (low, _) in zip(points, intervals, strict=True)]
    above = [
        high - gain for (_, gain), (_, high) in zip(points, intervals, strict=True)
    ]
    axes.errorbar(
        [cost for cost, _ in points],
        [gain for _, gain in points],
        yerr=[below, above],
        fmt="o" if by == "others" else "D",
        color=colour,
        markersize=7,
        elinewidth=1.2,
        capsize=3,
        label=by,
    )


def _plot_frontier(axes: "Axes", rows: Sequence[Row]) -> None:
    best = frontier([_point(row) for row in rows])
    axes.plot(
        [cost for cost, _ in best],
        [gain for _, gain in best],
        color=INK,
        lw=0.9,
        ls=(0, (4, 4)),
        alpha=0.5,
        drawstyle="steps-post",
        zorder=0,
        label="no model is both faster and more accurate",
    )


def _dress(axes: "Axes", rows: Sequence[Row]) -> None:
    """Set limits, ticks, titles and legend."""
    costs = [_point(row)[0] for row in rows]
    low, high = min(costs) / 1.7, max(costs) * 1.9
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    first = rows[0]
    axes.set_xlabel(
        f"milliseconds for one crop, the network alone, 1 thread ({first['machine']})"
    )
    axes.set_ylabel(
        f"limbs PCK@0.2, %, true box ({first['data']}, {first['people']} people)"
    )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    # Above the axes, where no model can be.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)


def _label_points(axes: "Axes", rows: Sequence[Row]) -> None:
    """Name each point, where the name covers no other name, point or bar."""
    taken = [_bar_box(axes, row) for row in rows]
    for row in rows:
        taken.append(_label_point(axes, row, taken))


def _label_point(axes: "Axes", row: Row, taken: Sequence["Bbox"]) -> "Bbox":
    """Write one name at the nearest free place, and return where."""
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    label = axes.annotate(
        str(row["model"]),
        _point(row),
        xytext=(0, 0),
        textcoords="offset points",
        fontsize=9,
        color=COLOURS[str(row["by"])],
        ha="center",
        va="center",
        arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.5, "alpha": 0.6},
    )
    label.set_path_effects([withStroke(linewidth=3, foreground="white")])
    # The line from point to name shows only where the name is far.
    assert label.arrow_patch is not None  # as arrowprops are given
    label.arrow_patch.set_visible(False)
    inside = axes.get_window_extent()
    places = _places(axes, row, label.get_window_extent())
    clashes = []
    for x, y in places:
        label.set_position((x, y))
        box = Text.get_window_extent(label).padded(3)
        outside = not inside.contains(*box.min) or not inside.contains(*box.max)
        clashes.append(10 * outside + box.count_overlaps(taken))
        if clashes[-1] == 0:
            break
    best = clashes.index(min(clashes))
    label.set_position(places[best])
    label.arrow_patch.set_visible(best >= NEAR_PLACES)
    return Text.get_window_extent(label).padded(3)


def _places(axes: "Axes", row: Row, text: "Bbox") -> list[tuple[float, float]]:
    """Return offsets of a name's centre from its point, the best first.

    Beside the point, above and below its bar, and then all around it, further
    and further away.
    """
    points_per_pixel = 72 / axes.figure.dpi
    half_width, half_height = (
        points_per_pixel * size / 2 for size in (text.width, text.height)
    )
    bar = _bar_box(axes, row)
    middle = axes.transData.transform(_point(row))[1]
    above = points_per_pixel * (bar.y1 - middle) + half_height + 4
    below = points_per_pixel * (bar.y0 - middle) - half_height - 4
    beside = half_width + 9
    places = [(beside, 0.0), (-beside, 0.0), (0.0, above), (0.0, below)]
    for step in range(1, 12):
        for angle in range(0, 360, 15):
            x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            places.append((x * (beside + 9 * step), y * (half_height + 12 * step)))
    return places


def _bar_box(axes: "Axes", row: Row) -> "Bbox":
    """Return where a point and its error bar are, in pixels of the picture."""
    from matplotlib.transforms import Bbox

    (x, _), (low, high) = _point(row), _interval(row)
    ends = axes.transData.transform([(x, low), (x, high)])
    return Bbox([ends[0] - (8, 3), ends[1] + (8, 3)])


if __name__ == "__main__":
    run_script(main)
