"""A mean by human marks, from few marks and many cheap scores: as sure as the scores allow, never less than the marks.

Prediction-powered inference (arXiv 2301.09633) with its tuned weight (PPI++, arXiv 2311.01453), cross-fitted on request
(arXiv 2309.16598), and the choice of what to mark next (arXiv 2403.03208). Checked by coverage over resamples, against
the closed form of the variance, and by unbiasedness under enumeration of what is marked.

Y is the mark, f the cheap score, n rows have both and N others f alone. The estimate is mean(Y) + w (mean of f over
the N - mean of f over the n). With w = Cov(Y, f) / (Var f (1 + n/N)) its variance is Var(Y)/n (1 - rho^2 N/(n + N)): a
score that says nothing changes nothing. All moments are the marked rows', so that the interval can't be longer than
that of the marks alone. gateway/promise/labels.py has the same correction for a stream of pairs, valid at all times
together, by betting; here the sample's size is fixed, and intervals are by the central limit theorem, with Student's
quantile.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, MissingExtra

Floats = NDArray[np.float64]
FEWEST = 10  # marks
TUNED = 50  # marks from which on a weight tuned on them leaves the interval about as sure as it says


class Mean(NamedTuple):
    """A mean with its interval; `weight` of the cheap score (0: marks alone), and how many rows were marked or not."""

    value: float
    low: float
    high: float
    weight: float
    marked: int
    unmarked: int

    @property
    def width(self) -> float:
        """The interval's length."""
        return self.high - self.low


def _quantile(confidence: float, freedom: int) -> float:
    if not 0 < confidence < 1:
        raise BadInput(f"The confidence must lie between 0 and 1, not {confidence}.")
    try:
        stats: Any = import_module("scipy.stats")
    except ImportError as missing:
        raise MissingExtra("study", "A mean with its interval") from missing
    return float(stats.t.ppf((1 + confidence) / 2, freedom))


def _numbers(what: str, values: ArrayLike, fewest: int = 0) -> Floats:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise BadInput(f"The {what} must be one row of numbers with none missing.")
    if len(found) < fewest:
        raise BadInput(f"A mean with an interval needs at least {fewest} marks; there are {len(found)}.",
                       hint=f"Mark {fewest - len(found)} more rows, drawn at random.")  # fmt: skip
    return found


Bounds = tuple[float, float] | None


def classical_mean(marks: ArrayLike, confidence: float = 0.95, bounds: Bounds = None) -> Mean:
    """The marks alone, with Student's interval; where all are equal, an exact one within the `bounds` of a mark.

    Raises BadInput for fewer than 10 marks, or equal ones whose bounds are not given: they have no spread to go by.
    """
    y = _numbers("marks", marks, FEWEST)
    if not np.ptp(y):
        return _all_equal(float(y[0]), len(y), confidence, bounds)
    half = _quantile(confidence, len(y) - 1) * float(y.std(ddof=1)) / np.sqrt(len(y))
    return Mean(float(y.mean()), float(y.mean() - half), float(y.mean() + half), 0.0, len(y), 0)


def _all_equal(value: float, n: int, confidence: float, bounds: Bounds) -> Mean:
    """n marks of one value: another value has a chance of at most 1 - (alpha / 2)^(1/n), as Clopper and Pearson say."""
    if bounds is None:
        raise BadInput(f"All {n} marks are {value:g}, and marks that do not differ give no interval.",
                       hint="Mark more rows, or give the least and the most that a mark can be.")  # fmt: skip
    least, most = bounds
    if not least <= value <= most or not 0 < confidence < 1:
        raise BadInput(f"A mark of {value:g} is not within {least:g} to {most:g}, or {confidence:g} is no confidence.")
    other = 1 - ((1 - confidence) / 2) ** (1 / n)
    return Mean(value, value - other * (value - least), value + other * (most - value), 0.0, n, 0)


def powered_mean(
    marks: ArrayLike,
    scores: ArrayLike,
    others: ArrayLike,
    *,
    weight: float | None = None,
    folds: int = 0,
    seed: int = 0,
    confidence: float = 0.95,
    bounds: Bounds = None,
) -> Mean:
    """The mean mark from `marks` (n,) with their cheap `scores` (n,), and the scores of `others` (N,) unmarked rows.

    The marked rows must be a random sample of all; each row must be a unit of its own (average the rows of a unit
    first). The weight is tuned unless given (1 is plain PPI); of fewer than 50 marks it is 0 instead, since tuned on so
    few it makes the interval too short. With `folds` it is tuned for each part of the rows on the other parts, so that
    the estimate is exactly unbiased; the interval may then be longer than that of the marks alone.
    Equal marks are as in `classical_mean`. Raises BadInput for fewer than 10 marks, unequal lengths or missing numbers.
    """
    y, f, rest = _numbers("marks", marks, FEWEST), _numbers("scores", scores), _numbers("other scores", others)
    if len(f) != len(y):
        raise BadInput(f"{len(y)} marks have {len(f)} scores.", hint="Give each mark its own row's score.")
    if not len(rest) or not np.ptp(y) or (weight is None and not folds and len(y) < TUNED):
        return classical_mean(y, confidence, bounds)._replace(unmarked=len(rest))
    n, far = len(y), len(rest)
    used = np.full(n, _tuned(y, f, far) if weight is None else weight)
    if folds and weight is None:
        if not 2 <= folds <= n // 5:
            raise BadInput(f"{folds} folds of {n} marks are too small.", hint=f"Ask for 2 to {n // 5}.")
        part = np.random.default_rng(seed).permutation(n) % folds
        for k in range(folds):
            used[part == k] = _tuned(y[part != k], f[part != k], far)
    mean = float(used.mean())
    value = float(np.mean(y - used * f)) + mean * float(rest.mean())
    spread = float(np.var(f, ddof=1)) if not folds else float(np.var(rest, ddof=1)) if far > 1 else 0.0
    variance = float(np.var(y - used * f, ddof=1)) / n + mean**2 * spread / far
    half = _quantile(confidence, n - 1) * np.sqrt(max(variance, 0.0))
    return Mean(value, float(value - half), float(value + half), mean, n, far)


def _tuned(y: Floats, f: Floats, far: int) -> float:
    spread = float(np.var(f, ddof=1))
    if spread <= 1e-18:
        return 0.0
    return float(np.mean((y - y.mean()) * (f - f.mean())) * len(y) / (len(y) - 1)) / (spread * (1 + len(y) / far))


def shortening(correlation: float, marked: int, unmarked: int) -> float:
    """What the theory says the interval shrinks to, of that of the marks alone: sqrt(1 - rho^2 N / (n + N))."""
    return float(np.sqrt(1 - correlation**2 * unmarked / (marked + unmarked)))


def propensities(doubt: ArrayLike, budget: float, floor: float = 0.2) -> Floats:
    """The chance (N,) with which to mark each row, in proportion to its doubt, adding up to the budget.

    `doubt` (N,) >= 0 is how far off the cheap score may be: the root of the expected squared error is best.
    A share `floor` of the budget is spread evenly, so that no chance is 0 and a doubt that misleads costs little.
    Raises BadInput for a budget outside (0, N] or a floor outside (0, 1].
    """
    d = _numbers("doubts", doubt)
    if not len(d) or (d < 0).any() or not 0 < budget <= len(d) or not 0 < floor <= 1:
        raise BadInput(f"A budget of {budget:g} for {len(d)} rows and a floor of {floor:g} can't be spread.",
                       hint="Doubts are at least 0, the budget at most the rows, the floor in (0, 1].")  # fmt: skip
    even = budget / len(d)
    want = floor * even + (1 - floor) * (budget * d / d.sum() if d.sum() > 0 else np.full(len(d), even))
    pi = np.minimum(want, 1.0)
    for _ in range(100):  # what is over 1 goes to the others, in proportion
        free = pi < 1
        over = budget - pi.sum()
        if over < 1e-9 or not free.any():
            break
        pi[free] = np.minimum(1.0, pi[free] * (1 + over / pi[free].sum()))
    return pi


def to_mark(chances: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
    """The rows drawn with these chances, each by itself."""
    pi = _numbers("chances", chances)
    return np.flatnonzero(np.random.default_rng([seed, 41]).uniform(size=len(pi)) < pi).astype(np.int64)


def active_mean(marks: ArrayLike, scores: ArrayLike, weights: ArrayLike, confidence: float = 0.95) -> Mean:
    """The mean mark over all rows from `marks` (N,), NaN where a row was not marked, and the weights of those marked.

    A weight is 1 / the chance with which the row was drawn (`next_rows` gives those of several rounds). No score makes
    it biased: each row counts h + weight (Y - h), an unmarked one h, with h = a + w f tuned so that these vary least.
    Raises BadInput for a marked row without a positive weight, fewer than 10 marks, or marks that are all equal.
    """
    y, f, v = np.asarray(marks, np.float64), _numbers("scores", scores), np.asarray(weights, np.float64)
    if y.shape != f.shape or f.shape != v.shape:
        raise BadInput(f"Marks, scores and weights must be of one length, not {y.shape}, {f.shape} and {v.shape}.")
    marked = np.isfinite(y)
    _numbers("marks", y[marked], FEWEST)
    if not (np.isfinite(v[marked]) & (v[marked] > 0)).all():
        raise BadInput("Every marked row needs a weight above 0.", hint="It is 1 / the chance that the row was drawn.")
    if not np.ptp(y[marked]):
        _all_equal(float(y[marked][0]), int(marked.sum()), confidence, None)
    drawn, told = np.where(marked, v, 0.0), np.where(marked, y, 0.0)
    # A row's term is drawn Y - (drawn - 1) (a + w f), and least squares makes its variance least.
    columns = (drawn - 1)[:, None] * np.column_stack([np.ones(len(f)), f])
    columns = columns - columns.mean(axis=0)
    total = drawn * told
    tuned, *_ = np.linalg.lstsq(columns, total - total.mean(), rcond=1e-10)
    terms = total - (drawn - 1) * (tuned[0] + tuned[1] * f)
    half = _quantile(confidence, int(marked.sum()) - 1) * float(terms.std(ddof=1)) / np.sqrt(len(f))
    value, weight = float(terms.mean()), float(tuned[1])
    return Mean(value, float(value - half), float(value + half), weight, int(marked.sum()), int((~marked).sum()))


def summed_up(
    marks: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    confidence: float = 0.95,
    bounds: Bounds = None,
) -> dict[str, Any]:
    """`corrected` and `alone`, two Means of `marks` (rows,), NaN where unmarked, with what the scores are `worth`.

    `alone` weighs the marks where weights are given. `correlation` is of marks and scores; `worth` is how
    many marks would be as sure. Raises BadInput as `powered_mean`.
    """
    y, f = np.asarray(marks, np.float64), _numbers("scores", scores)
    marked = np.isfinite(y)
    if weights is None:
        corrected = powered_mean(y[marked], f[marked], f[~marked], confidence=confidence, bounds=bounds)
        alone = classical_mean(y[marked], confidence, bounds)
    else:
        corrected = active_mean(y, f, weights, confidence)
        alone = active_mean(y, np.zeros(len(y)), weights, confidence)
    varies = np.ptp(y[marked]) > 0 and np.ptp(f[marked]) > 0
    rho = float(np.corrcoef(y[marked], f[marked])[0, 1]) if varies else 0.0
    worth = round(alone.marked * (alone.width / corrected.width) ** 2) if corrected.width > 0 else alone.marked
    return {"corrected": corrected, "alone": alone, "correlation": rho, "worth": worth}


def next_rows(
    marks: ArrayLike,
    scores: ArrayLike,
    budget: int,
    *,
    weights: ArrayLike | None = None,
    doubt: ArrayLike | None = None,
    seed: int = 0,
) -> tuple[Floats, NDArray[np.int64]]:
    """All rows' weights for `active_mean`, and the rows drawn to be marked next, about `budget` of those not marked.

    `weights` are those of the marks so far; unless given, these were drawn at random. Where no `doubt` is given it is
    the root mean square error of a straight line through the scores near a row's (five bins of the marked rows).
    Why it stays unbiased, also where doubts were learnt from the earlier marks: given those, the marks so far and the
    new ones over their chances add up to all rows on average, and so does the earlier weighting; so does any mixture
    of the two whose share a is fixed beforehand, here by how many marks each brings.
    """
    y, f = np.asarray(marks, np.float64), _numbers("scores", scores)
    marked = np.isfinite(y)
    n, left = int(marked.sum()), int((~marked).sum())
    _numbers("marks", y[marked], FEWEST)
    if not left:
        raise BadInput("Every row is marked already: there is none to draw.")
    if budget < 1:
        raise BadInput(f"{budget} rows can't be drawn.", hint="Ask for at least 1.")
    before = np.where(marked, len(y) / n, 0.0) if weights is None else np.where(marked, np.asarray(weights, float), 0.0)
    of_row = _doubts(y, f, marked) if doubt is None else _numbers("doubts", doubt)
    chances = propensities(of_row[~marked], min(budget, left))
    drawn = np.flatnonzero(~marked)[to_mark(chances, seed)]
    new = marked.astype(np.float64)
    new[~marked] = 1 / chances
    share = n / (n + min(budget, left))
    combined = share * before + (1 - share) * new
    undrawn = ~marked
    undrawn[drawn] = False
    combined[undrawn] = 0.0
    return combined, drawn


def _doubts(y: Floats, f: Floats, marked: NDArray[np.bool_]) -> Floats:
    slope, start = np.polyfit(f[marked], y[marked], 1) if np.ptp(f[marked]) > 0 else (0.0, y[marked].mean())
    edges = np.unique(np.quantile(f[marked], (0.2, 0.4, 0.6, 0.8)))
    place, wrong = np.searchsorted(edges, f), (y - slope * f - start) ** 2
    whole = float(wrong[marked].mean())
    # Two rows of the whole's error are added to each bin, which may hold few.
    here = [marked & (place == b) for b in range(len(edges) + 1)]
    means = [(float(wrong[rows].sum()) + 2 * whole) / (int(rows.sum()) + 2) for rows in here]
    return np.sqrt(np.array(means))[place]
