"""People, ready to be cropped: pictures decoded once, kept as uint8, warped once."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tinypose.data.augment import DEFAULT_AUGMENT, Augmentation, AugmentConfig
from tinypose.data.parallel import ordered_map
from tinypose.data.sample import Sample, share_inside
from tinypose.errors import TinyposeError
from tinypose.geometry import (
    BOX_PADDING,
    FloatArray,
    compose_affines,
    crop_affine,
    invert_affine,
    transform_points,
)
from tinypose.images import Image, warp_image

MAX_CACHE_BYTES = 3 * 1024**3
MAX_UNREADABLE = 0.05
"""Largest fraction of pictures and boxes of no use with which training still starts."""

ASPECT_SLACK = 1.05
"""How much the aspect ratio may differ between crops from the same cache."""

MAX_REACH = 4.0
"""How much more than the plain crop is cached at most, along each axis. Beyond it
crops are filled, as outside of the picture: it would take more memory than it is
worth for the corners of the smallest people."""


class Batch(NamedTuple):
    """Crops and their labels.

    ``images`` (batch, height, width, 3) uint8 RGB; ``keypoints_xy`` (batch,
    num_keypoints, 2) float32 in crop pixels; ``visible`` (batch,
    num_keypoints) uint8 as in ``Sample``; ``weights`` (batch, num_keypoints)
    float32, how far each label is trusted, 0 where there is none.
    """

    images: NDArray[np.uint8]
    keypoints_xy: NDArray[np.float32]
    visible: NDArray[np.uint8]
    weights: NDArray[np.float32]

    @property
    def labels(self) -> dict[str, NDArray[Any]]:
        """All but the pictures, by name, as losses take it."""
        return {
            "keypoints_xy": self.keypoints_xy,
            "visible": self.visible,
            "weights": self.weights,
        }


class _BoxBeside(TinyposeError):
    """A person's box lies beside the picture."""


@dataclass(frozen=True, eq=False)
class _Region:
    """The part of a picture that a sample's crops can show, as cached."""

    pixels: Image
    image_to_region: FloatArray
    other_size: str = ""


class CropDataset:
    """Samples, ready to be cropped at random access.

    Pictures are decoded once and the part around each person is kept as
    uint8, shrunk to what the model can use; past ``max_cache_bytes`` further
    samples are decoded at each use instead. ``unreadable`` names who is left out;
    ``beside`` names those among them whose boxes lie beside their pictures, and
    ``other_size`` says whose pictures are of another size than they were labelled at.

    Args:
        samples: People, all of one skeleton.
        input_hw: Height and width of the crops.
        padding: How much larger than the person's box the plain crop is.
        augment: What may be done to the crops: it decides how much around a person
            is kept.
        max_cache_bytes: Memory for the cache.
        progress: Called with the number of samples read so far.

    Raises:
        TinyposeError: nobody is labelled, or too many pictures do not read or boxes
            lie beside them.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        input_hw: tuple[int, int],
        *,
        padding: float = BOX_PADDING,
        augment: AugmentConfig = DEFAULT_AUGMENT,
        max_cache_bytes: int = MAX_CACHE_BYTES,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        labelled = [s for s in samples if (s.visible > 0).any()]
        self.num_empty = len(samples) - len(labelled)
        self.num_uncached = 0
        if not labelled:
            raise TinyposeError(
                f"expected people with labelled keypoints, found none in "
                f"{len(samples)} samples; run  tinypose data check  on the data"
            )
        # Threads of OpenCV's own only get in the way of those of training.
        cv2.setNumThreads(1)
        self.input_hw = input_hw
        self.padding = padding
        reach_xy = augment.reach_xy(input_hw)
        self._reach_xy = np.clip(reach_xy, ASPECT_SLACK, MAX_REACH)
        self.unreadable: list[str] = []
        self.beside: list[str] = []
        self.other_size: list[str] = []
        self.samples: list[Sample] = []
        self._regions: list[_Region | None] = []
        self._fill(labelled, max_cache_bytes, progress)
        self.skeleton = self.samples[0].skeleton

    def __len__(self) -> int:
        return len(self.samples)

    def batch(
        self,
        indices: Sequence[int] | NDArray[np.intp],
        augmentations: Sequence[Augmentation] | None = None,
    ) -> Batch:
        """Return the crops of the samples at ``indices``."""
        height, width = self.input_hw
        num_keypoints = self.skeleton.num_keypoints
        images = np.empty((len(indices), height, width, 3), np.uint8)
        keypoints_xy = np.empty((len(indices), num_keypoints, 2), np.float32)
        visible = np.empty((len(indices), num_keypoints), np.uint8)
        weights = np.empty((len(indices), num_keypoints), np.float32)
        for row, index in enumerate(indices):
            augmentation = augmentations[row] if augmentations else Augmentation()
            images[row], keypoints_xy[row], visible[row] = self.crop(
                int(index), augmentation
            )
            weights[row] = self._weights(int(index), augmentation.flip)
        return Batch(images, keypoints_xy, visible, weights)

    def crop(
        self, index: int, augmentation: Augmentation
    ) -> tuple[Image, FloatArray, NDArray[np.uint8]]:
        """Return one sample's crop, keypoints_xy in it and visibility."""
        sample = self.samples[index]
        labelled = sample.visible > 0
        box_xywh = augmentation.part_box(sample.keypoints_xy[labelled], sample.box_xywh)
        affine = augmentation.affine(box_xywh, self.input_hw, self.padding)
        region = self._regions[index] or self._cut(sample)
        region_to_crop = compose_affines(affine, invert_affine(region.image_to_region))
        crop = warp_image(
            region.pixels, region_to_crop, self.input_hw, augmentation.fill
        )
        keypoints_xy = transform_points(affine, sample.keypoints_xy)
        crop = augmentation.recolour(crop, keypoints_xy[labelled])
        visible = sample.visible
        if augmentation.flip:
            # The affine has mirrored the places; the names follow here.
            order = self.skeleton.flip_indices
            keypoints_xy, visible = keypoints_xy[order], visible[order]
        return crop, keypoints_xy, visible

    def _weights(self, index: int, flip: bool) -> FloatArray:
        sample = self.samples[index]
        labelled = (sample.visible > 0).astype(np.float64)
        weights = labelled if sample.weights is None else labelled * sample.weights
        return weights[self.skeleton.flip_indices] if flip else weights

    def resized(self, input_hw: tuple[int, int]) -> "CropDataset":
        """Return the same samples with crops of another size; the cache is shared.

        Crops larger than this set's are less sharp than they could be.

        Raises:
            TinyposeError: the size has another aspect ratio, so that its crops
                show more of the pictures than is cached.
        """
        (height, width), (own_height, own_width) = input_hw, self.input_hw
        aspect = width * own_height / (height * own_width)
        if not 1 / ASPECT_SLACK <= aspect <= ASPECT_SLACK:
            raise TinyposeError(
                f"expected crops of the aspect ratio of {own_height}x{own_width}, "
                f"which are cached, found {height}x{width}; choose another size"
            )
        other = copy.copy(self)
        other.input_hw = input_hw
        return other

    def image_to_crop(self, index: int) -> FloatArray:
        """Return the affine (2, 3) of a sample's plain crop."""
        box_xywh = self.samples[index].box_xywh
        return crop_affine(box_xywh, self.input_hw, padding=self.padding)

    def _fill(
        self,
        samples: Sequence[Sample],
        max_cache_bytes: int,
        progress: Callable[[int], None] | None,
    ) -> None:
        first_error = ""
        results = self._cut_once(samples, max_cache_bytes)
        for done, (sample, result) in enumerate(zip(samples, results, strict=True), 1):
            if isinstance(result, TinyposeError):
                first_error = first_error or str(result)
                self.unreadable.append(sample.sample_id)
                if isinstance(result, _BoxBeside):
                    self.beside.append(sample.sample_id)
            else:
                self.samples.append(sample)
                self._regions.append(result)
                self.num_uncached += result is None
            if progress:
                progress(done)
        if len(self.unreadable) > MAX_UNREADABLE * len(samples):
            raise TinyposeError(
                f"the pictures or boxes of {len(self.unreadable)} of {len(samples)} "
                f"people are of no use (the first: {first_error}); run  tinypose data "
                "check  on the data"
            )

    def _cut_once(
        self, samples: Sequence[Sample], max_cache_bytes: int
    ) -> Iterator[_Region | TinyposeError | None]:
        """Yield the region of each sample, None where it is not cached.

        Who is listed several times, to be seen more often, is read once.
        """
        distinct = {_place(sample): sample for sample in samples}
        results = ordered_map(self._try_cut, list(distinct.values()))
        known: dict[Any, _Region | TinyposeError | None] = {}
        used = 0
        for sample in samples:
            place = _place(sample)
            if place not in known:
                result = next(results)
                known[place] = result
                if isinstance(result, _Region):
                    if result.other_size:
                        text = f"{sample.sample_id}: {result.other_size}"
                        self.other_size.append(text)
                    used += result.pixels.nbytes
                    known[place] = result if used <= max_cache_bytes else None
            yield known[place]

    def _try_cut(self, sample: Sample) -> _Region | TinyposeError:
        try:
            return self._cut(sample)
        except TinyposeError as error:
            return error

    def _cut(self, sample: Sample) -> _Region:
        image = sample.load_image()
        if not share_inside(sample.box_xywh, image.shape[:2]):
            raise _BoxBeside(
                f"{sample.sample_id}: expected a box that overlaps the picture of "
                f"{image.shape[1]} x {image.shape[0]} pixels, found "
                f"{sample.box_xywh.round(1).tolist()}"
            )
        problem = sample.other_size(image.shape[:2])
        plain = crop_affine(sample.box_xywh, self.input_hw, padding=self.padding)
        zoom = np.sqrt(abs(np.linalg.det(plain[:, :2])))
        half_xy = np.array(self.input_hw[::-1]) / 2
        corners = half_xy - 0.5 + np.array([[-1], [1]]) * self._reach_xy * half_xy
        seen = transform_points(invert_affine(plain), corners)
        limits = np.array(image.shape[1::-1])
        low = np.clip(np.floor(seen[0]), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(seen[1]) + 1, low + 1, limits).astype(int)
        if zoom < 0.5:
            # Far larger than the model can use: keep it at twice the crop's.
            size = np.maximum((high - low) * 2 * zoom, 1).astype(int)
            scale = size / (high - low)
            offset = (0.5 - low) * scale - 0.5
            to_region = np.column_stack([np.diag(scale), offset])
            hw = (int(size[1]), int(size[0]))
            return _Region(warp_image(image, to_region, hw), to_region, problem)
        part = image[low[1] : high[1], low[0] : high[0]]
        to_region = np.column_stack([np.eye(2), -low.astype(np.float64)])
        # A view would keep the whole picture in memory.
        return _Region(part.copy(), to_region, problem)


def _place(sample: Sample) -> tuple[Any, bytes]:
    """Return what decides a sample's region: its picture and box."""
    return sample.picture, sample.box_xywh.tobytes()
