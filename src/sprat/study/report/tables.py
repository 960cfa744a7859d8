"""The page's tables: every way of working, money, published measures, what more rows would bring."""

from __future__ import annotations

from ..result import Interval, Metrics, Result, Way
from .card import p_text, walked
from .frontier_chart import kind_of
from .markup import Content, Html, tag
from .numbers import (
    DASH,
    Cost,
    between,
    counted,
    decimals,
    known,
    level,
    percent,
    plus_minus,
    rough,
    seconds,
    span,
)

ROBUST = {"typos": "typos", "case and spacing": "spacing", "crafted suffix": "suffix"}  # and its column


def cell(text: str, sort: float | None = None, title: str | None = None) -> Html:
    """A number's cell, with what it sorts by and its exact interval for the pointer."""
    return tag("td", text, class_="n", data_v="" if sort is None else f"{sort:.6g}", title=title or None)


def figure_cell(x: Interval | None, scale: float = 100, digits: int = 1) -> Html:
    """An interval's cell."""
    own = known(x)
    return cell(plus_minus(own, scale, digits), own.value if own else None, between(own, scale, digits))


def boxed(label: str, head: list[Content], rows: list[Content], *, sortable: bool = False, caption: str = "") -> Html:
    """A table in its own box, which scrolls by itself and can be reached by keyboard."""
    parts = [tag("caption", caption) if caption else None, tag("thead", tag("tr", head)), tag("tbody", rows)]
    return tag(
        "div", tag("table", parts, data_sort=sortable), class_="box", tabindex="0", role="region", aria_label=label
    )


def head(*names: str) -> list[Content]:
    """Column heads: a leading '#' marks a column of numbers."""
    return [tag("th", n.lstrip("#"), scope="col", class_="n" if n.startswith("#") else None) for n in names]


def ways_table(result: Result) -> Html:
    """Every way of working that was tried, one row each."""
    cost = counted(result)
    robust = [k for k in ROBUST if any(k in w.robust for w in result.ways)]
    names = ["way of working", "status", "#quality, %", "#kept, %", "#saves, %"]
    names += [f"#{cost.head}"] if cost.priced else []
    power = any(w.energy for w in result.ways)
    names += ["#asks large, %", "#p50", "#p95", *(["#Wh / 1k"] if power else [])]
    names += [f"#{ROBUST[k]} change, %" for k in robust]
    rows: list[Content] = [_way_row(way, cost, robust, power) for way in result.ways]
    return boxed("Every way of working tried", head(*names), rows, sortable=True)


def _way_row(way: Way, cost: Cost, robust: list[str], power: bool) -> Html:
    cells: list[Content] = [
        tag("th", way.name, scope="row"),
        tag("td", _status(way), class_="status"),
        figure_cell(way.quality),
        figure_cell(way.kept),
        figure_cell(way.saving, digits=0),
    ]
    if cost.priced:
        own = cost.of(way)
        cells.append(cell(cost.text(way), own.value if own else None, between(own, 1, 4)))
    cells += [figure_cell(way.large, digits=0), cell(seconds(way.p50), way.p50), cell(seconds(way.p95), way.p95)]
    cells += [figure_cell(way.energy, 1, 3)] if power else []
    cells += [figure_cell(way.robust.get(k), digits=0) for k in robust]
    kind = kind_of(way)
    return tag("tr", cells, class_=kind if kind in ("certified", "dominated", "baseline") else None)


def _status(way: Way) -> str:
    if way.kind == "oracle":
        return "can't be served"
    words = "listed" if way.status == "in the list" else way.status
    return words + (", frontier" if way.on_front and way.status != "certified" else "")


def recipes_table(result: Result) -> Html:
    """Each way's recipe: the call that makes it."""
    rows: list[Content] = [
        tag("tr", tag("th", w.name, scope="row"), tag("td", tag("code", w.recipe))) for w in result.ways if w.recipe
    ]
    return boxed("Recipes", head("way of working", "recipe"), rows)


def promises_table(result: Result) -> Html:
    """The curve of promise against saving, as numbers."""
    kind = result.certificate.kind
    ordered = sorted(result.promises, key=lambda p: -p.level if kind == "keep" else p.level)
    rows: list[Content] = []
    for p in ordered:
        asked = abs(p.level - result.certificate.level) < 1e-9
        needs = "" if p.way else _needs(p.rows_needed, result.certificate.units)
        rows.append(
            tag(
                "tr",
                tag("th", level(kind, p.level) + (" (asked for)" if asked else ""), scope="row"),
                tag("td", p.way or "not shown"),
                tag("td", span(p.saving), class_="n"),
                tag("td", percent(p.large), class_="n"),
                tag("td", needs, class_="n"),
                class_="certified" if asked and p.way else None,
            )
        )
    names = ("promise", "certified way", "#saves", "#asks large", "#calibration rows needed")
    return boxed("Promise against saving", head(*names), rows)


def _needs(rows: int | None, units: int) -> str:
    if rows is None:
        return "no number found"
    return f"about {rough(rows):,}" if rows > units else f"these {units:,} by the fit rows; they disagreed"


def money_table(result: Result) -> Html:
    """What requests cost: each model alone, and the certified way."""
    picked = [w for w in result.ways if w.kind == "alone" or w.status in ("certified", "reference")]
    rows: list[Content] = []
    for way in picked:
        own = known(way.cost)
        each = (
            ["unknown", "unknown"]
            if own is None
            else ["$" + plus_minus(own, f, decimals(f * own.value)) for f in (1, 1000)]
        )
        rows.append(
            tag(
                "tr",
                tag("th", way.name, scope="row"),
                *(tag("td", e, class_="n") for e in each),
                tag("td", span(way.saving) if result.unit == "dollars" else DASH, class_="n"),
                class_="certified" if way.status == "certified" else None,
            )
        )
    return boxed("Money", head("way of working", "#1,000 requests", "#1,000,000 requests", "#saves"), rows)


def prices_table(result: Result) -> Html | None:
    """The prices that were used, and the models that have none."""
    models = [result.small, *result.peers, result.large]
    fields = list(dict.fromkeys(k for m in models for k in result.prices.get(m, {})))
    if not fields:
        return None
    rows: list[Content] = []
    for model in models:
        own = result.prices.get(model)
        cells = [tag("td", "unknown" if own is None else _amount(own.get(k)), class_="n") for k in fields]
        rows.append(tag("tr", tag("th", model, scope="row"), cells))
    caption = (
        f"Dollars per million tokens ($ per call where so named), as of {result.prices_date or 'an unknown date'}."
    )
    return boxed("Prices", head("model", *(f"#{k.replace('_', ' ')}" for k in fields)), rows, caption=caption)


def _amount(x: float | None) -> str:
    return DASH if x is None else f"{x:g}"


def metrics_table(result: Result) -> Html:
    """Published measures of every two-model candidate, with intervals."""
    money = any(m.dollar_cpt50 for m in result.metrics)
    names = ["candidate", "#APGR", "#over length", "#CPT50, %", "#CPT80, %", "#CPT95, %"]
    names += ["#dollar CPT50, %", "#AIQ, %", "#IBC lift, %", "#CostSave, %"] if money else []
    rows: list[Content] = [_metrics_row(m, money) for m in result.metrics]
    return boxed("Published measures", head(*names), rows, sortable=True)


def _metrics_row(m: Metrics, money: bool) -> Html:
    cells = [figure_cell(m.apgr, 1, 3), figure_cell(m.over_length, 1, 3)]
    cells += [figure_cell(x, digits=0) for x in (m.cpt50, m.cpt80, m.cpt95)]
    if money:
        cells += [figure_cell(m.dollar_cpt50, digits=0), figure_cell(m.aiq)]
        cells += [figure_cell(m.ibc_lift, 1, 0), figure_cell(m.cost_save, digits=0)]
    return tag("tr", tag("th", m.name, scope="row"), cells)


def feasibility_table(result: Result) -> Html:
    """What to expect at other numbers of calibration rows."""
    rows: list[Content] = [
        tag(
            "tr",
            tag("th", f"{f.n:,}" + (" (this study)" if f.n == result.certificate.units else ""), scope="row"),
            *(tag("td", percent(x), class_="n") for x in (f.saving, f.refused, f.ceiling)),
        )
        for f in result.feasibility
    ]
    names = ("calibration rows", "#saving to expect", "#chance of a refusal", "#ceiling, any number of rows")
    return boxed("What more rows would bring", head(*names), rows)


def drivers_table(result: Result) -> Html:
    """Rank correlations of trust with what can be read off a request."""
    rows: list[Content] = []
    for d in result.drivers:
        r = d.correlation
        clear = r.low > 0 or r.high < 0
        words = ("stays small more" if r.value > 0 else "asks large more") if clear else "no clear direction"
        rows.append(tag("tr", tag("th", d.feature, scope="row"), figure_cell(r, 1, 2), tag("td", words)))
    return boxed(
        "What drives the decision", head("feature of the request", "#rank correlation", "so such a request"), rows
    )


def walk_table(result: Result) -> Html:
    """The list as it was walked, with each p-value."""
    rows: list[Content] = [
        tag(
            "tr",
            tag("td", str(s.place), class_="n"),
            tag("th", s.name, scope="row"),
            tag("td", p_text(s.p_value), class_="n"),
            tag("td", "passed" if s.passed else "failed: the walk stops"),
        )
        for s in walked(result.certificate)
    ]
    rest = result.certificate.listed[len(result.certificate.tried) :]
    rows += [
        tag(
            "tr",
            tag("td", str(i), class_="n"),
            tag("th", name, scope="row"),
            tag("td", DASH, class_="n"),
            tag("td", "not reached"),
        )
        for i, name in enumerate(rest, len(result.certificate.tried) + 1)
    ]
    return boxed("The list walked", head("#place", "setting, in the order fixed on the fit rows", "#p-value", ""), rows)
