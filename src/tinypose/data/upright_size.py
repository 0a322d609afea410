"""The size at which a picture file is shown, without decoding all of it."""

import re
import struct
from pathlib import Path

from tinypose.errors import TinyposeError
from tinypose.images import MAX_FILE_BYTES, read_image
from tinypose.picture_headers import picture_hw

_HEAD_BYTES = 64 * 1024
_PNG_HEADER_BYTES = 33
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_EXIF = re.compile(rb"\xff\xe1..Exif\0\0", re.DOTALL)
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
"""Values of EXIF's orientation that swap height and width."""


def upright_hw(path: Path) -> tuple[int, int] | None:
    """Return height and width of a picture, turned as its EXIF says.

    They are those of what ``read_image`` returns. Of most files the head alone
    is read, so one that is damaged further on has a size, too.

    Returns:
        None where there is no picture, or none that is known.
    """
    for size in (_HEAD_BYTES, MAX_FILE_BYTES):
        try:
            with open(path, "rb") as file:
                head = file.read(size)
            height, width = picture_hw(_closed(head))
        except OSError:
            return None
        except ValueError:
            continue  # the size may stand further on
        if _may_be_turned(head):
            return _decoded_hw(path)
        return (width, height) if _jpeg_turned(head) else (height, width)
    return None


def _closed(head: bytes) -> bytes:
    """Return the head of a file as a whole file that ends there."""
    if head.startswith(b"\xff\xd8"):
        return head + b"\xff\xd9"
    if head.startswith(b"\x89PNG"):
        return head[:_PNG_HEADER_BYTES] + _PNG_END
    if head.startswith(b"RIFF"):
        return head[:4] + struct.pack("<I", max(len(head) - 8, 0)) + head[8:]
    return head


def _may_be_turned(head: bytes) -> bool:
    """Return whether a picture that is no JPEG may say how to turn it.

    That is rare, and stands anywhere in the file: better to decode it.
    """
    if head.startswith(b"RIFF"):
        return head[12:16] == b"VP8X" and bool(head[20] & 0x08)
    if head.startswith(b"\x89PNG"):
        return b"eXIf" in head
    return head.startswith((b"II*\0", b"MM\0*"))


def _decoded_hw(path: Path) -> tuple[int, int] | None:
    try:
        height, width = read_image(path).shape[:2]
    except TinyposeError:
        return None
    return height, width


def _jpeg_turned(head: bytes) -> bool:
    """Return whether a JPEG's first EXIF block swaps height and width."""
    block = _JPEG_EXIF.search(head) if head.startswith(b"\xff\xd8") else None
    if block is None:
        return False
    tiff = head[block.end() :]
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (position,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, position)
        for entry in range(position + 2, position + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return value in _SIDEWAYS
    except struct.error:
        pass
    return False
