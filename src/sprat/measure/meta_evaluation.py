"""Does a metric agree with people? Correlations by level with intervals, pairwise accuracy with ties, Williams' test.

Levels, bootstrap and permutation as in Deutsch, Dror and Roth (arXiv 2104.00054); pairwise accuracy with tuned ties
(arXiv 2305.14324); Williams' test of two metrics on the same independent rows (Williams 1959, as in Graham and Baldwin,
EMNLP 2014).
Checked by hand cases, against scipy, and against a table computed by hand of Williams' t.

Throughout: `human` and `metric` are (documents, systems), NaN where there is no mark; larger is better.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, MissingExtra
from .resampling import Estimate

Floats = NDArray[np.float64]
Level = Literal["system", "summary", "segment"]
How = Literal["pearson", "spearman", "kendall"]
LEVELS: tuple[Level, ...] = ("system", "summary", "segment")
HOWS: tuple[How, ...] = ("pearson", "spearman", "kendall")


def _stats() -> Any:
    try:
        return import_module("scipy.stats")
    except ImportError as missing:
        raise MissingExtra("study", "Correlations") from missing


def _both(human: ArrayLike, metric: ArrayLike) -> tuple[Floats, Floats]:
    h, m = np.asarray(human, np.float64), np.asarray(metric, np.float64)
    if h.ndim != 2 or h.shape != m.shape or not h.size:
        raise BadInput(f"Marks and scores are (documents, systems), of one shape; not {h.shape} and {m.shape}.")
    both = np.isfinite(h) & np.isfinite(m)
    if not both.any():
        raise BadInput("No row has both a mark and a score.")
    return np.where(both, h, np.nan), np.where(both, m, np.nan)


def _one(h: Floats, m: Floats, how: How) -> float:
    """The correlation of two rows, NaN where either does not vary or fewer than 3 are known."""
    known = np.isfinite(h)
    h, m = h[known], m[known]
    if len(h) < 3 or np.ptp(h) == 0 or np.ptp(m) == 0:
        return float("nan")
    if how == "kendall":
        return float(_stats().kendalltau(h, m).statistic)  # tau-b
    if how == "spearman":
        h, m = _stats().rankdata(h), _stats().rankdata(m)
    return float(np.corrcoef(h, m)[0, 1])


def correlation(human: ArrayLike, metric: ArrayLike, level: Level, how: How) -> float:
    """How marks and scores go together: of the systems' means, within a document (averaged), or of all rows pooled.

    A document in which marks or scores do not vary says nothing at the level "summary" and is left out there. Raises
    BadInput where nothing is left.
    """
    if level not in LEVELS or how not in HOWS:
        raise BadInput(f"There is no {how} at the level '{level}'.", hint=f"Levels: {', '.join(LEVELS)}.")
    h, m = _both(human, metric)
    if level == "segment":
        found = _one(h.ravel(), m.ravel(), how)
    elif level == "system":
        some = np.isfinite(h).any(axis=0)
        found = _one(np.nanmean(h[:, some], axis=0), np.nanmean(m[:, some], axis=0), how)
    else:
        each = np.array([_one(a, b, how) for a, b in zip(h, m, strict=True)])
        found = float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")
    if not np.isfinite(found):
        raise BadInput(f"At the level '{level}' marks or scores do not vary.", hint="Give more systems or documents.")
    return found


def correlated(
    human: ArrayLike,
    metric: ArrayLike,
    level: Level,
    how: How,
    *,
    times: int = 300,
    systems: bool = False,
    seed: int = 0,
) -> Estimate:
    """The correlation with a 95 % bootstrap interval over documents; over systems too with `systems`.

    Documents alone says how sure this is of these systems; both, of others like them. A row that is drawn twice agrees
    with itself: where rows of several draws are compared, the interval is moved back by the resamples' mean excess.
    Raises BadInput where more than one in twenty resamples has no value.
    """
    h, m = _both(human, metric)
    value, rng, found = correlation(h, m, level, how), np.random.default_rng(seed), list[float]()
    # Within documents, a resample of documents changes none of their correlations: each is computed once.
    within = np.array([_one(a, b, how) for a, b in zip(h, m, strict=True)]) if level == "summary" else None
    for _ in range(times):
        rows = rng.integers(0, len(h), len(h))
        if within is not None and not systems:
            if np.isfinite(within[rows]).any():
                found.append(float(np.nanmean(within[rows])))
            continue
        columns = rng.integers(0, h.shape[1], h.shape[1]) if systems else np.arange(h.shape[1])
        try:
            found.append(correlation(h[np.ix_(rows, columns)], m[np.ix_(rows, columns)], level, how))
        except BadInput:
            continue
    if len(found) < 0.95 * times:
        raise BadInput(f"The correlation has no value on {times - len(found)} of {times} resamples.")
    low, high = np.quantile(found, (0.025, 0.975))
    excess = float(np.mean(found)) - value if level == "segment" or systems else 0.0
    return Estimate(value, max(-1.0, float(low) - excess), min(1.0, float(high) - excess), len(h))


class Accuracy(NamedTuple):
    """The share of pairs put in the right order, ties counted; scores at most `tie` apart count as equal."""

    value: float
    tie: float
    pairs: int


def pairwise_accuracy(human: ArrayLike, metric: ArrayLike, tie: float | None = None) -> Accuracy:
    """The share of pairs within a document that the metric orders as people do, where both may find a tie.

    `tie` unless given is what makes the share greatest on these very rows, as its authors do: to hold a metric to it on
    others, give it. A continuous metric without it never finds a tie, and loses each that people find.
    """
    h, m = _both(human, metric)
    i, j = np.triu_indices(h.shape[1], 1)
    a, b = (h[:, i] - h[:, j]).ravel(), (m[:, i] - m[:, j]).ravel()
    known = np.isfinite(a)
    a, b = a[known], b[known]
    if not len(a):
        raise BadInput("No document has two marked systems to compare.")
    equal, agree = a == 0, np.sign(a) == np.sign(b)
    if tie is not None:
        near = np.abs(b) <= tie
        return Accuracy(float(np.mean(np.where(near, equal, agree & ~equal))), float(tie), len(a))
    # From no tie to all: each pair that becomes one wins where people found a tie, loses where it was ordered rightly.
    order = np.argsort(np.abs(b), kind="stable")
    size = np.abs(b)[order]
    right = (agree & ~equal).sum() + np.cumsum(equal[order].astype(int) - (agree & ~equal)[order])
    last = np.append(np.flatnonzero(np.diff(size) > 0), len(size) - 1)
    best = last[int(np.argmax(right[last]))]
    zero = float(np.mean(np.where(b == 0, equal, agree & ~equal)))
    if right[best] / len(a) <= zero:
        return Accuracy(zero, 0.0, len(a))
    return Accuracy(float(right[best] / len(a)), float(size[best]), len(a))


def swapped(human: ArrayLike, first: ArrayLike, second: ArrayLike, times: int = 5000, seed: int = 0) -> float:
    """The one-sided p-value that the first metric's Pearson correlation with people, over all rows, is no higher.

    A permutation test over documents (PERM-INPUTS of arXiv 2104.00054): both metrics, standardised, change places in
    whole documents at random, so that the rows of one need not be independent. Only rows that all three know count.
    """
    h, a, b = (np.asarray(v, np.float64) for v in (human, first, second))
    known = np.isfinite(h) & np.isfinite(a) & np.isfinite(b)
    if h.ndim != 2 or not h.shape == a.shape == b.shape or known.sum() < 3:
        raise BadInput("A test of two metrics needs marks and scores (documents, systems), of one shape, for 3 rows.")
    if min(float(np.ptp(v[known])) for v in (h, a, b)) == 0:
        raise BadInput("A test of two metrics needs marks and scores that vary.")
    h, a, b = (np.where(known, (v - v[known].mean()) / v[known].std(), 0.0) for v in (h, a, b))
    # Per document, what each metric adds to its sum, its sum of squares and its product with the marks.
    ours, theirs = (np.stack([m.sum(axis=1), (m**2).sum(axis=1), (m * h).sum(axis=1)], axis=1) for m in (a, b))
    n = float(known.sum())

    def apart(flips: Floats) -> Floats:
        change = flips @ (theirs - ours)
        one, other = ours.sum(axis=0) + change, theirs.sum(axis=0) - change
        r, s = (m[:, 2] / np.sqrt(np.maximum(n * m[:, 1] - m[:, 0] ** 2, 1e-12)) for m in (one, other))
        return r - s

    rng = np.random.default_rng(seed)
    drawn = apart((rng.random((times, len(h))) < 0.5).astype(np.float64))
    return float((1 + np.sum(drawn >= apart(np.zeros((1, len(h))))[0] - 1e-12)) / (times + 1))


class Williams(NamedTuple):
    """Williams' t with n - 3 degrees of freedom, and the one-sided p-value that the first metric is no better."""

    t: float
    p: float


def williams(first: float, second: float, between: float, n: int) -> Williams:
    """Whether a metric's correlation with people is above another's, whose own correlation with it is `between`.

    All three are of the same n rows, which must be independent: for several texts of a document use `swapped`. Raises
    BadInput for fewer than 4 rows, a correlation outside [-1, 1], or three
    that no data can have together.
    """
    if n < 4 or max(abs(first), abs(second), abs(between)) > 1:
        raise BadInput(f"Williams' test needs 4 rows and correlations in [-1, 1]; got {n} rows.")
    k = 1 - first**2 - second**2 - between**2 + 2 * first * second * between
    if k < -1e-6:
        raise BadInput(f"No data have the correlations {first:g}, {second:g} and {between:g} together.")
    k = max(0.0, k)
    below = 2 * k * (n - 1) / (n - 3) + (first + second) ** 2 / 4 * (1 - between) ** 3
    if below <= 0:
        return Williams(0.0, 0.5)
    t = (first - second) * np.sqrt((n - 1) * (1 + between) / below)
    return Williams(float(t), float(_stats().t.sf(t, n - 3)))
