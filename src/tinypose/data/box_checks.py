"""Checks of people's boxes against their pictures and keypoints."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tinypose.data.label_checks import Problem
from tinypose.data.sample import Sample, labelled_box, share_inside
from tinypose.geometry import FloatArray

BOX_KINDS = ("box_outside", "odd_box")
"""Kinds of problems with boxes, keys of ``tinypose.data.check.KINDS``."""

MIN_INSIDE = 0.7
"""Share of a box that lies in the picture, at least; people are cut off, boxes
seldom go on."""

MIN_CORNERS = 3
"""So many boxes, at least, must look like corners before a set is suspected."""

MIN_FILLED = 0.5
"""Share of either side of such a box that the labelled keypoints span."""

_SLACK = 2.0  # pixels by which a box may miss a keypoint
_AS_CORNERS = "read as x1, y1, x2, y2 it would fit: write x, y, width, height"


def check_box_in_picture(sample: Sample, image_hw: tuple[int, int]) -> Problem | None:
    """Return what is wrong with a box in a picture of (height, width), if anything.

    Nothing is said of people without labels, whose boxes are not used.
    """
    if not (sample.visible > 0).any():
        return None
    inside = share_inside(sample.box_xywh, image_hw)
    x, y, width, height = sample.box_xywh
    box = f"{width:.0f}x{height:.0f} at {x:.0f}, {y:.0f}"
    picture = f"the picture of {image_hw[1]}x{image_hw[0]}"
    if inside == 0:
        detail = f"a box of {box} is beside {picture}"
        return Problem("box_outside", sample.sample_id, detail)
    count = int((sample.visible > 0).sum())
    missed = count - int(_is_in(sample.box_xywh, sample).sum())
    hint = f"; {_AS_CORNERS}" if _fits_as_corners(sample) else ""
    if missed > count / 2:
        detail = f"{missed} of {count} labelled keypoints are not in the box of {box}"
        return Problem(
            "odd_box", sample.sample_id, f"{detail}{hint}", 1.0 + missed / count
        )
    if inside < MIN_INSIDE:
        detail = f"{1 - inside:.0%} of a box of {box} is outside {picture}{hint}"
        return Problem("odd_box", sample.sample_id, detail, 1.0 - inside)
    return None


def corner_boxes(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yield people whose box is, by all appearance, x1, y1, x2, y2.

    Read so, the box of somebody in the middle of the picture lies in it and holds
    all keypoints. Of a single person that may be chance; here most boxes of the
    set for which the two readings differ must fit better as corners.
    """
    differ = [sample for sample in samples if _readings_differ(sample)]
    fit = [sample for sample in differ if _fits_as_corners(sample)]
    if len(fit) < max(MIN_CORNERS, len(differ) / 2):
        return
    for sample in fit:
        yield Problem("odd_box", sample.sample_id, _AS_CORNERS)


def _readings_differ(sample: Sample) -> bool:
    """Return whether a box would be much smaller if it were two corners."""
    x, y, width, height = sample.box_xywh
    return bool(
        (sample.visible > 0).any()
        and max(width - x, 0.0) * max(height - y, 0.0) < 0.8 * width * height
    )


def _fits_as_corners(sample: Sample) -> bool:
    """Return whether x1, y1, x2, y2 is a reading of the box that fits well."""
    if not _readings_differ(sample):
        return False
    low, high = sample.box_xywh[:2], sample.box_xywh[2:]
    as_corners = np.concatenate([low, high - low])
    extent = labelled_box(sample.keypoints_xy, sample.visible)[2:]
    filled = (extent > MIN_FILLED * as_corners[2:]).all()
    return bool(filled and _is_in(as_corners, sample).all())


def _is_in(box_xywh: FloatArray, sample: Sample) -> NDArray[np.bool_]:
    """Return for each labelled keypoint (num_labelled,) whether a box has it."""
    points = sample.keypoints_xy[sample.visible > 0]
    low, high = box_xywh[:2] - _SLACK, box_xywh[:2] + box_xywh[2:] + _SLACK
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))
