"""Pictures: what reads, what is refused, and warps to half-pixel exactness."""

import re
import struct
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tinypose.errors import TinyposeError
from tinypose.geometry import crop_affine, image_box, invert_affine, transform_points
from tinypose.images import as_image, decode_image, read_image, warp_image, write_image
from tinypose.picture_headers import picture_hw

FORMATS = [".jpg", ".png", ".bmp", ".webp", ".tif"]


def gradient(height=23, width=37):
    """Red grows to the right, green downwards; blue marks the top left."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 250, width)
    picture[..., 1] = np.linspace(0, 250, height)[:, None]
    picture[: height // 3, : width // 3, 2] = 255
    return picture


def encode(picture, suffix):
    return cv2.imencode(suffix, picture)[1].tobytes()


def grey_png(width, height, compressed):
    """Return a grey PNG of any claimed size around compressed pixels."""

    def block(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    blocks = block(b"IHDR", header) + block(b"IDAT", compressed)
    return signature + blocks + block(b"IEND", b"")


def with_orientation(jpeg, orientation):
    """Insert an EXIF segment that holds nothing but the orientation."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    body = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return jpeg[:2] + segment + jpeg[2:]


@pytest.mark.parametrize("suffix", FORMATS)
def test_written_picture_reads_back(tmp_path, suffix):
    picture = gradient()
    write_image(tmp_path / f"a{suffix}", picture)
    read = read_image(tmp_path / f"a{suffix}")
    assert read.shape == picture.shape and read.dtype == np.uint8
    lossy = suffix in (".jpg", ".webp")
    # The chroma of a lossy format is stored at half the resolution.
    error = np.abs(read.astype(int) - picture)
    assert error.mean() < (8 if lossy else 0.001)


@pytest.mark.parametrize("suffix", FORMATS)
def test_header_states_height_and_width(suffix):
    assert picture_hw(encode(gradient(), suffix)) == (23, 37)


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param([cv2.IMWRITE_JPEG_PROGRESSIVE, 1], id="progressive"),
        pytest.param([cv2.IMWRITE_JPEG_RST_INTERVAL, 1], id="restart_markers"),
    ],
)
def test_header_of_less_usual_jpegs(flags):
    assert picture_hw(cv2.imencode(".jpg", gradient(), flags)[1].tobytes()) == (23, 37)


def test_header_of_lossless_webp():
    quality = [cv2.IMWRITE_WEBP_QUALITY, 101]
    data = cv2.imencode(".webp", gradient(), quality)[1].tobytes()
    assert data[12:16] == b"VP8L"
    assert picture_hw(data) == (23, 37)


def test_grey_picture_becomes_rgb(tmp_path):
    grey = gradient()[..., 0]
    (tmp_path / "grey.png").write_bytes(encode(grey, ".png"))
    read = read_image(tmp_path / "grey.png")
    assert read.shape == (23, 37, 3)
    assert all(np.array_equal(read[..., channel], grey) for channel in range(3))


def test_16_bit_picture_keeps_its_brightness(tmp_path):
    deep = gradient()[..., 0].astype(np.uint16) * 257  # 255 becomes 65535
    (tmp_path / "deep.png").write_bytes(encode(deep, ".png"))
    read = read_image(tmp_path / "deep.png")
    assert read.dtype == np.uint8
    assert np.abs(read[..., 0].astype(int) - gradient()[..., 0]).max() <= 1


def test_transparent_picture_loses_its_alpha(tmp_path):
    bgra = np.dstack([gradient()[..., ::-1], np.full((23, 37), 7, np.uint8)])
    (tmp_path / "rgba.png").write_bytes(encode(bgra, ".png"))
    assert np.array_equal(read_image(tmp_path / "rgba.png"), gradient())


@pytest.mark.parametrize(
    "orientation, turned",
    [
        pytest.param(1, lambda p: p, id="upright"),
        pytest.param(2, lambda p: p[:, ::-1], id="mirrored"),
        pytest.param(3, lambda p: p[::-1, ::-1], id="upside_down"),
        pytest.param(6, lambda p: np.rot90(p, -1), id="turned_right"),
        pytest.param(8, np.rot90, id="turned_left"),
    ],
)
def test_exif_orientation_is_applied(tmp_path, orientation, turned):
    jpeg = encode(gradient()[..., ::-1], ".jpg")
    (tmp_path / "a.jpg").write_bytes(with_orientation(jpeg, orientation))
    plain = decode_image(np.frombuffer(jpeg, np.uint8))
    assert np.array_equal(read_image(tmp_path / "a.jpg"), turned(plain))


def test_end_of_a_thumbnail_is_not_the_end_of_the_picture():
    jpeg = encode(gradient(), ".jpg")
    thumbnail = encode(gradient(9, 5), ".jpg")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = jpeg[:2] + segment + jpeg[2:]
    assert picture_hw(whole) == (23, 37)
    with pytest.raises(ValueError, match="ends early"):
        picture_hw(whole[:-2])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
def test_truncated_picture_is_refused(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    data = encode(noise, suffix)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(TinyposeError, match=r"cut.*expected a picture.*found") as info:
        read_image(path)
    assert "\n" not in str(info.value)


def test_damaged_png_block_is_refused():
    data = bytearray(encode(gradient(), ".png"))
    data[data.index(b"IDAT") + 10] ^= 0xFF
    with pytest.raises(TinyposeError, match="damaged 'IDAT' block"):
        decode_image(np.frombuffer(bytes(data), np.uint8))


@pytest.mark.parametrize(
    "content, found",
    [
        pytest.param(b"", "an empty file", id="empty"),
        pytest.param(b"not a picture at all", "another format", id="text"),
        pytest.param(b"\xff\xd8\xff", "ends early", id="three_bytes"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "ends early", id="signature_only"),
        pytest.param(b"GIF89a" + bytes(40), "another format", id="gif"),
        pytest.param(
            b"\0\0\0\x18ftypheic" + bytes(40), "HEIC.*export it as JPEG", id="heic"
        ),
        pytest.param(
            b"\0\0\0\x18ftypavif" + bytes(40), "found AVIF; convert it", id="avif"
        ),
        pytest.param(b"MM\0*" + b"\xff" * 40, "ends early", id="tiff_offset"),
        pytest.param(b"II*\0\x08\0\0\0\0\0", "damaged", id="tiff_without_size"),
        pytest.param(b"RIFF\x04\0\0\0WEBPVP9 ", "damaged", id="webp_kind"),
        pytest.param(b"\xff\xd8\xff\xe0\0\x02ab" + bytes(9), "damaged", id="jpeg"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(tmp_path, content, found):
    path = tmp_path / "strange.jpg"
    path.write_bytes(content)
    with pytest.raises(TinyposeError, match=found) as info:
        read_image(path)
    assert "strange.jpg" in str(info.value) and "\n" not in str(info.value)


def test_missing_picture_and_folder_are_refused(tmp_path):
    with pytest.raises(TinyposeError, match="no such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(TinyposeError, match="found a folder"):
        read_image(tmp_path)


def test_huge_picture_is_refused_before_it_is_decoded(monkeypatch):
    # 900 megapixels of zeros in a few hundred kilobytes: decoding takes
    # seconds and gigabytes.
    row = bytes(30001)
    compressor = zlib.compressobj(9)
    pixels = b"".join(compressor.compress(row) for _ in range(300))
    data = grey_png(30000, 30000, pixels + compressor.flush())
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(TinyposeError, match="100 megapixels, found 30000 x 30000"):
        decode_image(np.frombuffer(data, np.uint8), "bomb.png")


@pytest.mark.parametrize(
    "shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4)], ids=["2d", "1", "3", "4"]
)
def test_arrays_of_all_channel_counts_are_pictures(shape):
    array = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    picture = as_image(array)
    assert picture.shape == (4, 6, 3)
    assert np.array_equal(picture[..., 0], array if array.ndim == 2 else array[..., 0])


@pytest.mark.parametrize(
    "array, found",
    [
        pytest.param(np.zeros((4, 6, 3)), "float64", id="float"),
        pytest.param(np.zeros((4, 6, 3), np.uint16), "uint16", id="16_bit"),
        pytest.param(np.zeros((4, 6, 2), np.uint8), r"\(4, 6, 2\)", id="two_channels"),
        pytest.param(np.zeros((0, 6, 3), np.uint8), r"\(0, 6, 3\)", id="no_rows"),
        pytest.param(np.zeros(5, np.uint8), r"\(5,\)", id="one_axis"),
        pytest.param([["a"]], "<U1", id="text"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(array, found):
    with pytest.raises(TinyposeError, match=found):
        as_image(array)


def test_advice_for_arrays_keeps_their_brightness():
    for white in (np.full((4, 6, 3), 65535, np.uint16), np.ones((4, 6, 3))):
        with pytest.raises(TinyposeError, match="convert it") as refused:
            as_image(white)
        advice = str(refused.value).rpartition(", ")[2]
        assert (eval(advice, {"image": white}) == 255).all()


def test_disk_without_room_for_the_last_bytes_keeps_the_old_picture(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    code = (
        "import resource, signal, sys\n"
        "from tinypose.images import read_image, write_image\n"
        "picture = read_image(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "limit = int(sys.argv[3])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "write_image(sys.argv[2], picture)\n"
    )
    write_image(tmp_path / "source.png", gradient())
    limit = (tmp_path / "source.png").stat().st_size - 1
    command = [sys.executable, "-c", code, tmp_path / "source.png", path, str(limit)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode and b"cannot write" in done.stderr
    assert path.read_bytes() == b"before"


def test_write_names_the_known_suffixes(tmp_path):
    with pytest.raises(TinyposeError, match=r"\.jpg.*found '\.xyz'"):
        write_image(tmp_path / "a.xyz", gradient())
    assert list(tmp_path.iterdir()) == []


def dot(height, width, x, y, radius):
    rows, columns = np.mgrid[:height, :width]
    squares = (columns - x) ** 2 + (rows - y) ** 2
    values = np.rint(255 * np.exp(-0.5 * squares / radius**2)).astype(np.uint8)
    return np.repeat(values[..., None], 3, axis=2)


def centre_of_mass(picture):
    weights = picture[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


@pytest.mark.parametrize(
    "image_hw, box, output_hw",
    [
        pytest.param((48, 64), (10, 5, 30, 40), (64, 48), id="enlarged"),
        pytest.param((120, 90), (-20, 10, 100, 90), (64, 48), id="partly_outside"),
        pytest.param((400, 300), (13, 21, 260, 350), (64, 48), id="shrunk_4"),
        pytest.param((803, 601), (7, 3, 590, 790), (64, 48), id="shrunk_8_odd_sides"),
        pytest.param((803, 601), (150, 200, 250, 390), (64, 48), id="part_shrunk"),
        pytest.param((640, 480), (-500, -300, 1400, 1300), (40, 70), id="mostly_out"),
    ],
)
def test_warp_agrees_with_the_affine(image_hw, box, output_hw):
    affine = crop_affine(box, output_hw, padding=1.1)
    # A dot that is in the crop, wide enough to survive the shrinking.
    inside = np.array([0.45 * output_hw[1], 0.55 * output_hw[0]]) + 0.3
    x, y = transform_points(invert_affine(affine), inside)
    x, y = np.clip(x, 0, image_hw[1] - 1), np.clip(y, 0, image_hw[0] - 1)
    radius = 2.5 * max(1 / np.sqrt(np.linalg.det(affine[:, :2])), 1)
    picture = dot(*image_hw, x, y, radius)
    before = picture.copy()
    crop = warp_image(picture, affine, output_hw)
    assert crop.shape == (*output_hw, 3)
    assert np.array_equal(picture, before)
    expected = transform_points(affine, centre_of_mass(picture))
    assert centre_of_mass(crop) == pytest.approx(expected, abs=0.06)


def test_warp_to_the_same_size_changes_nothing():
    picture = gradient()
    affine = crop_affine(image_box((23, 37)), (23, 37), padding=1.0)
    assert np.array_equal(warp_image(picture, affine, (23, 37)), picture)


def test_shrinking_averages_thin_lines():
    # Columns alternate between black and white: eight times smaller is grey.
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, ::2] = 255
    affine = crop_affine(image_box((256, 256)), (32, 32), padding=1.0)
    crop = warp_image(picture, affine, (32, 32)).astype(int)
    assert np.abs(crop - 127.5).max() <= 1.5


def test_warp_fills_what_lies_outside():
    picture = np.full((20, 30, 3), 200, np.uint8)
    affine = crop_affine((-30, 0, 20, 20), (16, 16), padding=1.0)
    crop = warp_image(picture, affine, (16, 16), fill=(1, 2, 3))
    assert (crop == (1, 2, 3)).all()


@pytest.mark.parametrize("scale", [1, 8], ids=["same_size", "shrunk"])
@pytest.mark.parametrize("fill", [(0, 0, 0), None], ids=["black", "edge"])
@pytest.mark.parametrize("length", [32767, 70_000])
def test_long_pictures_are_warped_as_short_ones(length, fill, scale):
    end = gradient(40 * scale, 200 * scale)
    box = np.array([120.3, 7.6, 60, 30]) * scale  # partly to the right of the end
    crops = []
    for width in (end.shape[1], length):
        picture = np.zeros((end.shape[0], width, 3), np.uint8)
        picture[:, -end.shape[1] :] = end
        from_end = width - end.shape[1] + 40 * scale
        affine = crop_affine((box[0] + from_end, *box[1:]), (32, 48))
        crops.append(warp_image(picture, affine, (32, 48), fill=fill).astype(int))
    assert crops[0].max() > 200
    assert np.abs(crops[1] - crops[0]).max() <= 2


def test_no_opencv_is_asked_for_that_warps_short_pictures_only():
    project = Path(__file__).parents[1] / "pyproject.toml"
    needed = tomllib.loads(project.read_text())["project"]["dependencies"]
    (opencv,) = [word for word in needed if word.startswith("opencv")]
    assert int(re.fullmatch(r"opencv-python-headless>=(\d+)\.\d+", opencv)[1]) >= 5


@pytest.mark.parametrize("scale", [1, 8], ids=["same_size", "shrunk"])
def test_warp_repeats_the_edge_where_it_is_not_to_fill(scale):
    picture = gradient(16 * scale, 24 * scale)
    # A crop of the left half, and as much again of what lies left of it.
    affine = crop_affine(
        (-12 * scale - 0.5, -0.5, 24 * scale, 16 * scale), (16, 24), padding=1.0
    )
    crop = warp_image(picture, affine, (16, 24), fill=None)
    black = warp_image(picture, affine, (16, 24))
    assert np.array_equal(crop[:, 12:], black[:, 12:])
    assert (black[:, :12] == 0).all()
    # Rows keep the colour of the picture's first column.
    assert np.array_equal(crop[:, :12], np.repeat(crop[:, :1], 12, axis=1))
    assert np.abs(crop[:, 12].astype(int) - crop[:, 11]).max() <= 2
    assert crop[-1, 0, 1] > 200
