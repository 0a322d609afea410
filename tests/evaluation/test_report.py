import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from tinypose.errors import MissingDependencyError, TinyposeError
from tinypose.evaluation import figures
from tinypose.evaluation.evaluate import evaluate
from tinypose.evaluation.markup import Html, join, tag
from tinypose.evaluation.report import (
    HTML_NAME,
    JSON_NAME,
    rank_people,
    render_report,
    write_report,
)
from tinypose.skeletons import MPII

pytest.importorskip("faster_coco_eval")
pytest.importorskip("matplotlib")

HOSTILE = '<script>alert("x")</script>&\udcff\'.jpg'
VOID = {"br", "img", "meta"}


class _Page(HTMLParser):
    """Collects tags and text, and checks that tags are balanced."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text, self.urls = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.urls += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.handle_endtag(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def evaluation(make_person, make_predictor, arm_xy):
    # Person i is off by i pixels: 0, 0.1 .. 2 torsos of 10 pixels.
    predictions = [arm_xy + np.array([index, 0]) for index in range(21)]
    people = [make_person(sample_id=f"person {index}") for index in range(21)]
    people[20] = make_person(sample_id=HOSTILE)
    return evaluate(make_predictor(predictions), people, data=f"arms={HOSTILE}")


def test_page_is_balanced_and_self_contained(evaluation):
    page = _Page(render_report(evaluation))
    assert page.tags[0] == "html"
    assert "script" not in page.tags
    assert page.tags.count("img") == 18
    assert page.tags.count("svg") == 1
    pictures = [url for url in page.urls if not url.startswith("#")]
    assert len(pictures) == 18
    assert all(url.startswith("data:image/jpeg;base64,") for url in pictures)


def test_page_shows_the_numbers(evaluation):
    text = " ".join(_Page(render_report(evaluation)).text)
    # Errors 0, 0.1 and 0.2 are right: 3 of 21 people.
    assert evaluation.accuracy.headline.mean == pytest.approx(300 / 21)
    low, high = evaluation.accuracy.intervals.mean
    for number in ("14.3", f"{low:.1f} – {high:.1f}", "21 people", "@0.05"):
        assert number in text
    for words in ("left wrist", "left elbow – left wrist", "0.53 × area", "arms"):
        assert words in text


def test_page_shows_area_and_kinds_of_errors(make_person, make_predictor, arm_xy):
    predicted = arm_xy.copy()
    predicted[3] = arm_xy[2]
    result = evaluate(make_predictor([predicted]), [make_person()])
    html = render_report(result)
    text = " ".join(_Page(html).text)
    assert "area under the curve below, 0 to 0.5 of the torso" in text
    assert "wrong at 0.2 of the torso" in text and "within 0.4" in text
    cells = re.search(r"Wrong keypoints by kind.*?left wrist</td>(.*?)</tr>", html)
    # Swap, other, jitter, miss and how many.
    assert _Page(cells[1]).text == ["0.0", "100.0", "0.0", "0.0", "1"]
    assert "MPII" not in text


def test_page_says_how_mpii_counts(make_person, make_predictor):
    points = np.random.default_rng(0).uniform(5, 55, (16, 2))
    person = make_person(points, skeleton=MPII)
    result = evaluate(make_predictor([points], skeleton=MPII), [person])
    text = " ".join(_Page(render_report(result)).text)
    assert "without pelvis and thorax" in text


def test_hostile_names_are_escaped_everywhere(evaluation):
    html = render_report(evaluation)
    assert "<script" not in html
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;?" in html
    html.encode()  # the stray byte is gone


def test_files_are_written_and_agree(evaluation, tmp_path):
    path = write_report(tmp_path / "new" / "folder", evaluation)
    assert path.name == HTML_NAME
    assert path.read_text("utf-8").startswith("<!doctype html>")
    value = json.loads((path.parent / JSON_NAME).read_text("utf-8"))
    assert value == json.loads(json.dumps(evaluation.to_dict()))
    assert sorted(p.name for p in path.parent.iterdir()) == [JSON_NAME, HTML_NAME]


def test_page_is_the_same_every_time(evaluation):
    assert render_report(evaluation) == render_report(evaluation)


def test_folder_that_cannot_be_written_is_one_clear_line(evaluation, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(TinyposeError, match="cannot write"):
        write_report(tmp_path / "taken", evaluation)


def test_best_and_worst_are_ranked_and_distinct(evaluation):
    best, worst = rank_people(evaluation)
    assert [p.sample.sample_id for p in best] == [f"person {i}" for i in range(6)]
    # Errors are capped at one torso: from person 10 on, all are equally bad.
    assert len(worst) == 12
    assert all(p.mean_error == 1.0 for p in worst[:11])
    assert not {p.sample.sample_id for p in best} & {p.sample.sample_id for p in worst}


def test_few_people_are_shown_once_and_unscored_ones_never(
    make_person, make_predictor, arm_xy
):
    people = [make_person(), make_person(), make_person(visible=[0, 2, 2, 2])]
    result = evaluate(make_predictor([arm_xy, arm_xy + 1, arm_xy]), people)
    best, worst = rank_people(result)
    assert ([len(best), len(worst)]) == [1, 1]
    assert best[0].mean_error < worst[0].mean_error


def test_report_without_any_pck(make_person, make_predictor, arm_xy):
    # A single keypoint has neither a torso nor a box with sides.
    result = evaluate(make_predictor([arm_xy]), [make_person(visible=[0, 0, 2, 0])])
    page = _Page(render_report(result))
    assert "img" not in page.tags
    text = " ".join(page.text)
    assert "–" in text
    assert "nan" not in text


def test_report_with_another_normaliser_says_so(
    make_person, make_predictor, arm, arm_xy
):
    skeleton = replace(arm, torso=None)
    result = evaluate(
        make_predictor([arm_xy], skeleton), [make_person(skeleton=skeleton)]
    )
    text = " ".join(_Page(render_report(result)).text)
    assert "PCK@0.2 of the box side" in text
    assert "larger side of the person's box" in text
    assert "of the torso" not in text


def test_picture_shows_truth_and_prediction_in_place(
    make_person, make_predictor, arm_xy
):
    person = make_person()
    result = evaluate(make_predictor([arm_xy + np.array([0, 12])]), [person])
    drawn = figures.draw_result(result.people[0], result)
    # Input 64 x 48 (height, width), enlarged to a longer side of 320.
    assert drawn.shape == (320, 240, 3)
    # The crop is as wide as the padded box, 20 * 1.25 = 25 pixels, centred on
    # (40, 24): picture (x, y) is at ((x - 40) * 240 / 25 + 119.5, ...).
    zoom = 240 / 25
    centre = np.array([119.5, 159.5])
    # In the middle of the forearm, away from the dots of the keypoints.
    label = (arm_xy[2:].mean(axis=0) - np.array([40, 24])) * zoom + centre
    x, y = np.round(label).astype(int)
    assert drawn[y, x].min() > 180  # the label: near white
    x, y = np.round(label + np.array([0, 12 * zoom])).astype(int)
    red, _, blue = drawn[y, x].astype(int)
    assert blue > red + 60  # a predicted left limb: blue


def test_pictures_decode(evaluation):
    html = render_report(evaluation)
    first = re.search(r"data:image/jpeg;base64,([^\"]+)", html)
    data = np.frombuffer(base64.b64decode(first[1]), np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (320, 240, 3)


def test_curve_names_the_body_parts_and_follows_the_theme(evaluation):
    svg = figures.curve_svg(evaluation)
    assert svg.startswith("<svg")
    for words in ("shoulder", "elbow", "mean", "share of the torso", "currentColor"):
        assert words in svg
    assert "left" not in svg  # left and right are averaged


def test_missing_library_names_the_extra(evaluation, monkeypatch):
    monkeypatch.setattr(figures, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"tinypose\[train\]"):
        render_report(evaluation)


def test_tags_escape_text_but_not_html():
    inner = tag("b", "1 < 2", class_="x", data_y='"')
    assert inner == '<b class="x" data-y="&quot;">1 &lt; 2</b>'
    assert tag("p", inner, "&") == f"<p>{inner}&amp;</p>"
    assert join("<", Html("<br>")) == "&lt;<br>"
    assert tag("img", src="a") == '<img src="a">'
