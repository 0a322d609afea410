from dataclasses import replace

import numpy as np
import pytest

from tinypose.data import figure_clothes
from tinypose.data import stick_people as module
from tinypose.data.figure_shapes import Ellipsoid, Part, Shape, View
from tinypose.data.figures import draw_figure, draw_view
from tinypose.data.sample import labelled_box
from tinypose.data.stick_people import stick_people
from tinypose.skeletons import AI_CHALLENGER

HW = (72, 56)


def _equal(a, b):
    return (
        a.sample_id == b.sample_id
        and np.array_equal(a.keypoints_xy, b.keypoints_xy)
        and np.array_equal(a.visible, b.visible)
        and np.array_equal(a.load_image(), b.load_image())
    )


def test_sample_depends_on_seed_and_index_alone():
    first, second = stick_people([7, 3], seed=5, image_hw=HW)
    (again,) = stick_people([3], seed=5, image_hw=HW)
    assert _equal(second, again)
    assert not np.array_equal(first.keypoints_xy, second.keypoints_xy)
    (other_seed,) = stick_people([3], seed=6, image_hw=HW)
    assert not np.array_equal(second.keypoints_xy, other_seed.keypoints_xy)


def test_picture_has_the_size_asked_for():
    (sample,) = stick_people([0], image_hw=HW)
    image = sample.load_image()
    assert image.shape == (72, 56, 3)
    assert image.dtype == np.uint8


def test_labels_are_consistent_with_the_picture():
    height, width = HW
    for sample in stick_people(range(40), image_hw=HW):
        assert sample.skeleton is AI_CHALLENGER
        x, y = sample.keypoints_xy.T
        inside = (
            (np.floor(x + 0.5) >= 0)
            & (np.floor(x + 0.5) < width)
            & (np.floor(y + 0.5) >= 0)
            & (np.floor(y + 0.5) < height)
        )
        assert np.array_equal(sample.visible > 0, inside)
        assert inside.sum() >= module.MIN_LABELLED
        box = labelled_box(sample.keypoints_xy, sample.visible)
        assert np.array_equal(sample.box_xywh, box)
        assert 0 < sample.area <= height * width


def test_all_kinds_of_visibility_occur():
    visible = np.stack([s.visible for s in stick_people(range(80), image_hw=HW)])
    shares = [(visible == kind).mean() for kind in (0, 1, 2)]
    assert shares[0] > 0
    assert 0.05 < shares[1] < 0.4
    assert shares[2] > 0.5


@pytest.mark.parametrize("xy", [(20.0, 30.0), (20.37, 30.81), (31.5, 9.25)])
def test_a_mark_on_a_keypoint_is_painted_exactly_there(monkeypatch, xy):
    """The centre of brightness of a small disc is where its label is."""
    around = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    disc = xy + 5 * np.stack([np.cos(around), np.sin(around)], axis=1)
    shape = Shape(disc, np.full(3, 255.0))
    scene = module._Scene(None, None, [Part("mark", 0.0, [shape])], [])
    monkeypatch.setattr(module, "_draw_scene", lambda rng, hw: scene)
    monkeypatch.setattr(
        module, "_draw_background", lambda rng, hw: np.zeros((*hw, 3), np.uint8)
    )
    monkeypatch.setattr(module, "_spoil", lambda rng, picture: picture)
    light = module._render(0, 0, (48, 64))[..., 0].astype(float)
    rows, columns = np.mgrid[:48, :64]
    centre = [(light * grid).sum() / light.sum() for grid in (columns, rows)]
    assert centre == pytest.approx(xy, abs=0.15)


def test_visible_keypoints_lie_on_their_own_limb(monkeypatch):
    """Bare red arms and blue trousers: each keypoint has its limb's colour."""
    plain = figure_clothes.draw_clothes

    def colours(rng):
        black = np.zeros(3)
        return replace(
            plain(rng),
            skin=np.array([250.0, 0.0, 0.0]),
            trousers=np.array([0.0, 0.0, 250.0]),
            shoes=np.array([0.0, 0.0, 250.0]),
            shirt=black,
            mark=black,
            hair=black,
            sleeve=0.0,
            leg=2.0,
            stripes=0,
        )

    monkeypatch.setattr(module, "draw_clothes", colours)
    monkeypatch.setattr(
        module, "_draw_background", lambda rng, hw: np.zeros((*hw, 3), np.uint8)
    )
    monkeypatch.setattr(module, "_spoil", lambda rng, picture: picture)
    seen = []
    for sample in stick_people(range(30), image_hw=(160, 140)):
        image = sample.load_image().astype(int)
        for name, (x, y), v in zip(
            AI_CHALLENGER.names, sample.keypoints_xy, sample.visible, strict=True
        ):
            part = name.split("_")[1] if "_" in name else name
            if v != 2 or part not in ("elbow", "wrist", "knee", "ankle"):
                continue
            red, green, blue = image[int(y + 0.5), int(x + 0.5)]
            own, other = (red, blue) if part in ("elbow", "wrist") else (blue, red)
            seen.append(own > 60 > max(green, other))
    # A keypoint may share its pixel with the edge of a nearer part.
    assert len(seen) > 150
    assert np.mean(seen) > 0.97


def test_an_object_hides_what_is_behind_it(monkeypatch):
    (free,) = stick_people([2], image_hw=HW)
    wall = Shape(np.array([[-9, -9], [99, -9], [99, 99], [-9, 99]], float), np.ones(3))
    monkeypatch.setattr(module, "_draw_objects", lambda rng, points: [wall])
    (hidden,) = stick_people([2], image_hw=HW)
    assert set(hidden.visible) <= {0, 1}
    assert (free.visible == 2).any()
    assert np.array_equal(free.visible > 0, hidden.visible > 0)


def test_bones_keep_their_lengths_and_sides():
    rng = np.random.default_rng(3)
    for _ in range(50):
        figure = draw_figure(rng)
        turned = figure.rotated(draw_view(rng))
        body, at = figure.body, turned.points
        for side in ("left", "right"):
            for a, b, length in [
                ("shoulder", "elbow", body.upper_arm),
                ("elbow", "wrist", body.forearm),
                ("hip", "knee", body.thigh),
                ("knee", "ankle", body.shin),
            ]:
                bone = at[f"{side}_{a}"] - at[f"{side}_{b}"]
                assert np.linalg.norm(bone) == pytest.approx(length)
        across = at["left_hip"] - at["right_hip"]
        assert across @ turned.frames["pelvis"][:, 0] == pytest.approx(2 * body.hip)
        across = at["left_shoulder"] - at["right_shoulder"]
        assert across @ turned.frames["chest"][:, 0] == pytest.approx(2 * body.shoulder)


def test_knees_bend_backwards_only():
    """Seen from the shin, the thigh never leaves the side of the toes."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        at = draw_figure(rng).points
        for side in ("left", "right"):
            thigh = at[f"{side}_knee"] - at[f"{side}_hip"]
            toes = at[f"{side}_toe"] - at[f"{side}_ankle"]
            assert toes @ thigh > 0


def test_a_face_is_drawn_only_on_the_side_that_is_seen():
    view = View(distance=9.0, zoom=50.0, offset_xy=np.array([30.0, 40.0]))
    centre, radii = np.zeros(3), (0.3, 0.4, 0.35)
    towards = Ellipsoid(np.eye(3), centre, radii, view)
    away = Ellipsoid(np.diag([-1.0, 1.0, -1.0]), centre, radii, view)
    face = ((0.0, 0.0, 1.0), 0.4, np.ones(3))
    assert len(towards.patch(*face)) == 1
    assert away.patch(*face) == []
    outline = towards.patch(*face)[0].outline
    assert outline.mean(axis=0) == pytest.approx([30, 40])


def test_ellipsoid_outline_is_as_large_as_its_radii():
    view = View(distance=9.0, zoom=50.0, offset_xy=np.array([30.0, 40.0]))
    outline = Ellipsoid(np.eye(3), np.zeros(3), (0.3, 0.4, 0.1), view).outline()
    # 0.3 and 0.4 body heights at 50 pixels each.
    assert np.ptp(outline, axis=0) / 2 == pytest.approx([15, 20], rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"indices": [-1]}, "non-negative", id="negative index"),
        pytest.param({"indices": [0], "image_hw": (8, 90)}, "16 pixels", id="tiny"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        stick_people(**arguments)
