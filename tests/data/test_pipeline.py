"""The pipeline: crops and labels agree; batches follow from the seed."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tinypose.data.augment import (
    NO_AUGMENT,
    Augmentation,
    AugmentConfig,
    draw_augmentation,
)
from tinypose.data.crops import MAX_REACH, CropDataset
from tinypose.data.pipeline import TrainingBatches
from tinypose.data.sample import Sample
from tinypose.data.stick_people import stick_people
from tinypose.data.workers import BatchWorkers
from tinypose.errors import TinyposeError
from tinypose.geometry import crop_affine, transform_points
from tinypose.images import warp_image
from tinypose.skeletons import Skeleton

PAIR = Skeleton(
    name="pair",
    names=("left_dot", "right_dot"),
    flip_pairs=(("left_dot", "right_dot"),),
)
HW = (64, 48)


def sample(
    number: int = 0, size: tuple[int, int] = (120, 90), radius: int = 4
) -> Sample:
    """A grey picture with a red left dot and a green right dot."""
    generator = np.random.default_rng(number)
    image = np.full((*size, 3), 90, np.uint8)
    low, high = np.array([[0.35], [0.52]]), np.array([[0.45], [0.62]])
    points = generator.uniform(low, high, (2, 2)) * size[::-1]
    rows, columns = np.mgrid[: size[0], : size[1]]
    for point, colour in zip(points, [(250, 0, 0), (0, 250, 0)], strict=True):
        image[np.hypot(columns - point[0], rows - point[1]) <= radius] = colour
    return Sample(
        sample_id=f"s{number}",
        picture=lambda: image,
        skeleton=PAIR,
        keypoints_xy=points,
        visible=np.array([2, 1], np.uint8),
        box_xywh=np.array([0.2 * size[1], 0.2 * size[0], 0.6 * size[1], 0.6 * size[0]]),
    )


def centroid(image: np.ndarray, channel: int) -> np.ndarray:
    """Return the (x, y) centre of the pixels where one channel stands out."""
    others = np.delete(image.astype(float), channel, axis=2).max(axis=2)
    weight = np.clip(image[..., channel] - others - 20, 0, None)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


AUGMENTATIONS = {
    "plain": Augmentation(),
    "rotated": Augmentation(rotation=0.6),
    "scaled": Augmentation(scale=1.3, shift_xy=(0.05, -0.03)),
    "flipped": Augmentation(flip=True),
    "all": Augmentation(rotation=-2.5, scale=0.8, shift_xy=(0.02, 0.04), flip=True),
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize(
    ("size", "radius"), [((120, 90), 4), ((1200, 900), 40)], ids=["small", "large"]
)
def test_labels_stay_on_what_they_label(name: str, size, radius) -> None:
    dataset = CropDataset([sample(1, size, radius)], HW)
    image, points, visible = dataset.crop(0, AUGMENTATIONS[name])
    assert image.shape == (*HW, 3)
    # A mirrored person's left dot is where the right one was, in its colour.
    left, right = (1, 0) if AUGMENTATIONS[name].flip else (0, 1)
    np.testing.assert_allclose(centroid(image, left), points[0], atol=0.25)
    np.testing.assert_allclose(centroid(image, right), points[1], atol=0.25)
    assert visible.tolist() == ([1, 2] if AUGMENTATIONS[name].flip else [2, 1])


def test_crops_are_padded_as_asked() -> None:
    person = sample(1)
    crops = CropDataset([person], HW, padding=1.6)
    affine = crop_affine(person.box_xywh, HW, padding=1.6)
    image, points, _ = crops.crop(0, Augmentation())
    expected = warp_image(person.load_image(), affine, HW)
    np.testing.assert_allclose(image.astype(int), expected, atol=2)
    np.testing.assert_allclose(points, transform_points(affine, person.keypoints_xy))
    np.testing.assert_array_equal(crops.image_to_crop(0), affine)


def test_a_large_picture_is_cached_small() -> None:
    dataset = CropDataset([sample(1, (1200, 900), 40)], HW)
    region = dataset._regions[0]
    assert region is not None
    assert max(region.pixels.shape) < 4 * max(HW)


def test_beyond_the_cache_limit_crops_are_the_same() -> None:
    cached = CropDataset([sample(1), sample(2)], HW)
    uncached = CropDataset([sample(1), sample(2)], HW, max_cache_bytes=0)
    assert uncached._regions == [None, None]
    for a, b in zip(cached.batch([0, 1]), uncached.batch([0, 1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_who_is_listed_several_times_is_read_and_cached_once() -> None:
    read: list[int] = []

    def counted(number: int) -> Sample:
        person = sample(number)

        def picture() -> np.ndarray:
            read.append(number)
            return person.load_image()

        return replace(person, picture=picture)

    one, two = counted(1), counted(2)
    elsewhere = replace(one, box_xywh=one.box_xywh + 5)
    again = replace(two, weights=np.array([0.5, 1.0]))  # its labels are its own
    people = [one, two, elsewhere, again, one, one]
    steps: list[int] = []
    size = CropDataset([one], HW)._regions[0].pixels.nbytes
    read.clear()
    limit = 3 * size
    crops = CropDataset(people, HW, max_cache_bytes=limit, progress=steps.append)
    assert sorted(read) == [1, 1, 2] and steps == [1, 2, 3, 4, 5, 6]
    assert len(crops) == 6 and None not in crops._regions
    assert crops._regions[0] is crops._regions[4] is crops._regions[5]
    assert crops._regions[1] is crops._regions[3] is not crops._regions[2]
    expected = CropDataset([two, one], HW).batch([0, 1])
    found = crops.batch([3, 5])
    np.testing.assert_array_equal(found.images, expected.images)
    assert found.weights.tolist() == [[0.5, 1.0], [1.0, 1.0]]


def test_an_unreadable_picture_is_named_as_often_as_it_is_listed() -> None:
    people = [sample(i) for i in range(60)]
    mixed = CropDataset([broken(1), *people, broken(1)], HW, max_cache_bytes=0)
    assert mixed.unreadable == ["bad1", "bad1"]
    assert len(mixed) == 60


def dataset(count: int = 11) -> CropDataset:
    return CropDataset([sample(i) for i in range(count)], HW)


def equal(first, second) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_batches_follow_from_seed_epoch_and_step() -> None:
    batches = [TrainingBatches(dataset(), 4, AugmentConfig(), seed=3) for _ in "ab"]
    # The second is asked in another order, as after a resume.
    first = [batches[0].batch(e, s) for e in range(2) for s in range(2)]
    second = [batches[1].batch(e, s) for e, s in [(1, 1), (0, 1), (1, 0), (0, 0)]]
    for i, j in enumerate([3, 1, 2, 0]):
        assert equal(first[i], second[j])
    assert not equal(first[0], first[2])
    other = TrainingBatches(dataset(), 4, AugmentConfig(), seed=4)
    assert not equal(first[0], other.batch(0, 0))


def test_an_epoch_sees_everybody_at_most_once() -> None:
    batches = TrainingBatches(dataset(), 4, AugmentConfig(), seed=0)
    assert batches.steps_per_epoch == 2
    seen = np.concatenate([batches.indices(5, step) for step in range(2)])
    assert len(set(seen.tolist())) == 8


def test_a_small_set_makes_a_small_batch() -> None:
    batches = TrainingBatches(dataset(3), 16, AugmentConfig(), seed=0)
    assert (batches.batch_size, batches.steps_per_epoch) == (3, 1)


@pytest.mark.parametrize("made_by", ["threads", "processes"])
@pytest.mark.parametrize("backend", ["tf.data", "generator"])
def test_an_epoch_equals_its_steps(monkeypatch, made_by: str, backend: str) -> None:
    batches = TrainingBatches(dataset(), 2, AugmentConfig(), seed=1)
    if made_by == "processes":
        if sys.platform != "linux":
            pytest.skip("processes share memory on Linux alone")
        size = batches.batch_bytes
        workers = BatchWorkers(lambda task: batches.batch(*task), 2, size)
        batches.workers = workers
    if backend == "tf.data":
        found = list(batches.epoch(2, first_step=1).as_numpy_iterator())
    else:
        monkeypatch.setattr(keras.backend, "backend", lambda: "another")
        found = list(batches.epoch(2, first_step=1))
    if made_by == "processes":
        workers.close()
        batches.workers = None
    assert len(found) == 4
    for step, (images, labels) in enumerate(found, 1):
        expected = batches.batch(2, step)
        np.testing.assert_array_equal(images, expected.images)
        np.testing.assert_array_equal(labels["keypoints_xy"], expected.keypoints_xy)
        np.testing.assert_array_equal(labels["visible"], expected.visible)
        np.testing.assert_array_equal(labels["weights"], expected.weights)


def test_weights_are_those_of_the_labels_and_follow_the_flip() -> None:
    trusted = replace(sample(1), weights=np.array([0.25, 0.75]))
    hidden = replace(trusted, visible=np.array([2, 0], np.uint8))
    crops = CropDataset([trusted, hidden, sample(2)], HW)
    plain = crops.batch(range(3))
    assert plain.weights.dtype == np.float32
    assert plain.weights.tolist() == [[0.25, 0.75], [0.25, 0], [1, 1]]
    flipped = crops.batch(range(3), [Augmentation(flip=True)] * 3)
    assert flipped.weights.tolist() == [[0.75, 0.25], [0, 0.25], [1, 1]]
    assert ((flipped.weights > 0) == (flipped.visible > 0)).all()


@pytest.mark.parametrize("size", [(48, 36), (96, 72)], ids=["smaller", "larger"])
def test_resized_crops_equal_those_of_that_size(size) -> None:
    crops = CropDataset([sample(1), sample(2)], HW)
    resized, built = crops.resized(size), CropDataset([sample(1), sample(2)], size)
    # The people are small: neither cache has shrunk them.
    assert resized._regions is crops._regions
    assert (resized.input_hw, crops.input_hw) == (size, HW)
    for augmentation in AUGMENTATIONS.values():
        first, second = (c.batch([0, 1], [augmentation] * 2) for c in (resized, built))
        assert first.images.shape == (2, *size, 3)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)


def test_resized_crops_of_large_pictures_keep_their_labels() -> None:
    crops = CropDataset([sample(1, (1200, 900), 40)], HW).resized((32, 24))
    image, points, _ = crops.crop(0, Augmentation(rotation=0.4))
    np.testing.assert_allclose(centroid(image, 0), points[0], atol=0.25)


def test_resized_has_the_same_aspect_ratio() -> None:
    with pytest.raises(TinyposeError, match=r"ratio of 64x48.*found 64x64"):
        dataset(1).resized((64, 64))
    assert dataset(1).resized((33, 24)).input_hw == (33, 24)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_cutout_hides_a_labelled_keypoint(name: str) -> None:
    one = replace(sample(1), visible=np.array([0, 2], np.uint8))
    crops = CropDataset([one], HW)
    for focus in (0.0, 0.6, 0.99):
        augmentation = replace(
            AUGMENTATIONS[name],
            cutout=(0.0, 0.0, 0.3, 0.3),
            cutout_colour=(0, 0, 250),
            cutout_focus=focus,
        )
        image, points, visible = crops.crop(0, augmentation)
        (x, y) = points[np.argmax(visible)]
        np.testing.assert_allclose(centroid(image, 2), (x, y), atol=0.6)


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        pytest.param((0, 0, 0), [0, 0, 0], id="black"),
        pytest.param((7, 130, 250), [7, 130, 250], id="colour"),
        pytest.param(None, [90, 90, 90], id="edge"),
    ],
)
def test_what_lies_outside_the_picture_is_filled(fill, expected) -> None:
    image, _, _ = dataset(1).crop(0, Augmentation(scale=0.3, fill=fill))
    assert image[0, 0].tolist() == image[-1, -1].tolist() == expected
    assert image[HW[0] // 2, 0].tolist() == expected


GEOMETRY = {
    "default": {},
    "small people": {"scale_range": (0.45, 0.6), "rotation_degrees": 20.0},
    "any angle": {"upside_down_probability": 1.0},
    "turned a little": {"rotation_degrees": 10.0, "upside_down_probability": 0.0},
    "shifted": {"shift": 0.4, "scale_range": (0.9, 1.0)},
    "parts": {"part_probability": 1.0, "scale_range": (0.9, 1.0), "shift": 0.0},
}


@pytest.mark.parametrize("input_hw", [(64, 48), (48, 64), (32, 32)])
@pytest.mark.parametrize("name", GEOMETRY)
def test_what_lies_inside_the_picture_is_not_filled(name: str, input_hw) -> None:
    plain = {"brightness": 0, "contrast": 0, "colour": 0, "cutout_probability": 0}
    config = AugmentConfig(**plain, **GEOMETRY[name])
    (person,) = stick_people([3])
    far = np.array([600, 700])
    wide = replace(
        person,
        picture=lambda: np.full((1500, 1400, 3), 90, np.uint8),
        keypoints_xy=person.keypoints_xy + far,
        box_xywh=person.box_xywh + np.array([*far, 0, 0]),
    )
    crops = CropDataset([wide], input_hw, augment=config)
    for seed in range(60):
        draw = draw_augmentation(config, np.random.default_rng(seed))
        image, _, _ = crops.crop(0, replace(draw, fill=(7, 130, 250)))
        assert (image == 90).all(), draw


def test_no_more_is_cached_than_augmentation_may_need() -> None:
    default = AugmentConfig().reach_xy((128, 128))
    # As much as ever: 2.2 along both axes.
    assert default == pytest.approx([2.34, 2.34], abs=0.01)
    assert NO_AUGMENT.reach_xy(HW).tolist() == [1, 1]
    tiny_people = AugmentConfig(scale_range=(0.1, 1))
    vast = replace(
        sample(1),
        picture=lambda: np.zeros((2400, 2400, 3), np.uint8),
        box_xywh=np.array([1050.0, 1000, 300, 400]),
    )
    plain, usual, most = (
        CropDataset([vast], HW, augment=augment)._regions[0].pixels
        for augment in (NO_AUGMENT, AugmentConfig(), tiny_people)
    )
    assert plain.size < usual.size / 4 < most.size / 10
    # At twice the crops' resolution.
    assert max(most.shape) == pytest.approx(2 * MAX_REACH * max(HW), rel=0.02)


def test_part_crops_show_the_part_at_twice_the_size_at_most() -> None:
    (person,) = stick_people([3])
    crops = CropDataset([person], HW)
    whole = crops.crop(0, Augmentation())[1]
    labelled = person.visible > 0
    for focus in (0.0, 0.4, 0.9):
        a = Augmentation(part_focus=focus)
        _, points, visible = crops.crop(0, a)
        assert visible.tolist() == person.visible.tolist()
        which = np.flatnonzero(labelled)[int(focus * labelled.sum())]
        assert (points[which] > -0.5).all() and (points[which] < HW[::-1]).all()
        inside = ((points > -0.5) & (points < HW[::-1])).all(axis=1) & labelled
        assert inside.sum() >= labelled.sum() / 2
        zoom = np.ptp(points, axis=0) / np.ptp(whole, axis=0)
        assert (zoom > 1.1).all() and (zoom <= 2 + 1e-9).all()
        a = replace(a, part_focus=None)
        np.testing.assert_array_equal(crops.crop(0, a)[1], whole)


def test_people_without_labels_are_counted_not_trained_on() -> None:
    nobody = replace(sample(5), visible=np.zeros(2, np.uint8))
    mixed = CropDataset([sample(1), nobody, sample(2)], HW)
    assert (len(mixed), mixed.num_empty) == (2, 1)
    with pytest.raises(TinyposeError, match="found none in 1 samples"):
        CropDataset([nobody], HW)


def broken(number: int) -> Sample:
    return replace(
        sample(number), sample_id=f"bad{number}", picture=Path("none") / f"{number}.jpg"
    )


def test_a_few_unreadable_pictures_are_left_out_by_name() -> None:
    people = [sample(i) for i in range(30)]
    mixed = CropDataset([*people[:7], broken(1), *people[7:]], HW)
    assert len(mixed) == 30
    assert mixed.unreadable == ["bad1"]
    # Labels follow their pictures.
    assert mixed.samples[7].sample_id == "s7"


def test_many_unreadable_pictures_are_an_error() -> None:
    with pytest.raises(TinyposeError, match=r"2 of 5 people are of no use.*data check"):
        CropDataset([sample(0), sample(1), sample(2), broken(1), broken(2)], HW)


DATA = os.environ.get("TINYPOSE_DATA")


@pytest.mark.skipif(not DATA, reason="TINYPOSE_DATA does not name the real data")
def test_real_labels_lie_within_their_crops() -> None:
    from tinypose.data.sources import load_data

    people = load_data([f"lsp={DATA}/lsp:1-40", f"lspet={DATA}/lspet:1-40"])
    crops = CropDataset(people, HW)
    batch = crops.batch(range(len(crops)))
    labelled = batch.keypoints_xy[batch.visible > 0]
    assert (labelled > -1).all() and (labelled < np.array(HW[::-1])).all()
