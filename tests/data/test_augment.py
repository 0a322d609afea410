"""Augmentation: drawn from a seed, applied with its labels."""

from dataclasses import replace

import numpy as np
import pytest

from tinypose.data.augment import (
    FILLS,
    NO_AUGMENT,
    Augmentation,
    AugmentConfig,
    draw_augmentation,
)
from tinypose.geometry import transform_points

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


def test_draws_reach_their_limits() -> None:
    config = replace(CONFIG, upside_down_probability=0, scale_range=(0.5, 2.0))
    drawn = [draw(config, i) for i in range(400)]
    low, high = config.scale_range
    scales = [a.scale for a in drawn]
    assert min(scales) < 1.05 * low and max(scales) > 0.95 * high
    # Log-uniform: as many are smaller as larger than the person is.
    assert np.median(scales) == pytest.approx(1, abs=0.1)
    gains = np.log([a.gain for a in drawn])
    limits = {
        "rotation": (np.radians(config.rotation_degrees), [a.rotation for a in drawn]),
        "shift right": (config.shift, [a.shift_xy[0] for a in drawn]),
        "shift down": (config.shift, [a.shift_xy[1] for a in drawn]),
        "offset": (config.brightness, [a.offset for a in drawn]),
        "contrast": (config.contrast, np.exp(gains.mean(axis=1)) - 1),
    }
    for name, (limit, values) in limits.items():
        assert min(values) < -0.9 * limit and max(values) > 0.9 * limit, name
    # Colour is of each channel, apart from the contrast of all three.
    for one, other in [(0, 1), (1, 2), (2, 0)]:
        ratio = np.exp(gains[:, one] - gains[:, other])
        assert ratio.max() > 1 + config.colour > 1 > 1 - config.colour > ratio.min()


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
    drawn = draw(NO_AUGMENT, 9)
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


POINTS = np.array([[3.0, 2], [9, 4], [16, 7]])


@pytest.mark.parametrize(("focus", "which"), [(0.0, 0), (0.5, 1), (0.99, 2)])
def test_cutout_lies_on_the_keypoint_that_was_drawn(focus: float, which: int) -> None:
    crop = np.zeros((10, 20, 3), np.uint8)
    a = Augmentation(
        cutout=(0.7, 0.1, 0.1, 0.2), cutout_colour=(9, 9, 9), cutout_focus=focus
    )
    painted = np.argwhere(a.recolour(crop, POINTS)[..., 0] == 9)[:, ::-1]
    # Two by two pixels; their centre is half a pixel off at the most.
    assert len(painted) == 4
    assert np.abs(painted.mean(axis=0) - POINTS[which]).max() <= 0.5
    # Without keypoints it lies where it was drawn.
    elsewhere = replace(a, cutout_focus=None).recolour(crop, POINTS)
    np.testing.assert_array_equal(a.recolour(crop), elsewhere)
    np.testing.assert_array_equal(a.recolour(crop, POINTS[:0]), elsewhere)
    assert (elsewhere[1:3, 14:16] == 9).all()


@pytest.mark.parametrize("outside", [(-9, 5), (10, -9), (30, 5), (10, 19), (-9, -9)])
def test_cutout_on_a_keypoint_outside_the_crop_paints_nothing(outside) -> None:
    crop = np.zeros((10, 20, 3), np.uint8)
    a = Augmentation(cutout=(0, 0, 0.2, 0.3), cutout_colour=(9, 9, 9), cutout_focus=0.0)
    assert not a.recolour(crop, np.array([outside], np.float64)).any()


FILLED = {
    "black": lambda fill: fill == (0, 0, 0),
    "grey": lambda fill: fill == (128, 128, 128),
    "edge": lambda fill: fill is None,
    "colour": lambda fill: len(set(fill) - {0, 128}) > 0,
}


@pytest.mark.parametrize("name", FILLED)
def test_fills(name: str) -> None:
    drawn = [draw(AugmentConfig(fills=(name,)), i).fill for i in range(20)]
    assert all(FILLED[name](fill) for fill in drawn)
    assert len(set(drawn)) == (20 if name == "colour" else 1)


def test_fills_are_drawn_alike() -> None:
    drawn = [draw(AugmentConfig(fills=FILLS), i).fill for i in range(400)]
    for name in ("black", "grey", "edge"):
        assert np.mean([FILLED[name](fill) for fill in drawn]) == pytest.approx(
            0.25, abs=0.08
        )


@pytest.mark.parametrize("name", ["cutout_at_keypoint", "part_probability"])
def test_keypoints_are_drawn_as_often_as_configured(name: str) -> None:
    field = {"cutout_at_keypoint": "cutout_focus", "part_probability": "part_focus"}
    for probability in (0.0, 0.3, 1.0):
        config = AugmentConfig(**{name: probability})
        found = [getattr(draw(config, i), field[name]) for i in range(400)]
        chosen = np.array([value for value in found if value is not None])
        assert len(chosen) / 400 == pytest.approx(probability, abs=0.08)
        assert ((chosen >= 0) & (chosen < 1)).all()
        # Nothing else of the draw depends on it.
        assert replace(draw(config, 7), **{field[name]: None}) == draw(CONFIG, 7)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cutout_at_keypoint": 1.5}, "cutout_at_keypoint: expected 0 to 1, found 1.5"),
        ({"part_probability": -0.1}, "part_probability: expected 0 to 1, found -0.1"),
        ({"part_probability": float("nan")}, "part_probability: expected 0 to 1"),
        ({"fills": ("black", "gray")}, "fills: expected some of .*edge, found gray"),
        ({"fills": ()}, "fills: expected some of .*edge, found none"),
    ],
)
def test_impossible_values_are_refused(values, message: str) -> None:
    with pytest.raises(ValueError, match=f"augment.{message}") as caught:
        AugmentConfig(**values)
    assert "\n" not in str(caught.value)


BOX = np.array([10.0, 20, 30, 80])


def people_of_keypoints() -> list[np.ndarray]:
    generator = np.random.default_rng(4)
    return [
        BOX[:2] + generator.uniform(0, 1, (count, 2)) * BOX[2:]
        for count in (6, 7, 14, 17)
        for _ in range(5)
    ]


@pytest.mark.parametrize("output_hw", [(64, 48), (48, 64), (40, 120)])
@pytest.mark.parametrize("turned", [False, True], ids=["tall", "wide"])
def test_part_crops_contain_their_part_and_are_not_too_close(output_hw, turned) -> None:
    for keypoints_xy in people_of_keypoints():
        box = BOX[[1, 0, 3, 2]] if turned else BOX
        keypoints_xy = keypoints_xy[:, ::-1] if turned else keypoints_xy
        count = len(keypoints_xy)
        whole = Augmentation().affine(box, output_hw)
        for which in range(count):
            a = Augmentation(part_focus=(which + 0.5) / count)
            part_box = a.part_box(keypoints_xy, box)
            affine = a.affine(part_box, output_hw)
            distances = np.hypot(*(keypoints_xy - keypoints_xy[which]).T)
            near = np.argsort(distances)[: -(-count // 2)]
            seen = transform_points(affine, keypoints_xy[near])
            assert (seen > -0.5).all() and (
                seen < np.array(output_hw[::-1]) - 0.5
            ).all()
            assert affine[0, 0] <= 2 * whole[0, 0] + 1e-9


def test_a_part_is_nearer_than_the_person() -> None:
    keypoints_xy = BOX[:2] + np.linspace(0, 1, 14)[:, None] * BOX[2:]
    box = Augmentation(part_focus=0.0).part_box(keypoints_xy, BOX)
    # The upper half of the keypoints, 6 of 13 steps down, in a square of half
    # the person's height.
    assert box[2:].tolist() == [40, 40]
    np.testing.assert_allclose(box[:2] + 20, BOX[:2] + BOX[2:] * 3 / 13)


def test_without_a_focus_or_with_few_keypoints_the_whole_person_is_taken() -> None:
    keypoints_xy = people_of_keypoints()[0]
    assert Augmentation().part_box(keypoints_xy, BOX) is BOX
    a = Augmentation(part_focus=0.5)
    assert a.part_box(keypoints_xy[:5], BOX) is BOX
    assert a.part_box(keypoints_xy[:6], BOX) is not BOX
