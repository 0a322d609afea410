"""Pictures of the report: the PCK curve and the drawn predictions."""

import base64
import io
from importlib.util import find_spec
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tinypose.drawing.skeletons import TRUTH_STYLE, draw_pose
from tinypose.errors import MissingDependencyError
from tinypose.evaluation.markup import Html
from tinypose.evaluation.pck import FloatArray, mean_known
from tinypose.evaluation.result import HEADLINE, Evaluation, PersonResult
from tinypose.geometry import crop_affine, transform_points
from tinypose.images import Image, warp_image
from tinypose.keypoint_names import plain_names
from tinypose.skeletons import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE_SIDE = 320
JPEG_QUALITY = 85

# Colours that stand out from white and from near-black alike.
_COLOURS = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#8b6fd6",
    "#b58a5a",
    "#7a8a99",
    "#3f7fd0",
    "#b23a48",
    "#6b8e23",
    "#c9a227",
)
# Stands for the page's text colour, which follows the light or dark theme.
_INK = "#010203"


def require_library() -> None:
    """Check that the plotting library is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    if find_spec("matplotlib") is None:
        raise MissingDependencyError("matplotlib", "the report's curve")


def curve_svg(evaluation: Evaluation) -> Html:
    """Return the PCK curve, mean and by body part, as inline SVG."""
    require_library()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    # Text stays text, and the same curve gives the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tinypose"}):
        figure = Figure(figsize=(8.6, 3.9))
        _plot(figure.add_subplot(), evaluation)
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            bbox_inches="tight",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    svg = buffer.getvalue()
    # Without the XML head, which has no place inside an HTML page.
    return Html(svg[svg.index("<svg") :].replace(_INK, "currentColor"))


def picture_url(result: PersonResult, evaluation: Evaluation) -> str:
    """Return a person's crop with the predicted and the true pose drawn on it.

    Returns:
        A ``data:`` URL of a JPEG picture.

    Raises:
        TinyposeError: the picture cannot be read any more.
    """
    drawn = draw_result(result, evaluation)
    _, data = cv2.imencode(
        ".jpg",
        cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    )
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def draw_result(result: PersonResult, evaluation: Evaluation) -> Image:
    """Return what the model saw (height, width, 3), larger, with both poses.

    Where it searched, that is what holds the person as labelled and as found.
    """
    box_xywh = result.sample.box_xywh
    if evaluation.searched:
        boxes = np.stack([box_xywh, result.pose.box_xywh])
        low = boxes[:, :2].min(axis=0)
        high = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
        box_xywh = np.concatenate([low, high - low])
    height, width = evaluation.metadata.input_hw
    zoom = PICTURE_SIDE / max(height, width)
    output_hw = round(height * zoom), round(width * zoom)
    padding = evaluation.metadata.padding
    image_to_crop = crop_affine(box_xywh, output_hw, padding=padding)
    crop = warp_image(result.sample.load_image(), image_to_crop, output_hw)
    crop = draw_pose(
        crop,
        transform_points(image_to_crop, result.sample.keypoints_xy),
        result.sample.skeleton,
        visible=result.sample.visible,
        style=TRUTH_STYLE,
    )
    # Every keypoint counts in the metrics, so even the unsure ones are drawn.
    return draw_pose(
        crop,
        transform_points(image_to_crop, result.pose.keypoints_xy),
        result.pose.skeleton,
    )


def _plot(axes: "Axes", evaluation: Evaluation) -> None:
    accuracy = evaluation.accuracy
    thresholds = accuracy.curve_thresholds
    parts = _by_part(accuracy.curve, evaluation.skeleton)
    if len(parts) <= len(_COLOURS):
        # The best part first, so that the legend follows the lines downwards.
        order = sorted(parts, key=lambda part: -float(parts[part].mean()))
        for part, colour in zip(order, _COLOURS, strict=False):
            label = part.replace("_", " ")
            axes.plot(thresholds, parts[part], color=colour, lw=1.3, label=label)
    mean = np.array([mean_known(row) for row in accuracy.curve])
    axes.plot(thresholds, mean, color=_INK, lw=2.8, label="mean")
    axes.axvline(HEADLINE, color=_INK, lw=0.8, ls=(0, (2, 3)), alpha=0.6)
    axes.set(xlim=(thresholds[0], thresholds[-1]), ylim=(0, 100))
    unit = accuracy.references.pck_unit
    axes.set_xlabel(f"error allowed, as a share of the {unit}", color=_INK)
    axes.set_ylabel("keypoints right, %", color=_INK)
    axes.grid(color=_INK, alpha=0.12, lw=0.8)
    axes.tick_params(colors=_INK, length=0, pad=7)
    axes.spines[:].set_visible(False)
    axes.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, labelcolor=_INK
    )


def _by_part(curve: FloatArray, skeleton: Skeleton) -> dict[str, FloatArray]:
    """Return the mean curve of left and right, by body part."""
    members: dict[str, list[int]] = {}
    for index, name in enumerate(plain_names(skeleton.names)):
        if not np.isnan(curve[:, index]).any():
            words = [word for word in name.split("_") if word not in ("left", "right")]
            part = "_".join(words) or name
            members.setdefault(part, []).append(index)
    return {part: curve[:, columns].mean(axis=1) for part, columns in members.items()}
