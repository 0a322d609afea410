"""Leeds Sports Pose (LSP) and its extended training set (LSPET).

Both store 14 keypoints in ``joints.mat`` beside a folder ``images``, in
MATLAB's 1-based coordinates. They differ in two traps: the order of the axes,
and the third row, which means *occluded* in LSP and *labelled* in LSPET.

References:
    Johnson & Everingham, "Clustered pose and nonlinear appearance models for
    human pose estimation", BMVC 2010 (LSP).
    Johnson & Everingham, "Learning effective human pose estimation from
    inaccurate annotation", CVPR 2011 (LSPET).
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.data.sample import NOT_LABELLED, OCCLUDED, VISIBLE, Sample, labelled_box
from tinypose.errors import MissingDependencyError, TinyposeError
from tinypose.files import require_file
from tinypose.skeletons import LSP

MAX_MAT_BYTES = 256 * 1024**2


def read_lsp(path: Path, images: Path | None = None) -> list[Sample]:
    """Read LSP: 3 x 14 x N, all keypoints labelled, third row 1 = occluded.

    Args:
        path: Folder with ``joints.mat`` and ``images``, or the ``.mat`` file.
        images: Folder of the pictures, if it is elsewhere.

    Returns:
        One sample per record, in order, whether or not its picture exists.

    Raises:
        TinyposeError: the file is missing, damaged or of the other set.
    """
    joints = _read_joints(path, (3, 14), "lsp", other="lspet")
    visible = np.where(joints[2] > 0.5, OCCLUDED, VISIBLE)  # (14, N)
    return _samples(path, images, joints[0], joints[1], visible, digits=4)


def read_lspet(path: Path, images: Path | None = None) -> list[Sample]:
    """Read LSPET: 14 x 3 x N, third row 1 = labelled, 0 = not labelled.

    Arguments, result and errors are those of ``read_lsp``.
    """
    joints = _read_joints(path, (14, 3), "lspet", other="lsp")
    visible = np.where(joints[:, 2] > 0.5, VISIBLE, NOT_LABELLED)
    return _samples(path, images, joints[:, 0], joints[:, 1], visible, digits=5)


def _read_joints(
    path: Path, axes: tuple[int, int], name: str, other: str
) -> NDArray[np.float64]:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingDependencyError("scipy", "reading .mat files") from error
    file = path / "joints.mat" if path.is_dir() else path
    require_file(file, f"the labels of {name}", max_bytes=MAX_MAT_BYTES)
    try:
        contents: dict[str, Any] = loadmat(file)
    except Exception as error:  # the reader raises whatever the bytes provoke
        raise TinyposeError(
            f"{file}: expected a MATLAB file, found something that does not "
            f"load ({type(error).__name__}: {error}); is it truncated?"
        ) from error
    joints = contents.get("joints")
    expected = f"'joints' of shape {axes[0]} x {axes[1]} x N"
    if not isinstance(joints, np.ndarray) or joints.dtype.kind not in "fiu":
        raise TinyposeError(f"{file}: expected {expected}, found no such array")
    if joints.ndim != 3 or joints.shape[:2] != axes:
        swapped = joints.ndim == 3 and joints.shape[:2] == axes[::-1]
        hint = f"; this looks like {other}: use {other}=PATH" if swapped else ""
        raise TinyposeError(f"{file}: expected {expected}, found {joints.shape}{hint}")
    joints = joints.astype(np.float64)
    if not np.isfinite(joints).all():
        raise TinyposeError(f"{file}: expected finite labels, found NaN or infinity")
    return joints


def _samples(
    path: Path,
    images: Path | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    visible: NDArray[np.int_],
    digits: int,
) -> list[Sample]:
    folder = images or (path if path.is_dir() else path.parent) / "images"
    if not folder.is_dir():
        raise TinyposeError(
            f"{folder}: expected the folder of the pictures, found none; name it "
            "with ,images=FOLDER after the data set's path"
        )
    samples = []
    for i in range(x.shape[1]):
        # 1-based labels: the centre of the first pixel is at 1.
        keypoints_xy = np.stack([x[:, i], y[:, i]], axis=1) - 1.0
        flags = visible[:, i].astype(np.uint8)
        keypoints_xy[flags == NOT_LABELLED] = 0.0
        name = f"im{i + 1:0{digits}d}"
        samples.append(
            Sample(
                sample_id=name,
                picture=folder / f"{name}.jpg",
                skeleton=LSP,
                keypoints_xy=keypoints_xy,
                visible=flags,
                box_xywh=labelled_box(keypoints_xy, flags),
            )
        )
    return samples
