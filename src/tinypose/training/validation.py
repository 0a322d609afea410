"""Validation while training: PCK and loss on plain crops, and pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.codecs.codec import Codec
from tinypose.data.crops import Batch, CropDataset
from tinypose.drawing.outputs import draw_output
from tinypose.drawing.sheets import contact_sheet
from tinypose.evaluation.pck import normalised_errors, pck_of_errors
from tinypose.evaluation.references import measure_references, pck_label
from tinypose.geometry import invert_affine, transform_points
from tinypose.images import Image
from tinypose.skeletons import Skeleton
from tinypose.training.task import PoseTask

BATCH_SIZE = 16
NUM_PICTURES = 4
THRESHOLD = 0.2


@dataclass(frozen=True, eq=False, kw_only=True)
class ValidationResult:
    """What a validation found.

    Args:
        loss: The training loss on plain crops: of the same outputs, with the same
            weights, a teacher's share included.
        pck: Mean PCK@0.2 over keypoints, percent; None where nobody has a
            reference length.
        pck_label: Its name, with what it is a share of unless that is the torso.
        score: Mean score of the predicted keypoints.
        picture: True and predicted heatmaps over some crops.
    """

    loss: float
    pck: float | None
    pck_label: str
    score: float
    picture: Image


class Validator:
    """Score a network on a data set, without augmentation.

    PCK as in ``tinypose evaluate``: true boxes, errors in picture pixels,
    divided by the torso, or by the box's larger side where nobody has a
    labelled torso. Where the data have not both of the keypoints of the
    model's torso, ``evaluate`` takes the data's own, which is not known here.

    Args:
        dataset: The validation people.
    """

    def __init__(self, dataset: CropDataset) -> None:
        self.dataset = dataset
        self._references = measure_references(dataset.samples)

    @property
    def num_batches(self) -> int:
        """How many batches a validation has."""
        return -(-len(self.dataset) // BATCH_SIZE)

    @property
    def num_scored(self) -> int:
        """How many of the people PCK counts: their reference length is known."""
        return int(np.isfinite(self._references.pck).sum())

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
        scores: list[NDArray[Any]] = []
        picture: Image | None = None
        codec = task.codecs[key]
        loss = 0.0
        # Each validation is to be the same, that of a resumed run included.
        task.repeat_errors()
        for start in range(0, len(self.dataset), BATCH_SIZE):
            between()
            rows = range(start, min(start + BATCH_SIZE, len(self.dataset)))
            batch = self.dataset.batch(rows)
            outputs = task.predict_on_batch(batch.images)
            loss += len(rows) * task.plain_loss(batch.images, batch.labels, outputs)
            raw = np.asarray(outputs[key])
            if picture is None:
                picture = _compare(batch, raw, codec, self.dataset.skeleton)
            crops_xy, found = codec.decode(raw)
            scores.append(found)
            for row, index in enumerate(rows):
                crop_to_image = invert_affine(self.dataset.image_to_crop(index))
                predicted.append(transform_points(crop_to_image, crops_xy[row]))
        samples = self.dataset.samples
        errors = normalised_errors(
            np.stack(predicted),
            np.stack([sample.keypoints_xy for sample in samples]),
            np.stack([sample.visible for sample in samples]),
            self._references.pck,
        )
        pck = pck_of_errors(errors, THRESHOLD).mean
        return ValidationResult(
            loss=loss / len(self.dataset),
            pck=None if np.isnan(pck) else pck,
            pck_label=pck_label(self._references.pck_unit, THRESHOLD),
            score=float(np.concatenate(scores).mean()),
            picture=picture if picture is not None else np.zeros((1, 1, 3), np.uint8),
        )


def _compare(
    batch: Batch, predicted: NDArray[Any], codec: Codec, skeleton: Skeleton
) -> Image:
    """Return rows of a crop, its true output and the predicted one."""
    target = _numpy(codec.encode(batch.keypoints_xy, batch.visible)[0])
    rows = list(zip(batch.images, target, predicted, strict=True))
    cells, titles = [], []
    for image, true, raw in rows[:NUM_PICTURES]:
        cells += [
            image,
            draw_output(image, true, codec, skeleton),
            draw_output(image, raw, codec, skeleton),
        ]
        titles += ["crop", "true", "predicted"]
    return contact_sheet(cells, titles, columns=3, cell_hw=batch.images.shape[1:3])


def _numpy(value: Any) -> NDArray[np.float32]:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(value), np.float32)
