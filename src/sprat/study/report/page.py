"""The study as one page that opens offline: no script is needed, and nothing is loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from ..result import Result, Weak
from . import tables
from .card import card
from .charts import Drawing
from .frontier_chart import unplaced
from .markup import Content, Html, join, tag
from .numbers import known, level, percent, plus_minus, rough, span


def page(result: Result, drawn: Mapping[str, Drawing], folder: str = "study/") -> str:
    """The whole page, from a result and its drawings; `folder` is what the card says to verify."""
    style, script = _part("page.css"), _part("page.js")
    sections = list(_sections(result, drawn, folder))
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src '{_sha(script)}'"
    top = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"sprat study: {result.name}"),
        tag("style", Html(style)),
    ]
    links = [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in sections]
    body = [
        tag("header", _top(result), tag("nav", tag("ul", links), aria_label="Sections")),
        tag("main", [tag("section", tag("h2", title, id=name), content) for name, title, content in sections]),
        tag("footer", tag("p", f"sprat {result.version}, {result.date}, data {result.data_hash}.")),
        tag("script", Html(script)),
    ]
    return "<!doctype html>\n" + tag("html", tag("head", top), tag("body", body), lang="en") + "\n"


@cache
def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _sha(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _top(result: Result) -> list[Content]:
    facts = _facts(result) if result.shown else _missing(result)
    return [
        tag("p", f"sprat study · {result.name} · {result.date}", class_="kicker"),
        tag("h1", result.verdict, class_="shown" if result.shown else "refused"),
        tag("dl", [tag("div", tag("dd", _figure(value)), tag("dt", what)) for what, value in facts], class_="facts"),
        tag("p", "What was promised: " if result.shown else None, result.certificate.sentence),
        [tag("p", line) for line in result.advice],
    ]


def _facts(result: Result) -> list[tuple[str, str]]:
    c, chosen, large = result.certificate, result.chosen, result.large
    unit = "cost" if result.unit == "dollars" else result.unit
    return [
        (f"quality of {large} kept on the rows shown", span(chosen.kept, 1)),
        (f"of the {unit} saved against {large} alone", span(chosen.saving)),
        (f"of requests still ask {large}", span(chosen.large)),
        (f"confidence that {_asked(result)}", f"{100 * (1 - c.delta * c.lists):.4g} %"),
    ]


def _missing(result: Result) -> list[tuple[str, str]]:
    c = result.certificate
    asked = next((p for p in result.promises if abs(p.level - c.level) < 1e-9), None)
    needed = asked.rows_needed if asked else None
    ceiling = next((f.ceiling for f in result.feasibility if f.n == c.units), None)
    return [
        (f"at {100 * (1 - c.delta * c.lists):.4g} % confidence: that {_asked(result)}", "not shown"),
        ("rows to calibrate in this study", f"{c.units:,}"),
        ("rows to calibrate for an 80 % chance", _needed(needed, c.units)),
        (f"of the {'cost' if result.unit == 'dollars' else result.unit} could be saved at most", percent(ceiling)),
    ]


def _needed(rows: int | None, units: int) -> str:
    if rows is None:
        return "none found"
    return f"about {rough(rows):,}" if rows > units else f"more than {units:,}"


def _figure(value: str) -> list[Content]:
    figure, _, interval = value.partition(" [")
    return [figure, tag("small", f"95 % interval {interval.rstrip(']').replace(', ', ' to ')} %") if interval else None]


def _asked(result: Result) -> str:
    words = level(result.certificate.kind, result.certificate.level)
    return f"at least {words} is kept" if result.certificate.kind == "keep" else f"the loss is at most {words}"


def _sections(result: Result, drawn: Mapping[str, Drawing], folder: str) -> Iterator[tuple[str, str, Content]]:
    """Each section's anchor, title and content; what this result has no data for is left out."""
    if result.promises:
        yield "promise", "Promise against saving", _promise(result, drawn)
    yield "frontier", "Quality against cost", _frontier(result, drawn)
    yield "ways", "Every way of working tried", _ways(result)
    yield "weak", f"Where {result.small} is not enough", _weak(result, drawn)
    if "reliability" in drawn:
        yield "reliability", "Can the trust be trusted?", _reliability(result, drawn)
    yield "money", "Money", _money(result)
    if result.metrics:
        yield "measures", "Published measures", _measures(result)
    if result.feasibility:
        yield "rows", "What more rows would bring", _rows(result)
    if result.drivers:
        yield "drivers", "What drives the decision", _drivers(result)
    yield "certificate", "Certificate", _certificate(result, folder)
    yield "again", "How to do it again", _again(result)
    yield "notes", "Read this before relying on it", _notes(result)


def _chart(drawing: Drawing, caption: Content, small: bool = False) -> Html:
    """A chart with its caption; its words stand in for it where it cannot be seen."""
    svg = drawing.inline
    svg = svg.replace("<svg ", '<svg class="small" ', 1).replace('class="marks"', "", 1) if small else svg
    box = tag("div", Html(svg), class_="box", role="img", aria_label=drawing.words, tabindex="0")
    return tag("figure", box, tag("figcaption", caption))


def _more(summary: str, *content: Content) -> Html:
    return tag("details", tag("summary", summary), content)


def _promise(result: Result, drawn: Mapping[str, Drawing]) -> Content:
    total = result.rows / result.calibration_rows if result.calibration_rows else 0
    caption = (
        "Each point is a certificate of its own, at the same confidence; they do not all hold at once. Bars are 95 % "
        "intervals of the saving. A cross is a refusal: rows needed are calibration rows, for an 80 % chance of a "
        "certificate" + (f"; here {total:.1f} rows in all give one calibration row. " if total > 1 else ". ") + "'Not "
        "shown by these rows': by the fit rows they should have been enough, and were not."
    )
    return [_chart(drawn["promise"], caption), _more("The same as a table", tables.promises_table(result))]


def _frontier(result: Result, drawn: Mapping[str, Drawing]) -> Content:
    away = unplaced(result)
    missing = f" Not drawn, because their cost is unknown: {', '.join(w.name for w in away)}." if away else ""
    caption = (
        f"Measured on {result.shown_on}. Bars are 95 % intervals, by unit. Thin lines are each candidate's other "
        "settings, the best at each cost. Filled circles are ways that no other beats in both quality and cost; the "
        f"rest is grey. The oracle knows who will be right, so nobody can serve it.{missing}"
    )
    return _chart(drawn["frontier"], caption)


def _ways(result: Result) -> Content:
    listed = "Each is measured at one setting, on rows that it was not fitted on: "
    robust = any(w.robust for w in result.ways)
    changed = (
        " The last columns are the share of choices changed by typos, by other case and spacing, by a crafted suffix."
        if robust
        else ""
    )
    at_once = result.chosen.p95_at_once
    quick = (
        f" With asks made at once where they can be, the certified way's p95 is {tables.seconds(at_once)}."
        if at_once
        else ""
    )
    return [
        tag(
            "p",
            listed,
            f"{result.shown_on}. ± is the longer side of the 95 % interval; a skewed one is in brackets.",
            changed,
            quick,
        ),
        tables.ways_table(result),
        _more("Recipes", tables.recipes_table(result)),
    ]


def _weak(result: Result, drawn: Mapping[str, Drawing]) -> Content:
    if not result.weak:
        return tag(
            "p",
            f"No part of the traffic was found on which {result.small} is worse than {result.large} by more than "
            "chance explains. That is no proof that there is none: small parts need more rows.",
        )
    caption = (
        "Bars are 95 % intervals. A part is named only where the gap's interval, corrected for the number of parts "
        "looked at, is clear of 0."
    )
    return [_chart(drawn["weak"], caption, small=True), [_part_of(result, w) for w in result.weak]]


def _part_of(result: Result, weak: Weak) -> Html:
    words = (
        f"{weak.rows:,} rows. {result.small} {plus_minus(weak.small)} %, {result.large} {plus_minus(weak.large)} %: "
        f"a gap of {plus_minus(weak.gap)} points."
    )
    examples = [_example(result, e) for e in weak.examples]
    count = f"{len(examples)} example{'s' if len(examples) > 1 else ''}, where {result.large} does better"
    return tag(
        "div", tag("h3", weak.name), tag("p", words), _more(count, examples) if examples else None, class_="weak"
    )


def _example(result: Result, example: Mapping[str, str]) -> Content:
    target = example.get("target")
    sides = [
        tag("div", tag("h4", model), tag("p", example.get(model, "not recorded as text"), class_="said"))
        for model in (result.small, result.large)
    ]
    return [
        tag("div", tag("h4", "Prompt"), tag("p", example.get("prompt", ""), class_="said"), class_="asked"),
        tag("div", tag("h4", "Target"), tag("p", target, class_="said"), class_="asked") if target else None,
        tag("div", sides, class_="sides"),
    ]


def _reliability(result: Result, drawn: Mapping[str, Drawing]) -> Content:
    way = result.chosen.name if result.shown else "the first setting of the list"
    caption = (
        f"The trust of {way} in ten bins, each with the rate of good answers of {result.small} and its 95 % interval. "
        "On the dashed line trust would be a probability. The certificate does not need that: only the order counts."
    )
    return _chart(drawn["reliability"], caption, small=True)


def _money(result: Result) -> Content:
    models = [result.small, *result.peers, result.large]
    unknown = [m for m in models if m not in result.prices]
    said = f"Prices as of {result.prices_date}." if result.prices_date else "The prices carry no date."
    if unknown and result.unit != "dollars":
        said = f"Price unknown: {', '.join(unknown)}. Savings are counted in {result.unit}."
    elif unknown:
        said += f" Not in the price table: {', '.join(unknown)}; their recorded cost counts, or it stays unknown."
    return [tag("p", said), tables.money_table(result), tag("p"), tables.prices_table(result)]


def _measures(result: Result) -> Content:
    words = (
        "For two models, over all thresholds. APGR: mean share of the quality gap recovered (a half by chance). CPT50: "
        f"the smallest share of calls to {result.large} that recovers half of the gap; dollar CPT50: the same as a "
        "share of its cost. AIQ: mean quality over cost, on the hull. IBC lift: quality per dollar above going "
        "straight from small to large. CostSave: the largest saving at the best single model's quality. 'Over length' "
        "is APGR minus that of routing by prompt length, on the same rows."
    )
    return [tag("p", words), tables.metrics_table(result)]


def _rows(result: Result) -> Content:
    own = next((f for f in result.feasibility if f.n == result.certificate.units), None)
    first = (
        f"At this promise, at most {percent(own.ceiling)} can be saved with any number of rows, and with the "
        f"{own.n:,} calibration rows of this study {percent(own.saving)} was to be expected. "
        if own
        else ""
    )
    words = (
        "Simulated from the fit rows: the saving to expect at so many calibration rows, a refusal counted as nothing."
    )
    return [tag("p", first, words), tables.feasibility_table(result)]


def _drivers(result: Result) -> Content:
    words = (
        "Rank correlation (Spearman) of the trust in the small model with what can be read off a request. It "
        "describes; it does not explain."
    )
    return [tag("p", words), tables.drivers_table(result)]


def _certificate(result: Result, folder: str) -> Content:
    rows = [[tag("dt", label), tag("dd", text)] for label, text in card(result.certificate, folder)]
    words = (
        "The list was fixed on the fit rows and walked once on the calibration rows, stopping at the first failure. "
        "The test bets until it has shown enough, so p-values just under the level are what success looks like."
    )
    return [
        tag("dl", rows, class_="card"),
        tag("p", words),
        _more("The list walked, with its p-values", tables.walk_table(result)) if result.certificate.listed else None,
        tag("p", "To verify it from its counts, without the data: ", tag("code", f"sprat certify check {folder}")),
    ]


def _again(result: Result) -> Content:
    parts = f"{result.fit_rows:,} to fit, {result.calibration_rows:,} to calibrate, {result.test_rows:,} to test"
    rows = [
        ("Version", f"sprat {result.version}"),
        ("Date", result.date),
        ("Seed", f"{result.seed} (from the data's hash)"),
        ("Data", result.data_hash),
        ("Rows", f"{result.rows:,} in {result.units:,} units: {parts}"),
    ]
    return [
        tag("pre", tag("code", result.command or "not given")),
        tag("dl", [[tag("dt", a), tag("dd", b)] for a, b in rows], class_="card"),
    ]


def _notes(result: Result) -> Content:
    notes = [
        f"Quality is: {result.quality}.",
        f"The figures in tables and charts come from {result.shown_on}.",
        "The certificate speaks of the mean over all traffic like these rows; it promises nothing for one request, for "
        "one part of the traffic, or for traffic that has changed.",
        "Each point of the curve of promise against saving is a certificate of its own at this confidence. Picking the "
        "best-looking one afterwards weakens it: decide on the promise first.",
        *([f"The rows were studied {result.certificate.earlier_studies} times before; each study has its own chance of "
           "error."] if result.certificate.earlier_studies else []),
        *result.notes,
    ]  # fmt: skip
    if known(result.chosen.saving) and result.shown and not result.test_rows:
        notes.append("The saving and quality of the certified way are shown on the rows that certified it.")
    return tag("ul", [tag("li", join(note)) for note in notes])
