"""Tables of the report: PCK by keypoint, PCP by limb, OKS."""

from collections.abc import Iterable

import numpy as np

from tinypose.evaluation.error_kinds import JITTER_FACTOR, KINDS
from tinypose.evaluation.markup import Html, tag
from tinypose.evaluation.pck import FloatArray, mean_known
from tinypose.evaluation.result import HEADLINE, Evaluation, limb_keypoints


def keypoint_table(evaluation: Evaluation) -> Html:
    """Return PCK at each threshold, PCKh and AUC, by keypoint and mean."""
    accuracy, intervals = evaluation.accuracy, evaluation.accuracy.intervals
    columns = [*accuracy.pck, *([accuracy.pckh] if accuracy.pckh else [])]
    head = ["keypoint", *(f"@{value.threshold:g}" for value in accuracy.pck)]
    head += [f"PCKh@{accuracy.pckh.threshold:g}"] if accuracy.pckh else []
    head += ["AUC", f"95 % interval @{HEADLINE:g}", "people"]
    rows = [
        _row(
            name.replace("_", " "),
            [*(value.per_keypoint[index] for value in columns), accuracy.auc[index]],
            intervals.per_keypoint[:, index],
            int(accuracy.headline.counts[index]),
        )
        for index, name in enumerate(evaluation.skeleton.names)
    ]
    count = accuracy.num_scored
    limbs = [evaluation.limbs_mean(value) for value in columns]
    limbs.append(mean_known(accuracy.auc[limb_keypoints(evaluation.skeleton)]))
    if np.isfinite(limbs).any():
        rows.append(
            _row("mean, limbs only", limbs, intervals.limbs_mean, count, "mean")
        )
    means = [*(value.mean for value in columns), mean_known(accuracy.auc)]
    rows.append(_row("mean", means, intervals.mean, count, "mean"))
    note = (
        f"Percent within a share of the {accuracy.references.pck_name}. AUC: the "
        f"area under the curve below, {accuracy.auc_range}."
    )
    return section("PCK by keypoint", _table(head, rows), note=note)


def error_table(evaluation: Evaluation) -> Html:
    """Return the kinds of wrong keypoints, by keypoint and of all."""
    errors = evaluation.accuracy.errors
    unit = evaluation.accuracy.references.pck_unit
    names = [name.replace("_", " ") for name in evaluation.skeleton.names]
    rows = [
        _error_row(name, shares, wrong)
        for name, shares, wrong in zip(
            names, errors.shares.T, errors.wrong, strict=True
        )
    ]
    rows.append(_error_row("all", errors.total_shares, errors.wrong.sum(), "mean"))
    note = (
        f"Percent of the keypoints that are wrong at {errors.threshold:g} of the "
        f"{unit}. Swap: on the mirrored partner's place. Other: on another keypoint. "
        f"Jitter: within {JITTER_FACTOR * errors.threshold:g} of its own place. "
        "Miss: elsewhere."
    )
    table = _table(["keypoint", *KINDS, "wrong"], rows)
    return section("Wrong keypoints by kind", table, note=note)


def limb_table(evaluation: Evaluation) -> Html:
    """Return strict PCP by limb and mean."""
    value = evaluation.accuracy.pcp
    rows = [
        tag(
            "tr",
            tag("td", f"{first} – {second}".replace("_", " ")),
            _bar(share),
            tag("td", f"{count:,}"),
        )
        for (first, second), share, count in zip(
            value.limbs, value.per_limb, value.counts, strict=True
        )
    ]
    rows.append(
        tag("tr", tag("td", "mean"), _bar(value.mean), tag("td"), class_="mean")
    )
    note = "Percent with both ends within half the limb's true length."
    table = _table(["limb", "PCP", "people"], rows)
    return section("PCP by limb, strict", table, note=note)


def oks_table(evaluation: Evaluation) -> Html:
    """Return OKS-AP, AR and the mean OKS."""
    value = evaluation.accuracy.oks
    rows = [
        tag("tr", tag("td", label), _bar(share))
        for label, share in [
            ("AP, OKS 0.50 to 0.95", value.ap),
            ("AP at 0.50", value.ap50),
            ("AP at 0.75", value.ap75),
            ("AR, OKS 0.50 to 0.95", value.ar),
            ("mean OKS", value.mean),
        ]
    ]
    note = (
        f"{value.num_people:,} people, each "
        f"{'searched' if evaluation.searched else 'with the true box'} and with one "
        "predicted pose; by the COCO evaluation library."
    )
    return section("OKS", _table(["", "%"], rows), note=note)


def section(title: str, *content: str, note: str = "") -> Html:
    """Return a card of the page with its title and a quiet line below it."""
    notes = [tag("p", note, class_="quiet")] if note else []
    return tag("section", tag("h2", title), *notes, *content)


def percentage(value: float) -> str:
    """Return a percentage to one decimal; a dash where it is unknown."""
    return f"{value:.1f}" if np.isfinite(value) else "–"


def interval(ends: FloatArray) -> str:
    """Return an interval (2,) of percentages; a dash where it is unknown."""
    low, high = ends
    return f"{low:.1f} – {high:.1f}" if np.isfinite(low) else "–"


def _row(
    label: str,
    values: Iterable[float],
    ends: FloatArray,
    count: int,
    kind: str = "keypoint",
) -> Html:
    cells = [tag("td", label), *(_bar(value) for value in values)]
    cells += [tag("td", interval(ends)), tag("td", f"{count:,}")]
    return tag("tr", *cells, class_=kind)


def _error_row(
    label: str, shares: Iterable[float], wrong: int, kind: str = "keypoint"
) -> Html:
    cells = [tag("td", label), *(_bar(share) for share in shares)]
    return tag("tr", *cells, tag("td", f"{wrong:,}"), class_=kind)


def _table(head: Iterable[str], rows: Iterable[str]) -> Html:
    cells = tag("tr", *(tag("th", label) for label in head))
    table = tag("table", tag("thead", cells), tag("tbody", *rows))
    return tag("div", table, class_="scroll")


def _bar(value: float) -> Html:
    """Return a table cell whose background shows the percentage."""
    share = value if np.isfinite(value) else 0.0
    return tag("td", percentage(value), class_="bar", style=f"--v:{share:.1f}")
