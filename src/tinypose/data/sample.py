"""Sample: one labelled person, the type that every reader gives."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinypose.geometry import image_box, keypoints_box
from tinypose.images import Image, read_image
from tinypose.skeletons import Skeleton

NOT_LABELLED, OCCLUDED, VISIBLE = 0, 1, 2


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """One person in one picture.

    Args:
        sample_id: Name that is unique within its data set.
        picture: The picture's file, or a function that renders it.
        skeleton: The order and meaning of the keypoints.
        keypoints_xy: (num_keypoints, 2) float64, (x, y) in picture pixels;
            meaningless where ``visible`` is 0.
        visible: (num_keypoints,) uint8: 0 not labelled, 1 labelled but
            occluded, 2 labelled and visible.
        box_xywh: (4,) float64, the person's tight box in picture pixels.
        area: The person's area in square pixels, for OKS, if known.
        head_size: Length that normalises PCKh, in pixels, if labelled.
        weights: (num_keypoints,) float64, 0..1, how much training trusts each
            label; None trusts all alike.
        labelled_hw: Height and width of the picture on which the labels were
            set, if the file says so.
        labelled_skeleton: The keypoints that the data themselves have, once
            ``with_skeleton`` has matched them to others.
    """

    sample_id: str
    picture: Path | Callable[[], Image]
    skeleton: Skeleton
    keypoints_xy: NDArray[np.float64]
    visible: NDArray[np.uint8]
    box_xywh: NDArray[np.float64]
    area: float | None = None
    head_size: float | None = None
    weights: NDArray[np.float64] | None = None
    labelled_hw: tuple[int, int] | None = None
    labelled_skeleton: Skeleton | None = None

    def __post_init__(self) -> None:
        count = self.skeleton.num_keypoints
        for name, shape in [
            ("keypoints_xy", (count, 2)),
            ("visible", (count,)),
            ("box_xywh", (4,)),
        ]:
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"expected {name} of shape {shape}, received {found}")
        if self.weights is not None and self.weights.shape != (count,):
            raise ValueError(
                f"expected weights of shape {(count,)}, received {self.weights.shape}"
            )

    def load_image(self) -> Image:
        """Return the picture (height, width, 3) uint8 RGB.

        Raises:
            TinyposeError: the file is missing or is no picture.
        """
        if isinstance(self.picture, Path):
            return read_image(self.picture)
        return self.picture()

    def other_size(self, image_hw: tuple[int, int]) -> str:
        """Return what speaks against a picture: another size than it was labelled at.

        Args:
            image_hw: The picture's height and width.

        Returns:
            Empty where nothing does, or where the labels do not tell.
        """
        if self.labelled_hw is None or tuple(self.labelled_hw) == tuple(image_hw):
            return ""
        (height, width), (found_height, found_width) = self.labelled_hw, image_hw
        # Photos are turned as their EXIF says; some labelling tools do not.
        is_turned = (width, height) == (found_height, found_width)
        return (
            f"labelled at {width}x{height}, the picture is {found_width}x"
            f"{found_height}: was it {'turned' if is_turned else 'resized'}?"
        )

    def with_skeleton(self, target: Skeleton) -> "Sample":
        """Return the sample with its keypoints matched by name to ``target``.

        Keypoints that this sample's skeleton lacks become not labelled.
        """
        if target is self.skeleton:
            return self
        source = self.skeleton.mapping_to(target)
        weights = self.weights
        if weights is not None:
            weights = np.where(source >= 0, weights[source], 0.0)
        return replace(
            self,
            skeleton=target,
            labelled_skeleton=self.labelled_skeleton or self.skeleton,
            keypoints_xy=np.where(source[:, None] >= 0, self.keypoints_xy[source], 0.0),
            visible=np.where(source >= 0, self.visible[source], 0).astype(np.uint8),
            weights=weights,
        )


def unlabelled_sample(
    sample_id: str,
    picture: Path,
    skeleton: Skeleton,
    box_xywh: NDArray[np.float64] | None = None,
) -> Sample:
    """Return a person of whom no keypoint is labelled, nor the box if there is none."""
    count = skeleton.num_keypoints
    return Sample(
        sample_id=sample_id,
        picture=picture,
        skeleton=skeleton,
        keypoints_xy=np.zeros((count, 2)),
        visible=np.full(count, NOT_LABELLED, np.uint8),
        box_xywh=np.zeros(4) if box_xywh is None else box_xywh,
    )


def labelled_box(
    keypoints_xy: NDArray[np.float64], visible: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return the tight box (4,) of the labelled keypoints; zeros for none."""
    if not (visible > 0).any():
        return np.zeros(4)
    return keypoints_box(keypoints_xy, visible)


def share_inside(box_xywh: NDArray[np.float64], image_hw: tuple[int, int]) -> float:
    """Return how much of a box (4,) lies in a picture of (height, width), 0..1."""
    # The box of one keypoint has no size.
    side = np.maximum(box_xywh[2:], 1e-3)
    picture = image_box(image_hw)
    low = np.maximum(box_xywh[:2], picture[:2])
    high = np.minimum(box_xywh[:2] + side, picture[:2] + picture[2:])
    return float((np.maximum(high - low, 0.0) / side).prod())
