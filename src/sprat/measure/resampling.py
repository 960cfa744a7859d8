"""Percentile bootstrap over units: a statistic, or several on the same resamples, with their intervals.

The rows of a unit are drawn together (Efron 1979; clusters as in Field and Welsh 2007). Checked against hand-made data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput


class Estimate(NamedTuple):
    """A number with its bootstrap interval over `units`; the interval is approximate, unlike a certificate's."""

    value: float
    low: float
    high: float
    units: int


def bootstrap(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    units: Sequence[object] | None = None,
    confidence: float = 0.95,
    times: int = 1000,
    seed: int = 0,
) -> Estimate:
    """The statistic of arrays (n, ...) with a percentile interval, resampling units with all their rows.

    The same rows are drawn from every array, so a difference of two routers is paired: pass both scores, and a
    statistic that subtracts. Resamples without a value (no gap between the models) are left out; raises BadInput
    where they are more than one in twenty.
    """
    of = {"": statistic}
    return bootstraps(of, *arrays, units=units, confidence=confidence, times=times, seed=seed)[""]


def bootstraps(
    statistics: Mapping[str, Callable[..., float]],
    *arrays: ArrayLike,
    units: Sequence[object] | NDArray[Any] | None = None,
    confidence: float = 0.95,
    times: int = 1000,
    seed: int = 0,
    centred: bool = False,
) -> dict[str, Estimate]:
    """Several statistics of the same arrays (n, ...), each with its interval, on the same resamples; as `bootstrap`.

    `centred` moves each interval by as much as the resamples' mean lies off the value: for statistics such as ECE,
    which grow with noise, and so are larger on every resample than on the rows themselves.
    """
    data = [np.asarray(a) for a in arrays]
    n = len(data[0]) if data else 0
    if not n or any(len(a) != n for a in data) or (units is not None and len(units) != n):
        raise BadInput("A bootstrap needs arrays, and unit ids, of one length.")
    groups: dict[object, list[int]] = {}
    for row, unit in enumerate(units if units is not None else range(n)):
        groups.setdefault(unit, []).append(row)
    found: dict[str, list[float]] = {name: [] for name in statistics}
    for picked in _resamples([np.array(g, dtype=np.int64) for g in groups.values()], times, seed):
        drawn = [a[picked] for a in data]
        for name, statistic in statistics.items():
            try:
                found[name].append(float(statistic(*drawn)))
            except BadInput:
                continue
    values = {name: float(statistic(*data)) for name, statistic in statistics.items()}
    made: dict[str, Estimate] = {}
    for name, value in values.items():
        low, high = _ends(found[name], times, confidence)
        moved = value - float(np.mean(found[name])) if centred else 0.0
        made[name] = Estimate(value, low + moved, high + moved, len(groups))
    return made


def _resamples(rows: list[NDArray[np.int64]], times: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """The row indices of each resample."""
    single = all(len(r) == 1 for r in rows)
    rng = np.random.default_rng(seed)
    for _ in range(times):
        drawn = rng.integers(0, len(rows), len(rows))
        yield drawn if single else np.concatenate([rows[int(i)] for i in drawn])


def _ends(found: list[float], times: int, confidence: float) -> tuple[float, float]:
    if len(found) < 0.95 * times:
        hint = "Collect more rows, or rows that differ more."
        raise BadInput(f"The statistic has no value on {times - len(found)} of {times} resamples.", hint=hint)
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def widened(rate: Estimate, units: int | None = None) -> Estimate:
    """The rate with Wilson's interval where all rows are alike: every resample then says the same, and nothing.

    `units` are those that the rate is a share of, where not all are. A value outside [0, 1] is no rate and stays.
    """
    if rate.low < rate.high or not 0 <= rate.value <= 1:
        return rate
    return Estimate(rate.value, *wilson(rate.value, units or rate.units), rate.units)


def clustered_rate(
    hits: ArrayLike, units: Sequence[object] | NDArray[Any] | None = None, confidence: float = 0.95
) -> Estimate:
    """The mean of hits (n,) in [0, 1] with Wilson's interval over as many rows as would be worth the units.

    Rows are divided by the design effect, how often the variance by unit is that of rows by themselves (Kish 1965), and
    by (t/z)^2 for the units' number, as Korn and Graubard (1998) have it; at a rate of 0 or 1, which shows no variance,
    each unit counts as one row. Raises BadInput without a row.
    """
    y = np.asarray(hits, np.float64)
    if y.ndim != 1 or not len(y) or (units is not None and len(units) != len(y)):
        raise BadInput("A rate needs hits, and unit ids, of one length.")
    at = np.arange(len(y)) if units is None else np.unique(np.asarray(units), return_inverse=True)[1]
    n, count, rate = len(y), int(at.max()) + 1, float(y.mean())
    if count == n:
        worth = float(n)
    elif count == 1 or not 0 < rate < 1:
        worth = float(count)
    else:
        between = float((np.bincount(at, weights=y - rate) ** 2).sum()) * count / (count - 1) / n
        worth = n / max(1.0, between / (rate * (1 - rate))) / _heavier(confidence, count - 1)
    return Estimate(rate, *wilson(rate, max(1.0, worth), confidence), count)


def _heavier(confidence: float, freedom: int) -> float:
    """Student's quantile over the normal's, squared: by its expansion (Abramowitz and Stegun 26.7.5), without scipy."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return (1 + sum(t / freedom ** (k + 1) for k, t in enumerate(terms)) / z) ** 2


def wilson(rate: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a rate over n units, in [0, 1]; BadInput for n < 1."""
    if n < 1:
        raise BadInput("An interval of a rate needs at least one unit.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(max(0.0, rate * (1 - rate)) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)
