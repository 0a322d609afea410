"""Predictor: a model file and the way from a picture to a pose and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.codecs.codec import codec_of
from tinypose.codecs.heatmap import REFINEMENTS
from tinypose.errors import TinyposeError, UsageError
from tinypose.geometry import (
    FloatArray,
    crop_affine,
    invert_affine,
    transform_points,
)
from tinypose.images import Image, warp_image
from tinypose.inference.backends import open_backend
from tinypose.inference.inputs import check_box, find_model, image_hw, load_picture
from tinypose.inference.pose import LEAST_MEAN_SCORE, Pose
from tinypose.inference.search import find_person
from tinypose.metadata import Metadata
from tinypose.skeletons import Skeleton

MAX_BATCH = 32
"""Crops that go through the model at once; more only cost memory."""

FOUND_SHARE = 0.65
"""Of the usual mean score: what has less is hardly a person."""

AGREEMENT = 0.1
"""A crop and its mirror image agree on a keypoint within this share of the crop.

Measured with ``tiny`` on LSP 701..1000: PCK@0.2 is 49.6 without the mirror, 48.6
with the mean of both, 50.7 with the mean where they agree and else the surer.
"""


class Predictor:
    """Find the keypoints of the person in a picture.

    Without a box it gives a pose whether anybody is there or not: where its score
    is below ``least_score``, hardly anybody is.

    Threads may share one: each gets its own results, and where the runtime can
    compute for one only, they take turns.

    Args:
        model: Name of a shipped model, the folder of a training run, or a file
            or folder that tinypose exported.
        num_threads: Threads for a ``.tflite`` model; None for the machine's.
        flip_test: Also look at each crop mirrored, and combine: slower and
            a little more accurate.

    Raises:
        TinyposeError: no such model, or its file is damaged or foreign.
    """

    def __init__(
        self,
        model: str | Path = "small",
        *,
        num_threads: int | None = None,
        flip_test: bool = False,
    ) -> None:
        if num_threads is not None and num_threads < 1:
            raise UsageError(f"expected at least 1 thread, found {num_threads}")
        self.path = find_model(model)
        self.flip_test = flip_test
        self._backend = open_backend(self.path, num_threads=num_threads)
        metadata = self._backend.metadata
        if metadata.refinement not in REFINEMENTS:
            raise TinyposeError(
                f"{self.path}: expected a refinement of {', '.join(REFINEMENTS)}, "
                f"found {metadata.refinement!r}; update tinypose"
            )
        self._codec = codec_of(metadata)

    @property
    def metadata(self) -> Metadata:
        """What the model file says about itself."""
        return self._backend.metadata

    @property
    def runtime(self) -> str:
        """What runs the model, with its version."""
        return self._backend.runtime

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that the model predicts."""
        return self.metadata.skeleton

    @property
    def name(self) -> str:
        """The model's name."""
        return self.metadata.name

    @property
    def least_score(self) -> float:
        """Below this mean score, what is found is hardly a person.

        Scores differ from model to model: a share of what the model usually
        gives to people, where its file says that.
        """
        return FOUND_SHARE * self.metadata.usual_score or LEAST_MEAN_SCORE

    def __call__(self, image: Any, box_xywh: ArrayLike | None = None) -> Pose:
        """Return the pose of one person.

        Args:
            image: A picture file's path, or (height, width, 3) uint8 RGB.
            box_xywh: (4,), the person's tight box in picture pixels; the
                model's padding is added here. None searches the picture.

        Raises:
            TinyposeError: the picture cannot be read.
            UsageError: the box is not finite, empty or beside the picture.
        """
        boxes = None if box_xywh is None else [box_xywh]
        return self.predict_batch([image], boxes)[0]

    def predict_batch(
        self,
        images: Sequence[Any],
        boxes_xywh: Sequence[ArrayLike | None] | None = None,
    ) -> list[Pose]:
        """Return one pose per picture.

        Args:
            images: Paths or (height, width, 3) uint8 RGB arrays, of any sizes;
                the same one several times for several people.
            boxes_xywh: One tight box (4,) per picture; None, for all or for
                one, searches that picture.

        Raises:
            TinyposeError: a picture cannot be read.
            UsageError: not one box per picture, or one that does not fit.
        """
        given: list[ArrayLike | None] = (
            [None] * len(images) if boxes_xywh is None else list(boxes_xywh)
        )
        if len(given) != len(images):
            raise UsageError(
                f"expected one box per picture, found {len(images)} pictures and "
                f"{len(given)} boxes"
            )
        poses: list[Pose] = []
        for start in range(0, len(images), MAX_BATCH):
            # At most this many decoded pictures are held at a time.
            pictures = [load_picture(i) for i in images[start : start + MAX_BATCH]]
            poses += self._predict_loaded(pictures, given[start : start + MAX_BATCH])
        return poses

    def heatmaps(
        self, image: Any, box_xywh: ArrayLike | None = None
    ) -> tuple[NDArray[np.float32], FloatArray]:
        """Return the raw heatmaps of one crop.

        Args:
            image: A path, or (height, width, 3) uint8 RGB.
            box_xywh: See ``__call__``.

        Returns:
            heatmaps (map_height, map_width, num_keypoints) and the affine
            ``image_to_crop`` (2, 3) of the crop that they cover.

        Raises:
            TinyposeError: the model file returns keypoints only.
        """
        self.require_heatmaps()
        picture = load_picture(image)
        box = self(picture).box_xywh if box_xywh is None else check_box(box_xywh)
        crop, affine = self.crop(picture, box)
        return self._raw(crop[None])[0], affine

    def require_heatmaps(self) -> None:
        """Raise a TinyposeError unless the model returns raw heatmaps."""
        if self.metadata.output != "heatmaps":
            raise TinyposeError(
                f"{self.path}: expected a model that returns raw heatmaps, found one "
                f"that returns {self.metadata.output}; use the training run's folder "
                "or a file written by  tinypose export --heads, of a family that "
                "has heatmaps"
            )

    def crop(self, picture: Image, box_xywh: ArrayLike) -> tuple[Image, FloatArray]:
        """Return the crop (height, width, 3) of a box, and ``image_to_crop``."""
        affine = crop_affine(
            box_xywh, self.metadata.input_hw, padding=self.metadata.padding
        )
        return warp_image(picture, affine, self.metadata.input_hw), affine

    def _predict_loaded(
        self, pictures: list[Image], boxes: list[ArrayLike | None]
    ) -> list[Pose]:
        """Return poses: those with a box in one batch, the others searched."""
        checked = [
            None if box is None else check_box(box, image_hw(picture))
            for picture, box in zip(pictures, boxes, strict=True)
        ]
        boxed = [
            (p, b) for p, b in zip(pictures, checked, strict=True) if b is not None
        ]
        keypoints_xy, scores = self._locate(
            [picture for picture, _ in boxed], [box for _, box in boxed]
        )
        found = iter(zip(keypoints_xy, scores, strict=True))
        return [
            self._search(picture) if box is None else self._pose(*next(found), box)
            for picture, box in zip(pictures, checked, strict=True)
        ]

    def _search(self, picture: Image) -> Pose:
        """Return the best pose found anywhere in a picture."""
        best = find_person(
            lambda boxes: self._locate([picture] * len(boxes), list(boxes)),
            image_hw(picture),
            padding=self.metadata.padding,
            # A regression does not say how sure it is: see its codec.
            graded=self.metadata.raw_output == "heatmaps",
        )
        return self._pose(best.keypoints_xy, best.scores, best.box_xywh)

    def _pose(
        self,
        keypoints_xy: NDArray[np.float32],
        scores: NDArray[np.float32],
        box: FloatArray,
    ) -> Pose:
        return Pose(
            keypoints_xy=keypoints_xy,
            scores=scores,
            skeleton=self.skeleton,
            box_xywh=box,
        )

    def _locate(
        self, pictures: Sequence[Image], boxes: Sequence[FloatArray]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return keypoints_xy (n, K, 2), picture pixels, and scores (n, K)."""
        count = self.skeleton.num_keypoints
        keypoints_xy = np.zeros((len(boxes), count, 2), np.float32)
        scores = np.zeros((len(boxes), count), np.float32)
        for start in range(0, len(boxes), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            cut = [
                self.crop(picture, box)
                for picture, box in zip(pictures[part], boxes[part], strict=True)
            ]
            points, scores[part] = self._decode(np.stack([crop for crop, _ in cut]))
            for index, (_, affine) in enumerate(cut):
                keypoints_xy[start + index] = transform_points(
                    invert_affine(affine), points[index]
                )
        return keypoints_xy, scores

    def _decode(self, crops: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return keypoints_xy (n, K, 2), crop pixels, and scores (n, K)."""
        output = self._raw(crops)
        if not np.isfinite(output).all():
            raise TinyposeError(
                f"{self.path}: expected numbers from the model, found infinite ones or "
                "none; did its training diverge?"
            )
        if self.metadata.output == "keypoints":
            return output[..., :2], np.clip(output[..., 2], 0.0, 1.0)
        return self._codec.decode(output, self.metadata.refinement)

    def _raw(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output, averaged over the mirrored crop if asked."""
        output = self._backend(crops)
        if not self.flip_test:
            return output
        mirrored = self._backend(np.ascontiguousarray(crops[:, :, ::-1]))
        flip = self.skeleton.flip_indices
        if self.metadata.output != "keypoints":
            mean = (output + self._codec.unflip(mirrored, flip)) / 2
            return np.asarray(mean, np.float32)
        mirrored = mirrored[:, flip]
        mirrored[..., 0] = crops.shape[2] - 1 - mirrored[..., 0]
        return _combine(output, mirrored, AGREEMENT * max(self.metadata.input_hw))


def _combine(
    first: NDArray[np.float32], second: NDArray[np.float32], agree: float
) -> NDArray[np.float32]:
    """Combine keypoints (n, K, 3) of x, y, score from a crop and its mirror.

    Within ``agree`` pixels they are the same place: the mean, by score. Further
    apart (often left and right) the middle would be nowhere: the surer one.
    """
    points = np.stack([first[..., :2], second[..., :2]])
    weights = np.maximum(np.stack([first[..., 2], second[..., 2]]), 1e-6)[..., None]
    mean = (weights * points).sum(axis=0) / weights.sum(axis=0)
    surer = np.where(weights[0] >= weights[1], points[0], points[1])
    apart = np.linalg.norm(points[0] - points[1], axis=-1, keepdims=True) > agree
    score = (first[..., 2:] + second[..., 2:]) / 2
    combined = np.concatenate([np.where(apart, surer, mean), score], axis=-1)
    return combined.astype(np.float32)
