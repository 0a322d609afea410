"""A teacher's input and heatmaps beside those of a student of another size."""

import numpy as np
import pytest

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.training.teacher_view import TeacherView

SAME = HeatmapCodec(input_hw=(64, 48), heatmap_hw=(16, 12), sigma_cells=1.5)
SIZES = {
    "smaller student": (
        HeatmapCodec(input_hw=(224, 224), heatmap_hw=(56, 56), sigma_cells=1.25),
        HeatmapCodec(input_hw=(160, 160), heatmap_hw=(40, 40), sigma_cells=1.25),
    ),
    "larger student": (
        HeatmapCodec(input_hw=(128, 128), heatmap_hw=(32, 32), sigma_cells=1.5),
        HeatmapCodec(input_hw=(192, 192), heatmap_hw=(48, 48), sigma_cells=2.5),
    ),
    "wider Gaussians": (
        HeatmapCodec(input_hw=(128, 128), heatmap_hw=(32, 32), sigma_cells=1.5),
        HeatmapCodec(input_hw=(128, 128), heatmap_hw=(32, 32), sigma_cells=2.0),
    ),
    "another stride": (
        HeatmapCodec(input_hw=(128, 128), heatmap_hw=(64, 64), sigma_cells=2.0),
        HeatmapCodec(input_hw=(128, 128), heatmap_hw=(32, 32), sigma_cells=2.0),
    ),
    "narrow student": (
        HeatmapCodec(input_hw=(160, 160), heatmap_hw=(40, 40), sigma_cells=1.5),
        HeatmapCodec(input_hw=(128, 96), heatmap_hw=(32, 24), sigma_cells=1.5),
    ),
    "wide student": (
        HeatmapCodec(input_hw=(256, 192), heatmap_hw=(64, 48), sigma_cells=1.5),
        HeatmapCodec(input_hw=(120, 160), heatmap_hw=(30, 40), sigma_cells=2.5),
    ),
}


def in_teachers_pixels(view: TeacherView, keypoints_xy):
    """Where places of the student's input lie in the teacher's."""
    own, given = view.resized_hw, view.student.input_hw
    ratio_xy = np.array([own[1] / given[1], own[0] / given[0]])
    return (keypoints_xy + 0.5) * ratio_xy + np.array(view.margin_hw[::-1]) - 0.5


@pytest.mark.parametrize("codecs", SIZES.values(), ids=SIZES)
def test_heatmaps_of_a_perfect_teacher_are_the_students_targets(codecs) -> None:
    view = TeacherView(*codecs)
    size_xy = np.array(view.student.input_hw[::-1])
    for share, most in ((0.2, 0.04), (0.0, 0.2)):  # within, and up to the border
        generator = np.random.default_rng(0)
        places = generator.uniform(share, 1 - share, (2, 50, 2)) * size_xy - 0.5
        visible = np.full((2, 50), 2)
        perfect, _ = view.teacher.encode(in_teachers_pixels(view, places), visible)
        expected, _ = view.student.encode(places, visible)
        found = np.asarray(view.heatmaps(perfect))
        np.testing.assert_allclose(found, expected, atol=most)
        found_xy, expected_xy = (
            view.student.decode(np.asarray(maps))[0] for maps in (found, expected)
        )
        off = np.linalg.norm(found_xy - expected_xy, axis=-1)
        assert off.max() < (0.05 if share else 1.0) * max(view.student.stride_xy)


def test_what_it_doubts_stays_doubtful() -> None:
    """Belief in two places, half each, becomes the mean of both targets."""
    view = TeacherView(*SIZES["smaller student"])
    places = np.array([[[48.0, 60.0], [100.0, 90.0]]])
    visible = np.full((1, 2), 2)
    perfect, _ = view.teacher.encode(in_teachers_pixels(view, places), visible)
    expected, _ = view.student.encode(places, visible)
    doubt = np.asarray(perfect).mean(axis=-1, keepdims=True)
    found = np.asarray(view.heatmaps(doubt))
    mean = np.asarray(expected).mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(found, mean, atol=0.03)
    assert 0.4 < found.max() < 0.55


@pytest.mark.parametrize("codecs", SIZES.values(), ids=SIZES)
def test_the_teacher_sees_the_whole_crop(codecs) -> None:
    view = TeacherView(*codecs)
    height, width = view.student.input_hw
    place = np.array([width * 0.4, height * 0.6])
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 2 / 4.0**2)
    pictures = np.full((1, height, width, 3), 0.5, np.float32)
    pictures += 0.5 * spot[None, ..., None].astype(np.float32)
    found = np.asarray(view.pictures(pictures))[0, ..., 0]
    assert found.shape == view.teacher.input_hw
    weight = np.maximum(found - 0.5, 0.0)
    y, x = np.mgrid[: found.shape[0], : found.shape[1]]
    centre = [(weight * axis).sum() / weight.sum() for axis in (x, y)]
    np.testing.assert_allclose(centre, in_teachers_pixels(view, place), atol=0.2)
    top, left = view.margin_hw
    inside = found[top : top + view.resized_hw[0], left : left + view.resized_hw[1]]
    assert inside.min() > 0.4
    assert (found != 0).sum() == inside.size  # grey is what is not the crop


def test_where_nothing_differs_nothing_is_changed() -> None:
    view = TeacherView(SAME, SAME)
    maps, pictures = object(), object()
    assert view.heatmaps(maps) is maps
    assert view.pictures(pictures) is pictures


def test_how_sharp_a_student_may_be() -> None:
    teacher, student = SIZES["smaller student"]
    assert TeacherView(teacher, student).fits
    back = TeacherView(student, teacher)
    assert not back.fits
    assert back.least_sigma_cells == pytest.approx(1.25 * 224 / 160)
