"""Tests whether a setting keeps its promise on new traffic, with a chance of error of at most delta.

Papers: betting tests of a bounded mean (arXiv 2010.09686), bets that aim at a target wealth by the last row (arXiv
2505.22422), one ordered list walked until it fails (arXiv 2110.01052). Checked against: exact enumeration of every
outcome under the null at small n, and `benchmarks/validity.py` (whole selections on recorded outcomes).

The loss. Scores lie in [0, 1] by declared bounds; r is the reference's score on a row, s the policy's (equal to r
where the row stays with the reference). The promise `keep k` is E[s] >= k E[r]: L = k r - s, in [-1, k]. The promise
`within m` is E[s] >= E[r] - m: L = r - s - m, in [-1-m, 1-m]. Both are broken exactly when E[L] > 0, so no ratio is
ever estimated, and the null hypothesis of each test is H0: E[L] >= 0.

The test. With b the largest possible loss, bet a fraction lambda_t in [0, 0.8/b] against H0, chosen before row t is
seen: W_t = W_{t-1} (1 - lambda_t L_t). No factor is negative, and under H0 each has expectation at most 1 given the
rows before, so W is a nonnegative supermartingale from 1 and Ville's inequality gives P(max_t W_t >= 1/delta) <=
delta: p = min(1, 1/max_t W_t) is a valid p-value for any rule that sets the bets. The rule only decides the power.
Ours aims at wealth 1/delta on the last row: lambda_t = sqrt(2 log(1/(delta W_{t-1})) / (v (n-t+1))), v being 1.5
times the second moment of the loss on the fit rows (too large a v costs little, too small a lot), and it stops once
it is there. Power at n = 300, 1000, 3000 decided for it against a fixed mixture of bets, the predictable plug-in and
aGRAPA; the numbers are in `benchmarks/results/validity.md`.

The order. A sequential test depends on the order of the rows, which invites choosing one. Here the losses are sorted
first and then shuffled by a seed: for exchangeable rows that is a uniformly random order, and the p-value is a
function of the value counts and the seed alone, so a certificate can be verified from a handful of counts. The chance
of error is at most delta over the seed and the data together (for one seed kept for ever it was 4 to 12 % at delta
.1), so the seed is that of the data's hash (`seed_from`): it differs between data sets, and nobody chooses it.

The units. Rows that share a thread, user or template are not independent, so each unit gives one loss (`by_unit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import log
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sprat.errors import BadInput, MissingExtra

Floats = NDArray[np.float64]

BIGGEST_BET = 0.8  # of the wealth that the largest loss could take
CAUTION = 1.5  # the fit rows' second moment is multiplied by this before it sets the bets
SLACK = 1e-9  # what floating point may add to a bound
FIXED_BETS: tuple[float, ...] = (0.02, 0.04, 0.08, 0.16, 0.3, 0.45, 0.6, 0.75, 0.9)  # of 1/b, for `fixed_bets`


@dataclass(frozen=True)
class Promise:
    """What is promised: to `keep` the ratio `level` of the reference's mean score, or to stay `within` `level` of it.

    `level` is a fraction: 0.98 keeps 98 %, within 0.02 loses at most 2 points. Raises BadInput out of range.
    """

    kind: Literal["keep", "within"]
    level: float

    def __post_init__(self) -> None:
        if self.kind not in ("keep", "within"):
            raise BadInput(f"A promise is 'keep' or 'within', not {self.kind!r}.", hint="Use --keep or --within.")
        if not 0 < self.level < 1:
            hint = "Keep .98 is 98 % of the reference; within .02 is 2 points below it."
            raise BadInput(f"The promise's level must lie between 0 and 1, not {self.level}.", hint=hint)

    @property
    def top(self) -> float:
        """The largest loss that a row can have."""
        return self.level if self.kind == "keep" else 1 - self.level

    @property
    def bottom(self) -> float:
        """The smallest loss that a row can have."""
        return -1.0 if self.kind == "keep" else -1 - self.level

    def losses(self, reference: ArrayLike, policy: ArrayLike) -> Floats:
        """The loss per row and setting, from scores in [0, 1]: reference (n,), policy (n,) or (n, settings).

        Raises BadInput for scores out of range or missing, and for a reference that never scores.
        """
        ref, pol = np.asarray(reference, float), np.asarray(policy, float)
        if ref.ndim != 1 or pol.shape[:1] != ref.shape or not len(ref):
            raise BadInput(f"Scores must be (n,) and (n, settings), not {ref.shape} and {pol.shape}.")
        for name, scores in (("reference", ref), ("policy", pol)):
            if not np.all((scores >= 0) & (scores <= 1)):
                hint = "Scale scores by their declared bounds with scaled(scores, low, high), and drop no rows."
                raise BadInput(f"The {name}'s scores must all lie in [0, 1].", hint=hint)
        if ref.mean() <= 0:
            hint = "Check the scorer, or choose another reference."
            raise BadInput("The reference never scores above 0, so there is nothing to keep.", hint=hint)
        if pol.ndim == 2:
            ref = ref[:, None]
        loss = self.level * ref - pol if self.kind == "keep" else ref - pol - self.level
        return np.round(loss, 12)  # so that equal losses are equal numbers when they are counted


def scaled(scores: ArrayLike, low: float, high: float) -> Floats:
    """Scores moved to [0, 1] by their declared bounds, never by observed ones; raises BadInput outside them."""
    x = np.asarray(scores, float)
    if not low < high or not np.all((x >= low) & (x <= high)):
        raise BadInput(f"Scores must lie within their declared bounds [{low}, {high}].", hint="Declare wider bounds.")
    return (x - low) / (high - low)


def by_unit(losses: ArrayLike, units: Sequence[object], most: int | None = None) -> Floats:
    """One loss per unit, (units, settings), from losses per row, (n, settings) or (n,); units in order of appearance.

    By default the mean over the unit's rows: the promise is then about a unit drawn at random and a row drawn at
    random from it (each thread or user counts once). The bounds stay those of a row. With `most`, the largest number
    of rows that a unit can have, it is the sum divided by `most`: E[sum] >= 0 exactly when the mean over all rows of
    traffic is, so the promise is about rows, at the price of smaller losses and so of more units. `most` is declared
    beforehand; a unit that passes it raises BadInput, since to cut units down would change what is promised.
    """
    loss = np.asarray(losses, float)
    if len(units) != len(loss):
        raise BadInput(f"{len(loss)} rows have {len(units)} unit ids.", hint="Give one unit id per row.")
    place: dict[object, int] = {}
    ids = np.array([place.setdefault(unit, len(place)) for unit in units], dtype=np.int64)
    if len(place) == len(loss) and most in (None, 1):
        return loss
    sizes = np.bincount(ids, minlength=len(place)).astype(float)
    if most is not None and len(sizes) and sizes.max() > most:
        raise BadInput(f"A unit has {int(sizes.max())} rows, above the declared {most}.", hint="Declare a larger most.")
    sums = np.zeros((len(place), *loss.shape[1:]))
    np.add.at(sums, ids, loss)
    shape = (len(place),) + (1,) * (loss.ndim - 1)
    return np.round(sums / (sizes.reshape(shape) if most is None else float(most)), 12)


def seed_from(data_hash: str) -> int:
    """The seed that belongs to a data set's hash: 48 bits of the SHA-256 of its text."""
    return int.from_bytes(sha256(data_hash.encode()).digest()[:6], "big")


def order(n: int, seed: int) -> NDArray[np.int64]:
    """The seeded order of n rows, from raw PCG64 output (which NumPy keeps the same between versions)."""
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable").astype(np.int64)


def shuffled(losses: ArrayLike, seed: int) -> Floats:
    """Losses sorted, then put in the seeded order: what the test reads, whatever order the rows came in."""
    loss = np.sort(np.asarray(losses, float), axis=0)
    return loss[order(len(loss), seed)]


def log_wealth(sequence: ArrayLike, top: float, delta: float, spread: ArrayLike | None = None) -> Floats:
    """The largest log wealth along a sequence of losses (n, ...), betting for 1/delta by its end; shape (...).

    `spread` is the second moment of the loss on other data, per setting; None estimates it along the way from the
    rows already seen, which costs some power. Raises BadInput for a loss above `top`.
    """
    loss = np.asarray(sequence, float)
    if not 0 < delta < 1:
        raise BadInput(f"delta must lie between 0 and 1, not {delta}.", hint="0.1 stands for 90 % confidence.")
    if loss.size and not loss.max() <= top + SLACK:  # the not also catches a missing number
        raise BadInput(f"A loss is missing or above {top}, the largest possible.", hint="Check the scores' bounds.")
    n, goal = len(loss), log(1 / delta)
    now, best = np.zeros(loss.shape[1:]), np.zeros(loss.shape[1:])
    known = None if spread is None else CAUTION * np.maximum(np.asarray(spread, float), 1e-12)
    seen = np.full(loss.shape[1:], 0.25)
    for t in range(n):
        moment = known if known is not None else seen / (t + 1)
        bet = np.sqrt(2 * np.maximum(goal - now, 0) / (moment * (n - t)))
        now = now + np.log1p(-np.minimum(bet, BIGGEST_BET / top) * loss[t])
        best = np.maximum(best, now)
        now = np.where(best >= goal, goal, now)  # there: bets are 0 from here on
        if known is None:
            seen = seen + loss[t] ** 2
    return best


def p_values(losses: ArrayLike, top: float, delta: float, seed: int, spread: ArrayLike | None = None) -> Floats:
    """One p-value per setting of H0: E[L] >= 0, from losses (units, settings); aimed at level delta.

    Valid at every level, most powerful at delta. The order of the rows does not matter. Where the power is one half,
    two seeds disagree on 4 to 10 % of data sets; elsewhere on fewer.
    """
    return np.exp(-log_wealth(shuffled(losses, seed), top, delta, spread))


def fixed_bets(losses: ArrayLike, top: float) -> Floats:
    """p-values of H0: E[L] >= 0 from an equal mixture of fixed bets; no order, no seed, no level to aim at.

    K = mean_j prod_i (1 - lambda_j L_i) has E[K] <= 1 under H0, for each bet is fixed before the data; so by Markov
    p = min(1, 1/K) is valid. It is weaker than `p_values` at the level aimed at, and is what a curve over levels uses.
    """
    loss = np.asarray(losses, float)
    if loss.size and not loss.max() <= top + SLACK:
        raise BadInput(f"A loss is missing or above {top}, the largest possible.", hint="Check the scores' bounds.")
    columns = loss.reshape(len(loss), -1).T
    logs = np.empty((len(columns), len(FIXED_BETS)))
    for j, column in enumerate(columns):
        values, counts = np.unique(column, return_counts=True)
        logs[j] = np.log1p(-np.outer(values, FIXED_BETS) / top).T @ counts
    peak = logs.max(axis=1, initial=-np.inf)
    wealth = peak + np.log(np.exp(logs - peak[:, None]).mean(axis=1))
    return np.exp(-np.maximum(wealth, 0)).reshape(loss.shape[1:])


class Walk(NamedTuple):
    """A walked list: `certified` is the place of the last setting that passed (None: refused), `stopped` that of the
    first that failed (None: all passed), `p_values` of the settings tried, up to and including the failure."""

    certified: int | None
    stopped: int | None
    p_values: tuple[float, ...]
    delta: float


def stop_at_failure(p: Sequence[float], delta: float) -> Walk:
    """Reads p-values in the list's order at level delta, each, and stops at the first failure.

    Fixed-sequence testing: let s be the first setting in the list whose H0 is true. Something false is certified
    only if s is reached and passes, which has probability at most delta; so the whole list is walked at level delta
    with no correction, provided that the list and its order were fixed without these rows.
    """
    tried: list[float] = []
    for place, value in enumerate(p):
        tried.append(float(value))
        if not value <= delta * (1 + 1e-12):
            return Walk(place - 1 if place else None, place, tuple(tried), delta)
    return Walk(len(p) - 1 if len(p) else None, None, tuple(tried), delta)


def walk(losses: ArrayLike, delta: float, top: float, seed: int, spread: ArrayLike | None = None) -> Walk:
    """Certifies along one list: losses (units, settings), the settings in the order fixed beforehand."""
    loss = np.asarray(losses, float)
    if loss.ndim != 2:
        raise BadInput(f"A list's losses must be (units, settings), not {loss.shape}.")
    return stop_at_failure(p_values(loss, top, delta, seed, spread).tolist(), delta)


def walk_several(
    lists: Sequence[ArrayLike],
    delta: float,
    top: float,
    seed: int,
    spreads: Sequence[ArrayLike | None] | None = None,
) -> tuple[Walk, ...]:
    """Walks up to three lists, each at delta/number of lists: everything certified holds at once (union bound)."""
    if not 1 <= len(lists) <= 3:
        hint = "Merge the lists into one front; each list more costs power on all."
        raise BadInput(f"delta is split over one to three lists, not {len(lists)}.", hint=hint)
    many: Sequence[ArrayLike | None] = spreads if spreads is not None else [None] * len(lists)
    share = delta / len(lists)
    return tuple(walk(loss, share, top, seed, spread) for loss, spread in zip(lists, many, strict=True))


def mean_interval(
    values: ArrayLike, confidence: float = 0.95, low: float = 0.0, high: float = 1.0
) -> tuple[float, float]:
    """A two-sided interval for the mean of values (n,) bounded in [low, high], valid at every n, whatever their law.

    Bets that the mean is above m multiply wealth by 1 + theta (x/m - 1), for a mean m exactly fair; the mixture over
    theta falls in m, so the lower end is where it passes 2/alpha; the upper end is the same for 1 - x.
    """
    x = np.sort(scaled(values, low, high).ravel())
    if not len(x) or not 0 < confidence < 1:
        raise BadInput("An interval needs at least one value and a confidence between 0 and 1.")
    goal = log(2 / (1 - confidence))
    bounds = _lower_end(x, goal), 1 - _lower_end(1 - x, goal)
    return low + (high - low) * bounds[0], low + (high - low) * bounds[1]


def _lower_end(x: Floats, goal: float) -> float:
    values, counts = np.unique(x, return_counts=True)
    theta = np.asarray(FIXED_BETS)[:, None]
    below, above = 0.0, float(x.mean())
    for _ in range(50):
        m = (below + above) / 2
        logs = np.log1p(theta * (values / m - 1)) @ counts if m > 0 else np.zeros(len(FIXED_BETS))
        wealth = logs.max() + np.log(np.exp(logs - logs.max()).mean())
        below, above = (m, above) if wealth >= goal else (below, m)
    return below


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a rate, from successes out of n; needs scipy."""
    _counts(successes, n)
    alpha = 1 - confidence
    low = 0.0 if successes == 0 else float(_beta().ppf(alpha / 2, successes, n - successes + 1))
    high = 1.0 if successes == n else float(_beta().ppf(1 - alpha / 2, successes + 1, n - successes))
    return low, high


def regression_bound(regressions: int, n: int, delta: float) -> float:
    """The exact upper bound, at confidence 1 - delta, of P(reference right, policy wrong); needs scipy.

    One-sided: rows that the policy alone gets right do not offset regressions here.
    """
    _counts(regressions, n)
    return 1.0 if regressions == n else float(_beta().ppf(1 - delta, regressions + 1, n - regressions))


def _counts(successes: int, n: int) -> None:
    if not 0 <= successes <= n or n < 1:
        raise BadInput(f"A rate needs 0 <= successes <= n and n >= 1, not {successes} of {n}.")


def _beta() -> Any:
    try:
        from scipy.stats import beta  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise MissingExtra("study", "The exact binomial interval") from error
    return cast("Any", beta)
