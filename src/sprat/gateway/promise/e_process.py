"""A sequential test that a certified promise has stopped holding, from losses of shadowed requests.

Papers: bets on a bounded mean (arXiv 2010.09686), the survey of e-processes and Ville's inequality (arXiv 2210.01948),
watching the risk of a deployed model this way (arXiv 2110.06177, 2506.16416), sums of e-processes that start at
different times (E-detectors, arXiv 2203.03532, id unverified). Checked against: exact enumeration of every outcome
under the null, false alarms over 1,000 simulated months and delays after a known change
(`benchmarks/promise_watch.py`).

The loss is the certificate's: for scores r of the reference and s of the policy in [0, 1], `keep k` has L = k r - s in
[-1, k], `within m` has L = r - s - m in [-1-m, 1-m]; the promise holds exactly while E[L] <= 0. That is the null here
(the certificate's own test has the opposite one), and the alarm is a rejection: wealth at 1/delta.

The sample. A request is shadowed with a known probability q, at least `floor`, drawn independently of its loss. A bet
b multiplies wealth by 1 + b (floor/q) L / |bottom| where it was shadowed and by 1 elsewhere: on average over the draw
1 + b floor L / |bottom|, so at most 1 under the null however q varies with the request, and never negative: the
weight floor/q lies in (0, 1], which is inverse-probability weighting scaled to stay within the bounds.

The mixture. Wealth is split evenly over the bets BETS, and over starting times: a bet that starts on the first day has
lost nearly all before a change a year later, so at the k-th block of BLOCK losses the share 1/log2(k+2) - 1/log2(k+3)
of the capital, kept in cash until then, is put on the same bets anew. A mixture of supermartingales is one, the state
is one number per bet and a count, and a change after t losses is found at the price of about log(t/BLOCK) +
2 log log(t/BLOCK) more log wealth. The probability of a false alarm is at most delta over all time, whenever looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite, log, log2, sqrt
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sprat.errors import BadInput

BETS: tuple[float, ...] = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)  # of the most that cannot lose everything
BLOCK = 16  # losses between two starts
SIMULATED = 30_000  # losses: past this a delay is not simulated
RICH = 1e200  # wealth stops here: far past any alarm, and no overflow
SLACK = 1e-9

Kind = Literal["keep", "within"]


def loss_of(kind: Kind, level: float, reference: float, policy: float) -> float:
    """The certificate's loss of one request, from both scores in [0, 1]; raises BadInput out of range."""
    if not (0 <= reference <= 1 and 0 <= policy <= 1):
        hint = "Scale scores by their declared bounds."
        raise BadInput(f"Scores must lie in [0, 1], not {reference} and {policy}.", hint=hint)
    return level * reference - policy if kind == "keep" else reference - policy - level


def bounds_of(kind: Kind, level: float) -> tuple[float, float]:
    """The smallest and the largest loss that a request can have under a promise."""
    return (-1.0, level) if kind == "keep" else (-1 - level, 1 - level)


def starting_share(block: int) -> float:
    """The share of all capital that starts betting at a block, 0 being the first."""
    return 1 / log2(block + 2) - 1 / log2(block + 3)


class Mixture:
    """The wealth of several bets, each started anew at every block; from 1, with the share not yet started in cash."""

    __slots__ = ("active", "steps")

    def __init__(self, bets: int) -> None:
        self.active = [0.0] * bets
        self.steps = 0

    @property
    def wealth(self) -> float:
        """Cash and all that is at stake; at most the largest factors allow, and 1 at the start."""
        started = -(-self.steps // BLOCK)
        return 1 / log2(started + 2) + sum(self.active)

    def update(self, factors: Sequence[float]) -> float:
        """The wealth after every bet's wealth was multiplied by its factor (>= 0, at most 1 on average)."""
        if self.steps % BLOCK == 0:
            new = starting_share(self.steps // BLOCK) / len(self.active)
            self.active = [a + new for a in self.active]
        self.active = [min(a * f, RICH) for a, f in zip(self.active, factors, strict=True)]
        self.steps += 1
        return self.wealth

    def state(self) -> dict[str, Any]:
        """What `restored` needs, ready for JSON."""
        return {"active": self.active, "steps": self.steps}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Mixture:
        """The mixture whose `state` this is."""
        made = cls(len(state["active"]))
        made.active, made.steps = [float(a) for a in state["active"]], int(state["steps"])
        return made


@dataclass(frozen=True)
class Law:
    """A distribution of losses: what values, how often (counts or probabilities); raises BadInput where empty."""

    values: tuple[float, ...]
    counts: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.counts) or not sum(self.counts) > 0 or min(self.counts) < 0:
            raise BadInput("A law of losses needs as many counts as values, none negative, and at least one loss.")

    @property
    def mean(self) -> float:
        return float(np.dot(self.values, self.counts) / sum(self.counts))

    def worse(self, by: float, top: float) -> Law:
        """This law with its mean raised by `by`: a share of the requests now has the largest loss, `top`."""
        share = by / (top - self.mean) if top > self.mean else inf
        if not 0 <= share <= 1:
            raise BadInput(f"A mean loss of {self.mean:.4g} cannot be raised by {by:.4g}: the largest is {top:.4g}.")
        total = sum(self.counts)
        return Law((*self.values, top), (*((1 - share) * c / total for c in self.counts), share))

    def negated(self) -> Law:
        """The law of minus the loss."""
        return Law(tuple(-v for v in self.values), self.counts)


class EProcess:
    """Tests E[L] <= limit for losses in [bottom, top] seen one by one; `alarm` once wealth has reached 1/delta."""

    def __init__(self, bottom: float, top: float, delta: float, floor: float = 1.0, limit: float = 0.0) -> None:
        if not (isfinite(bottom) and isfinite(top) and bottom < limit < top):
            raise BadInput(f"The limit {limit} must lie between the bounds of the loss, {bottom} and {top}.")
        if not 0 < delta < 1 or not 0 < floor <= 1:
            hint = "delta .05 is one false alarm in twenty; floor is the smallest probability of being shadowed."
            raise BadInput(f"delta and floor must lie between 0 and 1, not {delta} and {floor}.", hint=hint)
        self.bottom, self.top, self.delta, self.floor, self.limit = bottom, top, delta, floor, limit
        self.mixture = Mixture(len(BETS))
        self.highest = 1.0

    @classmethod
    def of(cls, kind: Kind, level: float, delta: float, floor: float = 1.0) -> EProcess:
        """The test that a promise holds."""
        return cls(*bounds_of(kind, level), delta, floor)

    def mirrored(self, delta: float | None = None, floor: float | None = None) -> EProcess:
        """The opposite test, from its start: its alarm shows E[L] < limit, so that the promise holds again.

        Feed it minus the loss.
        """
        return EProcess(-self.top, -self.bottom, delta or self.delta, floor or self.floor, -self.limit)

    @property
    def alarm(self) -> bool:
        """Whether the null is rejected; once, and for good."""
        return self.highest * self.delta >= 1

    @property
    def wealth(self) -> float:
        return self.mixture.wealth

    @property
    def seen(self) -> int:
        return self.mixture.steps

    def update(self, loss: float, propensity: float | None = None) -> float:
        """The wealth after one shadowed request's loss; `propensity` (default: floor) is the chance it was drawn with.

        Requests that were not drawn need no call. Raises BadInput for a loss out of bounds or a chance below floor.
        """
        if not self.bottom - SLACK <= loss <= self.top + SLACK:
            raise BadInput(f"A loss of {loss} lies outside [{self.bottom:.4g}, {self.top:.4g}].")
        q = self.floor if propensity is None else propensity
        if not self.floor - SLACK <= q <= 1 + SLACK:
            hint = "Declare a lower floor when the watch begins."
            raise BadInput(f"A request drawn with chance {q} is below the declared floor {self.floor}.", hint=hint)
        x = min(self.floor / q, 1.0) * max((loss - self.limit) / (self.limit - self.bottom), -1.0)
        wealth = self.mixture.update([1 + bet * x for bet in BETS])
        self.highest = max(self.highest, wealth)
        return wealth

    def delay(self, law: Law, confidence: float = 0.9, seen: int | None = None) -> int | None:
        """After how many more losses, now of this law, the alarm has come with this probability; None if it need not.

        From the present wealth, or as if all bets made on `seen` losses before were lost. The test itself is simulated,
        400 times, with the quantile moved up by one and a half standard errors; past SIMULATED losses the estimate is
        that for the best single bet, which is above it. Chances of being shadowed are taken to be at the floor; divide
        by the share of requests that are shadowed to count requests.
        """
        before = self.seen if seen is None else seen
        block = -(-before // BLOCK)
        wait = block * BLOCK - before  # until the next start; what is lost or won until then is left out
        need = log(len(BETS) / (self.delta * starting_share(block)))
        most = losses_needed(law, need, confidence, self.bottom, self.limit)
        if most is None or most > SIMULATED:
            return None if most is None else most + wait
        begun = self.mixture.active if seen is None else [0.0] * len(BETS)
        return self._simulated(law, confidence, begun, block, most) + wait

    def _simulated(self, law: Law, confidence: float, begun: list[float], block: int, most: int) -> int:
        rng, paths, at_once = np.random.default_rng(0), 400, BLOCK if most > 512 else 1
        wanted = min(confidence + 1.5 * sqrt(confidence * (1 - confidence) / paths), 1.0) * paths
        share = np.asarray(law.counts, float) / sum(law.counts)
        steps = _log_factors(law, self.bottom, self.limit)
        active, alarmed = np.tile(np.asarray(begun), (paths, 1)), np.zeros(paths, bool)
        for n in range(0, most, at_once):
            if n % BLOCK == 0:
                active = active + starting_share(block + n // BLOCK) / len(BETS)
            active = np.minimum(active * np.exp(rng.multinomial(at_once, share, paths) @ steps), RICH)
            cash = 1 / log2(block + n // BLOCK + 3)
            alarmed |= (active.sum(axis=1) + cash) * self.delta >= 1
            if alarmed.sum() >= wanted:
                return n + at_once
        return most

    def state(self) -> dict[str, Any]:
        """Everything, ready for JSON; `restored` reads it."""
        names = ("bottom", "top", "delta", "floor", "limit", "highest")
        return {**{n: getattr(self, n) for n in names}, "mixture": self.mixture.state()}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> EProcess:
        """The test whose `state` this is; raises BadInput for anything else."""
        try:
            made = cls(*(float(state[n]) for n in ("bottom", "top", "delta", "floor", "limit")))
            made.mixture, made.highest = Mixture.restored(state["mixture"]), float(state["highest"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"This is not the state of a test: {error!r}.") from error
        if len(made.mixture.active) != len(BETS):
            raise BadInput("This state has other bets than this version of sprat.", hint="Begin a new watch.")
        return made


def losses_needed(law: Law, need: float, confidence: float, bottom: float, limit: float = 0.0) -> int | None:
    """After how many losses of a law the best single bet has the log wealth `need` with this probability; None: never.

    A bet's log wealth after n is about normal with mean g n and variance s^2 n, so g n - z s sqrt(n) = need.
    """
    if not 0 < confidence < 1:
        raise BadInput(f"The confidence must lie between 0 and 1, not {confidence}.")
    share = np.asarray(law.counts, float) / sum(law.counts)
    steps = _log_factors(law, bottom, limit)
    growth = share @ steps
    spread = np.sqrt(np.maximum(share @ np.square(steps) - growth**2, 0.0))
    z, best = NormalDist().inv_cdf(confidence), inf
    for g, s in zip(growth.tolist(), spread.tolist(), strict=True):
        if g > 0:
            best = min(best, ((z * s + sqrt(z * z * s * s + 4 * g * need)) / (2 * g)) ** 2)
    return ceil(best) if best < inf else None


def _log_factors(law: Law, bottom: float, limit: float) -> NDArray[np.float64]:
    """What each value adds to each bet's log wealth, (values, bets)."""
    x = (np.asarray(law.values, float) - limit) / (limit - bottom)
    return np.log1p(np.outer(np.maximum(x, -1.0), BETS))
