import numpy as np
import pytest

from tinypose.errors import MissingDependencyError
from tinypose.evaluation import oks as module
from tinypose.evaluation.oks import oks, oks_summary
from tinypose.skeletons import COCO as COCO_SKELETON
from tinypose.skeletons import LSP

faster_coco_eval = pytest.importorskip("faster_coco_eval")


def _people(num_people=23, skeleton=COCO_SKELETON, seed=5):
    rng = np.random.default_rng(seed)
    true = rng.uniform(10, 200, (num_people, skeleton.num_keypoints, 2))
    noise = rng.normal(size=true.shape) * rng.uniform(0, 12, (num_people, 1, 1))
    visible = rng.integers(0, 3, true.shape[:2])
    visible[:, 0] = 2
    areas = rng.uniform(900, 20000, num_people)
    return true + noise, true, visible, areas, rng.uniform(0, 1, num_people)


def _library(predicted, true, visible, areas, scores, sigmas):
    """Return the library's evaluation of one person a picture."""

    def triples(points, flags):
        return np.column_stack([points, flags]).ravel().tolist()

    truth, found = [], []
    for index, flags in enumerate(visible):
        common = {"image_id": index + 1, "category_id": 1, "id": index + 1}
        box = [0, 0, 300, 300]
        truth.append(
            {
                **common,
                "keypoints": triples(true[index], flags),
                "num_keypoints": int((flags > 0).sum()),
                "area": areas[index],
                "bbox": box,
                "iscrowd": 0,
            }
        )
        keypoints = triples(predicted[index], np.ones(len(flags)))
        found.append({**common, "keypoints": keypoints, "score": scores[index]})
    data = {
        "images": [{"id": a["image_id"], "height": 9, "width": 9} for a in truth],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": truth,
    }
    ground_truth = faster_coco_eval.COCO(data)
    evaluation = faster_coco_eval.COCOeval_faster(
        ground_truth,
        ground_truth.loadRes(found),
        iouType="keypoints",
        kpt_oks_sigmas=sigmas,
    )
    evaluation.run()
    return evaluation


def test_oks_hand_worked():
    # Area 100, sigma 0.1: 2 * area * (2 sigma)^2 = 8. The first keypoint is
    # off by sqrt(8): exp(-1). The second is exact: 1. The third, not
    # labelled, does not count; the mean is (exp(-1) + 1) / 2.
    true = np.array([[[0, 0], [5, 5], [9, 9]]], np.float64)
    predicted = true + np.array([[[2, 2], [0, 0], [50, 50]]])
    result = oks(predicted, true, [[2, 1, 0]], [100.0], [0.1, 0.1, 0.1])
    np.testing.assert_allclose(result, [(np.exp(-1) + 1) / 2])


def test_missing_prediction_has_no_similarity_and_nobody_labelled_is_nan():
    true = np.zeros((2, 2, 2))
    predicted = np.array([[[0, 0], [np.nan, 0]], [[0, 0], [0, 0]]])
    result = oks(predicted, true, [[2, 2], [0, 0]], [10.0, 10.0], [0.1, 0.1])
    np.testing.assert_array_equal(result, [0.5, np.nan])


def test_our_oks_equals_the_library():
    predicted, true, visible, areas, scores = _people()
    sigmas = COCO_SKELETON.sigmas
    library = _library(predicted, true, visible, areas, scores, sigmas)
    expected = [library.ious[index + 1, 1][0, 0] for index in range(len(true))]
    np.testing.assert_allclose(
        oks(predicted, true, visible, areas, sigmas), expected, rtol=1e-12
    )


@pytest.mark.parametrize("skeleton", [COCO_SKELETON, LSP], ids=lambda s: s.name)
def test_summary_equals_the_library_with_the_sigmas_of_the_skeleton(skeleton):
    people = _people(skeleton=skeleton)
    predicted, true, visible, areas, scores = people
    library = _library(*people, skeleton.sigmas)
    ours = oks_summary(predicted, true, visible, areas, skeleton.sigmas, scores)
    # The library's order: AP, AP50, AP75, AP medium, AP large, AR.
    expected = 100 * np.array(library.stats)[[0, 1, 2, 5]]
    assert 0 < expected[0] < 100
    np.testing.assert_allclose([ours.ap, ours.ap50, ours.ap75, ours.ar], expected)
    assert ours.num_people == len(true)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        # Precision is read at 101 recalls; one of two people found covers 51
        # of them, at precision 1 if the right pose has the higher score ...
        pytest.param([0.9, 0.1], 100 * 51 / 101, id="right-one-first"),
        # ... and at precision 1/2 if the wrong one has.
        pytest.param([0.1, 0.9], 50 * 51 / 101, id="wrong-one-first"),
    ],
)
def test_average_precision_hand_worked(scores, expected):
    true = np.random.default_rng(0).uniform(0, 50, (2, 14, 2))
    predicted = true.copy()
    predicted[1] = np.nan  # nothing predicted: similarity 0, yet a false alarm
    result = oks_summary(
        predicted, true, np.full((2, 14), 2), [5000.0, 5000.0], LSP.sigmas, scores
    )
    np.testing.assert_allclose(result.ap, expected)
    assert result.ar == pytest.approx(50)
    assert result.mean == pytest.approx(50)


def test_unlabelled_people_are_left_out_and_inputs_not_changed(capsys):
    predicted, true, visible, areas, scores = _people()
    visible[3] = 0
    true[3] = np.nan
    arrays = [predicted, true, visible, areas, scores]
    copies = [np.array(a) for a in arrays]
    result = oks_summary(predicted, true, visible, areas, COCO_SKELETON.sigmas, scores)
    assert result.num_people == len(true) - 1
    assert np.isfinite(result.ap)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert capsys.readouterr().out == ""


def test_nobody_labelled_is_an_error():
    predicted, true, visible, areas, scores = _people()
    with pytest.raises(ValueError, match="labelled keypoints"):
        oks_summary(predicted, true, visible * 0, areas, COCO_SKELETON.sigmas, scores)


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"tinypose\[train\]"):
        module.require_library()
