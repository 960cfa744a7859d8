"""Intervals as the study shows them: 95 %, approximate where they are bootstrapped, by unit throughout."""

from __future__ import annotations

from collections.abc import Callable
from math import atanh, sqrt, tanh
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Floats
from .result import Interval
from .score import Ints

TIMES = 300


def draws(units: Ints, seed: int, times: int = TIMES) -> list[Ints]:
    """Row indices of bootstrap resamples of whole units."""
    rng = np.random.default_rng(seed)
    _, of_row = np.unique(units, return_inverse=True)
    n = int(of_row.max()) + 1
    if n == len(units):
        return [rng.integers(0, n, n).astype(np.int64) for _ in range(times)]
    rows = [np.flatnonzero(of_row == u) for u in range(n)]
    return [np.concatenate([rows[int(u)] for u in rng.integers(0, n, n)]).astype(np.int64) for _ in range(times)]


def per_unit(values: Any, units: Ints) -> Floats:
    """The mean over each unit's rows, (units,) or (units, ...): what a certificate counts, each unit once."""
    found = np.asarray(values, dtype=np.float64)
    _, of_row, sizes = np.unique(units, return_inverse=True, return_counts=True)
    if len(sizes) == len(units):
        return found
    sums = np.zeros((len(sizes), *found.shape[1:]))
    np.add.at(sums, of_row, found)
    return sums / sizes.reshape(-1, *(1,) * (found.ndim - 1))


def of_each(statistic: Callable[[Any], NDArray[Any]], everything: Any, resamples: list[Ints]) -> list[Interval]:
    """Percentile intervals of a vector of statistics of row indices; NaN where a resample has no value."""
    value = np.asarray(statistic(everything), dtype=np.float64)
    drawn = np.array([statistic(rows) for rows in resamples], dtype=np.float64)
    low, high = _quantiles(drawn)
    return [Interval(float(v), float(a), float(b)) for v, a, b in zip(value, low, high, strict=True)]


def _quantiles(drawn: Floats) -> tuple[Floats, Floats]:
    if np.isnan(drawn).all(axis=0).any():
        drawn = np.where(np.isnan(drawn).all(axis=0), 0.0, drawn)
    return np.nanquantile(drawn, 0.025, axis=0), np.nanquantile(drawn, 0.975, axis=0)


def known(interval: Interval) -> Interval | None:
    """The interval, None where its value is unknown."""
    return interval if np.isfinite(interval.value) else None


def rank_correlation(a: Floats, b: Floats) -> Interval:
    """Spearman's rank correlation with Fisher's interval; 0 where either never varies."""
    from scipy.stats import rankdata  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    if np.ptp(a) == 0 or np.ptp(b) == 0 or len(a) < 5:
        return Interval(0.0, -1.0, 1.0)
    r = float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
    z, half = atanh(max(min(r, 0.999999), -0.999999)), 1.96 / sqrt(len(a) - 3)
    return Interval(r, tanh(z - half), tanh(z + half))
