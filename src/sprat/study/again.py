"""A way of working on other recorded rows: quality, cost and time with intervals, and what can't be replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..core import Model
from ..prices import Prices, priced
from ..replay import replay
from ..shape import leaves, name_of
from .certify import mean_interval
from .interval import draws, of_each, per_unit
from .job import graded, load, priced_by


def again(
    source: str | Path,
    model: Model,
    at_once: bool = False,
    grade: str | None = None,
    prices: Path | None = None,
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Replay the model on every row; numbers are over the rows that the recording answers, whose share is given."""
    data, _ = priced_by(load(source, skip_bad=skip_bad), prices)
    own = {name_of(leaf): price for leaf in leaves(model) if (price := getattr(leaf, "price", None)) is not None}
    data = priced(data, Prices(own)) if own and prices is None else data
    names = [name_of(leaf) for leaf in leaves(model) if not hasattr(leaf, "encode")]
    data = graded(data, grade, names[-1])
    replies = replay(model, data, at_once=at_once)
    ok = np.array([r.ok for r in replies], dtype=bool)
    missing: dict[str, int] = {}
    for reply in replies:
        if reply.error:
            lacking = next((leaf.model for leaf in reply.leaves() if leaf.error), "a model")
            missing[lacking] = missing.get(lacking, 0) + 1
    low, high = data.bounds
    score = np.array([np.nan if r.score is None else (r.score - low) / (high - low) for r in replies])[ok]
    cost = np.array([np.nan if r.cost is None else r.cost for r in replies], dtype=np.float64)[ok]
    seconds = np.array([np.nan if r.seconds is None else r.seconds for r in replies], dtype=np.float64)[ok]
    units = data.units[ok]
    return {
        "model": repr(model),
        "rows": len(data),
        "answered": int(ok.sum()),
        "missing": missing,
        "missing_cost": {name: _mean_cost(data, name) for name in missing},
        "quality": [float(per_unit(score, units).mean()), *mean_interval(per_unit(score, units))]
        if len(score) and np.isfinite(score).all()
        else None,
        "cost per 1,000 ($)": _bootstrapped(1000 * cost, units, data.seed),
        "p50": _quantile(seconds, 0.5),
        "p95": _quantile(seconds, 0.95),
    }


def _mean_cost(data: Any, name: str) -> float | None:
    if name not in data.models:
        return None
    costs = data.costs([name])
    return float(np.nanmean(costs)) if np.isfinite(costs).any() else None


def _bootstrapped(values: Any, units: Any, seed: int) -> list[float] | None:
    if not len(values) or not np.isfinite(values).all():
        return None
    found = of_each(lambda rows: np.array([values[rows].mean()]), slice(None), draws(units, seed))[0]
    return [found.value, found.low, found.high]


def _quantile(seconds: Any, level: float) -> float | None:
    return float(np.quantile(seconds, level)) if len(seconds) and np.isfinite(seconds).all() else None
