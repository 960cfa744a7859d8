"""From which confidence on to answer, so that of the answers given at most a share is wrong: with a certificate.

Learn-then-test (arXiv 2110.01052) with the house's betting test (certify.py). Conformal risk control (arXiv 2208.02814)
was not taken: it bounds a loss that only falls with the threshold, such as "answered and wrong" over all requests, and
only on average over data sets. What users ask for is the share of wrong among the answers given, which may rise and
fall, with a confidence. That share is above r exactly when E[answered (wrong - r)] > 0, a mean of bounded values.
Checked by simulation: with a true share above r the certificate is given on at most delta of the data sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log1p
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from ..measure.resampling import Estimate, bootstraps, widened
from ..signals.calibrators import Floats, paired
from .certify import BIGGEST_BET, CAUTION, Walk, by_unit, walk

MOST = 40  # thresholds in the list


@dataclass(frozen=True)
class Abstention:
    """`threshold` is None where nothing was certified; then `rows_needed` says how many might do, None if none.

    `coverage` is the share of rows answered and `wrong` the share of those that are wrong, on the calibration rows.
    """

    risk: float
    delta: float
    threshold: float | None
    coverage: Estimate | None
    wrong: Estimate | None
    units: int
    rows_needed: int | None
    walked: Walk

    @property
    def sentence(self) -> str:
        """What is promised, or that it was not shown."""
        sure = f"at {100 * (1 - self.delta):.4g} % confidence"
        if self.threshold is None:
            more = f"about {self.rows_needed:,} rows might do" if self.rows_needed else "no number of rows is foreseen"
            return f"Not shown {sure} that any answers are wrong at most {100 * self.risk:.4g} % of the time; {more}."
        assert self.coverage is not None
        return (
            f"Of the answers with a confidence of at least {self.threshold:.4f} at most {100 * self.risk:.4g} % are "
            f"wrong, {sure}; that is {100 * self.coverage.value:.0f} % of the requests."
        )


def abstain(
    learnt: tuple[ArrayLike, ArrayLike],
    held: tuple[ArrayLike, ArrayLike],
    units: NDArray[Any],
    *,
    risk: float,
    delta: float = 0.05,
    seed: int = 0,
) -> Abstention:
    """The lowest certified threshold, from (confidence, outcome) of rows to plan on and of other rows to test on.

    The list of thresholds begins where the planning rows expect the test to be surest and goes down from there, to more
    answers; it is walked once until a threshold fails. `units` (rows held,): each counts once. Raises BadInput for a
    risk or delta outside (0, 1).
    """
    if not 0 < risk < 1 or not 0 < delta < 1:
        raise BadInput(f"Risk and delta must lie between 0 and 1, not {risk} and {delta}.", hint="0.1 stands for 10 %.")
    (s, y), (c, o) = paired(*learnt), paired(*held)
    levels = np.unique(np.quantile(s, np.linspace(0, 1, MOST), method="lower"))[::-1]
    planned = _losses(s, y, levels, risk)
    mean, square = planned.mean(axis=0), np.maximum((planned**2).mean(axis=0), 1e-9)
    first = int(np.argmin(mean / np.sqrt(square)))
    levels, mean, square = levels[first:], mean[first:], square[first:]
    losses = by_unit(_losses(c, o, levels, risk), units.tolist())
    walked = walk(losses, delta, 1 - risk, seed, square)
    place = walked.certified
    needed = _needed(
        float(mean[0]), float(square[0]), risk, delta, float(np.mean(s >= levels[0])), len(c) / len(losses)
    )
    if place is None:
        return Abstention(risk, delta, None, None, None, len(losses), needed, walked)
    given = (c >= levels[place]).astype(np.float64)
    shown = bootstraps({"coverage": _covered, "wrong": _wrong}, given, 1 - o, units=units, times=300, seed=seed)
    wrong = widened(shown["wrong"], len(np.unique(units[given > 0])))
    return Abstention(risk, delta, float(levels[place]), widened(shown["coverage"]), wrong, len(losses), None, walked)


def _covered(given: Floats, wrong: Floats) -> float:
    return float(given.mean())


def _wrong(given: Floats, wrong: Floats) -> float:
    return float((given * wrong).sum() / max(given.sum(), 1.0))


def _losses(s: Floats, y: Floats, levels: Floats, risk: float) -> Floats:
    """Per row and threshold: wrong - risk where it is answered, else 0."""
    return np.round((s[:, None] >= levels) * ((1 - y)[:, None] - risk), 12)


def _needed(mean: float, square: float, risk: float, delta: float, covered: float, rows: float) -> int | None:
    """How many rows the test would take if all were as planned, `rows` to a unit; None where it never ends.

    The wealth grows by mean^2 / (2 CAUTION square) a row at the best bet, and never faster than if nothing were wrong.
    """
    if mean >= 0:
        return None
    goal, fastest = log(1 / delta), log1p(BIGGEST_BET * risk / (1 - risk)) * covered
    return ceil(rows * goal / min(mean**2 / (2 * CAUTION * square), fastest))
