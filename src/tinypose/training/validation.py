"""Validation while training: PCK and loss on plain crops, and pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.codecs.codec import Codec
from tinypose.data.pipeline import CropDataset
from tinypose.drawing.outputs import draw_output
from tinypose.drawing.sheets import contact_sheet
from tinypose.evaluation.pck import normalised_errors, pck_of_errors
from tinypose.evaluation.references import measure_references
from tinypose.geometry import invert_affine, transform_points
from tinypose.images import Image
from tinypose.skeletons import Skeleton
from tinypose.training.losses import LOSSES
from tinypose.training.task import PoseTask

BATCH_SIZE = 16
NUM_PICTURES = 4
THRESHOLD = 0.2


@dataclass(frozen=True, eq=False, kw_only=True)
class ValidationResult:
    """What a validation found.

    Args:
        loss: The training loss on plain crops.
        pck: Mean PCK@0.2 over keypoints, percent; None where nobody has a
            reference length.
        score: Mean score of the predicted keypoints.
        picture: True and predicted heatmaps over some crops.
    """

    loss: float
    pck: float | None
    score: float
    picture: Image


class Validator:
    """Score a network on a data set, without augmentation.

    PCK as in ``tinypose evaluate``: true boxes, errors in picture pixels,
    divided by the torso, or by the box's larger side where the model's skeleton
    has no torso. Where the data have not both of that torso's keypoints,
    ``evaluate`` takes the data's own torso, which is not known here.

    Args:
        dataset: The validation people.
    """

    def __init__(self, dataset: CropDataset) -> None:
        self.dataset = dataset
        self._reference = measure_references(dataset.samples).pck

    def validate(
        self, task: PoseTask, key: str, between: Callable[[], None] = lambda: None
    ) -> ValidationResult:
        """Run the network over the whole data set.

        Args:
            task: The network.
            key: The output that is judged.
            between: Called before each batch.
        """
        predicted: list[NDArray[Any]] = []
        losses: list[tuple[float, float]] = []
        scores: list[NDArray[Any]] = []
        picture: Image | None = None
        for start in range(0, len(self.dataset), BATCH_SIZE):
            between()
            stop = min(start + BATCH_SIZE, len(self.dataset))
            batch = self.dataset.batch(range(start, stop))
            outputs = task.predict_on_batch(batch.images)
            codec = task.codecs[key]
            raw = np.asarray(outputs[key])
            target, weights = codec.encode(batch.keypoints_xy, batch.visible)
            loss = LOSSES[type(codec)](target, raw, weights)
            losses.append((float(loss), float(_numpy(weights).sum())))
            if picture is None:
                picture = _compare(
                    batch.images, _numpy(target), raw, codec, self.dataset.skeleton
                )
            crops_xy, found = codec.decode(raw)
            scores.append(found)
            for row, index in enumerate(range(start, stop)):
                crop_to_image = invert_affine(self.dataset.image_to_crop(index))
                predicted.append(transform_points(crop_to_image, crops_xy[row]))
        samples = self.dataset.samples
        errors = normalised_errors(
            np.stack(predicted),
            np.stack([sample.keypoints_xy for sample in samples]),
            np.stack([sample.visible for sample in samples]),
            self._reference,
        )
        pck = pck_of_errors(errors, THRESHOLD).mean
        total = sum(count for _, count in losses)
        return ValidationResult(
            loss=sum(loss * count for loss, count in losses) / total,
            pck=None if np.isnan(pck) else pck,
            score=float(np.concatenate(scores).mean()),
            picture=picture if picture is not None else np.zeros((1, 1, 3), np.uint8),
        )


def _compare(
    images: Image,
    target: NDArray[Any],
    predicted: NDArray[Any],
    codec: Codec,
    skeleton: Skeleton,
) -> Image:
    """Return rows of a crop, its true output and the predicted one."""
    cells, titles = [], []
    for image, true, raw in list(zip(images, target, predicted, strict=True))[
        :NUM_PICTURES
    ]:
        cells += [
            image,
            draw_output(image, true, codec, skeleton),
            draw_output(image, raw, codec, skeleton),
        ]
        titles += ["crop", "true", "predicted"]
    return contact_sheet(cells, titles, columns=3, cell_hw=images.shape[1:3])


def _numpy(value: Any) -> NDArray[np.float32]:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(value), np.float32)
