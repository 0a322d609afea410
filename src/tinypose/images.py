"""Read, warp and write pictures: (height, width, 3) uint8 RGB throughout."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.errors import TinyposeError
from tinypose.files import explain_os_errors, require_file, write_bytes
from tinypose.geometry import compose_affines, invert_affine, transform_points
from tinypose.picture_headers import is_avif, is_heif, picture_hw

Image = NDArray[np.uint8]

MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 512 * 1024**2
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
HEIF_SUFFIXES = (".heic", ".heif", ".hif", ".avif")
_HEIF_ADVICE = (
    "; export it as JPEG (a photo app does, and so does  heif-convert IN.heic OUT.jpg )"
)
_AVIF_ADVICE = (
    "; convert it to PNG or JPEG (picture programs do, and so does  ffmpeg -i IN.avif "
    "OUT.png )"
)


def read_image(path: str | Path) -> Image:
    """Read a picture file as (height, width, 3) uint8 RGB.

    Grey, 16-bit and transparent pictures are converted; the EXIF orientation
    is applied, as every viewer does.

    Raises:
        TinyposeError: missing, not a picture, damaged or too large.
    """
    path = require_file(path, "a picture", max_bytes=MAX_FILE_BYTES)
    with explain_os_errors(path, "read"):
        data = np.fromfile(path, np.uint8)
    return decode_image(data, str(path))


def decode_image(data: NDArray[np.uint8], source: str = "picture") -> Image:
    """Decode an encoded picture (num_bytes,) to (height, width, 3) uint8 RGB.

    Raises:
        TinyposeError: not a picture, damaged, truncated or too large; the
            message names ``source``.
    """
    begin = data[:12].tobytes()
    if is_heif(begin):
        found = f"HEIC or HEIF, as phones save photos{_HEIF_ADVICE}"
        raise TinyposeError(
            f"{source}: expected a picture (JPEG, PNG, BMP, WebP or TIFF), found "
            f"{f'AVIF{_AVIF_ADVICE}' if is_avif(begin) else found}"
        )
    try:
        height, width = picture_hw(data.tobytes())
    except ValueError as error:
        raise _not_a_picture(source, str(error)) from error
    if height * width > MAX_PIXELS:
        raise TinyposeError(
            f"{source}: expected a picture of at most {MAX_PIXELS // 10**6} "
            f"megapixels, found {width} x {height}; shrink it first"
        )
    try:
        # Without IGNORE_ORIENTATION, OpenCV applies the EXIF rotation; it also
        # scales 16-bit values to 8 bits and repeats grey in three channels.
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise _not_a_picture(source, "damaged data") from error
    if picture is None:
        raise _not_a_picture(source, "damaged data")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def suffix_advice(suffix: str) -> str:
    """Return the end of a message on a file's name: how to convert what it ends in."""
    if suffix.lower() == ".avif":
        return _AVIF_ADVICE
    return _HEIF_ADVICE if suffix.lower() in HEIF_SUFFIXES else ""


def as_image(image: Any) -> Image:
    """Return an array as a picture (height, width, 3) uint8 RGB.

    Accepts (height, width) grey, (height, width, 1), 3 or 4 channels, uint8.

    Raises:
        TinyposeError: shape or dtype are of no picture; nothing is guessed.
    """
    array = np.asarray(image)
    if array.dtype != np.uint8:
        advice = (
            "of the full 16 bits, (image // 257).astype('uint8')"
            if array.dtype == np.uint16
            else "of values from 0 to 1, (image * 255).astype('uint8')"
        )
        raise TinyposeError(
            f"expected a picture as uint8 values 0..255, found {array.dtype}; "
            f"convert it:  {advice}"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise TinyposeError(
            "expected a picture of shape (height, width, 3) in RGB order, "
            f"found {array.shape}"
        )
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array[..., :3])


def warp_image(
    image: Image,
    image_to_crop: ArrayLike,
    output_hw: tuple[int, int],
    fill: tuple[int, int, int] | None = (0, 0, 0),
) -> Image:
    """Cut a crop out of a picture with one bilinear warp, half-pixel exact.

    Where the crop is much smaller than what it shows, the part of the picture
    that it shows is first averaged down by a power of two, so that thin limbs
    do not alias.

    Args:
        image: (height, width, 3) uint8.
        image_to_crop: (2, 3), maps picture to crop coordinates.
        output_hw: Height and width of the crop.
        fill: Colour of what lies outside the picture; None repeats its edge.
    """
    affine = np.asarray(image_to_crop, np.float64)
    zoom = np.sqrt(abs(np.linalg.det(affine[:, :2])))
    halvings = int(np.log2(0.75 / zoom)) if zoom < 0.375 else 0
    if halvings:
        image, affine = _shrink(image, affine, output_hw, halvings)
    height, width = output_hw
    crop = cv2.warpAffine(
        image,
        affine,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if fill is None else cv2.BORDER_CONSTANT,
        borderValue=fill or (0, 0, 0),
    )
    return np.asarray(crop, np.uint8)


def write_image(path: str | Path, image: Image) -> None:
    """Write a picture; the suffix decides the format. Atomic.

    Raises:
        TinyposeError: unknown suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise TinyposeError(
            f"{path}: expected a picture name ending in "
            f"{', '.join(PICTURE_SUFFIXES)}, found {path.suffix!r}"
        )
    done, data = cv2.imencode(
        path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    )
    if not done:
        raise TinyposeError(f"cannot encode a picture of {image.shape} as {path}")
    # Not ``tofile``, which does not notice when the last bytes find no room.
    write_bytes(path, data.tobytes())


def _not_a_picture(source: str, found: str) -> TinyposeError:
    return TinyposeError(
        f"{source}: expected a picture (JPEG, PNG, BMP, WebP or TIFF), found "
        f"{found}; is it damaged or of another format?"
    )


def _shrink(
    image: Image, affine: NDArray[np.float64], output_hw: tuple[int, int], halvings: int
) -> tuple[Image, NDArray[np.float64]]:
    """Average the visible part of ``image`` over squares of 2**halvings pixels."""
    height, width = output_hw
    corners = np.array(
        [[-0.5, -0.5], [width, -0.5], [-0.5, height], [width, height]], np.float64
    )
    seen = transform_points(invert_affine(affine), corners)
    low, high = seen.min(axis=0), seen.max(axis=0)
    left, right = _span(low[0], high[0], image.shape[1], 2**halvings)
    top, bottom = _span(low[1], high[1], image.shape[0], 2**halvings)
    part = small = image[top:bottom, left:right]
    # OpenCV halves several times faster than it divides by 4 or 8 at once.
    for _ in range(halvings):
        size = max(small.shape[1] // 2, 1), max(small.shape[0] // 2, 1)
        small = np.asarray(
            cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8
        )
    # resize() maps edges to edges: x' + 1/2 = (x + 1/2) * new / old.
    scale = np.array(small.shape[1::-1]) / part.shape[1::-1]
    offset = (0.5 - np.array([left, top])) * scale - 0.5
    full_to_small = np.column_stack([np.diag(scale), offset])
    return small, compose_affines(affine, invert_affine(full_to_small))


def _span(low: float, high: float, length: int, factor: int) -> tuple[int, int]:
    """Return the pixels from ``low`` to ``high`` and a margin, cut to 0..length.

    Where there is room, their number is a multiple of ``factor``, which is
    fast to average.
    """
    first = int(np.clip(np.floor(low) - factor, 0, length - 1))
    last = int(np.clip(np.ceil(high) + factor, first + 1, length))
    missing = (first - last) % factor
    longer = min(last + missing, length)
    return max(first - (missing - (longer - last)), 0), longer
