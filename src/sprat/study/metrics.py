"""Measures of a router or cascade from arrays: PGR, APGR, CPT, dollar CPT, AIQ, IBC lift, CostSave, with intervals.

Papers: RouteLLM (arXiv 2406.18665), RouterBench (arXiv 2403.12031), AutoMix (arXiv 2310.12963), LLMRouterBench (arXiv
2601.07206). Checked against: hand-computed curves; a random router, whose APGR is one half; an oracle, above one.

Throughout: `keep` (n,) is the router's score, higher for rows that the small model should answer; `small` and `large`
(n,) are the two models' scores on the rows. The curve runs over the share of rows sent to the large model, lowest
`keep` first. Rows of equal `keep` are sent in a random order on average, which is a straight line between the ends of
the tie; so no number depends on the order of the rows, and a constant score is exactly the random router.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sprat.errors import BadInput
from sprat.measure.resampling import Estimate, bootstrap
from sprat.study.arrange import front
from sprat.study.certify import Floats

__all__ = [
    "Curve",
    "Estimate",
    "aiq",
    "apgr",
    "bootstrap",
    "cost_save",
    "cpt",
    "curve",
    "dollar_cpt",
    "frontier",
    "ibc_lift",
    "pgr",
]


class Curve(NamedTuple):
    """Quality against the share sent to the large model: straight lines between the points, from share 0 to 1."""

    share: Floats
    quality: Floats


def curve(keep: ArrayLike, small: ArrayLike, large: ArrayLike) -> Curve:
    """The quality at each share sent to the large model, ties averaged; raises BadInput for unequal lengths."""
    k, s, b = _same(keep, small, large)
    ends, at = _ties(k)
    gained = np.concatenate([[0.0], np.cumsum((b - s)[at])[ends]])
    return Curve(np.concatenate([[0.0], (ends + 1) / len(k)]), float(s.mean()) + gained / len(k))


def pgr(found: Curve) -> Floats:
    """Performance gap recovered at each point: 0 is the small model, 1 the large; can pass 1.

    Raises BadInput where the large model is no better than the small one: there is no gap to recover.
    """
    low, high = found.quality[0], found.quality[-1]
    if high - low <= 1e-12:
        hint = "Compare costs with cost_save instead; here the small model alone is enough."
        raise BadInput("The large model is no better than the small one on these rows.", hint=hint)
    return (found.quality - low) / (high - low)


def apgr(keep: ArrayLike, small: ArrayLike, large: ArrayLike) -> float:
    """The mean PGR over all shares (RouteLLM, whole curve): one half at random, above one is possible."""
    found = curve(keep, small, large)
    return float(np.trapezoid(pgr(found), found.share))


def cpt(keep: ArrayLike, small: ArrayLike, large: ArrayLike, recovered: float) -> float:
    """The smallest share sent to the large model whose PGR is at least `recovered`, in (0, 1]: the first crossing."""
    found = curve(keep, small, large)
    return _first(found.share, pgr(found), recovered)


def dollar_cpt(
    keep: ArrayLike,
    small: ArrayLike,
    large: ArrayLike,
    recovered: float,
    *,
    small_cost: ArrayLike,
    large_cost: ArrayLike,
    always: ArrayLike = 0.0,
    cascade: bool = True,
) -> float:
    """The cost, as a fraction of sending everything to the large model, at which PGR first reaches `recovered`.

    Costs are per row, (n,) or one number, in one currency. A cascade pays the small model on every row; a router that
    reads the prompt only (cascade=False) pays it on the rows kept. `always` is paid on every row besides: peers,
    encoder, judge. Above 1 it would be cheaper to ask the large model everything.
    """
    k, s, b = _same(keep, small, large)
    low, high, extra = (np.broadcast_to(np.asarray(x, float), k.shape) for x in (small_cost, large_cost, always))
    if not (np.isfinite(low).all() and np.isfinite(high).all() and np.isfinite(extra).all()) or high.sum() <= 0:
        hint = "An unknown price stays unknown: name it before asking for dollars."
        raise BadInput("Costs must be known for every row, and the large model's above 0.", hint=hint)
    found = curve(k, s, b)
    ends, at = _ties(k)
    step = high if cascade else high - low
    paid = float((low + extra).sum()) + np.concatenate([[0.0], np.cumsum(step[at])[ends]])
    return _first(paid / float(high.sum()), pgr(found), recovered)


def aiq(quality: ArrayLike, cost: ArrayLike) -> float:
    """RouterBench's average quality: 1/(c_max - c_min) times the integral over cost of the non-decreasing convex hull.

    `quality` and `cost` (settings,) hold one point per setting; points between two are had by mixing at random.
    The hull is flat to the right of its best point. Raises BadInput where all points cost the same.
    """
    q, c = _same(quality, cost)
    if c.max() - c.min() <= 0:
        raise BadInput("AIQ needs settings of at least two different costs.")
    hull: list[tuple[float, float]] = []
    for place in [*reversed(front(q, c))]:
        point = float(c[place]), float(q[place])
        while len(hull) > 1 and _below(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    hull.append((float(c.max()), hull[-1][1]))
    xs, ys = np.array(hull).T
    return float(np.trapezoid(ys, xs) / (c.max() - c.min()))


def ibc_lift(quality: float, cost: float, small: tuple[float, float], large: tuple[float, float]) -> float:
    """AutoMix's lift, in per cent: how much more quality per cost than going straight from small to large.

    `small` and `large` are (quality, cost); `cost` includes all that is paid, the small model and the check too.
    """
    if cost <= small[1] or large[1] <= small[1] or large[0] <= small[0]:
        hint = "The lift compares slopes from the small model up to the large one."
        raise BadInput("The method and the large model must cost more than the small one, and gain on it.", hint=hint)
    base = (large[0] - small[0]) / (large[1] - small[1])
    return 100 * ((quality - small[0]) / (cost - small[1]) - base) / base


def cost_save(quality: ArrayLike, cost: ArrayLike, best: tuple[float, float]) -> float | None:
    """LLMRouterBench's CostSave: the largest cut of the best single model's cost at no less quality than its own.

    `best` is that model's (quality, cost). Negative where equal quality costs more; None where no setting reaches it.
    """
    q, c = _same(quality, cost)
    if best[1] <= 0:
        raise BadInput("The best single model's cost must be known and above 0.")
    reached = c[q >= best[0] - 1e-12]
    return float(1 - reached.min() / best[1]) if len(reached) else None


def frontier(quality: ArrayLike, cost: ArrayLike) -> list[int]:
    """Places of the settings that no other beats in both quality and cost, cheapest first: quality rises with cost."""
    return front(quality, cost)[::-1]


def _same(*arrays: ArrayLike) -> list[Floats]:
    found = [np.asarray(a, float) for a in arrays]
    if any(a.ndim != 1 or a.shape != found[0].shape or not len(a) or np.isnan(a).any() for a in found):
        raise BadInput("These must be arrays of one length, at least 1, with nothing missing.")
    return found


def _ties(keep: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Where each run of equal scores ends, in the order of rising score; and that order."""
    at = np.argsort(keep, kind="stable")
    return np.append(np.flatnonzero(np.diff(keep[at]) != 0), len(keep) - 1), at


def _first(x: Floats, y: Floats, level: float) -> float:
    """The smallest x at which the line through the points (x rising) reaches `level`; y ends at 1."""
    if not 0 < level <= 1:
        raise BadInput(f"The share of the gap to recover must lie in (0, 1], not {level}.", hint="0.95 is CPT95.")
    i = int(np.argmax(y >= level - 1e-12))
    if i == 0 or y[i] == y[i - 1]:
        return float(x[i])
    return float(x[i - 1] + (x[i] - x[i - 1]) * min(1.0, (level - y[i - 1]) / (y[i] - y[i - 1])))


def _below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])
