"""Dots with their 95 % intervals, a panel for each measure; and how the scores of rows are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .style import BLUE, GREY, altair, finished, table

WIDE, _ROW, _TALL, _NAMES = 260, 22, 34, 130  # pixels: a panel, a dot's row, a histogram, the names beside them
_BINS = 20


@dataclass(frozen=True)
class Dot:
    """A name's value and interval in one panel."""

    panel: str
    name: str
    value: float
    low: float
    high: float


def dots_chart(dots: Sequence[Dot], at: float | None = None, domain: tuple[float, float] | None = None) -> Any:
    """Panels below one another, each on its own scale unless a domain is given; `at` is a dashed line, such as chance.

    Names keep the order in which they come.
    """
    alt = altair()
    panels: list[Any] = []
    # A page's font may be wider than the one the chart was measured with.
    room = min(_NAMES + 30, 8 * max(len(d.name) for d in dots))
    for panel in dict.fromkeys(d.panel for d in dots):
        rows = [{"name": d.name, "value": d.value, "low": d.low, "high": d.high} for d in dots if d.panel == panel]
        names = list(dict.fromkeys(r["name"] for r in rows))
        y = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=_NAMES, minExtent=room))
        scale = alt.Scale(domain=list(domain), nice=False) if domain else alt.Scale(zero=False, padding=8)
        x = alt.X("value:Q", title=panel, scale=scale, axis=alt.Axis(tickCount=5))
        base = table(alt, rows)
        layers = [
            base.mark_rule(strokeWidth=1.8, color=BLUE).encode(y=y, x=alt.X("low:Q", scale=scale), x2="high:Q"),
            base.mark_point(filled=True, size=75, opacity=1, color=BLUE).encode(y=y, x=x),
        ]
        if at is not None:
            mark = table(alt, [{"value": at}]).mark_rule(color=GREY, strokeDash=[5, 4]).encode(x=alt.X("value:Q"))
            layers.insert(0, mark)
        panels.append(alt.layer(*layers).properties(width=WIDE, height=_ROW * max(2, len(names))))
    return finished(alt.vconcat(*panels, spacing=18))


def dots_words(dots: Sequence[Dot]) -> str:
    """The same in words."""
    return " ".join(f"{d.panel}, {d.name}: {d.value:.3f} [{d.low:.3f}, {d.high:.3f}]." for d in dots)


def spread_chart(scores: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Any:
    """Histograms of rows' known scores: a panel for each measure, in it one for each model, all of the same bins."""
    alt = altair()
    panels: list[Any] = []
    for measure, of in scores.items():
        every = np.concatenate([*of.values()])
        edges = np.histogram_bin_edges(every, _BINS)
        shares = {m: np.histogram(v, edges)[0] / len(v) for m, v in of.items()}
        most = float(max(s.max() for s in shares.values()))
        for model, share in shares.items():
            rows = [
                {"from": a, "to": b, "share": s}
                for a, b, s in zip(edges[:-1].tolist(), edges[1:].tolist(), share.tolist(), strict=True)
            ]
            last = model == list(shares)[-1]
            axis = alt.Axis(tickCount=5, grid=False, labels=last, ticks=last)
            x = alt.X("from:Q", bin="binned", title=measure if last else None, axis=axis, scale=alt.Scale(nice=False))
            y = alt.Y(
                "share:Q", title=model, scale=alt.Scale(domain=[0, most]),
                axis=alt.Axis(labels=False, ticks=False, grid=False, domain=False, titleAngle=0, titleAlign="right",
                              titleAnchor="middle", titleBaseline="middle", titleLimit=_NAMES, titlePadding=6),
            )  # fmt: skip
            bars = table(alt, rows).mark_bar(color=BLUE).encode(x=x, x2="to:Q", y=y)
            panels.append(bars.properties(width=WIDE, height=_TALL))
    return finished(alt.vconcat(*panels, spacing=6))


def spread_words(scores: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> str:
    """Each measure's quartiles by model."""
    said = [
        f"{measure}, {model}: quarter of the rows below {a:.3f}, half below {b:.3f}, three quarters below {c:.3f}."
        for measure, of in scores.items()
        for model, v in of.items()
        for a, b, c in [np.quantile(v, [0.25, 0.5, 0.75]).tolist()]
    ]
    return " ".join(said)
