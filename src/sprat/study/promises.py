"""What other levels of the promise would save, and what more rows would bring."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import Floats
from .arrange import arrange, feasible, rows_for, rows_needed
from .certify import Promise, by_unit, seed_from, walk
from .evidence import Evidence
from .interval import draws, of_each, per_unit
from .result import Feasibility, Interval, PromisePoint
from .tried import LEAST, Setting, replace_places, savings

KEEP = (0.999, 0.995, 0.99, 0.98, 0.97, 0.95, 0.92, 0.9)
WITHIN = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1)


def curve(found: Evidence) -> list[PromisePoint]:
    """One point per level, each its own list fixed on the fit rows and walked once: not all hold at once."""
    asked, tried = found.asked, found.tried
    levels = sorted({*(KEEP if asked.promise.kind == "keep" else WITHIN), asked.promise.level})
    fit, calibration = found.facts.take(found.cut.fit), found.facts.take(found.cut.calibration)
    units, seed = len(np.unique(calibration.units)), seed_from(found.data.hash)
    saving = tried.saving[tried.allowed]
    points: list[PromisePoint] = []
    for level in levels:
        promise = Promise(asked.promise.kind, level)
        if promise == asked.promise:
            chosen = found.chosen
            loss = tried.loss[:, tried.allowed]
        else:
            score = tried.outcome.score[:, tried.allowed]
            loss = by_unit(promise.losses(fit.reference, score), fit.units.tolist())
            listed = replace_places(
                arrange(loss, saving, units, asked.delta, promise.top, samples=60, settings=24, seed=found.data.seed),
                tried.allowed,
            )
            settings = [tried.settings[i] for i in listed.places]
            chosen = None
            if settings:
                outcome = found.on_calibration(settings)
                held = by_unit(promise.losses(calibration.reference, outcome.score), calibration.units.tolist())
                passed = walk(held, asked.delta, promise.top, seed, listed.spread).certified
                gained = savings(outcome, calibration, tried.dollars)
                while passed is not None and not gained[passed] > LEAST:
                    passed = passed - 1 if passed else None
                chosen = None if passed is None else settings[passed]
        if chosen is None:
            points.append(PromisePoint(level, None, None, None, _needed(loss, found, promise)))
        else:
            share = float(found.on_shown([chosen]).large.mean())
            points.append(PromisePoint(level, chosen.name, saved(found, chosen), share, None))
    return points


def saved(found: Evidence, setting: Setting) -> Interval:
    """What a setting saves on the rows shown, with its interval."""
    outcome, units = found.on_shown([setting]), found.shown.units
    cost, large = per_unit(outcome.cost[:, 0], units), per_unit(outcome.large[:, 0], units)
    paid = per_unit(found.shown.costs[:, -1], units)

    def share(rows: Any) -> Any:
        return [1 - cost[rows].mean() / paid[rows].mean() if found.tried.dollars else 1 - large[rows].mean()]

    return of_each(share, slice(None), draws(np.unique(units), found.data.seed))[0]


def _needed(loss: Floats, found: Evidence, promise: Promise) -> int | None:
    """The calibration units that the most testable setting needs for 80 % power; None where none keeps the promise."""
    if not loss.shape[1]:
        return None
    ease = loss.mean(axis=0) / np.maximum(loss.std(axis=0), 1e-9)
    best = np.argsort(ease, kind="stable")[:2]
    seed = found.data.seed
    needs = [rows_needed(loss[:, i], found.asked.delta, promise.top, 0.8, most=200_000, seed=seed) for i in best]
    return min((n for n in needs if n is not None), default=None)


def needed(found: Evidence) -> int | None:
    """The calibration units after which something is likely to be certified at the level asked for."""
    tried = found.tried
    return _needed(tried.loss[:, tried.allowed], found, found.asked.promise)


def ahead(found: Evidence) -> list[Feasibility]:
    """The saving to expect at several numbers of calibration units, this study's own among them."""
    tried, asked = found.tried, found.asked
    own = len(np.unique(found.facts.units[found.cut.calibration]))
    sizes = sorted({300, 1000, 3000, own})
    loss, saving = tried.loss[:, tried.allowed], tried.saving[tried.allowed]
    if not loss.shape[1]:
        return [Feasibility(n, 0.0, 1.0, 0.0) for n in sizes]
    found_ = feasible(loss, saving, sizes, asked.delta, asked.promise.top, seed=found.data.seed)
    return [Feasibility(*f) for f in found_]


def rows_for_saving(found: Evidence, wanted: float) -> int | None:
    """The calibration units that the fit rows say a saving needs; None beyond 20,000."""
    tried = found.tried
    loss, saving = tried.loss[:, tried.allowed], tried.saving[tried.allowed]
    if not loss.shape[1]:
        return None
    return rows_for(loss, saving, wanted, found.asked.delta, found.asked.promise.top, seed=found.data.seed)
