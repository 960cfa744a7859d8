"""An audit of a scorer as one page that opens offline, and its folder: page, charts and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...measure.audit import Audit, GroupRate
from .calibration_chart import diagram
from .charts import Drawing
from .markup import Content, tag
from .sheet import figure, grid, notes, number, sheet, write
from .style import BLUE, GREY, ORANGE, altair, finished, table

_ROW = 22  # pixels of a group in the chart


def save(found: Audit, folder: str | Path) -> Path:
    """Write index.html, audit.json and charts/, each file whole or not at all; MissingExtra without altair."""
    drawn = drawings(found)
    told = json.dumps(as_dict(found), indent=1, ensure_ascii=False) + "\n"
    return write(folder, drawn, {"audit.json": told, "index.html": page(found, drawn)})


def as_dict(found: Audit) -> dict[str, Any]:
    """The audit as JSON holds it: an estimate as value, low, high, units."""
    return asdict(found) | {
        "measures": {k: e._asdict() for k, e in found.measures.items()},
        "bins": [{"probability": b.probability, "rate": b.rate._asdict(), "rows": b.rows} for b in found.bins],
        "groups": [
            asdict(g) | {k: e and e._asdict() for k, e in (("rate", g.rate), ("others", g.others))}
            for g in found.groups
        ],
    }


def drawings(found: Audit) -> dict[str, Drawing]:
    """The reliability diagram, and the groups' rates where there are groups."""
    rows = [{"said": b.probability, "rate": b.rate.value, "low": b.rate.low, "high": b.rate.high} for b in found.bins]
    corners = "more are unsafe than it says", "fewer are unsafe than it says"
    chart = diagram(rows, (f"P(unsafe) that {found.scorer} says", "rows that are unsafe"), corners, {})
    said = "; ".join(f"says {b.probability:.2f}, {b.rate.value:.2f} unsafe ({b.rows} rows)" for b in found.bins)
    out = {"reliability": Drawing("reliability", chart, f"Rate of unsafe rows by probability. {said}.")}
    if any(g.rate for g in found.groups):
        out["groups"] = Drawing("groups", _groups_chart(found), " ".join(map(sentence, found.groups)))
    return out


def _groups_chart(found: Audit) -> dict[str, Any]:
    alt = altair()
    panels: list[Any] = []
    for which in dict.fromkeys(g.which for g in found.groups):
        here = [g for g in found.groups if g.which == which and g.rate is not None]
        if not here:
            continue
        rows = [
            {"group": g.group, "rate": g.rate.value, "low": g.rate.low, "high": g.rate.high,
             "found": "differs from the others" if g.differs else "no difference shown"}
            for g in here if g.rate is not None
        ]  # fmt: skip
        names = [r["group"] for r in sorted(rows, key=lambda r: -float(r["rate"]))]
        y = alt.Y("group:N", sort=names, title=None, axis=alt.Axis(labelLimit=220))
        x = alt.X("rate:Q", title=which, axis=alt.Axis(format=".0%", tickCount=5), scale=alt.Scale(domainMin=0))
        scale = alt.Scale(domain=["differs from the others", "no difference shown"], range=[ORANGE, BLUE])
        colour = alt.Color("found:N", scale=scale)
        whole = [{"rate": found.measures[which].value}]
        layers = [
            table(alt, whole).mark_rule(color=GREY, strokeDash=[5, 4]).encode(x=alt.X("rate:Q")),
            table(alt, rows).mark_rule(strokeWidth=1.6).encode(y=y, x=alt.X("low:Q"), x2="high:Q", color=colour),
            table(alt, rows).mark_point(filled=True, size=70, opacity=1).encode(
                y=y, x=x, color=colour, shape=alt.Shape("found:N", scale=alt.Scale(
                    domain=["differs from the others", "no difference shown"], range=["diamond", "circle"]))),
        ]  # fmt: skip
        panels.append(alt.layer(*layers).properties(width=250, height=_ROW * max(2, len(rows))))
    return finished(alt.hconcat(*panels, spacing=30))


def sentence(g: GroupRate) -> str:
    """What is known of one rate of one group."""
    of = "safe rows" if g.which == "false alarms" else "unsafe rows"
    if g.rate is None or g.others is None or g.p is None:
        return f"{g.group}: {g.rows} {of}, too few to say."
    differs = "differs" if g.differs else "no difference shown"
    return (
        f"{g.group}: {g.which} {number(g.rate)} of {g.rows:,} {of}, others {number(g.others)}, {differs} (p {g.p:.3f})."
    )


def verdict(found: Audit) -> str:
    """What the groups show, in a sentence."""
    if not found.groups:
        return "No groups were given, so nothing is known of how it treats different ones."
    named = [g for g in found.groups if g.differs]
    tested = sum(g.p is not None for g in found.groups)
    few = len({g.group for g in found.groups if g.p is None})
    small = f" {few} groups have too few rows for a rate." if few else ""
    if not named:
        return f"No gap is shown among {tested} rates of groups, which does not show that there is none.{small}"
    worst = sorted(named, key=lambda g: -abs(_gap(g)))[:3]
    said = "; ".join(f"{g.which} of '{g.group}' {g.rate.value:.0%}, others {g.others.value:.0%}"
                     for g in worst if g.rate and g.others)  # fmt: skip
    return f"{len(named)} of {tested} rates differ from the other rows' (5 % over all of them): {said}.{small}"


def _gap(g: GroupRate) -> float:
    return g.rate.value - g.others.value if g.rate and g.others else 0.0


def page(found: Audit, drawn: Mapping[str, Drawing]) -> str:
    """The whole page."""
    return sheet(
        f"sprat audit: {found.scorer}",
        f"sprat audit · {found.scorer} · {found.rows:,} rows, {found.unsafe:,} unsafe",
        verdict(found),
        [f"Flagged from a probability of {found.threshold:g} on. AUROC {number(found.measures['AUROC'])}."],
        _sections(found, drawn),
    )


def _sections(found: Audit, drawn: Mapping[str, Drawing]) -> Iterator[tuple[str, Content]]:
    yield "Can it be believed?", figure(drawn["reliability"], "Bins of as many rows; bars are 95 % intervals.")
    rows = [[name, number(e)] for name, e in found.measures.items()]
    yield "All measures", [tag("p", "95 % bootstrap intervals."), grid(["", "value"], rows)]
    if found.groups:
        content: list[Content] = []
        if "groups" in drawn:
            content.append(figure(drawn["groups"], "Dashed: all rows. Bars are 95 % intervals, each by itself."))
        lines = [
            [g.group, g.which, f"{g.rows:,}", *((number(g.rate), number(g.others), f"{g.p:.3f}")
             if g.rate and g.others and g.p is not None else ("too few", "", ""))]
            for g in found.groups
        ]  # fmt: skip
        content.append(grid(["group", "rate", "rows", "here", "others", "p"], lines))
        note = (
            "p accounts for all groups and both rates: below .05, the chance of naming any by mistake is at most 5 %."
        )
        yield "For whom is it wrong?", [tag("p", note), content]
    yield from notes(found.notes)
