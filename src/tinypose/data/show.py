"""Draw labelled people: as labelled, as the model will see them, and suspects.

Everything a data set is said to contain can be looked at here before hours of
training are spent on it.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from tinypose.codecs.codec import Codec
from tinypose.data.augment import Augmentation, AugmentConfig, draw_augmentation
from tinypose.data.box_checks import BOX_KINDS
from tinypose.data.check import KINDS, CheckReport
from tinypose.data.crops import CropDataset
from tinypose.data.label_checks import Problem
from tinypose.data.sample import Sample, labelled_box
from tinypose.drawing.numbers import keypoint_list, number_keypoints
from tinypose.drawing.outputs import draw_output
from tinypose.drawing.sheets import contact_sheet, letterbox, letterbox_affine
from tinypose.drawing.skeletons import draw_pose
from tinypose.errors import TinyposeError
from tinypose.files import printable, write_json, write_text
from tinypose.geometry import BOX_PADDING, crop_affine, transform_points
from tinypose.images import Image, warp_image, write_image
from tinypose.skeletons import Skeleton

CELL_HW = (256, 256)
LABELS_HW = (320, 320)
"""Of a whole picture, whose person may be small."""

MAX_ROWS = 100
"""Samples on one sheet; a JPEG of twice as many rows would be too high."""

MAX_SUSPECTS = 24
"""People of each kind of problem that are drawn, the worst ones."""

_AROUND = 1.6  # how much more than the person's box is drawn
_BOX_COLOUR = (255, 200, 0)


@dataclass(frozen=True, kw_only=True)
class CropView:
    """What a model's training makes of a sample.

    Args:
        input_hw: Height and width of the crops.
        padding: How much larger than the person's box the crop is.
        augment: Random changes.
        codec: Of the prediction; makes the true heatmaps.
        seed: Of the random changes.
    """

    input_hw: tuple[int, int]
    codec: Codec
    padding: float = BOX_PADDING
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0


def choose_samples(
    samples: Sequence[Sample], count: int, seed: int = 0
) -> dict[int, Sample]:
    """Return up to ``count`` random samples by their position, in order."""
    generator = np.random.default_rng(seed)
    count = min(count, len(samples))
    chosen = generator.choice(len(samples), count, replace=False)
    return {int(i): samples[i] for i in np.sort(chosen)}


def show_samples(
    folder: Path, chosen: dict[int, Sample], view: CropView
) -> tuple[list[Path], list[str]]:
    """Draw samples before and after augmentation, and write two sheets.

    ``labels.jpg`` shows whole pictures with their labels, which are numbered and
    named below. ``augmented.jpg``
    has a row for each sample: the plain crop, two augmented ones, and the
    second one's true heatmaps. Of many samples there are several sheets,
    ``labels_2.jpg`` and so on.

    Args:
        folder: Where the sheets go.
        chosen: Samples by position, see ``choose_samples``.
        view: What training makes of them.

    Returns:
        The files, two for each ``MAX_ROWS`` samples, and why others were left out:
        their pictures or boxes are of no use.

    Raises:
        TinyposeError: nobody can be drawn, or a file cannot be written.
    """
    files: list[Path] = []
    reasons: list[str] = []
    for start in range(0, len(chosen), MAX_ROWS):
        part = dict(islice(chosen.items(), start, start + MAX_ROWS))
        number = f"_{start // MAX_ROWS + 1}" if start else ""
        files += _show_part(folder, part, view, number, reasons)
    if not files:
        raise TinyposeError(reasons[0])
    return files, reasons


def _show_part(
    folder: Path,
    chosen: dict[int, Sample],
    view: CropView,
    number: str,
    reasons: list[str],
) -> list[Path]:
    """Write two sheets and add to ``reasons``; see ``show_samples``."""
    names, pictures, cells, captions = [], [], [], []
    skeletons: dict[Skeleton, None] = {}
    for position, sample in chosen.items():
        try:
            picture, row = _labelled(sample), augmented_row(sample, position, view)
        except TinyposeError as error:
            reasons.append(str(error))
            continue
        names.append(printable(sample.sample_id))
        pictures.append(picture)
        cells += row
        captions += [names[-1], "augmented", "augmented", "true heatmaps"]
        skeletons[sample.skeleton] = None
    if not pictures:
        return []
    sheet = contact_sheet(pictures, names, columns=4, cell_hw=LABELS_HW)
    sheet = np.concatenate([sheet, keypoint_list(list(skeletons), sheet.shape[1])])
    labels = folder / f"labels{number}.jpg"
    write_image(labels, sheet)
    augmented = folder / f"augmented{number}.jpg"
    write_image(augmented, contact_sheet(cells, captions, columns=4, cell_hw=CELL_HW))
    return [labels, augmented]


def augmented_row(sample: Sample, position: int, view: CropView) -> list[Image]:
    """Return four crops: plain, augmented twice, and the last one's heatmaps.

    Args:
        sample: With at least one labelled keypoint.
        position: Of the sample in its set: with the seed, it decides the draw.
        view: What training makes of it.
    """
    dataset = CropDataset(
        [sample], view.input_hw, padding=view.padding, augment=view.augment
    )
    draws = [Augmentation()]
    for turn in range(2):
        generator = np.random.default_rng([view.seed, turn, position, 1])
        draws.append(draw_augmentation(view.augment, generator))
    row = []
    for draw in draws:
        crop, keypoints_xy, visible = dataset.crop(0, draw)
        row.append(draw_pose(crop, keypoints_xy, sample.skeleton, visible=visible))
    target, _ = view.codec.encode(keypoints_xy[None], visible[None])
    drawn = draw_output(
        crop, np.asarray(target)[0], view.codec, sample.skeleton, visible
    )
    return [*row, drawn]


def write_check(
    folder: Path, report: CheckReport, samples: Sequence[Sample]
) -> list[Path]:
    """Write a check's findings as JSON, and the worst of each kind as pictures.

    Args:
        folder: Where ``check.json``, ``index.html`` and the sheets go.
        report: The findings.
        samples: The samples that were checked.

    Returns:
        The files, the page to open first.

    Raises:
        TinyposeError: a file cannot be written.
    """
    by_name = {sample.sample_id: sample for sample in samples}
    sheets = {}
    for kind in KINDS:
        sheet = suspects_sheet(report.of_kind(kind), by_name)
        if sheet is not None:
            sheets[kind] = folder / f"{kind}.jpg"
            write_image(sheets[kind], sheet)
    data = folder / "check.json"
    write_json(data, report.to_dict())
    page = folder / "index.html"
    write_text(page, _page(report, sheets))
    return [page, data, *sheets.values()]


def suspects_sheet(
    problems: Sequence[Problem], by_name: dict[str, Sample]
) -> Image | None:
    """Return the worst problems of one kind as one picture; None for none.

    A copy is drawn beside what it is a copy of. People whose pictures do not
    read are left out.
    """
    cells, titles = [], []
    for problem in problems:
        names = [problem.sample_id, *([problem.other] if problem.other else [])]
        try:
            around = _box if problem.kind in BOX_KINDS else _around
            drawn = [around(by_name[name]) for name in names]
        except TinyposeError:
            continue
        cells.append(np.concatenate(drawn, axis=1))
        titles.append(printable(" = ".join(names)))
        if len(cells) == MAX_SUSPECTS:
            break
    if not cells:
        return None
    height, width = cells[0].shape[:2]
    columns = 6 if width == height else 3
    return contact_sheet(cells, titles, columns=columns, cell_hw=(height, width))


def _labelled(sample: Sample) -> Image:
    """Return a cell that holds the whole picture with its numbered labels."""
    image = sample.load_image()
    affine = letterbox_affine(image.shape[:2], LABELS_HW)
    keypoints_xy = transform_points(affine, sample.keypoints_xy)
    skeleton, visible = sample.skeleton, sample.visible
    cell = letterbox(image, LABELS_HW)
    cell = draw_pose(cell, keypoints_xy, skeleton, visible=visible)
    return number_keypoints(cell, keypoints_xy, skeleton, visible)


def _around(sample: Sample) -> Image:
    """Return a square around a person, with the labels."""
    affine = crop_affine(sample.box_xywh, CELL_HW, padding=_AROUND)
    crop = warp_image(sample.load_image(), affine, CELL_HW)
    keypoints_xy = transform_points(affine, sample.keypoints_xy)
    return draw_pose(crop, keypoints_xy, sample.skeleton, visible=sample.visible)


def _box(sample: Sample) -> Image:
    """Return a square around a person's labels and box, with both."""
    boxes = labelled_box(sample.keypoints_xy, sample.visible), sample.box_xywh
    low = np.min([box[:2] for box in boxes], axis=0)
    high = np.max([box[:2] + box[2:] for box in boxes], axis=0)
    affine = crop_affine([*low, *(high - low)], CELL_HW, padding=_AROUND)
    crop = warp_image(sample.load_image(), affine, CELL_HW)
    x, y, width, height = sample.box_xywh
    corners = transform_points(affine, [[x, y], [x + width, y + height]])
    first, last = np.round(corners).astype(int).tolist()
    cv2.rectangle(crop, first, last, _BOX_COLOUR, 2)
    keypoints_xy = transform_points(affine, sample.keypoints_xy)
    return draw_pose(crop, keypoints_xy, sample.skeleton, visible=sample.visible)


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; color: #1c1e24; background: #fff }
img { max-width: 100%; border-radius: 6px }
td { padding: 0.1rem 1rem 0.1rem 0 } td:first-child { text-align: right }
summary { cursor: pointer }
@media (prefers-color-scheme: dark) { body { color: #e8eaf0; background: #15171c } }
"""


def _page(report: CheckReport, sheets: dict[str, Path]) -> str:
    rows = [(report.num_samples, f"people in {report.num_pictures} pictures")]
    rows += [(count, KINDS[kind]) for kind, count in report.counts().items() if count]
    rows += [(n, f"{reason}, left out") for reason, n in report.skipped.items() if n]
    table = "".join(f"<tr><td>{n}<td>{html.escape(text)}" for n, text in rows)
    blockers = "".join(f"<p><b>{html.escape(b)}</b></p>" for b in report.blockers)
    notes = "".join(f"<p>{html.escape(printable(note))}</p>" for note in report.notes)
    parts = []
    for kind, count in report.counts().items():
        if not count:
            continue
        parts.append(f"<h2>{count} {KINDS[kind]}</h2>")
        if kind in sheets:
            parts.append(f'<img src="{sheets[kind].name}" alt="{KINDS[kind]}">')
        lines = "".join(
            f"<li>{html.escape(printable(f'{p.sample_id}: {p.detail}'))}"
            for p in report.of_kind(kind)
        )
        parts.append(
            f"<details><summary>all {count}</summary><ul>{lines}</ul></details>"
        )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Data check</title><style>{_STYLE}</style><h1>Data check</h1>"
        f"{blockers}{notes}<table>{table}</table>{''.join(parts)}</html>\n"
    )
