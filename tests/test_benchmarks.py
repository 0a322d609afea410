"""Benchmarks: what their figures are computed with; no peer's file is needed."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinypose.errors import TinyposeError
from tinypose.evaluation.result import limb_keypoints
from tinypose.metadata import read_metadata
from tinypose.skeletons import LSP
from tinypose.weights import shipped, shipped_weights

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def benchmarks():
    """Return a function that imports a module of the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module


@pytest.fixture(scope="module")
def pareto(benchmarks):
    return benchmarks("pareto")


@pytest.fixture(scope="module")
def tables(benchmarks):
    return benchmarks("tables")


@pytest.fixture(scope="module")
def peers(benchmarks):
    return {peer.name: peer for peer in benchmarks("peers").PEERS}


BOXES = np.array([[10.0, 20.0, 40.0, 100.0], [-5.0, 3.0, 60.0, 30.0]])


def test_jittered_boxes_are_off_by_as_much_as_stated(pareto) -> None:
    boxes = np.tile(BOXES, (200, 1))
    jittered = pareto.jitter_boxes(boxes, range(len(boxes)))
    growth = np.abs(np.log(jittered[:, 2:] / boxes[:, 2:]))
    assert (growth >= np.log(1.10) - 1e-9).all()
    assert (growth <= np.log(1.25) + 1e-9).all()
    moved = jittered[:, :2] + jittered[:, 2:] / 2 - boxes[:, :2] - boxes[:, 2:] / 2
    share = np.linalg.norm(moved, axis=1) / boxes[:, 2:].max(axis=1)
    assert share.min() >= 0.10 - 1e-9 and share.max() <= 0.25 + 1e-9
    # Both sides grow and shrink, each apart; centres move every way.
    larger = jittered[:, 2:] > boxes[:, 2:]
    assert {tuple(pair) for pair in larger.tolist()} == {
        *((a, b) for a in (True, False) for b in (True, False))
    }
    assert np.abs((moved > 0).mean(axis=0) - 0.5).max() < 0.1


def test_a_jittered_box_depends_on_its_own_seed_alone(pareto) -> None:
    before = BOXES.copy()
    both = pareto.jitter_boxes(BOXES, [7, 8])
    np.testing.assert_array_equal(BOXES, before)
    np.testing.assert_array_equal(both[1:], pareto.jitter_boxes(BOXES[1:], [8]))
    assert (both[0] != pareto.jitter_boxes(BOXES[:1], [9])[0]).all()
    assert pareto.jitter_boxes(np.zeros((0, 4)), []).shape == (0, 4)


COCO_ORDER = [16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9, -1, -1]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("MoveNet Lightning int8", COCO_ORDER),
        ("PP-TinyPose 128x96", COCO_ORDER),
        ("Ultralight-SimplePose", COCO_ORDER),
        ("EfficientPose RT", [12, 11, 10, 13, 14, 15, 4, 3, 2, 6, 7, 8, 1, 0]),
        (
            "PoseEstimationForMobile CPM",
            [10, 9, 8, 11, 12, 13, 4, 3, 2, 5, 6, 7, 1, 0],
        ),
        (
            "BlazePose lite (one pass)",
            [28, 26, 24, 23, 25, 27, 16, 14, 12, 11, 13, 15, -1, -1],
        ),
    ],
)
def test_peers_keypoints_are_found_by_name(peers, name: str, order) -> None:
    assert peers[name].skeleton.mapping_to(LSP).tolist() == order


def test_every_peer_has_the_twelve_limb_keypoints(peers) -> None:
    assert len(peers) == 9
    for peer in peers.values():
        assert len(limb_keypoints(peer.skeleton)) == 12, peer.name


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("MoveNet Lightning fp16", (1, 192, 192, 3), np.uint8),
        ("PP-TinyPose 128x96", (1, 3, 128, 96), np.float32),
        ("EfficientPose RT", (1, 224, 224, 3), np.float32),
        ("BlazePose lite (one pass)", (1, 256, 256, 3), np.float32),
    ],
)
def test_peers_inputs_have_their_networks_shape(peers, name, shape, dtype) -> None:
    peer = peers[name]
    prepared = peer.prepare(np.full((*peer.input_hw, 3), 255, np.uint8))
    assert (prepared.shape, prepared.dtype) == (shape, dtype)


def test_mobile_poses_input_is_blue_first(peers) -> None:
    crop = np.zeros((192, 192, 3), np.uint8)
    crop[..., 0] = 9
    prepared = peers["PoseEstimationForMobile CPM"].prepare(crop)
    assert prepared[0, 5, 7].tolist() == [0, 0, 9]


def test_movenet_gives_shares_of_the_crop_y_first(peers) -> None:
    output = np.zeros((1, 1, 17, 3))
    output[0, 0, 3] = [0.5, 0.25, 0.9]
    points = peers["MoveNet Lightning int8"].decode([output])
    assert points.shape == (17, 2)
    # The share counts from the edge of the picture, -0.5.
    assert points[3].tolist() == [192 / 4 - 0.5, 192 / 2 - 0.5]


def test_heatmaps_peak_is_a_cell_of_the_crop(peers) -> None:
    maps = np.zeros((1, 17, 32, 24), np.float32)
    maps[0, 5, 10, 6], maps[0, 5, 10, 7] = 1.0, 0.5
    points = peers["PP-TinyPose 128x96"].decode([maps])
    # Between it and the higher neighbour, in cells of 4 pixels from the first on.
    assert 4 * 6 < points[5, 0] < 4 * 7
    assert points[5, 1] == 4 * 10
    maps = np.zeros((1, 17, 64, 48), np.float32)
    maps[0, 5, 10, 6], maps[0, 5, 10, 7] = 1.0, 0.5
    points = peers["Ultralight-SimplePose"].decode([maps])
    # A quarter of a cell towards it.
    assert points[5].tolist() == [4 * 6.25, 4 * 10]


def test_blaze_pose_is_refined_only_where_its_map_is_sure(peers) -> None:
    coordinates = np.tile([100.0, 60.0, 0, 0, 0], (39, 1)).reshape(1, 195)
    logits = np.full((1, 64, 64, 39), -30.0, np.float32)
    # The cell of (100, 60) is (25, 15): 27, 16 is within reach, 30, 15 is not.
    logits[0, 16, 27, 1] = 30.0
    logits[0, 15, 30, 2] = 30.0
    points = peers["BlazePose lite (one pass)"].decode([coordinates, 0, 0, logits])
    assert points.shape == (33, 2)
    assert points[0].tolist() == points[2].tolist() == [99.5, 59.5]
    np.testing.assert_allclose(points[1], [27 * 4 - 0.5, 16 * 4 - 0.5], atol=1e-6)


def test_operations_counted_in_our_files_are_those_of_the_networks(benchmarks) -> None:
    for path in shipped().values():
        metadata = read_metadata(path)
        parameters, macs = benchmarks("peers").LiteRT.count_cost([path], ())
        # The decoder in the file adds next to nothing.
        assert macs == pytest.approx(metadata.macs, rel=0.001)
        # Batch norm is folded into the convolutions there.
        assert 0.5 < parameters / metadata.num_parameters <= 1


def test_a_peer_that_is_not_there_says_what_to_do(pareto, peers, tmp_path) -> None:
    peer = peers["PP-TinyPose 128x96"]
    with pytest.raises(TinyposeError, match="--peers FOLDER"):
        pareto.open_peer(peer, None)
    with pytest.raises(TinyposeError, match=r"put tinypose_128x96\.param and"):
        pareto.open_peer(peer, tmp_path)


def test_figures_are_means_over_keypoints_that_both_have(pareto) -> None:
    nan, inf = np.nan, np.inf
    errors = np.array([[0.05, 0.15, 0.3, nan], [0.15, 0.15, inf, nan]])
    result = pareto.summarise({"true": errors, "jittered": 2 * errors}, [0, 2])
    assert result.keypoints == 3
    # At 0.2: 100, 100 and 0 %; at 0.1: 50, 0 and 0 %; limbs are first and third.
    assert result.all_keypoints == pytest.approx(200 / 3)
    assert result.strict == pytest.approx(50 / 3)
    assert (result.limbs, result.limbs_strict) == (50, 25)
    assert result.limbs_interval == (50, 50)
    # Doubled, only the first of both people is within 0.2 at the first keypoint.
    assert result.limbs_jittered == 25
    assert np.isnan(result.limbs_no_box)


def test_pictures_are_put_anywhere_onto_a_larger_one(pareto) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    corners = []
    for seed in range(20):
        canvas, (x, y) = pareto.put_on_canvas(picture, seed)
        assert canvas.shape == (100, 75, 3)
        part = canvas[int(y) : int(y) + 40, int(x) : int(x) + 30]
        assert np.array_equal(part, picture)
        part[:] = picture.mean(axis=(0, 1)).round()
        assert (canvas == canvas[0, 0]).all()
        corners.append((x, y))
    assert len(set(corners)) > 15
    assert pareto.put_on_canvas(picture, 3)[1].tolist() == list(corners[3])


ROW = {
    "model": "PP",
    "by": "others",
    "runtime": "ncnn",
    "limbs_pck_0.2_percent": "89.6",
    "limbs_pck_0.2_low_percent": "87.5",
    "limbs_pck_0.2_high_percent": "91.4",
    "limbs_pck_0.2_jittered_box_percent": "80.1",
    "limbs_pck_0.2_no_box_percent": "",
    "limbs_pck_0.1_percent": "70.0",
    "milliseconds_1_thread": "14.40",
    "milliseconds_2_threads": "9.00",
    "file_bytes": 2716907,
    "parameters": 1300177,
    "million_macs": "302.3",
    "start_up_milliseconds": "65",
    "peak_memory_mib": "51",
    "data": "lsp 701-1000",
    "people": 300,
    "machine": "2 x test",
}


def test_the_table_has_a_line_per_model_and_a_dash_for_nothing(pareto) -> None:
    ours = {**ROW, "model": "tiny", "by": "tinypose"}
    head, rule, first, second = pareto.table([ours, ROW]).splitlines()
    assert head.count("|") == rule.count("|") == first.count("|") == second.count("|")
    assert first.startswith("| **`tiny`** | 89.6 % (87.5 – 91.4) | 80.1 % | – |")
    assert "| 14.40 ms | 9.00 ms | 2,717 KB | 1,300,177 | 302.3 |" in second


def test_a_table_goes_between_its_marks(tables, tmp_path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- pareto -->\nold\n<!-- /pareto -->\nb\n")
    tables.update_table(page, "pareto", "new\n")
    assert page.read_text() == "a\n<!-- pareto -->\nnew\n<!-- /pareto -->\nb\n"
    for without in ("none\n", "<!-- pareto -->\n", "<!-- /pareto -->\n"):
        page.write_text(without)
        tables.update_table(page, "pareto", "new\n")
        assert page.read_text() == without


@pytest.mark.parametrize(
    ("document", "mark", "benchmark", "results", "read"),
    [
        ("README.md", "table", "shipped", "shipped", "read_lines"),
        ("README.md", "pareto", "pareto", "pareto", "read_rows"),
        ("docs/deploy.md", "precisions", "precisions", "precisions", "read_rows"),
        ("docs/deploy.md", "compression", "pruning", "compression", "read_rows"),
        ("docs/recipe.md", "table", "ablation", "ablation", "read_lines"),
        ("docs/deploy.md", "browser", "browser", "browser", "read_lines"),
    ],
    ids=["shipped", "pareto", "precisions", "compression", "ablation", "browser"],
)
def test_documents_show_what_was_measured(
    benchmarks, tables, document, mark, benchmark, results, read
) -> None:
    rows = getattr(tables, read)(ROOT / "results" / f"{results}.csv")
    assert rows
    _, _, text = (ROOT / document).read_text("utf-8").partition(f"<!-- {mark} -->\n")
    shown, end, _ = text.partition(f"<!-- /{mark} -->")
    assert end and shown == benchmarks(benchmark).table(rows)


def test_a_part_is_written_only_where_asked(pareto, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{**dict.fromkeys(pareto.HEADER, ""), **ROW}]
    marks = "<!-- pareto -->\n<!-- /pareto -->\n"
    Path("README.md").write_text(marks)
    pareto.write_results(rows, None, whole=False)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    pareto.write_results(rows, Path("part.csv"), whole=False)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"README.md", "part.csv", "part.png"}
    assert Path("README.md").read_text() == marks
    pareto.write_results(rows, None, whole=True)
    assert Path("results/pareto.csv").exists() and Path("results/pareto.png").exists()
    assert "| PP | 89.6 %" in Path("README.md").read_text()


def test_the_frontier_leaves_out_who_is_beaten(benchmarks) -> None:
    points = [(2.0, 80.0), (1.0, 50.0), (3.0, 70.0), (1.0, 40.0), (4.0, 90.0)]
    best = benchmarks("plot_pareto").frontier(points)
    assert best == [(1.0, 50.0), (2.0, 80.0), (4.0, 90.0)]


def test_a_budget_is_shared_among_phases(benchmarks) -> None:
    affordable = benchmarks("museum").affordable
    assert affordable([10.0], [1.0], 95.0) == 10
    # Half of the epochs take 10 s, a quarter each 20 and 40: 20 s on average.
    assert affordable([10.0, 20.0, 40.0], [2.0, 1.0, 1.0], 400.0) == 20
    assert affordable([500.0], [1.0], 10.0) == 1


@pytest.mark.parametrize(
    ("hip_xy", "degrees"),
    [((0, 10), 0), ((10, 0), 90), ((-10, 10), 45), ((0, -10), 180)],
)
def test_how_far_a_person_is_turned(benchmarks, hip_xy, degrees) -> None:
    names = benchmarks("museum").load_skeleton("lsp").names
    points = np.zeros((len(names), 2))
    for index, name in enumerate(names):
        if name.endswith("hip"):
            points[index] = hip_xy
    person = SimpleNamespace(skeleton=SimpleNamespace(names=names), keypoints_xy=points)
    assert benchmarks("kinds").turned(person) == pytest.approx(degrees)


def test_the_fastest_block_is_the_machines_own_speed(benchmarks) -> None:
    museum = benchmarks("museum")
    steps = np.full(museum.PROBE_WARM_UP + 3 * museum.PROBE_BLOCK, 0.5)
    steps[: museum.PROBE_WARM_UP] = 9.0
    steps[museum.PROBE_WARM_UP :][: museum.PROBE_BLOCK] = 2.0
    assert museum.fastest_step(np.cumsum(steps)) == pytest.approx(0.5)
    with pytest.raises(SystemExit, match="training data for 30 steps or more, found 5"):
        museum.fastest_step(range(5))


def test_an_epoch_on_a_shared_machine_counts_as_a_usual_one(benchmarks) -> None:
    seconds = benchmarks("museum").training_seconds
    assert seconds([10, 10, 90, 30, 31, 500], [3, 6]) == pytest.approx(3 * 10 + 3 * 31)
    assert seconds([10, 12], [2]) == pytest.approx(22)


def test_a_plan_is_read_as_it_was_written(benchmarks, tmp_path) -> None:
    museum, path = benchmarks("museum"), tmp_path / "museum_plan.csv"
    plan = museum.Plan("deeppose_cascade", 31, 40.2, (60.1, 70.5), 1.25, "2 x CPU, new")
    museum.add_lines(path, museum.PLAN_HEADER, [plan.line()])
    assert [museum.Plan.of_line(line) for line in museum.read_lines(path)] == [plan]


@pytest.mark.parametrize("trained_epochs", [None, 7])
def test_a_plan_fills_its_minutes(
    benchmarks, monkeypatch, tmp_path, trained_epochs
) -> None:
    from tinypose.config import save_config

    museum = benchmarks("museum")
    seconds = iter([30.0, 60.0, 60.0])
    monkeypatch.setattr(museum, "training_people", lambda *_: None)
    monkeypatch.setattr(museum, "seconds_per_epoch", lambda *_: next(seconds))
    monkeypatch.setattr(museum, "untrained_latencies", lambda _: [1.5])
    if trained_epochs:
        config = museum.museum_config("deeppose_cascade")
        training = replace(config.training, epochs=trained_epochs)
        (tmp_path / "deeppose_cascade").mkdir()
        path = tmp_path / "deeppose_cascade/config.yaml"
        save_config(path, replace(config, training=training))
    arguments = SimpleNamespace(runs=tmp_path, minutes=20.0)
    plan = museum.plan("deeppose_cascade", arguments)
    if trained_epochs:
        assert plan.epochs == trained_epochs
    else:
        assert plan.minutes == pytest.approx(20, abs=1)
        assert 20 < plan.epochs < 40


def test_the_detection_alone_is_judged_beside_the_regression(benchmarks) -> None:
    museum = benchmarks("museum")
    codecs = museum.answering_codecs(museum.museum_config("part_heatmap"))
    assert list(codecs) == ["part_masks", "heatmaps_1"]
    # A disc's middle is its keypoint; the masks are logits, a quarter in size.
    y, x = np.mgrid[:32, :32]
    disc = np.where(np.hypot(x - 10, y - 20) <= 2, 5.0, -5.0)[None, ..., None]
    codec = codecs["part_masks"]
    points, _ = codec.decode(museum.readable("part_masks", codec, disc))
    assert points[0, 0] == pytest.approx([41.5, 81.5], abs=0.1)
    codecs = museum.answering_codecs(museum.museum_config("multi_resolution"))
    assert list(codecs) == ["heatmaps_1", "coordinates_2"]


def test_only_chosen_and_labelled_keypoints_are_counted(benchmarks) -> None:
    share = benchmarks("museum").right_share
    errors = np.array([[0.1, 0.3, np.nan], [0.2, 0.5, 0.6]])
    chosen = np.array([[True, True, True], [True, True, False]])
    assert share(errors, chosen) == pytest.approx(50)
    assert share(errors, chosen & np.isnan(errors)) == 0


def test_families_keep_the_order_of_the_road(benchmarks, tmp_path) -> None:
    museum, path = benchmarks("museum"), tmp_path / "museum.csv"
    header = ("family", "value")
    museum.add_lines(path, header, [["tiny_hourglass", 1]])
    museum.add_lines(path, header, [["deeppose", 2], ["deeppose", 3]])
    museum.add_lines(path, header, [["tiny_hourglass", 4]])
    assert museum.read_lines(path) == [
        ["deeppose", "2"],
        ["deeppose", "3"],
        ["tiny_hourglass", "4"],
    ]
    assert museum.finished(path) == {"deeppose", "tiny_hourglass"}


@pytest.fixture
def heads(benchmarks):
    """The other heads; the package's families are as before afterwards."""
    from tinypose.models import FAMILIES
    from tinypose.training.losses import LOSSES

    known, losses = dict(FAMILIES), dict(LOSSES)
    module = importlib.reload(benchmarks("heads"))
    yield module
    FAMILIES.clear()
    FAMILIES.update(known)
    LOSSES.clear()
    LOSSES.update(losses)


def small_head(family: str):
    """Return the network and codecs of a head, on pictures of 64x64."""
    from tinypose.models import FAMILIES

    config = FAMILIES[family].config_class(
        input_hw=(64, 64),
        num_keypoints=3,
        stem_channels=8,
        channels=(8, 8),
        encoder_blocks=(0, 1),
        decoder_convs=(1,),
    )
    return FAMILIES[family].build(config), FAMILIES[family].codecs(config)


@pytest.mark.parametrize("family", ["conv_simcc", "conv_offsets"])
def test_targets_of_other_heads_decode_to_their_keypoints(heads, family) -> None:
    import keras

    generator = np.random.default_rng(0)
    points = generator.uniform(0, 63, (5, 3, 2)).astype("float32")
    visible = np.full((5, 3), 2)
    net, codecs = small_head(family)
    targets = {
        key: np.asarray(codec.encode(points, visible)[0])
        for key, codec in codecs.items()
    }
    layer = net.get_layer("coordinates_1")
    if family == "conv_simcc":
        assert targets["simcc_1"].shape == (5, 3, 2, 128)
        np.testing.assert_allclose(targets["simcc_1"].sum(axis=-1), 1, atol=1e-5)
        found, most = layer(targets["simcc_1"]), 0.26  # half a bin
    else:
        steps = targets["offsets_1"][..., :2].reshape(5, 16, 16, 6)
        found, most = layer([targets["heatmaps_1"], steps]), 1e-3
    decoded, _ = codecs["coordinates_1"].decode(np.asarray(found))
    assert np.abs(decoded - points).max() < most
    # The network's outputs have the shapes that the losses expect.
    outputs = net(keras.ops.zeros((2, 64, 64, 3)))
    assert outputs["coordinates_1"].shape == (2, 3, 2)


def test_other_heads_learn_from_their_losses(heads) -> None:
    from tinypose.training.losses import LOSSES

    points = np.array([[[10.0, 20.0], [30.0, 40.0], [99.0, 10.0]]], "float32")
    visible = np.array([[2, 0, 2]])
    for family, key in (("conv_simcc", "simcc_1"), ("conv_offsets", "offsets_1")):
        _, codecs = small_head(family)
        target, weights = codecs[key].encode(points, visible)
        # Unlabelled keypoints never count; outside the crop there is no bin.
        assert np.asarray(weights).tolist()[0][:2] == [1.0, 0.0]
        loss = LOSSES[type(codecs[key])]
        if key == "simcc_1":
            assert np.asarray(weights)[0, 2] == 0
            right = 50 * np.asarray(target)
            wrong = np.roll(right, 20, axis=-1)
            masked = right.copy()
            masked[:, 1] = 7.0
        else:
            right = np.asarray(target)[..., :2].reshape(1, 16, 16, 6)
            wrong, masked = right + 1, right.copy()
            masked[..., 2:4] += 7.0
        assert float(loss(target, right, weights)) < float(loss(target, wrong, weights))
        np.testing.assert_allclose(
            loss(target, masked, weights), loss(target, right, weights), rtol=1e-6
        )


def test_every_variant_of_the_ablation_is_a_configuration(heads, benchmarks) -> None:
    ablation = benchmarks("ablation")
    names = [(variant.lever, variant.name) for variant in ablation.VARIANTS]
    assert len(set(names)) == len(names)
    base = ablation.variant_config(ablation.BASELINE)
    for variant in ablation.VARIANTS:
        config = ablation.variant_config(variant)
        assert (config == base) == (not variant.changes)
        assert variant.teacher in ("", *shipped_weights())


def test_networks_of_the_ablation_are_timed_once(
    heads, benchmarks, monkeypatch
) -> None:
    ablation = benchmarks("ablation")
    timed = []

    def latencies(configs, precision, rounds):
        timed.extend(configs)
        return [1.0 + number for number in range(len(configs))]

    monkeypatch.setattr(ablation, "untrained_latencies", latencies)
    chosen = [
        variant
        for variant in ablation.VARIANTS
        if variant.lever in ("base", "stacks", "scale")
    ]
    assert [v.lever for v in chosen] == ["base", "base", "stacks", "scale", "scale"]
    empty = [""] * (len(ablation.HEADER) - 2)
    rows = [[variant.lever, variant.name, *empty] for variant in chosen]
    ablation.time_networks(rows)
    column = ablation.HEADER.index("times_base_int8")
    assert [row[column] for row in rows] == ["1.00", "1.00", "2.00", "1.00", "1.00"]
    assert [config.model.num_stacks for config in timed] == [1, 2]


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ("model name\t: A\nflags\t: avx2 avx512_vnni\n", "x A (AVX-512 VNNI)"),
        ("model name\t: A\nflags\t: sse4_2 avx2\n", "x A (AVX2)"),
        ("Features\t: fp asimd asimddp\n", "(dot products)"),
        ("model name\t: A\nflags\t: sse4_2\n", "x A"),
    ],
)
def test_a_machine_says_how_it_multiplies_eight_bits(
    benchmarks, tmp_path, info, expected
) -> None:
    (tmp_path / "cpuinfo").write_text(info)
    described = benchmarks("machine").describe_machine(tmp_path / "cpuinfo")
    assert described.endswith(expected)


@pytest.mark.parametrize("ending", ["nothing", TinyposeError, KeyboardInterrupt])
def test_scripts_end_without_a_traceback(benchmarks, ending) -> None:
    def main() -> None:
        if ending != "nothing":
            raise ending("no such file")

    run_script = benchmarks("script").run_script
    if ending == "nothing":
        run_script(main)
        return
    with pytest.raises(SystemExit) as ended:
        run_script(main)
    expected = {TinyposeError: "error: no such file", KeyboardInterrupt: "stopped"}
    assert ended.value.code == expected[ending]


def test_every_script_ends_so() -> None:
    texts = {path.name: path.read_text() for path in BENCHMARKS.glob("*.py")}
    scripts = {name for name, text in texts.items() if "__main__" in text}
    scripts -= {"peers.py"}  # which pareto.py starts
    assert len(scripts) > 15
    assert not [name for name in scripts if "    run_script(main)\n" not in texts[name]]
