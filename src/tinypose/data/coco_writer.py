"""Write people as a COCO keypoint JSON that ``read_coco`` reads."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinypose.data.coco import HEAD_SIZE, WEIGHTS
from tinypose.data.coco_skeleton import PAIRS
from tinypose.data.sample import Sample
from tinypose.data.upright_size import upright_hw
from tinypose.errors import TinyposeError
from tinypose.files import write_json
from tinypose.geometry import usual_area
from tinypose.keypoint_names import infer_flip_pairs
from tinypose.skeletons import Skeleton


def write_coco(path: str | Path, samples: Sequence[Sample], folder: Path) -> None:
    """Write people of one skeleton as COCO keypoint annotations.

    Names and edges are the skeleton's, and so are the left/right pairs, which are
    written where the names do not tell them. People without a label are written,
    too: readers leave them out.

    COCO's tools need an ``area``, so where none is labelled it is what a person
    usually fills of the box, as ``tinypose evaluate`` would take it; and the
    pictures' sizes, read from the files where the labels do not state them.
    ``flip_pairs``, ``head_size`` and ``keypoint_weights`` are keys of ours.

    Args:
        path: The JSON file.
        samples: One or more, all of one skeleton; their pictures are files.
        folder: The pictures' folder; file names are relative to it.

    Raises:
        TinyposeError: a picture is no file inside ``folder``, or the file
            cannot be written.
    """
    images: dict[str, dict[str, Any]] = {}
    annotations = []
    for number, sample in enumerate(samples, 1):
        name = _relative(sample, folder)
        if name not in images:
            image = {"id": len(images) + 1, "file_name": name}
            images[name] = image | _picture_size(sample)
        annotations.append(_annotation(sample, number, images[name]["id"]))
    skeleton = samples[0].skeleton
    edges = [[a + 1, b + 1] for a, b in skeleton.edge_indices]
    content = {
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [
            {
                "id": 1,
                "name": "person",
                "keypoints": list(skeleton.names),
                "skeleton": edges,
                **_pairs(skeleton),
            }
        ],
    }
    write_json(path, content)


def _pairs(skeleton: Skeleton) -> dict[str, list[list[int]]]:
    """Return the key of the pairs; none where names tell them."""
    told = set(map(frozenset, infer_flip_pairs(skeleton.names)))
    if told == set(map(frozenset, skeleton.flip_pairs)) and (
        told or not skeleton.declares_pairs
    ):
        return {}
    index = skeleton.index
    return {PAIRS: [[index(a) + 1, index(b) + 1] for a, b in skeleton.flip_pairs]}


def _annotation(sample: Sample, number: int, image_id: int) -> dict[str, Any]:
    keypoints: list[float] = []
    for (x, y), flag in zip(sample.keypoints_xy, sample.visible, strict=True):
        keypoints += [round(float(x), 2), round(float(y), 2), int(flag)]
        if flag == 0:
            keypoints[-3:] = [0.0, 0.0, 0]
    x, y, width, height = sample.box_xywh.tolist()
    # A COCO box counts from the picture's corner.
    box = (x + 0.5, y + 0.5, width, height)
    annotation = {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int((sample.visible > 0).sum()),
        "keypoints": keypoints,
        "bbox": [round(value, 2) for value in box],
        "area": sample.area or round(float(usual_area(sample.box_xywh)), 2),
    }
    if sample.head_size is not None:
        annotation[HEAD_SIZE] = round(sample.head_size, 2)
    if sample.weights is not None:
        annotation[WEIGHTS] = [round(float(weight), 3) for weight in sample.weights]
    return annotation


def _picture_size(sample: Sample) -> dict[str, int]:
    """Return the keys of the picture's size; none where it cannot be read."""
    hw = sample.labelled_hw
    if hw is None and isinstance(sample.picture, Path):
        hw = upright_hw(sample.picture)
    return {} if hw is None else {"width": hw[1], "height": hw[0]}


def _relative(sample: Sample, folder: Path) -> str:
    if isinstance(sample.picture, Path):
        try:
            # Absolute, as one may be named from here and the other from the root.
            picture = Path(os.path.abspath(sample.picture))
            return picture.relative_to(os.path.abspath(folder)).as_posix()
        except ValueError:
            pass
    raise TinyposeError(
        f"{sample.sample_id}: expected a picture inside {folder}, found "
        f"{sample.picture if isinstance(sample.picture, Path) else 'a drawn one'}"
    )
