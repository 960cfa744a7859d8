"""What another policy would have lost or cost, from requests logged with the probabilities of their decisions.

Papers: inverse-propensity and doubly robust estimates (arXiv 1103.4601, 1503.02834), bounds for them from the same bets
as elsewhere (arXiv 2210.10768 has the sequential form), self-normalised estimates (Swaminathan and Joachims, NeurIPS
2015; no arXiv id checked). Checked against: enumeration of a small problem, coverage over simulated logs, refusal where
the log never does what the policy would (`benchmarks/promise_watch.py`).

With p the logged probability of the decision taken and pi that of the target policy, w = pi/p. IPS is the mean of
w y; its interval holds at every sample size, by bets on w y in [0, range/floor], so that there is none where the range
is not known (a cost's: what was seen most is no bound of it). SNIPS is sum w y / sum w; the doubly
robust estimate is the mean of sum_a pi(a) f(a) + w (y - f(taken)), f fitted by ridge regression per action on the
trusts and their squares, on other units (cross-fitting). Their intervals are the bootstrap's, by unit (rows of a
thread or user are drawn together), studentised, and at least as wide as Student's. They are asymptotic, and what they
need is rows where the log did what the target does but itself does rarely: below HEAVY units' worth of weights above 2
these two are left out (measured: with 15 such rows of 1,500 a 95 % interval covered in 85 % of logs).

Overlap. What the target may do must have a probability above 0 in the log; where only the taken action's is known (and
there are more than two), E[w] = 1 says the same, and a mean of w below 1 by more than chance gives the share covered.
Where it does not, or where (sum w)^2 / sum w^2 counted by unit is below `least`, there is no estimate, only a sentence
that says so: nothing is extrapolated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sprat.errors import BadInput
from sprat.gateway.promise.labels import Moments

Floats = NDArray[np.float64]
Policy = Callable[[Floats], Floats]  # trusts (n, d) -> probability of each action (n, actions)

LEAST = 60.0  # units' worth of data
HEAVY = 40.0  # of it, with weights above 2
RIDGE = 1.0
FOLDS = 5


@dataclass(frozen=True)
class Logged:
    """Rows of a log: trusts (n, d), the action taken (n,), its probability (n,), the outcome (n,), one unit per row.

    `bounds` hold for every request that could have come; the upper one is infinite where none is known.
    `probabilities` (n, actions), where they were logged, are those of every action. Raises BadInput for shapes that
    do not match, probabilities out of (0, 1], and outcomes outside `bounds`.
    """

    trusts: Floats
    action: NDArray[np.int64]
    propensity: Floats
    outcome: Floats
    bounds: tuple[float, float]
    units: NDArray[np.int64]
    probabilities: Floats | None = None

    @classmethod
    def of(
        cls,
        trusts: ArrayLike,
        action: ArrayLike,
        propensity: ArrayLike,
        outcome: ArrayLike,
        bounds: tuple[float, float],
        units: Sequence[object] | None = None,
        probabilities: ArrayLike | None = None,
    ) -> Logged:
        """From anything like arrays; trusts may be (n,), units any names."""
        x = np.asarray(trusts, float)
        x = x[:, None] if x.ndim == 1 else x
        n = len(x)
        a, p, y = np.asarray(action, np.int64), np.asarray(propensity, float), np.asarray(outcome, float)
        if not n or any(v.shape != (n,) for v in (a, p, y)) or (units is not None and len(units) != n):
            raise BadInput("A log needs as many actions, probabilities, outcomes and units as rows of trusts.")
        if not np.all((p > 0) & (p <= 1)):
            hint = "Rows without a logged probability cannot be used: leave them out, and say so."
            raise BadInput("Each logged decision needs a probability in (0, 1].", hint=hint)
        if not np.all((y >= bounds[0]) & (y <= bounds[1])) or not np.isfinite(x).all() or a.min() < 0:
            raise BadInput(f"Outcomes must lie in [{bounds[0]}, {bounds[1]}], trusts be finite, actions be 0, 1, ...")
        every = None if probabilities is None else np.asarray(probabilities, float)
        if every is not None and every.shape[:1] != (n,):
            raise BadInput(f"The probabilities of all actions must be (n, actions), not {every.shape}.")
        place: dict[object, int] = {}
        ids = np.arange(n) if units is None else np.array([place.setdefault(u, len(place)) for u in units])
        return cls(x, a, p, y, bounds, ids.astype(np.int64), every)


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; `name` is ips, snips or doubly robust."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """What the log says of a policy: its estimates, or none and why (`refused`).

    `ess` is the effective number of units, `heavy` that of those with weights above 2 (None where refused),
    `covered` the share of what the target does that the log can show; `left_out` says why an estimate is not there.
    """

    estimates: tuple[Estimate, ...]
    ess: float
    covered: float
    rows: int
    refused: str = ""
    heavy: float | None = None
    left_out: str = ""

    def __getitem__(self, name: str) -> Estimate:
        """The estimate of this name; raises BadInput where it was refused or does not exist."""
        for estimate in self.estimates:
            if estimate.name == name:
                return estimate
        known = "Known: ips, snips, doubly robust."
        raise BadInput(self.refused or self.left_out or f"There is no estimate '{name}'.", hint=known)


def threshold(cut: float, column: int = 0, mixed: float = 0.0) -> Policy:
    """The policy that stays small (action 0) where a trust is at least `cut`, else goes large (action 1).

    With `mixed` it does the opposite with half of that probability.
    """

    def policy(trusts: Floats) -> Floats:
        small = np.where(trusts[:, column] >= cut, 1 - mixed / 2, mixed / 2)
        return np.stack([small, 1 - small], axis=1)

    return policy


def evaluate(
    log: Logged,
    policy: Policy,
    *,
    confidence: float = 0.95,
    floor: float | None = None,
    least: float = LEAST,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Estimates the mean outcome under a policy; refuses without overlap or with too little data.

    `floor` is the smallest probability that the log could have decided with (default: the smallest known of what the
    target does; of more than two actions the smallest seen, right where only a few different ones occur).
    Raises BadInput for a policy whose probabilities are not such.
    """
    target = np.asarray(policy(log.trusts), float)
    actions = max(int(log.action.max()) + 1, target.shape[-1] if target.ndim == 2 else 0)
    if target.shape != (len(log.action), actions) or not np.allclose(target.sum(axis=1), 1) or target.min() < 0:
        raise BadInput(f"A policy gives each row {actions} probabilities that sum to 1.")
    if not 0 < confidence < 1 or resamples < 100:
        raise BadInput("The confidence must lie between 0 and 1, and at least 100 resamples be drawn.")
    weight = target[np.arange(len(target)), log.action] / log.propensity
    ess = _effective(log.units, weight)
    every = _all_probabilities(log, actions)
    lowest = floor or float(log.propensity.min() if every is None else every[(target > 0) & (every > 1e-12)].min())
    covered = _covered(log, target, weight, every, lowest)
    refused = _refusal(ess, covered, weight, log, least)
    if refused:
        return Evaluation((), ess, covered, len(weight), refused)
    bounded = bool(np.isfinite(log.bounds).all())
    estimates = [_ips(log, weight, confidence, lowest)] if bounded else []
    heavy = _effective(log.units, np.where(weight > 2, weight, 0.0))
    rare = weight[weight > 2].sum() / weight.sum() if every is None else (target * (target > 2 * every)).sum(1).mean()
    few = bool(rare > 0.01) and heavy < HEAVY
    if few:
        lacking = (
            "the rows where the log did what it does rarely and this policy often are worth "
            f"{heavy:.3g} units, and {HEAVY:.3g} are needed. "
            "Log more, or explore more."
        )
        if not bounded:
            return Evaluation((), ess, covered, len(weight), f"Not shown: {lacking}", heavy)
        return Evaluation(tuple(estimates), ess, covered, len(weight), "", heavy, f"Only IPS is shown: {lacking}")
    rng, value, rows = np.random.default_rng(seed), weight * log.outcome, np.arange(len(weight))
    fitted = _fitted(log, actions)
    robust = (target * fitted).sum(axis=1) + weight * (log.outcome - fitted[rows, log.action])
    degrees = heavy if (weight > 2).any() else ess
    for name, top, below in (("snips", value, weight), ("doubly robust", robust, np.ones(len(robust)))):
        ends = _ratio(top, below, log.units, confidence, degrees, resamples, rng)
        estimates.append(Estimate(name, *ends))
    left_out = (
        "" if bounded else "IPS is not shown: its interval needs the largest outcome possible, which is not known."
    )
    return Evaluation(tuple(estimates), ess, covered, len(weight), "", heavy, left_out)


def _effective(units: NDArray[np.int64], weight: Floats) -> float:
    per_unit = np.bincount(units, weight)
    return float(per_unit.sum() ** 2 / np.square(per_unit).sum()) if weight.any() else 0.0


def _all_probabilities(log: Logged, actions: int) -> Floats | None:
    """The log's probability of every action, (n, actions), where known: as logged, and always of two actions."""
    every = log.probabilities
    if every is None and actions == 2:
        every = np.repeat(1 - log.propensity[:, None], 2, axis=1)
        every[np.arange(len(every)), log.action] = log.propensity
    return every if every is not None and every.shape[1] == actions else None


def _covered(log: Logged, target: Floats, weight: Floats, every: Floats | None, floor: float) -> float:
    """The share of the target that the log may show: exact where all probabilities are known, else the mean of w where
    it is below 1 at 99.9 % confidence."""
    if every is not None:
        return float((target * (every > 1e-12)).sum(axis=1).mean())
    value = np.bincount(log.units, weight) / np.bincount(log.units)
    top = max(1 / floor, float(weight.max()))
    moments = Moments(0.0, max(top, 1.5), None, None, len(value), float(value.sum()), float(np.square(value).sum()))
    return float(value.mean()) if moments.interval(0.998)[1] < 1 else 1.0


def _refusal(ess: float, covered: float, weight: Floats, log: Logged, least: float) -> str:
    """Why there is no estimate, with numbers and what to do; empty where there is one."""
    if covered < 0.999:
        return (
            f"Not shown: the log covers only {100 * covered:.3g} % of what this policy would do "
            f"({np.count_nonzero(weight)} of {len(weight)} rows agree with it at all). "
            "Let the gateway explore these decisions with some probability, or ask about a policy nearer to it."
        )
    if ess < least:
        return (
            f"Not shown: {len(weight)} rows of {int(log.units.max()) + 1} units are worth {ess:.3g} for this policy, "
            f"and {least:.3g} are needed. Log more, explore more, or ask about a policy nearer to it."
        )
    return ""


def _ips(log: Logged, weight: Floats, confidence: float, floor: float) -> Estimate:
    """The mean of w y by unit means over rows, each y moved to [0, 1]; bounds at every sample size."""
    low, high = log.bounds
    y = (log.outcome - low) / (high - low)
    rows = np.bincount(log.units)
    most = int(rows.max())
    value = np.bincount(log.units, weight * y) / most  # a unit's sum over the most it may have: mean is about rows
    top = max(1 / floor, float(weight.max()))
    share = len(y) / (most * len(rows))
    moments = Moments(0.0, top, 0.0, 1.0, len(value), float(value.sum()), float(np.square(value).sum()))
    below, above = (min(end / share, 1.0) for end in moments.interval(confidence))
    mean = float((weight * y).mean())
    return Estimate("ips", low + (high - low) * mean, low + (high - low) * below, low + (high - low) * above)


def _ratio(
    value: Floats, weight: Floats, units: NDArray[np.int64], confidence: float, degrees: float, resamples: int, rng: Any
) -> tuple[float, float, float]:
    """sum value / sum weight with its studentised bootstrap interval, and at least Student's of these degrees."""
    a, b = np.bincount(units, value), np.bincount(units, weight)
    a, b = a / b.mean(), b / b.mean()
    sums = np.stack([a, b, a * a, a * b, b * b], axis=1)
    n, point = len(a), float(a.sum() / b.sum())
    spread = _error(sums.sum(axis=0)[None])[0]
    t: list[Floats] = []
    for part in np.array_split(np.arange(resamples), max(1, resamples * n // 4_000_000)):
        drawn = rng.poisson(1.0, (len(part), n)) @ sums  # how often each unit is drawn
        t.append((drawn[:, 0] / drawn[:, 1] - point) / np.maximum(_error(drawn), 1e-12))
    tail = (1 - confidence) / 2
    below, above = np.quantile(np.concatenate(t), [tail, 1 - tail]).tolist()
    z = NormalDist().inv_cdf(1 - tail)
    student = z * (1 + (z * z + 1) / (4 * max(degrees - 1, 1.0)))  # its quantile, to first order
    return point, point - max(above, student) * spread, point + max(-below, student) * spread


def _error(sums: Floats) -> Floats:
    """The standard error of a ratio of sums, (m,), from sums of a, b, a a, a b, b b, (m, 5)."""
    a, b, aa, ab, bb = sums.T
    r = a / b
    return np.sqrt(np.maximum(aa - 2 * r * ab + r * r * bb, 0.0)) / b


def _fitted(log: Logged, actions: int) -> Floats:
    """The outcome expected of every action, (n, actions), from rows of other units; within the bounds."""
    centred = (log.trusts - log.trusts.mean(axis=0)) / np.maximum(log.trusts.std(axis=0), 1e-9)
    x = np.concatenate([np.ones((len(centred), 1)), centred, centred**2], axis=1)
    fold = (np.random.default_rng(0).permutation(int(log.units.max()) + 1) % FOLDS)[log.units]
    ridge = RIDGE * np.eye(x.shape[1])
    ridge[0, 0] = 1e-9
    fitted = np.full((len(x), actions), float(log.outcome.mean()))
    for held in range(FOLDS):
        for action in range(actions):
            rows = (fold != held) & (log.action == action)
            if rows.sum() > x.shape[1]:
                solved = np.linalg.solve(x[rows].T @ x[rows] + ridge, x[rows].T @ log.outcome[rows])
                fitted[fold == held, action] = x[fold == held] @ solved
    return np.clip(fitted, *log.bounds)
