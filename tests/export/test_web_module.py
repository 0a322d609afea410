"""``tinypose.js`` does in a browser what ``tinypose predict`` does here.

Run by Node, without a browser: crops, boxes, search, following and smoothing.
"""

import json
import re
import shutil
import subprocess
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from tinypose import geometry
from tinypose.geometry import crop_affine, invert_affine, transform_points
from tinypose.inference import pose, predictor, search, tracking
from tinypose.inference.pose import Pose
from tinypose.inference.tracking import OneEuroFilter, Tracker
from tinypose.skeletons import Skeleton, load_skeleton
from tinypose.weights import shipped

MODULE = files("tinypose.export") / "web_sources/tinypose.js"
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")

SKELETON = load_skeleton("lsp")
SIDE = 64

# A model that finds a person at PERSON, the surer the better the crop fits.
FAKE = """
const PERSON = [70, 40, 60, 120];
class Fake extends Predictor {
  constructor(person = PERSON) {
    super(null, METADATA);
    this.person = person;
    this.boxes = [];
  }
  async predictBox(picture, box) {
    this.boxes.push(box);
    const {left, top, scale} = cropOf(box, this.metadata);
    const [x, y, width, height] = this.person;
    const keypoints = NAMES.map((name, index) => {
      const point = {
        name,
        x: x + width * (index % 4) / 3,
        y: y + height * Math.floor(index / 4) / 3,
      };
      const inside = [(point.x + 0.5 - left) / scale, (point.y + 0.5 - top) / scale]
        .every((value) => value >= 0 && value <= SIDE);
      return {...point, score: inside ? Math.min(1, height / (scale * SIDE)) : 0.02};
    });
    const score = keypoints.reduce((sum, point) => sum + point.score, 0) / NAMES.length;
    return {keypoints, score, box};
  }
}
globalThis.OffscreenCanvas = class {};
"""

# What stands in for LiteRT.js: it loads once, as that does, and counts its tensors.
RUNTIME = """
export const runtime = {loads: 0, tensors: 0, isAway: false};
let loading;
export const getGlobalLiteRtPromise = () => loading;
export function loadLiteRt() {
  if (loading) {
    throw new Error('LiteRT is already loading / loaded.');
  }
  runtime.loads += 1;
  const work = runtime.isAway ? Promise.reject(new Error('away')) : Promise.resolve();
  return loading = work.catch((error) => {
    loading = undefined;
    throw error;
  });
}
export class Tensor {
  constructor(values) {
    runtime.tensors += 1;
    this.values = values?.slice();
  }
  async data() {
    if (runtime.isAway) {
      throw new Error('lost');
    }
    return new Float32Array(runtime.answer ?? 42);
  }
  delete() {
    runtime.tensors -= 1;
  }
}
export async function loadAndCompile() {
  return {
    async run(input) {
      runtime.seen = input;
      return [new Tensor()];
    },
  };
}
"""

# Canvases that note their sizes, and where each point of the picture lies on them.
CANVASES = """
const made = [];
globalThis.OffscreenCanvas = class {
  constructor(width, height) {
    Object.assign(this, {width, height, now: [1, 1, 0, 0]});
    made.push(this);
  }
  getContext() {
    return this;
  }
  setTransform(a, b, c, d, e, f) {
    this.now = [a, d, e, f];
  }
  fillRect() {}
  drawImage(source, x, y, width, height, toX, toY, toWidth, toHeight) {
    const [a, d, e, f] = this.now;
    const from = source.place ?? ((point) => point);
    this.place = (point) => {
      const [u, v] = from(point);
      return [
        a * (toX + (u - x) * toWidth / width) + e,
        d * (toY + (v - y) * toHeight / height) + f,
      ];
    };
  }
  getImageData() {
    return {data: Uint8Array.from({length: 4 * this.width * this.height}, (_, i) => i)};
  }
};
"""


class Fake:
    """The same model for the trackers and searches of Python."""

    padding = 1.25

    def __init__(self, person=(70, 40, 60, 120)):
        self.person = person

    def __call__(self, image, box_xywh=None):
        if box_xywh is None:
            hw = image.shape[:2]
            best = search.find_person(self.boxes, hw, padding=self.padding)
            return self.pose(best.box_xywh)
        return self.pose(np.asarray(box_xywh, np.float64))

    def boxes(self, boxes):
        poses = [self.pose(box) for box in boxes]
        return (
            np.array([found.keypoints_xy for found in poses]),
            np.array([found.scores for found in poses]),
        )

    def pose(self, box) -> Pose:
        index = np.arange(SKELETON.num_keypoints)
        x, y, width, height = self.person
        points = np.column_stack(
            [x + width * (index % 4) / 3, y + height * (index // 4) / 3]
        )
        affine = crop_affine(box, (SIDE, SIDE), padding=self.padding)
        inside = transform_points(affine, points) + 0.5
        scale = 1 / affine[0, 0]
        seen = ((inside >= 0) & (inside <= SIDE)).all(axis=1)
        scores = np.where(seen, min(1.0, height / (scale * SIDE)), 0.02)
        return Pose(
            keypoints_xy=points.astype(np.float32),
            scores=scores.astype(np.float32),
            skeleton=SKELETON,
            box_xywh=box,
        )


class FewKeypoints(Fake):
    """A model of one keypoint, or of some in a row, seen where they are."""

    places = np.zeros((0, 2))

    def pose(self, box) -> Pose:
        affine = crop_affine(box, (SIDE, SIDE), padding=self.padding)
        inside = transform_points(affine, self.places) + 0.5
        seen = ((inside >= 0) & (inside <= SIDE)).all(axis=1)
        return Pose(
            keypoints_xy=self.places.astype(np.float32),
            scores=np.where(seen, 0.8, 0.02).astype(np.float32),
            skeleton=Skeleton(name="few", names=("a", "b")[: len(self.places)]),
            box_xywh=box,
        )


@pytest.fixture
def node(tmp_path: Path):
    """Return a function that runs code with the module and returns its value."""
    package = tmp_path / "node_modules/@litertjs/core"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"type": "module", "main": "index.js"}')
    (package / "index.js").write_text(RUNTIME)
    (tmp_path / "tinypose.mjs").write_text(MODULE.read_text("utf-8"))

    def run(code: str) -> object:
        metadata = {
            "input_hw": [SIDE, SIDE],
            "padding": 1.25,
            "usual_score": 0.0,
            "heatmap_hw": [16, 16],
            "skeleton": SKELETON.to_dict(),
        }
        script = (
            "import * as tinypose from './tinypose.mjs';\n"
            "import fs from 'node:fs';\n"
            "import {runtime} from '@litertjs/core';\n"
            "const {Predictor, Tracker, OneEuroFilter, cropOf, personBox, windowBoxes,"
            " overlap, readMetadata} = tinypose;\n"
            f"const SIDE = {SIDE};\n"
            f"const METADATA = {json.dumps(metadata)};\n"
            f"const NAMES = METADATA.skeleton.keypoints;\n{FAKE}\n"
            f"const value = await (async () => {{ {code} }})();\n"
            "console.log(JSON.stringify(value));\n"
        )
        (tmp_path / "script.mjs").write_text(script)
        result = subprocess.run(
            [str(NODE), "script.mjs"], cwd=tmp_path, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return run


def test_its_numbers_are_those_of_the_package() -> None:
    text = MODULE.read_text("utf-8")
    found = dict(re.findall(r"^const ([A-Z_]+) = ([^;']+);", text, re.MULTILINE))
    places = (geometry, search, tracking, predictor, pose)
    for name, value in found.items():
        owners = [module for module in places if hasattr(module, name)]
        assert owners, name
        assert list(np.atleast_1d(getattr(owners[0], name))) == list(
            np.atleast_1d(json.loads(value))
        ), name
    assert len(found) > 15


@needs_node
@pytest.mark.parametrize("hw", [(64, 64), (96, 64), (64, 80)])
def test_crops_are_those_of_python(node, hw) -> None:
    boxes = [[10.25, 20.5, 33, 71], [-5, -9, 200, 50], [3, 4, 0, 0]]
    crops = node(
        f"return {json.dumps(boxes)}.map((box) => "
        f"cropOf(box, {{input_hw: {list(hw)}, padding: 1.25}}))"
    )
    for box, crop in zip(boxes, crops, strict=True):
        back = invert_affine(crop_affine(box, hw, padding=1.25))
        left, top = transform_points(back, [-0.5, -0.5]) + 0.5
        assert crop["left"] == pytest.approx(left)
        assert crop["top"] == pytest.approx(top)
        assert crop["scale"] == pytest.approx(back[0, 0])


@needs_node
def test_boxes_are_those_of_python(node) -> None:
    generator = np.random.default_rng(3)
    points = generator.uniform(0, 200, (20, 14, 2))
    scores = generator.uniform(0, 1, (20, 14)) ** 3
    scores[0] = 0.01
    people = [
        [
            {"x": x, "y": y, "score": score}
            for (x, y), score in zip(person, values, strict=True)
        ]
        for person, values in zip(points.tolist(), scores.tolist(), strict=True)
    ]
    found = node(f"return {json.dumps(people)}.map(personBox)")
    expected = [
        search.person_box(person, values)
        for person, values in zip(points, scores, strict=True)
    ]
    assert found[0] is None and expected[0] is None
    np.testing.assert_allclose(found[1:], np.array(expected[1:], np.float64))
    first, second = found[1], found[2]
    shared = node(f"return overlap({first}, {second})")
    assert shared == pytest.approx(search.overlap(np.array(first), np.array(second)))


@needs_node
@pytest.mark.parametrize("size", [(320, 200), (90, 400), (64, 64)])
def test_windows_are_those_of_python(node, size) -> None:
    width, height = size
    found = node(f"return windowBoxes({{width: {width}, height: {height}}}, 1.25)")
    np.testing.assert_allclose(found, search.window_boxes((height, width), 1.25))


@needs_node
@pytest.mark.parametrize(
    ("person", "size"),
    [((70, 40, 60, 120), (200, 200)), ((500, 300, 20, 40), (900, 500))],
    ids=["sure at once", "in a window"],
)
def test_the_search_ends_where_that_of_python_ends(node, person, size) -> None:
    width, height = size
    picture = f"{{width: {width}, height: {height}}}"
    found = node(
        f"const fake = new Fake({list(person)}); const pose = await "
        f"fake.predict({picture}); return {{...pose, passes: fake.boxes.length}}"
    )
    expected = Fake(person)(np.zeros((height, width, 3), np.uint8))
    np.testing.assert_allclose(found["box"], expected.box_xywh, rtol=1e-4)
    assert found["score"] == pytest.approx(expected.score, rel=1e-5)
    assert found["passes"] > 1


def follow_in_both(node, what, frames, box, fake, fake_of_js) -> list[dict]:
    """Return the poses of tinypose.js in frames, in which Python's are the same.

    Args:
        node: Runs JavaScript.
        what: The attribute of both models that changes from frame to frame.
        frames: Its values.
        box: Of the chosen person; None for anyone.
        fake: The model, in Python.
        fake_of_js: The same, an expression in JavaScript.
    """
    found = node(
        f"const fake = {fake_of_js}; const frames = {json.dumps(frames)}; "
        f"const tracker = new Tracker(fake, {{box: {json.dumps(box)}}}); "
        "const poses = []; "
        f"for (const [index, frame] of frames.entries()) {{ fake.{what} = frame; "
        "poses.push(await tracker.predict({width: 400, height: 300}, index / 25)); } "
        "return poses"
    )
    tracker = Tracker(fake, box_xywh=box)
    image = np.zeros((300, 400, 3), np.uint8)
    for index, (frame, pose_of_js) in enumerate(zip(frames, found, strict=True)):
        setattr(fake, what, np.array(frame))
        expected = tracker(image, index / 25)
        assert pose_of_js["found"] == tracker.found, index
        if tracker.found:
            points = [[point["x"], point["y"]] for point in pose_of_js["keypoints"]]
            np.testing.assert_allclose(points, expected.keypoints_xy, atol=1e-3)
    return found


@needs_node
@pytest.mark.parametrize("box", [None, [48, 42, 66, 110]], ids=["anyone", "chosen"])
def test_a_person_is_followed_as_in_python(node, box) -> None:
    people = [
        *([50 + 4 * index, 40, 60, 120] for index in range(12)),
        *([300, 60, 60, 120] for _ in range(8)),  # a cut to somebody else
        *([-900, 60, 60, 120] for _ in range(7)),  # nobody
        *([80, 60, 60, 120] for _ in range(3)),
    ]
    if box:
        # Hidden, back, beside somebody else; gone for good.
        people[4:7] = [[-900, 60, 60, 120]] * 3
        people[9:11] = [[150, 60, 60, 120]] * 2
    found = follow_in_both(node, "person", people, box, Fake(), "new Fake()")
    assert {pose_of_js["found"] for pose_of_js in found} == {True, False}


@needs_node
@pytest.mark.parametrize("count", [1, 2], ids=["one keypoint", "in a row"])
def test_few_keypoints_are_followed_as_in_python(node, count) -> None:
    generator = np.random.default_rng(0)
    places = np.array([[150.0, 90.0], [190.0, 90.0]])[:count]
    steps = 2.0 * np.arange(40)[:, None, None] * [1, 0]
    frames = (places + steps + generator.normal(0, 0.7, (40, count, 2))).tolist()
    box = [130, 70, 80, 40]
    few = (
        "Object.assign(new Fake(), {async predictBox(picture, box) { "
        "const crop = cropOf(box, this.metadata); "
        "const keypoints = this.places.map(([x, y]) => ({x, y, score: "
        "[(x + 0.5 - crop.left) / crop.scale, (y + 0.5 - crop.top) / crop.scale]"
        ".every((value) => value >= 0 && value <= SIDE) ? 0.8 : 0.02})); "
        "return {keypoints, score: keypoints[0].score, box}; }})"
    )
    found = follow_in_both(node, "places", frames, box, FewKeypoints(), few)
    assert all(pose_of_js["found"] for pose_of_js in found)
    # A filter that begins anew with each frame passes on what is seen.
    smooth = [[[p["x"], p["y"]] for p in each["keypoints"]] for each in found]
    errors = [np.array(each) - places - steps for each in (frames, smooth)]
    seen, smoothed = (each[20:].std(axis=0).max() for each in errors)
    assert smoothed < 0.8 * seen


@needs_node
def test_smoothing_is_that_of_python(node) -> None:
    generator = np.random.default_rng(5)
    tracks = np.cumsum(generator.normal(0, 3, (12, 2, 2)), axis=0) + 50
    frames = [[{"x": x, "y": y} for x, y in points] for points in tracks.tolist()]
    found = node(
        "const filter = new OneEuroFilter(); "
        f"return {json.dumps(frames)}.map((points, index) => "
        "filter.apply(points, index / 30, 80))"
    )
    steadied = OneEuroFilter()
    for index, (points, values) in enumerate(zip(tracks, found, strict=True)):
        expected = steadied(points, index / 30, 80.0)
        np.testing.assert_allclose(
            [[value["x"], value["y"]] for value in values], expected
        )


@needs_node
@pytest.mark.parametrize("name", shipped())
def test_it_reads_what_a_file_says_of_itself(node, name) -> None:
    path = shipped()[name]
    found = node(f"return readMetadata(fs.readFileSync({json.dumps(str(path))}))")
    with zipfile.ZipFile(path) as archive:
        assert found == json.loads(archive.read("tinypose.json"))


@needs_node
def test_a_file_without_metadata_is_told(node) -> None:
    message = node(
        "try { await readMetadata(new Uint8Array(500)); } "
        "catch (error) { return error.message; }"
    )
    assert message == "expected a model with tinypose metadata, found none"


@needs_node
def test_the_runtime_is_loaded_once_and_again_where_it_failed(node) -> None:
    path = json.dumps(str(next(iter(shipped().values()))))
    found = node(
        f"globalThis.fetch = async () => new Response(fs.readFileSync({path})); "
        "const load = () => Predictor.load('model.tflite', {wasm: 'wasm/'}); "
        "runtime.isAway = true; const failed = await load().catch((e) => e.message); "
        "runtime.isAway = false; await load(); await load(); "
        "return [failed, runtime.loads]"
    )
    assert found == ["away", 2]


@needs_node
def test_nothing_is_left_in_the_runtime(node) -> None:
    left = node(
        f"{CANVASES} const {{loadAndCompile}} = await import('@litertjs/core'); "
        "const predictor = new Predictor(await loadAndCompile(), METADATA); "
        "const picture = {width: 90, height: 60}; const left = []; "
        "for (const isAway of [false, true]) { runtime.isAway = isAway; "
        "const end = await predictor.predict(picture, [9, 9, 30, 40]).then("
        "  () => 'done', (error) => error.message); left.push(end, runtime.tensors); } "
        "return left"
    )
    assert left == ["done", 0, "lost", 0]


@needs_node
@pytest.mark.parametrize("size", [(4032, 3024), (4031, 3021), (300, 200)])
def test_of_a_large_photo_only_what_is_seen_is_halved(node, size) -> None:
    width, height = size
    boxes = [[0.3 * width, 0.25 * height, 0.2 * width, 0.3 * height]]
    boxes += [[-40, 0.9 * height, 300, 500], [0, 0, width, height]]
    found = node(
        f"{CANVASES} const {{loadAndCompile}} = await import('@litertjs/core'); "
        "const predictor = new Predictor(await loadAndCompile(), METADATA); "
        f"const picture = {{width: {width}, height: {height}}}; const found = []; "
        f"for (const box of {json.dumps(boxes)}) {{ made.length = 0; "
        "await predictor.predict(picture, box); "
        "const {left, top, scale} = cropOf(box, METADATA); "
        "const [x, y] = [box[0] + 0.4 * box[2], box[1] + 0.6 * box[3]]; "
        "const [u, v] = predictor.crop.place([x, y]); "
        "const pixels = made.reduce((sum, c) => sum + c.width * c.height, 0); "
        "found.push([u - (x - left) / scale, v - (y - top) / scale, pixels / "
        "  (scale * SIDE) ** 2, made.length]); } return found"
    )
    for off_x, off_y, _, _ in found:
        # The last row or column of an odd length stretches, as in a whole picture.
        assert abs(off_x) < 0.03 and abs(off_y) < 0.03
    # A quarter of what the crop covers, then a quarter of that ...
    assert all(pixels < 0.5 for _, _, pixels, _ in found)
    assert (found[0][3] > 1) == (width > 1000)


@needs_node
@pytest.mark.parametrize(
    ("picture", "box", "message"),
    [
        ("{displayWidth: 64, displayHeight: 48}", "[1, 2, 3, 4]", None),
        ("{}", "null", "expected a picture with pixels"),
        ("{videoWidth: 0, videoHeight: 0}", "null", "has the video begun?"),
        ("{width: 64, height: 48}", "[1, NaN, 3, 4]", "a box of numbers, found 64,48"),
        (
            "{width: 64, height: 48}",
            "[1, 2, 3]",
            "expected a box [x, y, width, height]",
        ),
        ("{width: 64, height: 48}", "[1, 2, 0, 4]", None),
        ("{width: 64, height: 48}", "[1, 2, 0, 0]", "picture of 64x48 pixels, found 1"),
        ("{width: 64, height: 48}", "[9, 9, -3, 4]", "that overlaps the picture"),
        ("{width: 64, height: 48}", "[80, 2, 9, 9]", "that overlaps the picture"),
    ],
)
def test_what_has_no_size_is_refused(node, picture, box, message) -> None:
    found = node(
        f"return new Fake().predict({picture}, {box}).then("
        "() => null, (error) => error.message)"
    )
    if message is None:
        assert found is None
    else:
        assert message in found


@needs_node
def test_keypoints_are_those_of_the_crop_in_the_picture(node) -> None:
    box = [30, 12, 40, 90]
    found, given = node(
        f"{CANVASES} const {{loadAndCompile}} = await import('@litertjs/core'); "
        "const predictor = new Predictor(await loadAndCompile(), METADATA); "
        "runtime.answer = [10.25, 20.5, 1.4, 7, 8, -0.2, ...Array(36).fill(0.5)]; "
        "const picture = {width: 200, height: 150}; "
        f"const pose = await predictor.predict(picture, {box}); "
        "return [pose, [...runtime.seen.values]]"
    )
    # Red, green and blue of each pixel, without the fourth.
    pixels = np.arange(4 * SIDE * SIDE, dtype=np.uint8).reshape(-1, 4)[:, :3]
    assert given == pixels.ravel().tolist()
    back = invert_affine(crop_affine(box, (SIDE, SIDE), padding=1.25))
    for point, (x, y) in zip(found["keypoints"], [(10.25, 20.5), (7, 8)], strict=False):
        assert (point["x"], point["y"]) == pytest.approx(transform_points(back, [x, y]))
    scores = [point["score"] for point in found["keypoints"]]
    assert scores == [1, 0, *[0.5] * 12]
    assert found["score"] == pytest.approx(np.mean(scores))
    names = [point["name"] for point in found["keypoints"]]
    assert names == list(SKELETON.names)


@needs_node
def test_the_page_is_a_program(tmp_path) -> None:
    page = (files("tinypose.export") / "web_sources/index.html").read_text("utf-8")
    (script,) = re.findall(r'<script type="module">(.+?)</script>', page, re.DOTALL)
    (tmp_path / "page.mjs").write_text(script)
    done = subprocess.run([str(NODE), "--check", "page.mjs"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    # It names what is there.
    (imported,) = re.findall(r"import {(.+?)} from './tinypose.js'", script)
    exported = re.findall(
        r"^export .*?(?:class|function) (\w+)", MODULE.read_text("utf-8"), re.MULTILINE
    )
    assert set(imported.split(", ")) <= set(exported)
    ids = set(re.findall(r'id="(\w+)"', page))
    assert ids == {"camera", "other", "file", "status", "view", "video"}
