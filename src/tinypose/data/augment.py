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
        contrast: Multiplied about the mean, uniform in 1 plus or minus this.
        colour: Each channel multiplied, uniform in 1 plus or minus this.
        cutout_probability: How often a rectangle is painted over.
        cutout_range: Side of that rectangle as a fraction of the crop.
        random_fill_probability: How often what lies outside the picture is a
            random colour instead of black.
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
    random_fill_probability: float = 0.5

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
        for name in ("upside_down", "flip", "cutout", "random_fill"):
            value = getattr(self, f"{name}_probability")
            if not 0 <= value <= 1:
                raise ValueError(
                    f"augment.{name}_probability: expected 0 to 1, found {value}"
                )


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
        fill: Colour of what lies outside the picture.
    """

    rotation: float = 0.0
    scale: float = 1.0
    shift_xy: tuple[float, float] = (0.0, 0.0)
    flip: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: float = 0.0
    cutout: tuple[float, float, float, float] | None = None
    cutout_colour: tuple[int, int, int] = (0, 0, 0)
    fill: tuple[int, int, int] = (0, 0, 0)

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

    def recolour(self, crop: Image) -> Image:
        """Return the crop (height, width, 3) with new colours and the cutout."""
        if self.gain != (1.0, 1.0, 1.0) or self.offset:
            crop = np.asarray(cv2.LUT(crop, self._table()), np.uint8)
        if self.cutout is not None:
            height, width = crop.shape[:2]
            x, y, w, h = self.cutout
            left, top = round(x * width), round(y * height)
            right, bottom = round((x + w) * width), round((y + h) * height)
            crop = crop.copy()
            crop[max(top, 0) : bottom, max(left, 0) : right] = self.cutout_colour
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
    u = generator.uniform(size=20)

    def symmetric(value: float, limit: float) -> float:
        return (2 * value - 1) * limit

    limit = np.radians(config.rotation_degrees)
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
    return Augmentation(
        rotation=float(symmetric(u[1], limit)),
        scale=float(np.exp(low + u[2] * (high - low))),
        shift_xy=(symmetric(u[3], config.shift), symmetric(u[4], config.shift)),
        flip=bool(u[5] < config.flip_probability),
        gain=(red, green, blue),
        offset=symmetric(u[10], config.brightness),
        cutout=cutout,
        cutout_colour=tuple(colours[0]),
        fill=tuple(colours[1]) if u[16] < config.random_fill_probability else (0, 0, 0),
    )
