r"""Train one small network many times, changing one thing at a time.

    python benchmarks/ablation.py --lsp LSP --lspet LSPET \
        --clean coco=lspet_clean.json,images=LSPET/images \
        --extra coco=extra.json,images=EXTRA/images

The network is that of ablation.yaml. Every variant gets the same number of
training pictures. Scores are taken on people of the training half of
LSP that no variant trains on (501-700), never on the validation people. Each
finished variant is a line of results/ablation.csv and is not trained again: an
interrupted run goes on with the next one.

With --latency nothing is trained: the networks of all lines are exported in
eight bits, untrained, and timed in turn; times_base_int8 is their time relative
to the base's.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from machine import describe_machine
from script import run_script
from tables import markdown_table, read_lines, update_table
from tinypose import __version__
from tinypose.config import Config, apply_overrides
from tinypose.data.crops import CropDataset
from tinypose.data.sources import load_data
from tinypose.evaluation.evaluate import evaluate
from tinypose.files import read_yaml, write_csv
from tinypose.inference.predictor import Predictor
from tinypose.skeletons import load_skeleton
from tinypose.training.display import Display
from tinypose.training.job import TrainingJob
from tinypose.training.run_dir import RunDir
from tinypose.training.train import run_training
from tinypose.weights import shipped_weights
from untrained import untrained_latencies

BASE = Path(__file__).with_name("ablation.yaml")
HEADER = (
    "lever",
    "variant",
    "pictures",
    "minutes",
    "limbs_pck_0.2",
    "limbs_low",
    "limbs_high",
    "pck_0.2",
    "pck_0.1",
    "against_base",
    "parameters",
    "million_macs",
    "times_base_int8",
    "data",
    "tinypose",
    "machine",
)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What is changed.

    Args:
        lever: What kind of thing it is.
        name: What it is in words.
        data: Which of ``raw``, ``clean`` and ``extra`` are trained on, beside
            the clean labels of LSP.
        changes: Overrides of the base configuration.
        teacher: The shipped model whose heatmaps are learned, too.
    """

    lever: str
    name: str
    data: tuple[str, ...] = ("clean", "extra")
    changes: tuple[str, ...] = field(default=())
    teacher: str = ""


BASELINE = Variant(lever="base", name="base")
VARIANTS = (
    BASELINE,
    Variant(lever="base", name="another seed", changes=("training.seed=1",)),
    # The teacher has seen the people that variants are scored on.
    Variant(
        lever="distillation",
        name="heatmaps of small, half of the loss",
        teacher="small",
    ),
    Variant(
        lever="convolutions",
        name="separable from level 2, wider, for as many multiplications",
        changes=("model.separable_from=2", "model.channels=[32,60,80,96]"),
    ),
    Variant(
        lever="convolutions",
        name="dense everywhere, thinner, for as many multiplications",
        changes=("model.separable_from=0", "model.channels=[28,28,40,48]"),
    ),
    Variant(
        lever="convolutions",
        name="5x5 where they are separable",
        changes=("model.separable_kernel=5",),
    ),
    Variant(
        lever="channels",
        name="more at the lowest levels, for as many multiplications",
        changes=("model.channels=[27,44,64,80]",),
    ),
    Variant(
        lever="channels",
        name="more at the highest level, for as many multiplications",
        changes=("model.channels=[35,24,40,48]",),
    ),
    Variant(
        lever="depth",
        name="two residual blocks at the lowest levels",
        changes=("model.encoder_blocks=[0,0,2,2]",),
    ),
    Variant(
        lever="stacks",
        name="two, thinner, for as many multiplications",
        changes=("model.num_stacks=2", "model.channels=[22,22,40,48]"),
    ),
    Variant(
        lever="head",
        name="heatmaps and offsets (MoveNet)",
        changes=("family=conv_offsets",),
    ),
    Variant(
        lever="head",
        name="a distribution per axis (SimCC)",
        changes=("family=conv_simcc",),
    ),
    Variant(
        lever="rotation",
        name="up to 20 degrees, never upside down",
        changes=("augment.rotation_degrees=20", "augment.upside_down_probability=0"),
    ),
    Variant(
        lever="rotation",
        name="any angle in one of three",
        changes=("augment.upside_down_probability=0.33",),
    ),
    Variant(
        lever="scale", name="0.9 to 1.1", changes=("augment.scale_range=[0.9,1.1]",)
    ),
    Variant(
        lever="scale", name="0.5 to 1.5", changes=("augment.scale_range=[0.5,1.5]",)
    ),
    Variant(lever="cutout", name="none", changes=("augment.cutout_probability=0",)),
    Variant(
        lever="cutout",
        name="one crop in two",
        changes=("augment.cutout_probability=0.5",),
    ),
    Variant(
        lever="half body",
        name="one crop in five",
        changes=("augment.part_probability=0.2",),
    ),
    Variant(lever="fill", name="black only", changes=("augment.fills=[black]",)),
    Variant(lever="optimiser", name="AdamW", changes=("training.optimizer=adamw",)),
    Variant(lever="averaging", name="none", changes=("training.ema=0",)),
    Variant(
        lever="learning rate", name="0.0015", changes=("training.learning_rate=0.0015",)
    ),
    Variant(
        lever="learning rate", name="0.006", changes=("training.learning_rate=0.006",)
    ),
    Variant(
        lever="learning rate", name="0.012", changes=("training.learning_rate=0.012",)
    ),
    Variant(
        lever="learning rate", name="0.024", changes=("training.learning_rate=0.024",)
    ),
    Variant(
        lever="width of targets", name="1.0 cells", changes=("model.sigma_cells=1.0",)
    ),
    Variant(
        lever="width of targets", name="2.0 cells", changes=("model.sigma_cells=2.0",)
    ),
    Variant(
        lever="size",
        name="two thirds of the epochs at 64x64",
        changes=("training.first_sizes=[[4,64,64]]",),
    ),
    Variant(lever="labels", name="crowd labels, no more people", data=("raw",)),
    Variant(lever="labels", name="cleaned labels, no more people", data=("clean",)),
    Variant(lever="labels", name="crowd labels", data=("raw", "extra")),
)


def main() -> None:
    """Train what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("lsp", "lspet"):
        parser.add_argument(f"--{name}", help="its folder")
    for name in ("clean", "extra"):
        parser.add_argument(f"--{name}", help="NAME=PATH")
    parser.add_argument("--latency", action="store_true", help="train nothing")
    parser.add_argument("--only", default="", help="a part of the variant's name")
    parser.add_argument("--out", type=Path, default=Path("results/ablation.csv"))
    arguments = parser.parse_args()
    rows: list[list[object]] = [list(row) for row in read_lines(arguments.out)]
    sources = (arguments.lsp, arguments.lspet, arguments.clean, arguments.extra)
    if not arguments.latency and not all(sources):
        parser.error("expected --lsp, --lspet, --clean and --extra, or --latency")
    if arguments.latency:
        time_networks(rows)
        write_csv(arguments.out, HEADER, rows)
    else:
        train_missing(rows, arguments)
    update_table(Path("docs/recipe.md"), "table", table(rows))


def train_missing(rows: list[list[object]], arguments: argparse.Namespace) -> None:
    """Train all variants that have no line yet, and add it."""
    specs = {
        "raw": f"lspet={arguments.lspet}",
        "clean": arguments.clean,
        "extra": arguments.extra,
        "lsp": f"lsp={arguments.lsp}:1-500",
        "val": f"lsp={arguments.lsp}:501-700",
    }
    for variant in VARIANTS:
        done = any(row[:2] == [variant.lever, variant.name] for row in rows)
        if done or arguments.only not in f"{variant.lever}: {variant.name}":
            continue
        rows.append(train(variant, specs))
        order = {(v.lever, v.name): i for i, v in enumerate(VARIANTS)}
        rows.sort(key=lambda row: order.get((str(row[0]), str(row[1])), len(order)))
        compare(rows)
        write_csv(arguments.out, HEADER, rows)
        print(f"{variant.lever}: {variant.name}", file=sys.stderr)


def train(variant: Variant, specs: dict[str, str]) -> list[object]:
    """Train a variant and return its line."""
    config = variant_config(variant)
    skeleton = load_skeleton(config.skeleton)
    names = [*variant.data, "lsp"]
    dataset = crops(tuple(specs[name] for name in names), config.model.input_hw)
    most = len(load_data([specs[n] for n in (*BASELINE.data, "lsp")], skeleton))
    # Fewer people are seen more often: all variants learn from as many pictures.
    epochs = round(config.training.epochs * most / len(dataset))
    config = replace(config, training=replace(config.training, epochs=epochs))
    held_out = load_data([specs["val"]], skeleton)
    with tempfile.TemporaryDirectory() as folder, Display(quiet=True) as display:
        run_dir = RunDir(Path(folder) / "ablation")
        run_dir.create({}, config)
        begun = time.perf_counter()
        # No validation: the last epoch counts, none is chosen.
        job = TrainingJob(
            config=config,
            run_dir=run_dir,
            training=dataset,
            teacher=shipped_weights().get(variant.teacher),
        )
        run_training(job, display)
        minutes = (time.perf_counter() - begun) / 60
        result = evaluate(Predictor(run_dir.path), held_out, batch_size=16)
    low, high = result.accuracy.intervals.limbs_mean
    pck = {value.threshold: value.mean for value in result.accuracy.pck}
    return [
        variant.lever,
        variant.name,
        epochs * len(dataset),
        f"{minutes:.1f}",
        f"{result.limbs_mean(result.accuracy.headline):.1f}",
        f"{low:.1f}",
        f"{high:.1f}",
        f"{pck[0.2]:.1f}",
        f"{pck[0.1]:.1f}",
        "",
        result.metadata.num_parameters,
        f"{result.metadata.macs / 1e6:.1f}",
        "",
        " + ".join(names),
        __version__,
        describe_machine(),
    ]


@lru_cache(maxsize=1)
def crops(specs: tuple[str, ...], input_hw: tuple[int, int]) -> CropDataset:
    """Return people in memory; neighbours in the list share them."""
    skeleton = load_skeleton(str(read_yaml(BASE)["skeleton"]))
    return CropDataset(load_data(list(specs), skeleton), input_hw)


def variant_config(variant: Variant) -> Config:
    """Return the configuration of a variant."""
    import heads  # noqa: F401  (makes its families known)

    return apply_overrides(read_yaml(BASE), variant.changes, str(BASE))


def compare(rows: list[list[object]]) -> None:
    """Fill in the difference of each line to the base."""
    column, figure = HEADER.index("against_base"), HEADER.index("limbs_pck_0.2")
    base = [row for row in rows if row[1] == BASELINE.name]
    for row in rows if base else []:
        row[column] = f"{float(str(row[figure])) - float(str(base[0][figure])):+.1f}"


def time_networks(rows: list[list[object]]) -> None:
    """Fill in how long the network of each line takes, relative to the base's."""
    base = variant_config(BASELINE)
    known = {(v.lever, v.name): variant_config(v) for v in VARIANTS}
    # Heads of heads.py have no exporter.
    timed = [
        (row, config)
        for row in rows
        if (config := known[str(row[0]), str(row[1])]).family == base.family
    ]
    # Those that change the training alone have the base's network.
    networks = {str(config.model): config for _, config in timed}
    times = dict(
        zip(
            networks,
            untrained_latencies(list(networks.values()), "int8", rounds=5),
            strict=True,
        )
    )
    column = HEADER.index("times_base_int8")
    for row, config in timed:
        row[column] = f"{times[str(config.model)] / times[str(base.model)]:.2f}"


def table(rows: list[list[object]]) -> str:
    """Return the rows as a Markdown table, one line per variant."""
    # Minutes are of several machines, and in the CSV alone.
    columns = (
        "lever",
        "variant",
        "limbs PCK@0.2",
        "against base",
        "time in eight bits",
    )
    lines = []
    for row in rows:
        cells = dict(zip(HEADER, row, strict=True))
        interval = f"({cells['limbs_low']} – {cells['limbs_high']})"
        lines.append(
            (
                *(cells["lever"], cells["variant"]),
                *(f"{cells['limbs_pck_0.2']} {interval}", cells["against_base"]),
                cells["times_base_int8"] or "–",
            )
        )
    return markdown_table(columns, lines)


if __name__ == "__main__":
    run_script(main)
