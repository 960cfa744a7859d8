"""The curve of promise against saving: strict promises on the left, a refusal as a point on the curve."""

from __future__ import annotations

from typing import Any

from ..result import PromisePoint, Result
from .numbers import known, level, rough, span
from .style import BAND, BLUE, INK, MUTED, ORANGE, PAPER, WIDTH, altair, finished, table, text

HEIGHT = 300


def promise_chart(result: Result) -> dict[str, Any]:
    """The saving of each promise level with its 95 % interval; the level that was asked for stands out."""
    alt = altair()
    rows = points(result)
    order = [row["level"] for row in rows]
    keep = result.certificate.kind == "keep"
    title = (
        f"quality promised, as a share of {result.large}'s" if keep else f"points that may be lost to {result.large}"
    )
    x = alt.X(
        "level:N",
        sort=order,
        title=f"{title}   (strict on the left, loose on the right)",
        axis=alt.Axis(labelAngle=0, grid=False, labelFontWeight=_bold(rows), labelLimit=90),
    )
    unit = "cost" if result.unit == "dollars" else "calls"
    ends = [0.0, *(row[k] for row in rows if row["certified"] for k in ("low", "high"))]
    top, bottom = max(10.0, *ends) * 1.18, min(ends)
    scale = alt.Scale(domain=[bottom, top], nice=False)
    y, y_low, y_high = (
        alt.Y(
            f"{field}:Q",
            title=f"{unit} saved against {result.large} alone (%)",
            scale=scale,
            axis=alt.Axis(values=[v for v in range(-200, 101, 10 if top < 60 else 20) if bottom <= v <= top]),
        )
        for field in ("saving", "low", "high")
    )
    shown = [row for row in rows if row["certified"]]
    refused = [row for row in rows if not row["certified"]]
    asked = [row for row in rows if row["asked"]]
    ink = alt.condition(alt.datum.asked, alt.value(BLUE), alt.value(INK))
    layers: list[Any] = [
        table(alt, asked).mark_bar(color=BAND, width={"band": 0.98}).encode(x=x, y=alt.value(0), y2=alt.value(HEIGHT))
    ]
    layers += [table(alt, run).mark_line(color=MUTED, strokeWidth=1.2).encode(x=x, y=y) for run in _runs(rows)]
    asked_shown = [row for row in shown if row["asked"]]
    below = any(_climbs(rows, row) for row in asked_shown)
    if shown:
        base = table(alt, shown)
        layers += [
            base.mark_rule(strokeWidth=2).encode(x=x, y=y_low, y2="high:Q", color=ink),
            base.mark_tick(thickness=2, size=9, opacity=1, orient="horizontal").encode(x=x, y=y_low, color=ink),
            base.mark_tick(thickness=2, size=9, opacity=1, orient="horizontal").encode(x=x, y=y_high, color=ink),
            base.mark_point(filled=True, opacity=1, shape="circle").encode(
                x=x, y=y, color=ink, size=alt.condition(alt.datum.asked, alt.value(150), alt.value(70))
            ),
        ]
        layers += _said(alt, [r for r in shown if not r["asked"]], x, "high", fontWeight=500)
        layers += _said(alt, asked_shown, x, "low" if below else "high", below, halo=BAND, fontWeight=700, color=BLUE)
    if refused:
        mark = {"shape": "cross", "angle": 45, "filled": True, "opacity": 1, "size": 110}
        layers.append(table(alt, refused).mark_point(color=ORANGE, stroke=PAPER, **mark).encode(x=x, y=y))
        layers += _said(alt, [r for r in refused if not r["asked"]], x, "saving", color=ORANGE, fontSize=11)
        layers += _said(
            alt, [r for r in refused if r["asked"]], x, "saving", halo=BAND, color=ORANGE, fontSize=11, fontWeight=700
        )
    return finished(alt.layer(*layers).properties(width=max(WIDTH, 82 * len(rows)), height=HEIGHT))


def points(result: Result) -> list[dict[str, Any]]:
    """One row per level, strictest first: its saving in per cent with its ends, and what is written beside it."""
    kind, asked = result.certificate.kind, result.certificate.level
    ordered = sorted(result.promises, key=lambda p: -p.level if kind == "keep" else p.level)
    return [_row(p, kind, abs(p.level - asked) < 1e-9, result.certificate.units) for p in ordered]


def promise_words(result: Result) -> str:
    """The curve in words, for those who cannot see it."""
    kind = result.certificate.kind
    said: list[str] = []
    for p in sorted(result.promises, key=lambda p: -p.level if kind == "keep" else p.level):
        what = f"saves {span(p.saving)}" if known(p.saving) else _why(p, result.certificate.units).replace("\n", " ")
        asked = " (asked for)" if abs(p.level - result.certificate.level) < 1e-9 else ""
        said.append(f"{level(kind, p.level)}{asked}: {what}")
    return f"Saving against {result.large} alone at each level of the promise. " + "; ".join(said) + "."


def _row(point: PromisePoint, kind: str, asked: bool, units: int) -> dict[str, Any]:
    saving = known(point.saving)
    low, value, high = (100 * x for x in (saving.low, saving.value, saving.high)) if saving else (0.0, 0.0, 0.0)
    words = f"{value:.0f} %" if saving else _why(point, units)
    return {"level": level(kind, point.level), "saving": value, "low": low, "high": high, "certified": bool(saving),
            "asked": asked, "text": f"asked for:\n{words}" if asked else words}  # fmt: skip


def _why(point: PromisePoint, units: int) -> str:
    if point.way is not None:
        return "certified,\nsaving\nunknown"
    if point.rows_needed is None:
        return "not shown:\nno way kept it\non the fit rows"
    if point.rows_needed <= units:
        return f"not shown\nby these\n{units:,} rows"
    return f"not shown:\nneeds about\n{rough(point.rows_needed):,} rows"


def _runs(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Stretches of certified levels side by side: the line doesn't cross a refusal."""
    runs: list[list[dict[str, Any]]] = [[]]
    for row in rows:
        if row["certified"]:
            runs[-1].append(row)
        else:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def _climbs(rows: list[dict[str, Any]], row: dict[str, Any]) -> bool:
    """Whether the line leaves this point so steeply that words above it would be crossed, and there is room below."""
    following = rows[rows.index(row) + 1 :][:1]
    return row["low"] > 15 and any(r["certified"] and r["saving"] > row["high"] + 8 for r in following)


def _said(alt: Any, rows: list[dict[str, Any]], x: Any, at: str, below: bool = False, **how: Any) -> list[Any]:
    """The words above (or below) each point; a layer for each number of lines: text hangs from its first."""
    layers: list[Any] = []
    for lines in sorted({row["text"].count("\n") for row in rows}):
        own = [row for row in rows if row["text"].count("\n") == lines]
        rise = {"dy": 18, "baseline": "middle"} if below else {"dy": -10 - 13 * lines, "baseline": "bottom"}
        lift = {"lineBreak": "\n", "lineHeight": 13, **rise}
        layers.append(text(alt, own, x, alt.Y(f"{at}:Q"), **lift, **how))
    return layers


def _bold(rows: list[dict[str, Any]]) -> Any:
    asked = next((row["level"] for row in rows if row["asked"]), "")
    return {"condition": {"test": f"datum.value === '{asked}'", "value": "bold"}, "value": "normal"}
