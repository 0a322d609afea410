r"""Fill the pages of the lessons: code, figures, tables and pictures.

    python benchmarks/lessons.py

puts code from src/ and figures from results/museum*.csv between the marks of
docs/lessons.md and docs/lessons.ko.md.

    python benchmarks/lessons.py --pictures runs/lessons

also trains every family on drawn people for a few minutes, which may be
interrupted, and draws what each of its outputs says into docs/lessons/.
"""

import argparse
import os
import re
import textwrap
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from script import run_script
from tables import read_rows

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs/lessons.md", ROOT / "docs/lessons.ko.md")
PICTURES = ROOT / "docs/lessons"

PEOPLE, EPOCHS = 3000, 15
"""Drawn people that a family learns from for its picture, and how often."""

SHOWN = (5002, 5005, 5011)
"""Drawn people of the pictures, none of them trained on."""

MARK = re.compile(
    r"<!-- (?P<kind>code|figure|table|picture) (?P<what>.*?) -->"
    r"(?P<old>.*?)<!-- /(?P=kind) -->",
    re.DOTALL,
)

ABSENT = "–"

WORDS = {
    "en": {
        "family": "family",
        "pck_0.2": "PCK@0.2",
        "pck_0.1": "PCK@0.1",
        "pcp": "PCP",
        "parameters": "parameters",
        "million_macs": "million MACs",
        "file_bytes": "KB",
        "milliseconds_1_thread": "ms",
        "epochs": "epochs",
        "output": "output",
        "hidden_pck_0.2": "hidden keypoints",
        "seen": "seen",
        "hidden": "hidden",
        "size": "small / middle / large",
        "turned": "upright / leaning / inverted",
        "to come": "to be trained",
        "minutes": "minutes",
        "budget": "PCK@0.2 within the budget",
        "longer": "PCK@0.2 after longer",
    },
    "ko": {
        "family": "모델",
        "pck_0.2": "PCK@0.2",
        "pck_0.1": "PCK@0.1",
        "pcp": "PCP",
        "parameters": "파라미터",
        "million_macs": "MAC (백만)",
        "file_bytes": "KB",
        "milliseconds_1_thread": "ms",
        "epochs": "에폭",
        "output": "출력",
        "hidden_pck_0.2": "가려진 관절",
        "seen": "보이는 관절",
        "hidden": "가려진 관절",
        "size": "작은 / 중간 / 큰 사람",
        "turned": "바로 선 / 기운 / 거꾸로 선 사람",
        "to come": "학습 예정",
        "minutes": "분",
        "budget": "예산 안에서 PCK@0.2",
        "longer": "더 학습한 뒤 PCK@0.2",
    },
}
"""Headings of the tables, by language."""


class Results:
    """The museum's tables, as far as they are there.

    Args:
        folder: With museum.csv, museum_plan.csv, museum_stages.csv and
            museum_groups.csv; and museum_end.csv and museum_end_stages.csv, of
            the best families with more time.
    """

    def __init__(self, folder: Path) -> None:
        self.families = {
            line["family"]: line for line in read_rows(folder / "museum.csv")
        }
        self.plan = {
            line["family"]: line for line in read_rows(folder / "museum_plan.csv")
        }
        self.stages = read_rows(folder / "museum_stages.csv")
        self.groups = read_rows(folder / "museum_groups.csv")
        self.longer = read_rows(folder / "museum_end.csv")
        self.longer_stages = read_rows(folder / "museum_end_stages.csv")

    def figure(self, what: str) -> str:
        """Return a figure: ``[longer] FAMILY [OUTPUT] COLUMN``."""
        is_longer = what.startswith("longer ")
        family, *output, column = what.removeprefix("longer ").split()
        if output:
            lines = self.longer_stages if is_longer else self.stages
        else:
            lines = self.longer if is_longer else [*self.families.values()]
        keys = ("family", "output")[: 1 + len(output)]
        found = [
            line for line in lines if [line[key] for key in keys] == [family, *output]
        ]
        return found[0][column] if found else ABSENT

    def table(self, name: str, language: str) -> str:
        """Return a table as Markdown: a row per family, output or kind."""
        makers = {
            "families": self._families,
            "longer": self._longer,
            "stages": self._stages,
            "groups": self._groups,
        }
        header, rows = makers[name](WORDS[language])
        # What is told in words to the left, figures to the right.
        words = 2 if name == "stages" else 1
        rule = ["---"] * words + ["---:"] * (len(header) - words)
        return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))

    def _families(self, words: dict[str, str]) -> tuple[list[str], list[list[str]]]:
        columns = (
            *("pck_0.2", "pck_0.1", "pcp", "parameters", "million_macs"),
            *("file_bytes", "milliseconds_1_thread", "epochs"),
        )
        rows = []
        for family, plan in self.plan.items():
            line = self.families.get(family)
            if line is None:
                known = {key: plan[key] for key in ("milliseconds_1_thread", "epochs")}
                line = dict.fromkeys(columns, ABSENT)
                line |= known | {"pck_0.2": words["to come"]}
            else:
                low, high = line["pck_0.2_low"], line["pck_0.2_high"]
                line = line | {
                    "pck_0.2": f"**{line['pck_0.2']}** ({low}–{high})",
                    "parameters": f"{int(line['parameters']):,}",
                    "file_bytes": f"{int(line['file_bytes']) / 1000:,.0f}",
                }
            rows.append([f"`{family}`", *(line[column] for column in columns)])
        return [words["family"], *(words[column] for column in columns)], rows

    def _longer(self, words: dict[str, str]) -> tuple[list[str], list[list[str]]]:
        columns = ("pck_0.1", "pcp", "epochs", "minutes")
        rows = [
            [
                f"`{line['family']}`",
                self.figure(f"{line['family']} pck_0.2"),
                f"**{line['pck_0.2']}** ({line['pck_0.2_low']}–{line['pck_0.2_high']})",
                *(line[column] for column in columns),
            ]
            for line in self.longer
        ]
        header = [words[column] for column in ("family", "budget", "longer", *columns)]
        return header, rows

    def _stages(self, words: dict[str, str]) -> tuple[list[str], list[list[str]]]:
        columns = ("pck_0.2", "pck_0.1", "hidden_pck_0.2")
        rows = [
            [
                *(f"`{line['family']}`", f"`{line['output']}`"),
                *(line[column] for column in columns),
            ]
            for line in self.stages
        ]
        header = [words[column] for column in ("family", "output", *columns)]
        return header, rows

    def _groups(self, words: dict[str, str]) -> tuple[list[str], list[list[str]]]:
        found: dict[str, list[str]] = {}
        for line in self.groups:
            found.setdefault(line["family"], []).append(line["pck_0.2"])
        rows = [
            [
                *(f"`{family}`", values[0], values[1]),
                *(" / ".join(values[2:5]), " / ".join(values[5:8])),
            ]
            for family, values in found.items()
        ]
        columns = ("family", "seen", "hidden", "size", "turned")
        return [words[column] for column in columns], rows


def main() -> None:
    """Draw if asked to, and fill the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, help="train here, and draw")
    arguments = parser.parse_args()
    if arguments.pictures:
        draw_pictures(arguments.pictures)
    from tinypose.files import write_text

    results = Results(ROOT / "results")
    for page in PAGES:
        write_text(page, filled(page, results))
        print(f"look at: {page}")


def filled(page: Path, results: Results) -> str:
    """Return a page with everything between its marks as it should be.

    Raises:
        ValueError: a mark names what is not there.
    """
    language = "ko" if page.name.endswith(".ko.md") else "en"

    def fill(mark: re.Match[str]) -> str:
        kind, what = mark["kind"], mark["what"]
        if kind == "code":
            new = f"\n```python\n{excerpt(*what.split(' | '))}\n```\n"
        elif kind == "table":
            new = f"\n\n{results.table(what, language)}\n\n"
        elif kind == "picture":
            new = f"\n{picture(*what.split(' | '))}\n"
        else:
            new = results.figure(what)
        return f"<!-- {kind} {what} -->{new}<!-- /{kind} -->"

    return MARK.sub(fill, page.read_text(encoding="utf-8"))


def excerpt(path: str, first: str, last: str) -> str:
    """Return a file's lines from the one with ``first`` to the next with ``last``.

    Args:
        path: Below the project.
        first: A part of the first line; no other line before has it.
        last: A part of the last line.
    """
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    begins = [number for number, line in enumerate(lines) if first in line]
    if not begins:
        raise ValueError(f"expected {first!r} in {path}, found no such line")
    ends = [n for n in range(begins[0], len(lines)) if last in lines[n]]
    if not ends:
        raise ValueError(f"expected {last!r} below {first!r} in {path}, found none")
    return textwrap.dedent("\n".join(lines[begins[0] : ends[0] + 1]))


def picture(name: str, caption: str) -> str:
    """Return the Markdown of a picture; nothing before it is drawn."""
    path = PICTURES / f"{name}.jpg"
    return f"\n![{caption}](lessons/{path.name})\n" if path.exists() else ""


def draw_pictures(runs: Path) -> None:
    """Train every family on drawn people and draw what its outputs say."""
    from museum import ROAD

    for family in ROAD:
        draw_family(family, runs / family)


def draw_family(family: str, folder: Path) -> None:
    """Train a family, or go on, and draw a row of its outputs for each person."""
    import keras
    import numpy as np

    from museum import answering_codecs, museum_config, readable
    from tinypose.data.crops import CropDataset
    from tinypose.data.sources import load_data
    from tinypose.drawing.heatmaps import overlay_heatmaps
    from tinypose.drawing.sheets import contact_sheet
    from tinypose.drawing.skeletons import draw_pose
    from tinypose.export.wrapper import load_net
    from tinypose.images import write_image
    from tinypose.models.layers import normalize_images
    from tinypose.skeletons import load_skeleton
    from tinypose.training.display import Display
    from tinypose.training.job import TrainingJob
    from tinypose.training.run_dir import RunDir
    from tinypose.training.train import run_training

    config = museum_config(family)
    config = replace(config, training=replace(config.training, epochs=EPOCHS))
    skeleton = load_skeleton(config.skeleton)

    def drawn(people: str) -> CropDataset:
        spec = [f"stick_people:{people}"]
        return CropDataset(load_data(spec, skeleton), config.model.input_hw)

    run_dir = RunDir(folder)
    if not run_dir.config.exists():
        run_dir.create({}, config)
    with Display() as display:
        run_training(
            TrainingJob(
                config=config,
                run_dir=run_dir,
                training=drawn(f"1-{PEOPLE}"),
                validation=drawn(f"{PEOPLE + 1}-{PEOPLE + 100}"),
            ),
            display,
        )
    net, _ = load_net(run_dir.best)
    codecs = answering_codecs(config)
    part = keras.Model(net.input, {name: net.output[name] for name in codecs})
    cells, titles = [], []
    for index in SHOWN:
        batch = drawn(f"{index}-{index}").batch(range(1))
        crop, visible = batch.images[0], batch.visible[0]
        outputs = part.predict_on_batch(
            keras.ops.convert_to_numpy(normalize_images(batch.images))
        )
        truth = batch.keypoints_xy[0]
        cells.append(draw_pose(crop, truth, skeleton, visible=visible, enlarge_to=256))
        titles.append("labels")
        for name, codec in codecs.items():
            raw = readable(name, codec, np.asarray(outputs[name]))
            points, _ = codec.decode(raw)
            distance = np.linalg.norm(points[0] - truth, axis=1)[visible > 0].mean()
            if raw.ndim == 4:
                cells.append(overlay_heatmaps(crop, raw[0], skeleton))
                titles.append(f"{name}: maps")
            cells.append(draw_pose(crop, points[0], skeleton, enlarge_to=256))
            titles.append(f"{name}: {distance:.1f} px off")
    path = PICTURES / f"{family}.jpg"
    columns = len(cells) // len(SHOWN)
    PICTURES.mkdir(exist_ok=True)
    write_image(path, contact_sheet(cells, titles, columns=columns, cell_hw=(224, 224)))
    print(f"look at: {path}")


if __name__ == "__main__":
    run_script(main)
