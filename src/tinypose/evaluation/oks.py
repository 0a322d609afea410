"""OKS: object keypoint similarity, and its AP and AR by the COCO library.

The protocol is that of single-person estimation: each labelled person is a
picture of its own, the true box is given, and there is exactly one predicted
pose for it. The average precision thus measures the poses and how well their
scores rank them, not how people are found.

References:
    https://cocodataset.org/#keypoints-eval
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinypose.errors import MissingDependencyError
from tinypose.evaluation.pck import FloatArray

LIBRARY = "faster_coco_eval"

_FAR = 1e6
"""Distance in pixels, from the truth, of a keypoint that is not predicted."""


@dataclass(frozen=True)
class OksSummary:
    """OKS averaged as the COCO evaluation does, in percent.

    Args:
        ap: Average precision over the OKS thresholds 0.50, 0.55 .. 0.95.
        ap50: Average precision at the threshold 0.50.
        ap75: Average precision at the threshold 0.75.
        ar: Average recall over the same thresholds as ``ap``.
        mean: Mean OKS of the people.
        num_people: Number of people with a labelled keypoint.
    """

    ap: float
    ap50: float
    ap75: float
    ar: float
    mean: float
    num_people: int


def require_library() -> None:
    """Check that the COCO evaluation library is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    if find_spec(LIBRARY) is None:
        raise MissingDependencyError(LIBRARY, "OKS-AP")


def oks(
    predicted_xy: ArrayLike,
    true_xy: ArrayLike,
    visible: ArrayLike,
    areas: ArrayLike,
    sigmas: ArrayLike,
) -> FloatArray:
    """Return the object keypoint similarity of each person.

    It is the mean of exp(-d^2 / (2 area (2 sigma)^2)) over the labelled
    keypoints, d being the distance between prediction and truth.

    Args:
        predicted_xy: (num_people, num_keypoints, 2), (x, y) in pixels; NaN
            where nothing was predicted, which has the similarity 0.
        true_xy: (num_people, num_keypoints, 2), (x, y) in pixels.
        visible: (num_people, num_keypoints), 0 where not labelled.
        areas: (num_people,) area of each person, square pixels.
        sigmas: (num_keypoints,) the skeleton's OKS sigmas.

    Returns:
        (num_people,) in 0 to 1; nan for people without a labelled keypoint.
    """
    labelled = np.asarray(visible) > 0
    predicted = _complete(predicted_xy, true_xy)
    squared = ((predicted - np.asarray(true_xy, np.float64)) ** 2).sum(axis=2)
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    scales = 2 * variances * np.asarray(areas, np.float64)[:, None]
    similar = np.where(labelled, np.exp(-squared / scales), 0.0).sum(axis=1)
    counts = labelled.sum(axis=1)
    result = np.full(len(labelled), np.nan)
    np.divide(similar, counts, out=result, where=counts > 0)
    return result


def oks_summary(
    predicted_xy: ArrayLike,
    true_xy: ArrayLike,
    visible: ArrayLike,
    areas: ArrayLike,
    sigmas: ArrayLike,
    scores: ArrayLike,
) -> OksSummary:
    """Return OKS-AP and AR, computed by the COCO evaluation library.

    The arguments are those of ``oks``, and ``scores`` (num_people,), by which
    the predicted poses are ranked.

    Raises:
        MissingDependencyError: the library is not installed.
        ValueError: nobody has a labelled keypoint.
    """
    require_library()
    from faster_coco_eval import COCO, COCOeval_faster

    similarities = oks(predicted_xy, true_xy, visible, areas, sigmas)
    people = np.flatnonzero(~np.isnan(similarities))
    if people.size == 0:
        raise ValueError("expected people with labelled keypoints, received none")
    truth, found = _coco_sets(
        _complete(predicted_xy, true_xy)[people],
        np.asarray(true_xy, np.float64)[people],
        np.asarray(visible)[people],
        np.asarray(areas, np.float64)[people],
        np.nan_to_num(np.asarray(scores, np.float64)[people]),
    )
    evaluation = COCOeval_faster(
        COCO(truth),
        COCO(found),
        iouType="keypoints",
        kpt_oks_sigmas=np.asarray(sigmas, np.float64),
        print_function=_silent,
    )
    evaluation.run()
    # Order of the library: AP, AP50, AP75, AP medium, AP large, AR, ...
    stats = 100 * np.asarray(evaluation.stats, np.float64)
    return OksSummary(
        ap=float(stats[0]),
        ap50=float(stats[1]),
        ap75=float(stats[2]),
        ar=float(stats[5]),
        mean=float(100 * similarities[people].mean()),
        num_people=int(people.size),
    )


def _complete(predicted_xy: ArrayLike, true_xy: ArrayLike) -> FloatArray:
    """Return the predictions with far-off points where they are not finite."""
    predicted = np.asarray(predicted_xy, np.float64)
    missing = ~np.isfinite(predicted).all(axis=2, keepdims=True)
    return np.where(missing, np.asarray(true_xy, np.float64) + _FAR, predicted)


def _coco_sets(
    predicted: FloatArray,
    true: FloatArray,
    visible: ArrayLike,
    areas: FloatArray,
    scores: FloatArray,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return truth and predictions as COCO data sets, one person a picture."""
    flags = np.asarray(visible, np.float64)[..., None]
    images = [{"id": index, "height": 1, "width": 1} for index in range(len(true))]
    sets: list[dict[str, Any]] = []
    for points in (true, predicted):
        triples = np.concatenate([points, flags], axis=2).reshape(len(points), -1)
        annotations = [
            {
                "id": index + 1,  # the library takes the id 0 for "no match"
                "image_id": index,
                "category_id": 1,
                "iscrowd": 0,
                "keypoints": triples[index].tolist(),
                "num_keypoints": int((flags[index] > 0).sum()),
                # The prediction gets the true area as well, so that both fall
                # into the same range of sizes. Boxes play no part in OKS.
                "area": float(areas[index]),
                "bbox": [0.0, 0.0, 1.0, 1.0],
                "score": float(scores[index]),
            }
            for index in range(len(points))
        ]
        categories = [{"id": 1, "name": "person"}]
        sets.append(
            {"images": images, "annotations": annotations, "categories": categories}
        )
    return sets[0], sets[1]


def _silent(*_: object) -> None:
    """Take the library's progress lines, which nobody asked for."""
