"""How often a semantic hit is false, from hits verified by asking anyway; hits are given only while that is low.

Two sequential tests (e_process.py, arXiv 2010.09686) on one stream of verified hits, each 1 where the answers did not
agree. Suspended, the test of "the rate is at least `limit`" must be rejected before a hit is given; open, the test of
"the rate is at most `limit`" suspends them again when it is rejected. Each is valid whenever it is looked at; the k-th
opening is tested at delta / (k (k + 1)), so that all of them together open wrongly with probability at most delta. The
shown interval is Clopper and Pearson's exact one for as many verified hits as there are; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, lgamma, log
from typing import Any

from ...errors import BadInput
from ..promise.e_process import EProcess

_MOST = 1_000_000


class FalseHits:
    """The verified hits of one cache (its encoder, threshold, judge and models are in `of`), and what follows."""

    def __init__(self, of: str, limit: float, delta: float) -> None:
        self.of, self.limit, self.delta = of, limit, delta
        self.verified = self.false = self.openings = 0
        self.dollars = 0.0
        self.open = False
        self.test = self._opening()
        self._needed: tuple[int, int | None] = (-1, None)

    def _opening(self) -> EProcess:
        k = self.openings + 1
        return EProcess(0.0, 1.0, self.delta / (k * (k + 1)), 1.0, self.limit).mirrored()

    def add(self, false: bool, dollars: float = 0.0) -> None:
        """Take in one verified hit; `dollars` is what a judge took for it."""
        self.verified += 1
        self.false += false
        self.dollars += dollars
        if self.open:
            self.test.update(float(false))
            if self.test.alarm:
                self.open, self.test = False, self._opening()
        else:
            self.test.update(-float(false))
            if self.test.alarm:
                self.openings += 1
                self.open, self.test = True, EProcess(0.0, 1.0, self.delta, 1.0, self.limit)

    @property
    def needed(self) -> int | None:
        """How many more verified hits, all of them right, open it; 0 where it is open, None where none ever will."""
        if self.open:
            return 0
        if self._needed[0] != self.verified:
            test, n = EProcess.restored(self.test.state()), 0
            while not test.alarm and n < _MOST:
                test.update(0.0)
                n += 1
            self._needed = (self.verified, n if test.alarm else None)
        return self._needed[1]

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the share of false hits."""
        return clopper_pearson(self.false, self.verified)

    def status(self) -> dict[str, Any]:
        """What is shown: counts, the rate (None where unknown) with its interval, and whether hits are given."""
        low, high = self.interval
        rate = self.false / self.verified if self.verified else None
        return {
            "state": "open" if self.open else "suspended",
            "verified": self.verified,
            "false": self.false,
            "rate": rate,
            "interval": [low, high],
            "limit": self.limit,
            "delta": self.delta,
            "needed": self.needed,
            "openings": self.openings,
            "judged_dollars": self.dollars,
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """The state in a sentence."""
        low, high = self.interval
        shown = f"{self.false} of {self.verified:,} verified hits were false"
        if self.verified:
            shown += f" ({self.false / self.verified:.2%}, 95 % interval {low:.2%} to {high:.2%})"
        if self.open:
            return f"Semantic hits are given: {shown}, shown to be below {self.limit:.2%}."
        more = self.needed
        wanted = "no number of right ones will do" if more is None else f"{more:,} more right ones are needed"
        return f"Semantic hits are suspended: {shown}; {wanted} to show that fewer than {self.limit:.2%} are."

    def state(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        names = ("of", "limit", "delta", "verified", "false", "openings", "dollars", "open")
        return {**{n: getattr(self, n) for n in names}, "test": self.test.state()}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> FalseHits:
        """The counts whose `state` this is; raises BadInput for anything else."""
        try:
            made = cls(str(state["of"]), float(state["limit"]), float(state["delta"]))
            made.verified, made.false = int(state["verified"]), int(state["false"])
            made.openings, made.dollars, made.open = (
                int(state["openings"]),
                float(state["dollars"]),
                bool(state["open"]),
            )
            made.test = EProcess.restored(state["test"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"This is not the state of a semantic cache: {error!r}.") from error
        return made


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson 1934), by bisection of the binomial's tails."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else _where(k - 1, n, 1 - tail)
    high = 1.0 if k == n else _where(k, n, tail)
    return low, high


def _at_most(k: int, n: int, p: float) -> float:
    """The probability of at most k of n."""
    if p <= 0 or p >= 1:
        return 1.0 if p <= 0 else float(k >= n)
    a, b = log(p), log(1 - p)
    top = lgamma(n + 1)
    return min(1.0, sum(exp(top - lgamma(i + 1) - lgamma(n - i + 1) + i * a + (n - i) * b) for i in range(k + 1)))


def _where(k: int, n: int, wanted: float) -> float:
    """The share at which at most k of n has this probability."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if _at_most(k, n, middle) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2
