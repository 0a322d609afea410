"""LSP and LSPET: same folder, two meanings of the third row."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tinypose.data.lsp import read_lsp, read_lspet
from tinypose.errors import TinyposeError

N = 5


@pytest.fixture
def labels() -> np.ndarray:
    """(14, 3, N): 1-based x, y and a flag that is 1 for every third keypoint."""
    generator = np.random.default_rng(0)
    values = generator.uniform(1, 99, size=(14, 3, N))
    values[:, 2] = (np.arange(14)[:, None] % 3 == 0).astype(float)
    return values


def write(folder: Path, joints: object) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    savemat(folder / "joints.mat", {"joints": joints})
    return folder


def test_lsp_means_occluded(tmp_path: Path, labels: np.ndarray) -> None:
    samples = read_lsp(write(tmp_path, labels.transpose(1, 0, 2)))
    assert len(samples) == N
    sample = samples[2]
    assert sample.sample_id == "im0003"
    assert sample.picture == tmp_path / "images" / "im0003.jpg"
    # The first pixel's centre is 1 in the file and 0 here.
    np.testing.assert_allclose(sample.keypoints_xy, labels[:, :2, 2] - 1)
    assert sample.visible.tolist() == [1, 2, 2] * 4 + [1, 2]


def test_lspet_means_labelled(tmp_path: Path, labels: np.ndarray) -> None:
    # The file holds zeros where nothing is labelled.
    labels[:, :2] *= labels[:, 2:]
    samples = read_lspet(write(tmp_path, labels))
    sample = samples[4]
    assert sample.sample_id == "im00005"
    assert sample.visible.tolist() == [2, 0, 0] * 4 + [2, 0]
    labelled = sample.visible > 0
    np.testing.assert_allclose(
        sample.keypoints_xy[labelled], labels[labelled, :2, 4] - 1
    )
    low = labels[labelled, :2, 4].min(0) - 1
    np.testing.assert_allclose(sample.box_xywh[:2], low)


def test_the_other_set_is_recognised(tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(TinyposeError, match="this looks like lspet: use lspet=PATH"):
        read_lsp(write(tmp_path, labels))
    with pytest.raises(TinyposeError, match="this looks like lsp: use lsp=PATH"):
        read_lspet(write(tmp_path, labels.transpose(1, 0, 2)))


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (np.zeros((3, 13, N)), "expected 'joints' of shape 3 x 14 x N"),
        (np.array(["text"]), "found no such array"),
        (np.full((3, 14, N), np.nan), "finite labels"),
    ],
    ids=["shape", "text", "nan"],
)
def test_wrong_contents(tmp_path: Path, joints: object, message: str) -> None:
    with pytest.raises(TinyposeError, match=message):
        read_lsp(write(tmp_path, joints))


def test_missing_truncated_and_foreign_files(tmp_path: Path, labels) -> None:
    with pytest.raises(TinyposeError, match="found no such file"):
        read_lsp(tmp_path)
    file = write(tmp_path, labels.transpose(1, 0, 2)) / "joints.mat"
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"not a matrix" * 50, b"\x00" * 200):
        file.write_bytes(content)
        with pytest.raises(TinyposeError) as caught:
            read_lsp(tmp_path)
        assert "joints.mat" in str(caught.value)


def test_pictures_elsewhere(tmp_path: Path, labels: np.ndarray) -> None:
    write(tmp_path, labels)
    (tmp_path / "images").rename(tmp_path / "pictures")
    with pytest.raises(TinyposeError, match=r"name it with ,images=FOLDER"):
        read_lspet(tmp_path)
    samples = read_lspet(tmp_path, tmp_path / "pictures")
    assert samples[0].picture == tmp_path / "pictures" / "im00001.jpg"
