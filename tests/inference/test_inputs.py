"""What a picture may be given as."""

import numpy as np
import pytest

from tinypose.inference.inputs import load_picture


def test_pillows_pictures_are_those_of_their_files(tmp_path) -> None:
    """Upright, and in colours instead of a palette's numbers."""
    pillow = pytest.importorskip("PIL.Image")
    values = np.zeros((40, 60, 3), np.uint8)
    values[:20, :30] = 255, 0, 0
    turned = pillow.Exif()
    turned[0x0112] = 6
    pillow.fromarray(values).save(tmp_path / "turned.png", exif=turned)
    palette = pillow.fromarray(values).convert("P", palette=pillow.Palette.ADAPTIVE)
    palette.save(tmp_path / "palette.png")
    for name, hw in (("turned.png", (60, 40)), ("palette.png", (40, 60))):
        expected = load_picture(tmp_path / name)
        with pillow.open(tmp_path / name) as picture:
            found = load_picture(picture)
        assert found.shape == (*hw, 3)
        np.testing.assert_array_equal(found, expected)
        assert (found == [255, 0, 0]).all(axis=-1).sum() == 600
