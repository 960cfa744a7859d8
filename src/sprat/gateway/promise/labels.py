"""The mean loss from a judge's scores on all shadowed pairs, corrected by a few human marks, valid at any time.

Papers: prediction-powered inference (arXiv 2301.09633), its tuned weight (PPI++, arXiv 2311.01453, id unverified),
marks drawn with varying probability (arXiv 2403.03208), e-values from corrected predictions (arXiv 2502.04294), the
anytime-valid form (arXiv 2505.18000, there asymptotic; here at every sample size), the mean of bounded values by
betting (arXiv 2010.09686). Checked against: unbiasedness by enumeration, coverage of the interval at all times at
once over simulated streams with a biased judge.

For a pair, g is the judge's loss, L the loss by human marks, both in [bottom, top]; a human marks it with a known
probability pi >= floor, which may depend on g. Then Z = h + (marked/pi)(L - h) has mean E[L] for any prediction h
chosen before the marks: h = a + lambda g, clipped to the bounds, with a and lambda the weighted least squares of L on
g over the pairs marked before (the choice that makes Z vary least; arXiv 2311.01453 has lambda without a). Nothing is
assumed of the judge; a bad one costs width only. Z lies in [bottom - e, top + e], e = (top - bottom)(1/floor - 1),
so that it can be fed to an `EProcess` with these bounds in place of a loss.

The interval. To show that the mean is above m, with y = (Z - m)/R and R the most that Z can fall short of any mean,
y >= -1, and for 0 <= b < 1 Fan's inequality log(1 + b y) >= b y + (log(1 - b) + b) y^2 makes
exp(b sum y + (log(1 - b) + b) sum y^2) at most a fair bet's wealth. The bets do not depend on m, so the fair wealth
falls as m rises, and it passes 2/alpha at any m above the mean only where it does at the mean: with probability at
most alpha/2, at all times together. The other side is the same for -Z. The number, the sum and the sum of squares of
Z are all that this needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sprat.errors import BadInput

SLACK = 1e-9
GRID: NDArray[np.float64] = np.geomspace(0.0005, 0.7, 24)  # bets, of the most that a value can fall short
PRIOR = 4.0  # marked pairs that the least squares begin with, saying h = g


class Moments:
    """Number, sum and sum of squares of values in [low, high] whose mean lies in [bottom, top], and its interval."""

    __slots__ = ("bottom", "high", "low", "n", "squares", "top", "total")

    def __init__(
        self,
        low: float,
        high: float,
        bottom: float | None = None,
        top: float | None = None,
        n: int = 0,
        total: float = 0.0,
        squares: float = 0.0,
    ) -> None:
        self.low, self.high = low, high
        self.bottom, self.top = low if bottom is None else bottom, high if top is None else top
        self.n, self.total, self.squares = n, total, squares
        if not low <= self.bottom < self.top <= high:
            raise BadInput(f"Bounds must rise, and {low} to {high} and {bottom} to {top} do not.")

    def add(self, value: float) -> None:
        """Counts one value; raises BadInput where it is out of bounds."""
        if not self.low - SLACK <= value <= self.high + SLACK:
            raise BadInput(f"A value of {value} lies outside [{self.low:.4g}, {self.high:.4g}].")
        self.n, self.total, self.squares = self.n + 1, self.total + value, self.squares + value * value

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """A two-sided interval for a mean that does not change, at all times together; the bounds before any value."""
        if not 0 < confidence < 1:
            raise BadInput(f"The confidence must lie between 0 and 1, not {confidence}.")
        if not self.n:
            return self.bottom, self.top
        goal = float(np.log(2 / (1 - confidence)))
        low = self._end(goal, 1.0, self.bottom, self.top - self.low)
        return low, self._end(goal, -1.0, self.top, self.high - self.bottom)

    def _end(self, goal: float, sign: float, outside: float, scale: float) -> float:
        """The candidate mean nearest the sample's, from there to `outside`, that the bets rule out."""
        inside = min(max(self.total / self.n, self.bottom), self.top)
        for _ in range(5):  # each a finer grid of the piece in which the bets first win
            grid = np.linspace(inside, outside, 33)
            won = np.flatnonzero(self._log_wealth(grid, sign, scale) >= goal)
            if not len(won):
                return outside
            place = max(int(won[0]), 1)
            inside, outside = float(grid[place - 1]), float(grid[place])
        return outside

    def _log_wealth(self, m: NDArray[np.float64], sign: float, scale: float) -> NDArray[np.float64]:
        first = sign * (self.total - self.n * m) / scale
        second = (self.squares - 2 * m * self.total + self.n * m * m) / scale**2
        logs = np.outer(first, GRID) + np.outer(second, np.log1p(-GRID) + GRID)
        peak = logs.max(axis=1)
        return peak + np.log(np.exp(logs - peak[:, None]).mean(axis=1))

    def state(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class CorrectedLosses:
    """Corrected losses of judged pairs, one by one, with the judge's weight learnt from the marks before."""

    def __init__(self, bottom: float, top: float, floor: float) -> None:
        if not 0 < floor <= 1:
            hint = "Mark .1 of the pairs, say; without any marks a judge cannot be corrected."
            raise BadInput(f"The smallest chance of a mark must lie in (0, 1], not {floor}.", hint=hint)
        excess = (top - bottom) * (1 / floor - 1)
        self.bottom, self.top, self.floor, self.marked = bottom, top, floor, 0
        self.moments = Moments(bottom - excess, top + excess, bottom, top)
        # Weighted sums over marked pairs of 1, g, L, g g, g L, centred at the middle of the bounds so that the
        # prior, which says h = g, is the same for every promise.
        middle, spread = (bottom + top) / 2, (top - bottom) / 2
        square = PRIOR * (middle**2 + spread**2 / 4)
        self._sums = [PRIOR, PRIOR * middle, PRIOR * middle, square, square]

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest corrected loss: what an EProcess that is fed with them needs."""
        return self.moments.low, self.moments.high

    @property
    def weight(self) -> tuple[float, float]:
        """a and lambda of the prediction a + lambda g."""
        n, g, loss, gg, gl = self._sums
        scale = max(gg - g * g / n, 1e-12)
        slope = (gl - g * loss / n) / scale
        return (loss - slope * g) / n, slope

    @property
    def mean(self) -> float | None:
        """The estimate of the mean loss; None before any pair."""
        return self.moments.total / self.moments.n if self.moments.n else None

    def correct(self, judged: float, marked: float | None = None, propensity: float | None = None) -> float:
        """The corrected loss of one pair: the judge's loss, and the marked one where a human was asked.

        `propensity` (default: floor) is the chance with which this pair was to be marked, also where it was not.
        Raises BadInput for a loss out of bounds or a chance below floor.
        """
        for loss in (judged, marked):
            if loss is not None and not self.bottom - SLACK <= loss <= self.top + SLACK:
                raise BadInput(f"A loss of {loss} lies outside [{self.bottom:.4g}, {self.top:.4g}].")
        pi = self.floor if propensity is None else propensity
        if not self.floor - SLACK <= pi <= 1 + SLACK:
            raise BadInput(f"A pair marked with chance {pi} is below the declared floor {self.floor}.")
        a, slope = self.weight
        predicted = min(max(a + slope * judged, self.bottom), self.top)
        corrected = predicted if marked is None else predicted + (marked - predicted) / pi
        self.moments.add(corrected)
        if marked is not None:
            self.marked += 1
            seen = (1.0, judged, marked, judged * judged, judged * marked)
            self._sums = [s + x * self.floor / pi for s, x in zip(self._sums, seen, strict=True)]
        return corrected

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The interval for the mean loss by human marks, valid at all times together, within the loss's own bounds."""
        return self.moments.interval(confidence)

    def state(self) -> dict[str, Any]:
        """Everything, ready for JSON; `restored` reads it."""
        own = {"bottom": self.bottom, "top": self.top, "floor": self.floor, "marked": self.marked}
        return {**own, "sums": self._sums, "moments": self.moments.state()}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> CorrectedLosses:
        """The losses whose `state` this is; raises BadInput for anything else."""
        try:
            made = cls(float(state["bottom"]), float(state["top"]), float(state["floor"]))
            made.marked, made._sums = int(state["marked"]), [float(s) for s in state["sums"]]
            made.moments = Moments(**state["moments"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"This is not the state of corrected losses: {error!r}.") from error
        return made
