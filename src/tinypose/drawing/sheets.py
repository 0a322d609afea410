"""Several pictures in one: letterboxed cells in rows, with captions."""

from collections.abc import Sequence

import cv2
import numpy as np

from tinypose.geometry import FloatArray
from tinypose.images import Image

Colour = tuple[int, int, int]

CAPTION_HEIGHT = 26
BACKGROUND: Colour = (28, 30, 36)
TEXT: Colour = (232, 234, 240)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def contact_sheet(
    images: Sequence[Image],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 4,
    cell_hw: tuple[int, int] = (256, 256),
    gap: int = 8,
) -> Image:
    """Return one picture that shows several, in rows, each with its caption.

    Args:
        images: (height, width, 3) uint8 RGB each, of any sizes; letterboxed.
        titles: One caption per picture; None for no captions.
        columns: Pictures per row, at most.
        cell_hw: Height and width of each cell, caption excluded.
        gap: Pixels between cells and around them.

    Raises:
        ValueError: no pictures, or not one title per picture.
    """
    if len(images) == 0 or columns < 1:
        raise ValueError(
            f"expected at least one picture and column, received {len(images)} "
            f"pictures and {columns} columns"
        )
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"expected {len(images)} titles, one per picture, received {len(titles)}"
        )
    height, width = cell_hw
    caption = 0 if titles is None else CAPTION_HEIGHT
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = np.full(
        (
            rows * (height + caption + gap) + gap,
            columns * (width + gap) + gap,
            3,
        ),
        BACKGROUND,
        np.uint8,
    )
    for position, image in enumerate(images):
        row, column = divmod(position, columns)
        top = gap + row * (height + caption + gap)
        left = gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = letterbox(image, cell_hw)
        if titles is not None:
            strip = sheet[top + height : top + height + caption, left : left + width]
            _write_caption(strip, str(titles[position]))
    return sheet


def letterbox(image: Image, output_hw: tuple[int, int]) -> Image:
    """Return a picture resized to fit ``output_hw``, with bars, uncropped."""
    size, (left, top) = _fit(image.shape[:2], output_hw)
    shrinks = size[0] < image.shape[1] or size[1] < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    boxed = np.full((*output_hw, 3), BACKGROUND, np.uint8)
    boxed[top : top + size[1], left : left + size[0]] = cv2.resize(
        image, size, interpolation=method
    )
    return boxed


def letterbox_affine(
    image_hw: tuple[int, int], output_hw: tuple[int, int]
) -> FloatArray:
    """Return the affine (2, 3) from a picture's pixels to those of ``letterbox``."""
    (width, height), (left, top) = _fit(image_hw, output_hw)
    x, y = width / image_hw[1], height / image_hw[0]
    # Integer coordinates are pixel centres.
    return np.array([[x, 0, left + (x - 1) / 2], [0, y, top + (y - 1) / 2]])


def _fit(
    image_hw: tuple[int, ...], output_hw: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return a letterboxed picture's width and height, and its left and top."""
    height, width = image_hw
    scale = min(output_hw[0] / height, output_hw[1] / width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return size, ((output_hw[1] - size[0]) // 2, (output_hw[0] - size[1]) // 2)


def _write_caption(strip: Image, text: str) -> None:
    """Write one centred line into a strip (height, width, 3), in place."""
    # OpenCV's built-in font covers ASCII only.
    text = text.encode("ascii", "replace").decode()
    height, width = strip.shape[:2]
    scale, room = 0.5, width - 6
    while _text_width(text, scale) > room and scale > 0.36:
        scale -= 0.02
    while _text_width(text, scale) > room and len(text) > 4:
        text = text[:-4] + "..."
    left = max((width - _text_width(text, scale)) // 2, 3)
    # putText wants a picture of its own, not a view into the sheet.
    picture = np.ascontiguousarray(strip)
    baseline = round(height * 0.68)
    cv2.putText(picture, text, (left, baseline), _FONT, scale, TEXT, 1, cv2.LINE_AA)
    strip[:] = picture


def _text_width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, _FONT, scale, 1)[0][0])
