"""What a user passes in, checked: the model, a picture, a box."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinypose.errors import TinyposeError, UsageError, did_you_mean
from tinypose.geometry import FloatArray, image_box
from tinypose.images import Image, as_image, read_image
from tinypose.inference.search import overlap
from tinypose.metadata import is_saved_model
from tinypose.micro_folder import read_micro_folder
from tinypose.weights import is_shipped, shipped

BEST_MODEL = "best.keras"
"""The file of a run folder that holds the best model."""


def find_model(model: str | Path) -> Path:
    """Return the file of a model, given its name, file or run folder, in this order.

    Raises:
        TinyposeError: there is no such model; names the nearest.
    """
    models = shipped()
    if is_shipped(model):
        return models[str(model)]
    path = Path(model)
    if is_saved_model(path) or read_micro_folder(path) is not None:
        return path
    if path.is_dir():
        if not (path / BEST_MODEL).is_file():
            raise TinyposeError(
                f"{path}: expected a training run's folder with {BEST_MODEL}, found "
                "none; has the run been validated at least once?"
            )
        return path / BEST_MODEL
    if path.exists():
        return path
    hint = did_you_mean(str(model), models)
    raise TinyposeError(
        f"expected a shipped model ({', '.join(models) or 'none here'}), a model "
        f"file or a run folder, found no such thing: {str(model)!r}{hint}"
    )


def load_picture(image: Any) -> Image:
    """Return a path's, an array's or Pillow's picture (height, width, 3) uint8 RGB."""
    if isinstance(image, (str, Path)):
        return read_image(image)
    if hasattr(image, "getexif"):
        # Pillow's own array is of the picture as it lies, and of a palette's numbers.
        from PIL import ImageOps

        image = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    return as_image(image)


def check_box(
    box_xywh: ArrayLike, image_hw: tuple[int, int] | None = None
) -> FloatArray:
    """Return a box as float64 (4,) after checking it.

    Raises:
        UsageError: not four finite numbers, no extent, or beside the picture.
    """
    try:
        box = np.array(box_xywh, np.float64)
    except (TypeError, ValueError):
        box = np.empty(0)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise UsageError(
            "expected a box of four finite numbers x, y, width, height in picture "
            f"pixels, found {box_xywh!r}"
        )
    # One side may be zero: the keypoints of a lying person can be in a row.
    if box[2:].min() < 0 or not box[2:].max() > 0:
        raise UsageError(
            f"expected a box of positive width and height, found {box[2]:g} x "
            f"{box[3]:g}"
        )
    if image_hw is not None:
        tight = np.concatenate([box[:2], np.maximum(box[2:], 1e-3)])
        if overlap(tight, image_box(image_hw)) == 0:
            raise UsageError(
                f"expected a box that overlaps the picture of {image_hw[1]} x "
                f"{image_hw[0]} pixels, found {box.tolist()}"
            )
    return box


def image_hw(picture: Image) -> tuple[int, int]:
    """Return height and width of a picture."""
    return picture.shape[0], picture.shape[1]
