"""Two smaller charts: how far the trust can be trusted (reliability), and where the small model is not enough."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

from ..result import Result
from .numbers import plus_minus, span
from .style import BLUE, GREY, INK, MUTED, ORANGE, PAPER, altair, finished, table, text

SIDE, STEP = 340, 62  # pixels: a small chart's width, and a part's height


def reliability_chart(result: Result) -> dict[str, Any]:
    """The rate of good small answers in each bin of trust with its 95 % interval, and the diagonal."""
    alt = altair()
    rows = [
        {
            "trust": b.trust,
            "good": 100 * b.good.value,
            "low": 100 * b.good.low,
            "high": 100 * b.good.high,
            "rows": b.rows,
        }
        for b in result.reliability
    ]
    x = alt.X(
        "trust:Q",
        title="trust in the small model's answer",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    y = alt.Y(
        "good:Q",
        title=f"good answers of {result.small} (%)",
        scale=alt.Scale(domain=[0, 100], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    diagonal = [{"trust": 0, "good": 0}, {"trust": 1, "good": 100}]
    base = table(alt, rows)
    layers = [
        table(alt, diagonal).mark_line(color=GREY, strokeDash=[5, 4], strokeWidth=1.2).encode(x=x, y=y),
        text(alt, [{"trust": 0.03, "good": 94, "text": "better than trusted"}], x, y, align="left", color=MUTED),
        text(alt, [{"trust": 0.97, "good": 14, "text": "worse than trusted"}], x, y, align="right", color=MUTED),
        base.mark_line(color=INK, strokeWidth=1).encode(x=x, y=y),
        base.mark_rule(color=INK, strokeWidth=1.6).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(filled=True, color=INK, opacity=1, size=64).encode(x=x, y=y),
    ]
    threshold = threshold_of(result)
    if threshold is not None:
        mark = [{"trust": threshold, "good": 4, "text": f"kept from {threshold:.2f} on"}]
        left = threshold > 0.72
        layers.insert(1, table(alt, mark).mark_rule(color=BLUE, strokeWidth=1.6, strokeDash=[2, 2]).encode(x=x))
        layers.append(
            text(alt, mark, x, y, align="right" if left else "left", dx=-6 if left else 6, color=BLUE, fontWeight=700)
        )
    return finished(alt.layer(*layers).properties(width=SIDE, height=SIDE))


def threshold_of(result: Result) -> float | None:
    """The certified way's first threshold, where it lies in [0, 1] and decides between keeping and asking on."""
    way = result.chosen
    if way.status != "certified" or way.kind not in ("route", "cascade", "watchful") or not way.thresholds:
        return None
    return way.thresholds[0] if 0 <= way.thresholds[0] <= 1 else None


def reliability_words(result: Result) -> str:
    """The reliability curve in words."""
    said = "; ".join(f"trust {b.trust:.2f}: {span(b.good)} good ({b.rows} rows)" for b in result.reliability)
    return f"Rate of good answers of {result.small} by trust. {said}."


def weak_chart(result: Result) -> dict[str, Any]:
    """Both models' mean quality on each part of the traffic where the small one is worse, with 95 % intervals."""
    alt = altair()
    small, large = result.small, result.large
    rows: list[dict[str, Any]] = []
    names: list[dict[str, Any]] = []
    for i, w in enumerate(result.weak):
        names.append(
            {"quality": 0, "at": STEP * i + 14, "text": f"{shorten(w.name, 50, placeholder='…')} (n = {w.rows})"}
        )
        for model, found, down in ((small, w.small, 32), (large, w.large, 47)):
            ends = {"quality": 100 * found.value, "low": 100 * found.low, "high": 100 * found.high}
            rows.append({"model": model, "at": STEP * i + down, **ends})
    high = STEP * len(result.weak)
    x = alt.X(
        "quality:Q", title="mean quality (%)", scale=alt.Scale(domain=[0, 100], nice=False), axis=alt.Axis(tickCount=5)
    )
    y = alt.Y("at:Q", scale=alt.Scale(domain=[0, high], reverse=True, nice=False), axis=None)
    pick = {
        name: alt.Scale(domain=[small, large], range=list(values))
        for name, values in {"shape": ("circle", "square"), "fill": (PAPER, INK), "ink": (ORANGE, INK)}.items()
    }
    base = table(alt, rows)
    ink = alt.Stroke("model:N", scale=pick["ink"])
    points = base.mark_point(size=85, strokeWidth=2, opacity=1).encode(
        x=x,
        y=y,
        stroke=ink,
        shape=alt.Shape("model:N", scale=pick["shape"]),
        fill=alt.Fill("model:N", scale=pick["fill"]),
    )
    layers = [
        base.mark_rule(strokeWidth=1.8).encode(x=alt.X("low:Q"), x2="high:Q", y=y, stroke=ink),
        points,
        text(alt, names, x, y, align="left", baseline="middle", dx=4, fontWeight=600),
    ]
    return finished(alt.layer(*layers).properties(width=SIDE + 60, height=high))


def weak_words(result: Result) -> str:
    """The parts where the small model is worse, in words."""
    said = "; ".join(
        f"{w.name} ({w.rows} rows): {result.small} {plus_minus(w.small)} %, {result.large} {plus_minus(w.large)} %"
        for w in result.weak
    )
    return f"Mean quality of both models where {result.small} is not enough. {said}."
