"""A fingerprint of labels: is this the data that it was?"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinypose.data.sample import Sample
from tinypose.skeletons import Skeleton

LEARNED = ("keypoints", "flip_pairs", "torso")
"""What training sees of a skeleton; the rest is for drawings and other figures."""


def fingerprint(samples: Sequence[Sample]) -> str:
    """Return a hash of the samples' names, labels, boxes and skeletons, in order."""
    return _digest(samples, lambda skeleton: skeleton.to_dict())


def training_fingerprint(samples: Sequence[Sample]) -> str:
    """Return the same of what training sees: another edge does not change it."""

    def learned(skeleton: Skeleton) -> dict[str, Any]:
        values = skeleton.to_dict()
        return {key: values.get(key) for key in LEARNED}

    return _digest(samples, learned)


def _digest(
    samples: Sequence[Sample], describe: Callable[[Skeleton], dict[str, Any]]
) -> str:
    digest = hashlib.sha256()
    skeletons = {sample.skeleton.name: sample.skeleton for sample in samples}
    for skeleton in skeletons.values():
        digest.update(json.dumps(describe(skeleton)).encode())
    for sample in samples:
        # Names of files may be no UTF-8.
        digest.update(sample.sample_id.encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(sample.visible).tobytes())
        if sample.weights is not None:
            digest.update(np.asarray(sample.weights, "<f8").round(3).tobytes())
        labelled = sample.keypoints_xy[sample.visible > 0]
        for values in (labelled, sample.box_xywh):
            digest.update(np.asarray(values, "<f8").round(3).tobytes())
    return digest.hexdigest()
