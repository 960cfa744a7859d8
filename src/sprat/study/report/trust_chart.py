"""Two smaller charts: how far the trust can be trusted (reliability), and where the small model is not enough."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

from ..result import Result, Weak
from .numbers import plus_minus, span
from .style import BLUE, GREY, INK, MUTED, ORANGE, PAPER, WIDTH, altair, finished, table, text


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
    x = alt.X("trust:Q", title="trust in the small model's answer", scale=alt.Scale(domain=[0, 1], nice=False))
    y = alt.Y("good:Q", title=f"good answers of {result.small} (%)", scale=alt.Scale(domain=[0, 100], nice=False))
    diagonal = [{"trust": 0, "good": 0}, {"trust": 1, "good": 100}]
    base = table(alt, rows)
    layers = [
        table(alt, diagonal).mark_line(color=GREY, strokeDash=[5, 4], strokeWidth=1.2).encode(x=x, y=y),
        text(
            alt,
            [{"trust": 0.02, "good": 96, "text": "below its trust: too sure; above: too shy"}],
            x,
            y,
            align="left",
            color=MUTED,
        ),
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
    return finished(alt.layer(*layers).properties(width=420, height=340))


def threshold_of(result: Result) -> float | None:
    """The certified way's first threshold, where it lies in [0, 1] and decides between keeping and asking on."""
    way = result.chosen
    if way.status != "certified" or way.kind not in ("route", "cascade") or not way.thresholds:
        return None
    return way.thresholds[0] if 0 <= way.thresholds[0] <= 1 else None


def reliability_words(result: Result) -> str:
    """The reliability curve in words."""
    said = "; ".join(f"trust {b.trust:.2f}: {span(b.good)} good ({b.rows} rows)" for b in result.reliability)
    return f"Rate of good answers of {result.small} by trust. {said}."


def weak_chart(result: Result) -> dict[str, Any]:
    """Both models' mean quality on each part of the traffic where the small one is worse, with 95 % intervals."""
    alt = altair()
    order = [_part(w) for w in result.weak]
    small, large = (m for m in (result.small, result.large))
    rows: list[dict[str, Any]] = []
    for w in result.weak:
        for model, found in ((small, w.small), (large, w.large)):
            rows.append(
                {
                    "part": _part(w),
                    "model": model,
                    "quality": 100 * found.value,
                    "low": 100 * found.low,
                    "high": 100 * found.high,
                }
            )
    x = alt.X("quality:Q", title="mean quality (%)", scale=alt.Scale(domain=[0, 100], nice=False))
    y = alt.Y(
        "part:N",
        sort=order,
        title=None,
        axis=alt.Axis(labelLimit=300, labelPadding=10, domain=False, ticks=False, grid=True),
    )
    shift = alt.YOffset("model:N", sort=[large, small], scale=alt.Scale(paddingInner=0.2, paddingOuter=0.8))
    pick = {
        name: alt.Scale(domain=[small, large], range=list(values))
        for name, values in {"shape": ("circle", "square"), "fill": (PAPER, INK), "ink": (ORANGE, INK)}.items()
    }
    base = table(alt, rows)
    ink = alt.Stroke("model:N", scale=pick["ink"])
    layers = [
        base.mark_rule(strokeWidth=1.8).encode(x=alt.X("low:Q"), x2="high:Q", y=y, yOffset=shift, stroke=ink),
        base.mark_point(size=95, strokeWidth=2, opacity=1).encode(
            x=x, y=y, yOffset=shift, stroke=ink,
            shape=alt.Shape("model:N", scale=pick["shape"]),
            fill=alt.Fill("model:N", scale=pick["fill"]),
        ),
    ]  # fmt: skip
    return finished(alt.layer(*layers).properties(width=WIDTH - 240, height=46 * len(order)))


def weak_words(result: Result) -> str:
    """The parts where the small model is worse, in words."""
    said = "; ".join(
        f"{w.name} ({w.rows} rows): {result.small} {plus_minus(w.small)} %, {result.large} {plus_minus(w.large)} %"
        for w in result.weak
    )
    return f"Mean quality of both models where {result.small} is not enough. {said}."


def _part(weak: Weak) -> str:
    return f"{shorten(weak.name, 38, placeholder='…')} (n = {weak.rows})"
