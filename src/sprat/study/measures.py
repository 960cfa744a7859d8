"""Published measures of every two-model candidate, its trace over all settings, and the reliability of its trust."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import Floats
from .candidates import JUDGED
from .certify import clopper_pearson, mean_interval
from .evidence import Evidence
from .interval import draws, known, of_each
from .metrics import aiq, apgr, cost_save, cpt, dollar_cpt, frontier, ibc_lift
from .result import Bin, Interval, Metrics, Trace
from .score import Facts, Ints, Outcome
from .tried import Setting
from .ways import representative
from .workers import each

TIMES = 150


def metrics(found: Evidence) -> list[Metrics]:
    """The measures of each route and cascade of two models, best APGR first; none where the small is no worse."""
    facts = found.shown
    small, large = facts.scores[:, 0], facts.reference
    if large.mean() - small.mean() <= 1e-9:
        return []
    resamples = draws(facts.units, found.data.seed, TIMES)
    candidates = found.tried.candidates
    length = next(i for i, c in enumerate(candidates) if c.name == "route by prompt length")
    base = found.held.shown[length].values[:, 0]
    two = [i for i, c in enumerate(candidates) if c.kind in JUDGED and len(c.models) == 2]
    rows: list[Metrics] = each(len(two), lambda i: _measured(found, two[i], base, resamples), lambda _: None)
    return sorted(rows, key=lambda m: -m.apgr.value)


def _measured(found: Evidence, i: int, base: Floats, resamples: list[Ints]) -> Metrics:
    candidate, facts, trust = found.tried.candidates[i], found.shown, found.held.shown[i]
    keep, small, large = trust.values[:, 0], facts.scores[:, 0], facts.reference
    settings = _settings(found, i)
    outcome, at = found.on_shown(settings), found.on_shown([representative(found, i)])
    dollars = found.tried.dollars and bool(np.isfinite(trust.cost).all())

    def all_of(rows: Any) -> Any:
        k, s, b = keep[rows], small[rows], large[rows]
        if b.mean() - s.mean() <= 1e-9:
            return [np.nan] * 9
        mine = apgr(k, s, b)
        paid = average = lift = saved = np.nan
        if dollars:
            paid = dollar_cpt(k, s, b, 0.5, small_cost=facts.costs[rows, 0], large_cost=facts.costs[rows, -1],
                              always=trust.cost[rows, 0], cascade=candidate.kind != "route")  # fmt: skip
            average = _aiq(outcome, facts.costs, facts.scores, rows)
            lift, saved = _lift(at, facts, rows), _saved(outcome, facts, rows)
        crossings = [cpt(k, s, b, level) for level in (0.5, 0.8, 0.95)]
        return [mine, mine - apgr(base[rows], s, b), *crossings, paid, average, lift, saved]

    intervals = of_each(all_of, slice(None), resamples)
    return Metrics(
        name=candidate.name,
        apgr=intervals[0],
        over_length=None if candidate.name == "route by prompt length" else intervals[1],
        cpt50=intervals[2],
        cpt80=intervals[3],
        cpt95=intervals[4],
        dollar_cpt50=known(intervals[5]),
        aiq=known(intervals[6]),
        ibc_lift=known(intervals[7]),
        cost_save=known(intervals[8]),
    )


def _lift(at: Outcome, facts: Facts, rows: Any) -> float:
    """AutoMix's lift of the setting shown, in per cent; NaN where it costs no more than the small model."""
    quality, cost = float(at.score[rows].mean()), float(at.cost[rows].mean())
    small, large = ((float(facts.scores[rows, j].mean()), float(facts.costs[rows, j].mean())) for j in (0, -1))
    if not cost > small[1] or not large[1] > small[1]:
        return float("nan")
    return ibc_lift(quality, cost, small, large)


def _saved(outcome: Outcome, facts: Facts, rows: Any) -> float:
    """The largest cut of the reference's cost at no less than its quality; NaN where no setting reaches that."""
    best = float(facts.scores[rows, -1].mean()), float(facts.costs[rows, -1].mean())
    found = cost_save(outcome.score[rows].mean(axis=0), outcome.cost[rows].mean(axis=0), best)
    return float("nan") if found is None else found


def _aiq(outcome: Outcome, costs: Floats, scores: Floats, rows: Any) -> float:
    quality = [*outcome.score[rows].mean(axis=0), scores[rows, 0].mean(), scores[rows, -1].mean()]
    cost = [*outcome.cost[rows].mean(axis=0), costs[rows, 0].mean(), costs[rows, -1].mean()]
    return aiq(quality, cost)


def _settings(found: Evidence, candidate: int) -> list[Setting]:
    return [s for s in found.tried.settings if s.candidate == candidate]


def traces(found: Evidence) -> list[Trace]:
    """Each candidate's settings as points on the rows shown, cheapest first."""
    rows: list[Trace] = []
    for i, candidate in enumerate(found.tried.candidates):
        settings = _settings(found, i)
        if len(settings) < 2:
            continue
        outcome = found.on_shown(settings)
        cost = 1000 * outcome.cost.mean(axis=0) if found.tried.dollars else outcome.large.mean(axis=0)
        if not np.isfinite(cost).all():
            continue
        quality = outcome.score.mean(axis=0)
        # A grid over several thresholds has no order of its own: its best settings are the line.
        several = len(settings[0].thresholds) > 1
        order = np.array(frontier(quality, cost)) if several else np.argsort(cost, kind="stable")
        rows.append(Trace(candidate.name, tuple(map(float, cost[order])), tuple(map(float, quality[order]))))
    return rows


def reliability(found: Evidence) -> list[Bin]:
    """Ten bins of the leading way's trust, each with the small model's mean score and its interval."""
    setting = found.leading
    if setting is None or found.tried.candidates[setting.candidate].kind not in JUDGED:
        return []
    trust, score = found.held.shown[setting.candidate].values[:, 0], found.shown.scores[:, 0]
    edges = np.unique(np.quantile(trust, np.linspace(0, 1, 11)))
    place = np.clip(np.searchsorted(edges, trust, side="right") - 1, 0, max(0, len(edges) - 2))
    bins: list[Bin] = []
    for b in np.unique(place):
        rows = place == b
        good = score[rows]
        binary = bool(np.isin(good, (0, 1)).all())
        low, high = clopper_pearson(int(good.sum()), len(good)) if binary else mean_interval(good)
        bins.append(Bin(float(trust[rows].mean()), Interval(float(good.mean()), low, high), int(rows.sum())))
    return bins
