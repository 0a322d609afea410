"""Draw what a network gives, whatever its codec."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.codecs.codec import Codec
from tinypose.drawing.heatmaps import overlay_heatmaps
from tinypose.drawing.skeletons import draw_pose
from tinypose.images import Image
from tinypose.skeletons import Skeleton


def draw_output(
    crop: Image,
    raw: NDArray[np.float32],
    codec: Codec,
    skeleton: Skeleton,
    visible: ArrayLike | None = None,
) -> Image:
    """Return a crop with a network's output over it: heatmaps or a skeleton.

    Args:
        crop: (height, width, 3) uint8 RGB.
        raw: ``codec.output_shape``, the output for this crop or its target.
        codec: What it means.
        skeleton: The keypoints.
        visible: (num_keypoints,), 0 where nothing is to be drawn.
    """
    shown = np.ones(skeleton.num_keypoints) if visible is None else np.asarray(visible)
    if codec.output == "heatmaps":
        return overlay_heatmaps(crop, raw * (shown > 0), skeleton)
    keypoints_xy, scores = codec.decode(raw[None], "none")
    return draw_pose(crop, keypoints_xy[0], skeleton, scores=scores[0] * (shown > 0))
