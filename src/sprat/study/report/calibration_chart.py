"""Two charts of a calibration: can the confidence be believed, and how risk falls with the share that is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..calibrating import WAS, Calibration
from .style import BLUE, GREY, INK, MUTED, ORANGE, PAPER, altair, finished, table, text

SIDE = 340  # pixels


def reliability_chart(found: Calibration) -> dict[str, Any]:
    """The rate of right answers in each bin of confidence, its 95 % interval, before and after; and the diagonal."""
    rows = [
        {"way": way, "said": b.confidence, "rate": b.rate.value, "low": b.rate.low, "high": b.rate.high}
        for way, bins in found.bins.items()
        for b in bins
    ]
    titles = f"confidence in {found.model}'s answer", "right answers"
    return diagram(rows, titles, ("better than it says", "worse than it says"), _inks(altair(), found))


def diagram(
    rows: list[dict[str, Any]], titles: tuple[str, str], corners: tuple[str, str], ink: dict[str, Any]
) -> dict[str, Any]:
    """Bins (`said`, `rate`, `low`, `high`) against the diagonal, with titles of x and y and what its two sides mean."""
    alt = altair()
    axis = alt.Axis(format=".0%", tickCount=5)
    scale = alt.Scale(domain=[0, 1], nice=False)
    x = alt.X("said:Q", title=titles[0], scale=scale, axis=axis)
    y = alt.Y("rate:Q", title=titles[1], scale=scale, axis=axis)
    base = table(alt, rows)
    above = [{"said": 0.03, "rate": 0.95, "text": corners[0]}]
    below = [{"said": 0.97, "rate": 0.05, "text": corners[1]}]
    diagonal = [{"said": 0, "rate": 0}, {"said": 1, "rate": 1}]
    lines = {"stroke": ink["stroke"]} if "stroke" in ink else {}
    layers = [
        table(alt, diagonal).mark_line(color=GREY, strokeDash=[5, 4], strokeWidth=1.2).encode(x=x, y=y),
        text(alt, above, x, y, align="left", color=MUTED),
        text(alt, below, x, y, align="right", color=MUTED),
        base.mark_rule(strokeWidth=1.4, color=BLUE).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", **lines),
        base.mark_point(size=70, strokeWidth=2, opacity=1, color=BLUE, fill=BLUE).encode(x=x, y=y, **ink),
    ]
    return finished(alt.layer(*layers).properties(width=SIDE, height=SIDE))


def risk_chart(found: Calibration) -> dict[str, Any]:
    """The share of wrong answers against the share answered, most confident first, before and after."""
    alt = altair()
    layers = curves(found.curves, _inks(alt, found)["stroke"])
    x, y = _risk_axes(alt)
    kept = found.abstention
    if kept.threshold is not None and kept.coverage is not None and kept.wrong is not None:
        mark = [
            {
                "answered": kept.coverage.value,
                "wrong": kept.wrong.value,
                "text": f"certified: at most {100 * kept.risk:.4g} %",
            }
        ]
        left = kept.coverage.value > 0.45
        layers.append(table(alt, mark).mark_point(filled=True, color=INK, size=90, opacity=1).encode(x=x, y=y))
        layers.append(
            text(alt, mark, x, y, align="right" if left else "left", dx=-8 if left else 10, dy=-10, fontWeight=700)
        )
    return finished(alt.layer(*layers).properties(width=SIDE, height=SIDE))


def curves(of: Mapping[str, Sequence[tuple[float, float]]], stroke: Any) -> list[Any]:
    """Layers of risk-coverage curves (share answered, share wrong), the first one broad.

    An order that is kept has the same curve twice: broad below and narrow above, both are seen.
    """
    alt = altair()
    x, y = _risk_axes(alt)
    return [
        table(alt, [{"way": way, "answered": c, "wrong": r} for c, r in curve])
        .mark_line(strokeWidth=1.6 if i else 5)
        .encode(x=x, y=y, stroke=stroke)
        for i, (way, curve) in enumerate(of.items())
    ]


def _risk_axes(alt: Any) -> tuple[Any, Any]:
    axis = alt.Axis(format=".0%", tickCount=5)
    return (
        alt.X("answered:Q", title="share of requests answered", axis=axis),
        alt.Y("wrong:Q", title="wrong among those answered", axis=axis),
    )


def _inks(alt: Any, found: Calibration) -> dict[str, Any]:
    domain = [WAS, found.chosen]
    pick = {"shape": ("circle", "square"), "fill": (PAPER, BLUE), "stroke": (ORANGE, BLUE)}
    scales = {name: alt.Scale(domain=domain, range=list(values)) for name, values in pick.items()}
    return {
        "shape": alt.Shape("way:N", scale=scales["shape"]),
        "fill": alt.Fill("way:N", scale=scales["fill"]),
        "stroke": alt.Stroke("way:N", scale=scales["stroke"]),
    }


def reliability_words(found: Calibration) -> str:
    """The reliability chart in words."""
    said = [
        f"{way}: " + "; ".join(f"says {b.confidence:.2f}, {b.rate.value:.2f} right ({b.rows} rows)" for b in bins)
        for way, bins in found.bins.items()
    ]
    return f"Rate of right answers of {found.model} by confidence. {'. '.join(said)}."


def risk_words(found: Calibration) -> str:
    """The risk-coverage chart in words."""
    halves = [f"{way}: {min(curve, key=lambda p: abs(p[0] - 0.5))[1]:.0%} wrong" for way, curve in found.curves.items()]
    return f"Wrong answers of {found.model} among the more confident half. {'; '.join(halves)}."
