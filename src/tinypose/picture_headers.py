"""Look at an encoded picture before it is decoded: its format, size and end.

A few bytes of a hostile file can ask a decoder for gigabytes, and decoders
differ in what they make of a truncated file. So the size is read from the
header first, and a file that ends early is refused.
"""

import struct
import zlib
from collections.abc import Callable

_PNG = b"\x89PNG\r\n\x1a\n"
_HEIF_BRANDS = {
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"),
    *(b"mif1", b"msf1", b"avif", b"avis"),
}
_JPEG_END = b"\xff\xd9"
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}


def picture_hw(data: bytes) -> tuple[int, int]:
    """Return height and width that an encoded picture's header states.

    Knows JPEG, PNG, BMP, WebP and TIFF; nothing is decoded. The size is
    before any EXIF rotation.

    Raises:
        ValueError: of another format, damaged in the header, or truncated;
            the message says which.
    """
    reader = _reader(data)
    if reader is None:
        raise ValueError("data of another format")
    try:
        return reader(data)
    except (struct.error, IndexError) as error:
        raise ValueError("a file that ends early") from error


def is_avif(data: bytes) -> bool:
    """Return whether an encoded picture is AVIF."""
    return data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis")


def is_heif(data: bytes) -> bool:
    """Return whether an encoded picture is HEIC or another kind of HEIF, as AVIF."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS


def _reader(data: bytes) -> Callable[[bytes], tuple[int, int]] | None:
    if data.startswith(_PNG):
        return _png_hw
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg_hw
    if data.startswith(b"BM"):
        return _bmp_hw
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_hw
    if data.startswith((b"II*\0", b"MM\0*")):
        return _tiff_hw
    return None


def _png_hw(data: bytes) -> tuple[int, int]:
    position = len(_PNG)
    width, height = struct.unpack_from(">II", data, position + 8)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(memoryview(data)[position + 4 : end]) != checksum:
            raise ValueError(f"a damaged {kind.decode('latin-1')!r} block")
        position = end + 4
    return height, width


def _jpeg_hw(data: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header, and on to the first scan."""
    size: tuple[int, int] | None = None
    position = 2
    while True:
        while data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1  # fill bytes
        mark, marker = data[position], data[position + 1]
        if mark != 0xFF:
            raise ValueError("a damaged header")
        if marker in _JPEG_WITHOUT_LENGTH:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _JPEG_FRAMES:
            size = struct.unpack_from(">HH", data, position + 5)
        position += 2 + length
        if marker == _JPEG_SCAN:
            break
    if size is None:
        raise ValueError("a damaged header")
    # Inside the scans 0xFF is always escaped, so this is the true end; a
    # thumbnail's own end lies before the first scan.
    if data.find(_JPEG_END, position) < 0:
        raise ValueError("a file that ends early")
    return size


def _bmp_hw(data: bytes) -> tuple[int, int]:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(height), abs(width)


def _webp_hw(data: bytes) -> tuple[int, int]:
    (length,) = struct.unpack_from("<I", data, 4)
    if len(data) < length + 8:
        raise ValueError("a file that ends early")
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ValueError("a damaged header")
    return height, width


def _tiff_hw(data: bytes) -> tuple[int, int]:
    order = "<" if data.startswith(b"II") else ">"
    (position,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, position)
    sides = {}
    for index in range(count):
        entry = position + 2 + 12 * index
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        # Type 3 is a 16-bit number, the other allowed one has 32 bits.
        form = "H" if kind == 3 else "I"
        (sides[tag],) = struct.unpack_from(f"{order}{form}", data, entry + 8)
    width, height = sides.get(256), sides.get(257)
    if width is None or height is None:
        raise ValueError("a damaged header")
    return height, width
