"""What cleaning did: counts, and pictures of people before and after."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinypose.data.clean import ACTIONS, CHANGES, CleanedSample
from tinypose.data.sample import Sample
from tinypose.data.selection import spread_evenly
from tinypose.drawing.sheets import contact_sheet
from tinypose.drawing.skeletons import draw_pose
from tinypose.errors import TinyposeError
from tinypose.geometry import crop_affine, transform_points
from tinypose.images import Image, warp_image, write_image

MAX_PEOPLE = 48
CELL_HW = (192, 192)
REPORT_NAME = "clean.png"
_AROUND = 1.5


def summary(cleaned: Sequence[CleanedSample]) -> list[str]:
    """Return what was done, a line per kind."""
    counts = Counter(action for person in cleaned for action in person.actions)
    total = sum(counts.values())
    lines = [f"{len(cleaned)} people, {total} keypoints"]
    lines += [
        f"{counts[key]:7d}  {100 * counts[key] / total:4.1f} %  {text}"
        for key, text in ACTIONS.items()
        if counts[key]
    ]
    swapped = sum(person.swapped for person in cleaned)
    if swapped:
        lines.append(f"{swapped:7d}  people had left and right swapped")
    return lines


def write_clean_report(folder: str | Path, cleaned: Sequence[CleanedSample]) -> Path:
    """Draw people whose labels changed, before and after; return the picture.

    The people are spread evenly over those with the most changes first.

    Raises:
        TinyposeError: the picture cannot be written.
    """
    changed = [person for person in cleaned if _changes(person)]
    changed.sort(key=_changes, reverse=True)
    if len(changed) > MAX_PEOPLE:
        chosen = spread_evenly(len(changed), MAX_PEOPLE)
        changed = [changed[i] for i in chosen]
    cells, titles = [], []
    for person in changed or list(cleaned[:MAX_PEOPLE]):
        try:
            pair = [_draw(sample, person) for sample in (person.before, person.after)]
        except TinyposeError:
            continue  # of no use to training either; data check names it
        cells.append(np.concatenate(pair, axis=1))
        titles.append(f"{person.before.sample_id}: {_changes(person)} changed")
    if not cells:
        cells, titles = [np.zeros((*CELL_HW, 3), np.uint8)], ["no picture reads"]
    path = Path(folder) / REPORT_NAME
    write_image(
        path, contact_sheet(cells, titles, columns=4, cell_hw=cells[0].shape[:2])
    )
    return path


def _changes(person: CleanedSample) -> int:
    changed = sum(action in CHANGES for action in person.actions)
    return changed + len(person.actions) * person.swapped


def _draw(sample: Sample, person: CleanedSample) -> Image:
    affine = crop_affine(person.after.box_xywh, CELL_HW, padding=_AROUND)
    crop = warp_image(sample.load_image(), affine, CELL_HW)
    if not (sample.visible > 0).any():
        return crop
    keypoints_xy = transform_points(affine, sample.keypoints_xy)
    return draw_pose(crop, keypoints_xy, sample.skeleton, visible=sample.visible)
