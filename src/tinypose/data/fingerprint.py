"""A fingerprint of labels: is this the data that it was?"""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from tinypose.data.sample import Sample


def fingerprint(samples: Sequence[Sample]) -> str:
    """Return a hash of the samples' names, labels, boxes and skeletons, in order."""
    digest = hashlib.sha256()
    skeletons = {sample.skeleton.name: sample.skeleton for sample in samples}
    for skeleton in skeletons.values():
        digest.update(json.dumps(skeleton.to_dict()).encode())
    for sample in samples:
        digest.update(sample.sample_id.encode())
        digest.update(np.ascontiguousarray(sample.visible).tobytes())
        if sample.weights is not None:
            digest.update(np.asarray(sample.weights, "<f8").round(3).tobytes())
        labelled = sample.keypoints_xy[sample.visible > 0]
        for values in (labelled, sample.box_xywh):
            digest.update(np.asarray(values, "<f8").round(3).tobytes())
    return digest.hexdigest()
