"""Write an evaluation as JSON and as one self-contained HTML page."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from tinypose.evaluation import figures
from tinypose.evaluation.bootstrap import DRAWS
from tinypose.evaluation.markup import Html, join, tag
from tinypose.evaluation.pck import MPII_LEFT_OUT
from tinypose.evaluation.result import (
    ERROR_CAP,
    HEADLINE,
    Evaluation,
    PersonResult,
)
from tinypose.evaluation.tables import (
    error_table,
    interval,
    keypoint_table,
    limb_table,
    oks_table,
    percentage,
    section,
)
from tinypose.files import write_json, write_text

JSON_NAME = "evaluation.json"
HTML_NAME = "report.html"

NUM_BEST = 6
NUM_WORST = 12

# The page holds no script and loads nothing; the browser shall insist on it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(folder: str | Path, evaluation: Evaluation) -> Path:
    """Write ``evaluation.json`` and ``report.html`` into a folder.

    Args:
        folder: Created when missing; files of these names are replaced.
        evaluation: What was measured.

    Returns:
        The path of the HTML page.

    Raises:
        TinyposeError: the folder cannot be written, or a picture that is to
            be shown cannot be read.
        MissingDependencyError: the plotting library is not installed.
    """
    write_json(Path(folder) / JSON_NAME, evaluation.to_dict())
    path = Path(folder) / HTML_NAME
    write_text(path, render_report(evaluation))
    return path


def render_report(evaluation: Evaluation) -> Html:
    """Return the HTML page: styles, curve and pictures are all inside."""
    title = f"{evaluation.model}: PCK@{HEADLINE:g}"
    style = (files("tinypose.evaluation") / "report.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(style)),
    )
    best, worst = rank_people(evaluation)
    body = tag(
        "main",
        _header(evaluation),
        tag("div", _headline(evaluation), _tiles(evaluation), class_="hero"),
        keypoint_table(evaluation),
        error_table(evaluation),
        section("PCK by threshold", figures.curve_svg(evaluation)),
        tag("div", limb_table(evaluation), oks_table(evaluation), class_="pair"),
        _people("Worst predictions", worst, evaluation, "people large"),
        _people("Best predictions", best, evaluation, "people"),
        _method(evaluation),
    )
    page = tag("html", head, tag("body", body), lang="en")
    return Html(f"<!doctype html>\n{page}\n")


def rank_people(
    evaluation: Evaluation,
) -> tuple[list[PersonResult], list[PersonResult]]:
    """Return the best and the worst predictions, each most extreme first.

    Nobody is in both lists; people whom PCK leaves out are in neither.
    """
    scored = [person for person in evaluation.people if person.num_scored]
    ranked = sorted(scored, key=lambda person: person.mean_error)
    num_best = min(NUM_BEST, len(ranked) // 2)
    num_worst = min(NUM_WORST, len(ranked) - num_best)
    return ranked[:num_best], ranked[::-1][:num_worst]


def _header(evaluation: Evaluation) -> Html:
    metadata = evaluation.metadata
    height, width = metadata.input_hw
    facts = [
        metadata.family,
        f"input {width} × {height}",
        "with flip test" if evaluation.flip_test else "without flip test",
    ]
    if metadata.num_parameters:
        facts.append(f"{metadata.num_parameters:,} parameters")
    if metadata.macs:
        facts.append(f"{metadata.macs / 1e6:,.1f} million multiply-adds")
    return tag(
        "header",
        tag("p", "tinypose evaluation", class_="kicker"),
        tag("h1", evaluation.model),
        tag("p", " · ".join(facts), class_="quiet"),
        tag("p", f"Data: {evaluation.data or 'not described'}", class_="quiet"),
    )


def _headline(evaluation: Evaluation) -> Html:
    accuracy = evaluation.accuracy
    ends = accuracy.intervals.mean
    mean = accuracy.headline.mean
    label = f"PCK@{HEADLINE:g} of the {accuracy.references.pck_unit}, mean of keypoints"
    parts = [
        tag("p", label, class_="quiet"),
        tag("p", percentage(mean), tag("small", " %"), class_="headline"),
    ]
    if np.isfinite(mean):
        low, high = ends
        band = tag("i", style=f"left:{low:.2f}%;width:{high - low:.2f}%")
        mark = tag("b", style=f"left:{mean:.2f}%")
        parts.append(tag("div", band, mark, class_="range"))
    people = f"{accuracy.num_scored:,} people"
    parts.append(tag("p", f"95 % interval {interval(ends)}, {people}", class_="quiet"))
    return tag("section", *parts)


def _tiles(evaluation: Evaluation) -> Html:
    accuracy, timing = evaluation.accuracy, evaluation.timing
    pckh = percentage(accuracy.pckh.mean) if accuracy.pckh else "–"
    tiles = [
        (
            percentage(evaluation.limbs_mean(accuracy.headline)),
            f"PCK@{HEADLINE:g} of the limbs alone, shoulders to ankles",
        ),
        (pckh, "PCKh@0.5, in head lengths"),
        (percentage(accuracy.pcp.mean), "PCP, strict"),
        (
            percentage(accuracy.oks.ap),
            "OKS-AP, " + ("searched" if evaluation.searched else "true boxes"),
        ),
        (percentage(accuracy.oks.mean), "mean OKS"),
        (
            f"{timing.predict:.1f} ms",
            f"to predict one person, plus {timing.load:.1f} ms to read the picture",
        ),
    ]
    return tag(
        "div",
        *(
            tag("div", tag("b", value), tag("span", label), class_="tile")
            for value, label in tiles
        ),
        class_="tiles",
    )


def _people(
    title: str, people: Sequence[PersonResult], evaluation: Evaluation, kind: str
) -> Html:
    if not people:
        return join()
    unit = evaluation.accuracy.references.pck_unit
    order = f"By mean error as a share of the {unit}, each capped at {ERROR_CAP:g}."
    key = [
        join(tag("span", class_=f"key {colour}"), label)
        for colour, label in [
            ("left", "left"),
            ("right", "right"),
            ("centre", "centre"),
            ("truth", "label"),
        ]
    ]
    pictures = [_figure(person, evaluation) for person in people]
    note = join(order, *key)
    return section(title, tag("div", *pictures, class_=kind), note=note)


def _figure(person: PersonResult, evaluation: Evaluation) -> Html:
    name = person.sample.sample_id
    caption = (
        f"{person.num_right} of {person.num_scored} right, "
        f"error {person.mean_error:.2f}"
    )
    return tag(
        "figure",
        tag("img", src=figures.picture_url(person, evaluation), alt=f"pose of {name}"),
        tag("figcaption", tag("b", name), caption),
    )


def _method(evaluation: Evaluation) -> Html:
    references, timing = evaluation.accuracy.references, evaluation.timing
    metadata = evaluation.metadata
    skipped = evaluation.num_skipped
    unscored = evaluation.num_people - evaluation.accuracy.num_scored
    facts = [
        (
            "People",
            f"{evaluation.num_people:,} evaluated, {skipped:,} without labels, "
            f"{len(evaluation.left_out):,} whose pictures or boxes are of no use, "
            f"{len(evaluation.other_size):,} whose pictures are of another size than "
            "they were labelled at",
        ),
        (
            "Boxes",
            "none: whoever was found in a picture was taken for its person"
            if evaluation.searched
            else f"the labelled ones, padded by {metadata.padding:g}",
        ),
        (
            "PCK",
            f"errors divided by: {references.pck_name}; {unscored:,} people left "
            "out, for whom that is unknown",
        ),
        ("PCKh", _pckh_method(evaluation)),
        (
            "OKS",
            f"sigmas of skeleton {evaluation.accuracy.sigmas_of}; "
            f"{references.areas_name}",
        ),
        ("Intervals", f"percentile bootstrap over pictures, {DRAWS:,} draws"),
        ("Labels", "occluded keypoints count, those not labelled never do"),
        ("Time", f"batch of {timing.batch_size}, {timing.machine}"),
        ("Trained on", ", ".join(metadata.training_data) or "not stated"),
        ("Licence", metadata.licence),
        ("Version", f"tinypose {evaluation.version}"),
    ]
    entries = [join(tag("dt", name), tag("dd", value)) for name, value in facts]
    return section("How it was measured", tag("dl", *entries))


def _pckh_method(evaluation: Evaluation) -> str:
    accuracy = evaluation.accuracy
    text = f"errors divided by: {accuracy.references.head_name or 'unknown'}"
    if accuracy.pckh is not None and accuracy.pckh.weights is not None:
        text += (
            f"; mean as MPII's evaluation: without {' and '.join(MPII_LEFT_OUT)}, "
            "each other keypoint weighted by its labels"
        )
    return text
