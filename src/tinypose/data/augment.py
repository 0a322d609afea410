"""Random changes to training samples: drawn as numbers first, then applied.

Geometry is one affine per sample, so the picture is resampled once; colour is
one table look-up per channel. Everything is NumPy and OpenCV on uint8, and
everything random comes from the generator that the caller passes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tinypose.geometry import BOX_PADDING, FloatArray, crop_affine
from tinypose.images import Image

FILLS = ("black", "grey", "colour", "edge")
"""What can lie outside the picture; see ``AugmentConfig``."""

MIN_PART_KEYPOINTS = 6
"""Fewer labelled keypoints than this have no half that shows anything."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes to each training sample; angles in degrees.

    Args:
        rotation_degrees: Rotation is uniform in plus or minus this.
        upside_down_probability: How often any angle at all is drawn instead.
        scale_range: Size of the person, log-uniform, relative to the box crop.
        shift: Shift is uniform in plus or minus this fraction of the crop.
        flip_probability: How often the picture is mirrored.
        brightness: Added, uniform in plus or minus this, of 255.
        contrast: Multiplied about middle grey, uniform in 1 plus or minus this.
        colour: The same for each channel apart, uniform in 1 plus or minus this.
        cutout_probability: How often a rectangle is painted over.
        cutout_range: Side of that rectangle as a fraction of the crop.
        cutout_at_keypoint: How often the rectangle lies on a labelled keypoint
            instead of anywhere.
        part_probability: How often the crop is taken around a part of the body,
            the nearer half of the labelled keypoints around one of them.
        fills: What lies outside the picture, one of these drawn at random:
            ``black``, ``grey``, ``colour`` (any) or ``edge`` (repeated).
    """

    rotation_degrees: float = 40.0
    upside_down_probability: float = 0.1
    scale_range: tuple[float, float] = (0.7, 1.3)
    shift: float = 0.08
    flip_probability: float = 0.5
    brightness: float = 0.15
    contrast: float = 0.25
    colour: float = 0.15
    cutout_probability: float = 0.3
    cutout_range: tuple[float, float] = (0.1, 0.35)
    cutout_at_keypoint: float = 0.0
    part_probability: float = 0.0
    fills: tuple[str, ...] = ("black", "colour")

    def __post_init__(self) -> None:
        for name, low in (("scale_range", 0.05), ("cutout_range", 0.0)):
            value = getattr(self, name)
            if not low <= value[0] <= value[1]:
                raise ValueError(
                    f"augment.{name}: expected [low, high] with {low} <= low <= "
                    f"high, found {list(value)}"
                )
        if not 0 <= self.rotation_degrees <= 180:
            raise ValueError(
                "augment.rotation_degrees: expected 0 to 180, found "
                f"{self.rotation_degrees}"
            )
        for name in ("shift", "brightness", "contrast", "colour"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"augment.{name}: expected 0 to 1, found {getattr(self, name)}"
                )
        for name in (
            "upside_down_probability",
            "flip_probability",
            "cutout_probability",
            "cutout_at_keypoint",
            "part_probability",
        ):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"augment.{name}: expected 0 to 1, found {value}")
        unknown = [name for name in self.fills if name not in FILLS]
        if unknown or not self.fills:
            raise ValueError(
                f"augment.fills: expected some of {', '.join(FILLS)}, found "
                f"{unknown[0] if unknown else 'none'}"
            )

    def reach_xy(self, input_hw: tuple[int, int]) -> FloatArray:
        """Return how much more than the plain crop the drawn ones can show.

        Args:
            input_hw: Height and width of the crops.

        Returns:
            (2,), width and height relative to the plain crop's.
        """
        height, width = input_hw
        limit = np.pi if self.upside_down_probability else self.rotation_limit
        ratios = np.array([height / width, width / height])
        # A turned crop is widest along an axis where its diagonal lies on it.
        angles = np.minimum(limit, np.arctan(ratios))
        turned = np.cos(angles) + ratios * np.sin(angles)
        reach: FloatArray = turned * (1 + 2 * self.shift) / self.scale_range[0]
        if self.part_probability:
            # A part may lie at the box's edge, and is half as large or larger.
            reach = np.maximum(reach, 1 + reach / 2)
        return reach

    @property
    def rotation_limit(self) -> float:
        """The largest usual angle, in radians."""
        return float(np.radians(self.rotation_degrees))


DEFAULT_AUGMENT = AugmentConfig()

NO_AUGMENT = AugmentConfig(
    rotation_degrees=0.0,
    upside_down_probability=0.0,
    scale_range=(1.0, 1.0),
    shift=0.0,
    flip_probability=0.0,
    brightness=0.0,
    contrast=0.0,
    colour=0.0,
    cutout_probability=0.0,
    fills=("black",),
)
"""Plain crops, as validation has them."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The numbers drawn for one sample; the default changes nothing.

    Args:
        rotation: Radians, clockwise on the screen.
        scale: Size of the person relative to the plain crop.
        shift_xy: Fraction of the crop, right and down.
        flip: Whether the crop is mirrored.
        gain: Factor per channel about the mid-grey 127.5, and
        offset: what is then added, of 255.
        cutout: x, y, width, height of a painted rectangle as fractions of the
            crop, or None.
        cutout_colour: Its colour.
        cutout_focus: Which labelled keypoint the rectangle lies on, as a
            fraction of their number, or None for where ``cutout`` says.
        part_focus: Likewise, the keypoint around which the crop is taken, or
            None for the whole person.
        fill: Colour of what lies outside the picture; None repeats its edge.
    """

    rotation: float = 0.0
    scale: float = 1.0
    shift_xy: tuple[float, float] = (0.0, 0.0)
    flip: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: float = 0.0
    cutout: tuple[float, float, float, float] | None = None
    cutout_colour: tuple[int, int, int] = (0, 0, 0)
    cutout_focus: float | None = None
    part_focus: float | None = None
    fill: tuple[int, int, int] | None = (0, 0, 0)

    def affine(
        self,
        box_xywh: FloatArray,
        output_hw: tuple[int, int],
        padding: float = BOX_PADDING,
    ) -> FloatArray:
        """Return ``image_to_crop`` (2, 3) for a person's box (4,)."""
        return crop_affine(
            box_xywh,
            output_hw,
            padding=padding,
            scale=self.scale,
            rotation=self.rotation,
            shift_xy=self.shift_xy,
            flip=self.flip,
        )

    def part_box(self, keypoints_xy: FloatArray, box_xywh: FloatArray) -> FloatArray:
        """Return the box (4,) to crop: the person's, or that of a part.

        Args:
            keypoints_xy: (num_labelled, 2) labelled keypoints, picture pixels.
            box_xywh: (4,) the person's box.
        """
        if self.part_focus is None or len(keypoints_xy) < MIN_PART_KEYPOINTS:
            return box_xywh
        focus = keypoints_xy[int(self.part_focus * len(keypoints_xy))]
        distances = np.linalg.norm(keypoints_xy - focus, axis=1)
        part = keypoints_xy[np.argsort(distances)[: (len(keypoints_xy) + 1) // 2]]
        low, high = part.min(axis=0), part.max(axis=0)
        # Never closer than twice: beyond, the picture has nothing to show.
        centre = (low + high) / 2
        size = np.maximum(high - low, box_xywh[2:].max() / 2)
        return np.concatenate([centre - size / 2, size])

    def recolour(self, crop: Image, keypoints_xy: FloatArray | None = None) -> Image:
        """Return the crop (height, width, 3) with new colours and the cutout.

        ``keypoints_xy`` (num_labelled, 2) in the crop are those that the cutout
        may lie on.
        """
        if self.gain != (1.0, 1.0, 1.0) or self.offset:
            crop = np.asarray(cv2.LUT(crop, self._table()), np.uint8)
        if self.cutout is not None:
            height, width = crop.shape[:2]
            x, y, w, h = self.cutout
            focus = self.cutout_focus
            if focus is not None and keypoints_xy is not None and len(keypoints_xy):
                centre = keypoints_xy[int(focus * len(keypoints_xy))]
                x, y = (centre + 0.5) / (width, height) - np.array([w, h]) / 2
            # A keypoint, and the rectangle with it, may lie outside the crop.
            left, right = (max(round(edge * width), 0) for edge in (x, x + w))
            top, bottom = (max(round(edge * height), 0) for edge in (y, y + h))
            crop = crop.copy()
            crop[top:bottom, left:right] = self.cutout_colour
        return crop

    def _table(self) -> NDArray[np.uint8]:
        values = np.arange(256, dtype=np.float64)[:, None]
        table = (values - 127.5) * np.array(self.gain) + 127.5 + 255 * self.offset
        return np.asarray(np.clip(table.round(), 0, 255)[:, None, :], np.uint8)


def draw_augmentation(
    config: AugmentConfig, generator: np.random.Generator
) -> Augmentation:
    """Draw the changes for one sample.

    The generator is asked for the same number of values whatever they turn out
    to be, so one probability never shifts the other draws.
    """
    u = generator.uniform(size=24)

    def symmetric(value: float, limit: float) -> float:
        return (2 * value - 1) * limit

    limit = config.rotation_limit
    if u[0] < config.upside_down_probability:
        limit = np.pi
    low, high = np.log(config.scale_range)
    contrast = 1 + symmetric(u[6], config.contrast)
    red, green, blue = (
        contrast * (1 + symmetric(value, config.colour)) for value in u[7:10]
    )
    cutout = None
    if u[11] < config.cutout_probability:
        smallest, largest = config.cutout_range
        width, height = smallest + u[12:14] * (largest - smallest)
        cutout = (
            float(u[14] - width / 2),
            float(u[15] - height / 2),
            float(width),
            float(height),
        )
    colours = generator.integers(0, 256, size=(2, 3)).tolist()
    fill = config.fills[int(u[16] * len(config.fills))]
    fill_colours = {
        "black": (0, 0, 0),
        "grey": (128, 128, 128),
        "colour": tuple(colours[1]),
        "edge": None,
    }
    return Augmentation(
        rotation=float(symmetric(u[1], limit)),
        scale=float(np.exp(low + u[2] * (high - low))),
        shift_xy=(symmetric(u[3], config.shift), symmetric(u[4], config.shift)),
        flip=bool(u[5] < config.flip_probability),
        gain=(red, green, blue),
        offset=symmetric(u[10], config.brightness),
        cutout=cutout,
        cutout_colour=tuple(colours[0]),
        cutout_focus=float(u[18]) if u[17] < config.cutout_at_keypoint else None,
        part_focus=float(u[20]) if u[19] < config.part_probability else None,
        fill=fill_colours[fill],
    )
