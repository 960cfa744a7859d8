"""The table of every way of working tried, each at one setting, measured on the rows shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core import Model
from ..data import Floats
from ..drivers import batch
from ..replay import Recorded, Recording
from ..shape import exchanged, recipe
from .evidence import Evidence
from .interval import draws, known, of_each, per_unit
from .metrics import frontier
from .result import Way
from .robust import robustness
from .score import Outcome
from .tried import Setting
from .workers import each


def built(found: Evidence, setting: Setting | None, endpoints: Mapping[str, Any], signals: Any = None) -> Model:
    """The model of a setting over these endpoints, with the fitted signals; the reference alone for None.

    `signals` are the candidate's own where they were made ready before.
    """
    if setting is None:
        return endpoints[found.asked.large]
    candidate = found.tried.candidates[setting.candidate]
    prices = found.facts.columns(candidate.models)[3]
    signals = live(found.held.signals[setting.candidate], endpoints) if signals is None else signals
    return candidate.model(dict(endpoints), signals, setting.thresholds, tuple(float(p) for p in np.nan_to_num(prices)))


def live(signals: Any, endpoints: Mapping[str, Any]) -> Any:
    """The signals with the endpoints in place of the recorded models that they ask."""

    def change(part: Any) -> Any:
        return endpoints.get(part.name, part) if isinstance(part, Recorded) else part

    return exchanged(signals, change)


def representative(found: Evidence, candidate: int) -> Setting:
    """The candidate's setting to show: the certified one, else by the fit rows the cheapest that keeps the promise."""
    if found.chosen is not None and found.chosen.candidate == candidate:
        return found.chosen
    places = [i for i, s in enumerate(found.tried.settings) if s.candidate == candidate]
    loss = found.tried.loss[:, places].mean(axis=0)
    saving = np.nan_to_num(found.tried.saving[places], nan=-np.inf)
    keeping = np.flatnonzero(loss <= 0)
    best = keeping[np.argmax(saving[keeping])] if len(keeping) else np.argmin(loss)
    return found.tried.settings[places[int(best)]]


def ways(found: Evidence, endpoints: Mapping[str, Any]) -> list[Way]:
    """One row per candidate, and the oracle; certified first, then by cost."""
    resamples = draws(np.unique(found.shown.units), found.data.seed)
    settings = [representative(found, i) for i in range(len(found.tried.candidates))]
    outcome = found.on_shown(settings)
    oracle = _oracle(found)
    table = Outcome.joined([outcome, oracle])
    quality, cost = table.score.mean(axis=0), _cost(found, table)
    placed = np.flatnonzero(np.isfinite(cost[:-1]))
    front = {int(placed[i]) for i in frontier(quality[placed], cost[placed])}
    robust = each(len(settings), lambda i: robustness(found, settings[i]), lambda _: None)
    intervals = [_intervals(found, table, j, resamples) for j in range(len(settings) + 1)]
    rows: list[Way] = []
    for j, setting in enumerate(settings):
        candidate = found.tried.candidates[setting.candidate]
        model = built(found, setting, endpoints)
        rows.append(
            Way(
                name=candidate.name,
                kind=candidate.kind,
                recipe=recipe(model),
                thresholds=setting.thresholds,
                status=_status(found, setting),
                p95_at_once=_at_once(found, model) if found.chosen is setting else None,
                on_front=j in front,
                robust=robust[j],
                **intervals[j],
                **_times(table, j),
            )
        )
    rows.append(Way("oracle", "oracle", "knows who will be right", (), "baseline", p95_at_once=None, on_front=False,
                    robust={}, **intervals[-1], **_times(table, len(settings))))  # fmt: skip
    order = {"certified": 0, "reference": 1}
    return sorted(rows, key=lambda w: (order.get(w.status, 2), w.cost.value if w.cost else np.inf, w.name))


def _status(found: Evidence, setting: Setting) -> str:
    candidate = found.tried.candidates[setting.candidate]
    if found.chosen is not None and setting == found.chosen:
        return "certified"
    if candidate.models == (found.asked.large,):
        return "reference"
    if found.tried.refused[setting.candidate]:
        return found.tried.refused[setting.candidate]
    if candidate.baseline:
        return "baseline"
    return "in the list" if setting.candidate in {s.candidate for s in found.tried.listed} else "tried"


def _cost(found: Evidence, table: Outcome) -> Floats:
    return table.cost.mean(axis=0) if found.tried.dollars else table.large.mean(axis=0)


def _oracle(found: Evidence) -> Outcome:
    """Small wherever it is no worse than the reference: what nobody can serve."""
    facts = found.shown
    stay = facts.scores[:, 0] >= facts.reference
    pick = np.where(stay, 0, facts.scores.shape[1] - 1)
    at = np.arange(len(facts))
    return Outcome(
        facts.scores[at, pick][:, None],
        facts.costs[at, pick][:, None],
        facts.seconds[at, pick][:, None],
        facts.joules[at, pick][:, None],
        ~stay[:, None],
    )


def _intervals(found: Evidence, table: Outcome, j: int, resamples: list[Any]) -> dict[str, Any]:
    facts, dollars = found.shown, found.tried.dollars
    columns = table.score[:, j], table.cost[:, j], table.large[:, j], table.joules[:, j]
    score, cost, large, joules = (per_unit(c, facts.units) for c in columns)
    reference, paid = per_unit(facts.reference, facts.units), per_unit(facts.costs[:, -1], facts.units)

    def all_of(rows: Any) -> Any:
        quality, best = score[rows].mean(), reference[rows].mean()
        saving = 1 - cost[rows].mean() / paid[rows].mean() if dollars else 1 - large[rows].mean()
        kept = quality / best if best > 0 else np.nan
        return [quality, kept, saving, 1000 * cost[rows].mean(), large[rows].mean(), joules[rows].mean() / 3.6]

    quality, kept, saving, per_thousand, share, energy = of_each(all_of, slice(None), resamples)
    return {
        "quality": quality,
        "kept": kept,
        "saving": known(saving),
        "cost": known(per_thousand),
        "large": share,
        "energy": known(energy),
    }


def _times(table: Outcome, j: int) -> dict[str, Any]:
    seconds = table.seconds[:, j]
    if not np.isfinite(seconds).all():
        return {"p50": None, "p95": None}
    return {"p50": float(np.quantile(seconds, 0.5)), "p95": float(np.quantile(seconds, 0.95))}


def _at_once(found: Evidence, model: Model) -> float | None:
    """The 95th percentile of seconds where asks made together run at once, replayed on the rows shown."""
    shown = found.data.unlabelled.take(found.cut.shown)
    replies = batch(model, [e.request for e in shown], Recording(shown).swap, at_once=True)
    seconds = [r.seconds for r in replies]
    if any(s is None for s in seconds):
        return None
    return float(np.quantile([s for s in seconds if s is not None], 0.95))
