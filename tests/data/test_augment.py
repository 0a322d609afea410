"""Augmentation: drawn from a seed, applied with its labels."""

import numpy as np
import pytest

from tinypose.data.augment import Augmentation, AugmentConfig, draw_augmentation

CONFIG = AugmentConfig()


def draw(config: AugmentConfig, number: int) -> Augmentation:
    return draw_augmentation(config, np.random.default_rng([3, number]))


def test_the_same_generator_draws_the_same() -> None:
    assert draw(CONFIG, 5) == draw(CONFIG, 5)
    assert draw(CONFIG, 5) != draw(CONFIG, 6)


def test_draws_stay_within_their_limits() -> None:
    drawn = [draw(CONFIG, i) for i in range(400)]
    low, high = CONFIG.scale_range
    assert all(low <= a.scale <= high for a in drawn)
    assert all(abs(s) <= CONFIG.shift for a in drawn for s in a.shift_xy)
    upright = [abs(a.rotation) <= np.radians(CONFIG.rotation_degrees) for a in drawn]
    # One in ten is turned by any angle: four in five of those beyond 40 degrees.
    assert 0.86 < np.mean(upright) < 0.97
    assert 0.4 < np.mean([a.flip for a in drawn]) < 0.6
    cut = np.mean([a.cutout is not None for a in drawn])
    assert cut == pytest.approx(CONFIG.cutout_probability, abs=0.08)


def test_one_probability_does_not_shift_the_other_draws() -> None:
    never = AugmentConfig(cutout_probability=0, flip_probability=0)
    a, b = draw(CONFIG, 1), draw(never, 1)
    assert (a.rotation, a.scale, a.shift_xy, a.gain) == (
        b.rotation,
        b.scale,
        b.shift_xy,
        b.gain,
    )


def test_nothing_configured_changes_nothing() -> None:
    config = AugmentConfig(
        rotation_degrees=0,
        upside_down_probability=0,
        scale_range=(1, 1),
        shift=0,
        flip_probability=0,
        brightness=0,
        contrast=0,
        colour=0,
        cutout_probability=0,
        random_fill_probability=0,
    )
    drawn = draw(config, 9)
    crop = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    np.testing.assert_array_equal(drawn.recolour(crop), crop)
    np.testing.assert_allclose(
        drawn.affine(np.array([1.0, 2, 8, 9]), (6, 5)),
        Augmentation().affine(np.array([1.0, 2, 8, 9]), (6, 5)),
    )


def test_recolour_worked_by_hand() -> None:
    crop = np.array([[[100, 200, 0]]], np.uint8)
    changed = Augmentation(gain=(2.0, 1.0, 0.5), offset=0.1).recolour(crop)
    # (100 - 127.5) * 2 + 127.5 + 25.5 = 98; 200 + 25.5 -> 226 (half to even: 225.5);
    # (0 - 127.5) / 2 + 127.5 + 25.5 = 89.25.
    assert changed.ravel().tolist() == [98, 226, 89]
    assert crop.ravel().tolist() == [100, 200, 0]


def test_cutout_paints_its_rectangle_alone() -> None:
    crop = np.full((10, 20, 3), 7, np.uint8)
    a = Augmentation(cutout=(0.25, 0.5, 0.5, 0.2), cutout_colour=(1, 2, 3))
    painted = (a.recolour(crop) == (1, 2, 3)).all(axis=2)
    assert painted[5:7, 5:15].all()
    assert painted.sum() == 20


def test_cutout_over_the_edge() -> None:
    crop = np.zeros((10, 20, 3), np.uint8)
    a = Augmentation(cutout=(-0.1, -0.1, 0.2, 0.3), cutout_colour=(9, 9, 9))
    assert (a.recolour(crop)[:2, :2] == 9).all()
    assert (a.recolour(crop) == 9).all(axis=2).sum() == 4
