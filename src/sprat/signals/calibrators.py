"""Maps from a confidence to a probability: Platt, temperature, beta, isotonic; frozen values whose fit gives a new one.

Platt 1999 with his smoothed targets; temperature (arXiv 1706.04599); beta (Kull et al., AISTATS 2017); isotonic by pool
adjacent violators (Zadrozny and Elkan, KDD 2002). Checked against scikit-learn and against closed forms.

The three parametric ones read the logit of a confidence, which is what a network's margin is to its probability; they
are the identity before fit. Outcomes may be graded, in [0, 1]; a grade of .7 counts as .7 right and .3 wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .fitting import sigmoid

Floats = NDArray[np.float64]
Kind = Literal["platt", "temperature", "beta", "isotonic"]
EDGE = 1e-6  # a confidence of 0 or 1 has no logit


class Calibrator(Protocol):
    """Whatever turns confidences into probabilities."""

    def fit(self, confidence: ArrayLike, outcome: ArrayLike) -> Any:
        """The same, learnt from confidences (n,) and outcomes (n,), both in [0, 1]."""
        ...

    def predict(self, confidence: ArrayLike) -> Floats:
        """Probabilities (n,) for confidences (n,) in [0, 1]."""
        ...


def logit(p: ArrayLike, edge: float = EDGE) -> Floats:
    """ln(p / (1 - p)), of p moved into [edge, 1 - edge]."""
    held = np.clip(np.asarray(p, np.float64), edge, 1 - edge)
    return np.log(held) - np.log1p(-held)


def paired(confidence: ArrayLike, outcome: ArrayLike) -> tuple[Floats, Floats]:
    """Both as arrays (n,); raises BadInput for unequal lengths, no row, or numbers missing or outside [0, 1]."""
    s, y = np.asarray(confidence, np.float64), np.asarray(outcome, np.float64)
    if s.ndim != 1 or s.shape != y.shape or not len(s):
        raise BadInput(f"Confidences and outcomes must be two arrays of one length, not {s.shape} and {y.shape}.")
    for name, values in (("confidence", s), ("outcome", y)):
        if not np.all((values >= 0) & (values <= 1)):
            raise BadInput(
                f"Every {name} must lie in [0, 1]; {int((~((values >= 0) & (values <= 1))).sum())} of {len(s)} do not.",
                hint="Leave out rows without one, and scale them by their bounds.",
            )
    return s, y


def _logistic(x: Floats, y: Floats) -> Floats:
    """The weights (d,) of the likeliest logistic regression of y (n,) on x (n, d); a trace of ridge keeps it finite."""
    w = np.zeros(x.shape[1])
    ridge = 1e-6

    def loss(at: Floats) -> float:
        z = x @ at
        return float(np.sum(np.logaddexp(0.0, z) - y * z) + ridge / 2 * (at @ at))

    now = loss(w)
    for _ in range(100):
        p = sigmoid(x @ w)
        slope = x.T @ (p - y) + ridge * w
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(w)), slope)
        size = 1.0
        while (ahead := loss(w - size * step)) > now and size > 1e-6:
            size /= 2
        w, gained, now = w - size * step, now - ahead, ahead
        if gained < 1e-12 * max(1.0, abs(now)):
            break
    return w


@dataclass(frozen=True)
class Platt:
    """sigmoid(slope logit(s) + intercept); a negative slope says that more confidence means less."""

    slope: float = 1.0
    intercept: float = 0.0

    def fit(self, confidence: ArrayLike, outcome: ArrayLike) -> Platt:
        """Learn from confidences and outcomes (n,); right counts as (r + 1)/(r + 2), wrong as 1/(w + 2)."""
        s, y = paired(confidence, outcome)
        right, wrong = float(y.sum()), float((1 - y).sum())
        aimed = y * (right + 1) / (right + 2) + (1 - y) / (wrong + 2)
        slope, intercept = _logistic(np.column_stack([logit(s), np.ones(len(s))]), aimed)
        return Platt(float(slope), float(intercept))

    def predict(self, confidence: ArrayLike) -> Floats:
        """Probabilities (n,)."""
        return sigmoid(self.slope * logit(confidence) + self.intercept)


@dataclass(frozen=True)
class Temperature:
    """sigmoid(logit(s) / temperature): keeps the order and what is above one half."""

    temperature: float = 1.0

    def fit(self, confidence: ArrayLike, outcome: ArrayLike) -> Temperature:
        """Learn from confidences and outcomes (n,); at most 1,000, which is one half for all."""
        s, y = paired(confidence, outcome)
        (inverse,) = _logistic(logit(s)[:, None], y)
        return Temperature(1 / max(float(inverse), 1e-3))

    def predict(self, confidence: ArrayLike) -> Floats:
        """Probabilities (n,)."""
        return sigmoid(logit(confidence) / self.temperature)


@dataclass(frozen=True)
class Beta:
    """sigmoid(a ln s - b ln(1 - s) + c) with a, b >= 0: each end of the scale may be bent by itself."""

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def fit(self, confidence: ArrayLike, outcome: ArrayLike) -> Beta:
        """Learn from confidences and outcomes (n,); what would come out negative is 0, as its authors do."""
        s, y = paired(confidence, outcome)
        held = np.clip(s, EDGE, 1 - EDGE)
        columns = np.column_stack([np.log(held), -np.log1p(-held), np.ones(len(s))])
        used = [0, 1, 2]
        while True:
            w = _logistic(columns[:, used], y)
            worst = min(range(len(used) - 1), key=lambda i: w[i], default=-1)
            if worst < 0 or w[worst] >= 0:
                break
            del used[worst]
        found = dict(zip(used, w.tolist(), strict=True))
        return Beta(found.get(0, 0.0), found.get(1, 0.0), found[2])

    def predict(self, confidence: ArrayLike) -> Floats:
        """Probabilities (n,)."""
        held = np.clip(np.asarray(confidence, np.float64), EDGE, 1 - EDGE)
        return sigmoid(self.a * np.log(held) - self.b * np.log1p(-held) + self.c)


def _line() -> Floats:
    return np.array([0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Isotonic:
    """The best non-decreasing map: straight lines between the knots (k,), flat beyond them."""

    knots: Floats = field(default_factory=_line)
    levels: Floats = field(default_factory=_line)

    def fit(self, confidence: ArrayLike, outcome: ArrayLike) -> Isotonic:
        """Learn from confidences and outcomes (n,): least squares among all non-decreasing maps."""
        s, y = paired(confidence, outcome)
        knots, levels = pooled(s, y)
        inner = np.zeros(len(knots), bool)
        inner[1:-1] = (levels[1:-1] == levels[:-2]) & (levels[1:-1] == levels[2:])
        return Isotonic(knots[~inner], levels[~inner])

    def predict(self, confidence: ArrayLike) -> Floats:
        """Probabilities (n,)."""
        return np.interp(np.asarray(confidence, np.float64), self.knots, self.levels)


def pooled(s: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The distinct values of s, rising, and the level of each: pool adjacent violators of the mean of y."""
    values, at, counts = np.unique(s, return_inverse=True, return_counts=True)
    means, weights, sizes = list[float](), list[float](), list[int]()
    for total, n in zip(np.bincount(at, weights=y).tolist(), counts.tolist(), strict=True):
        means.append(total / n)
        weights.append(float(n))
        sizes.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            weight = weights[-2] + weights[-1]
            means[-2:] = [(means[-2] * weights[-2] + means[-1] * weights[-1]) / weight]
            sizes[-2:] = [sizes[-2] + sizes[-1]]
            weights[-2:] = [weight]
    return values, np.repeat(means, sizes)


CALIBRATORS: Mapping[str, Callable[[], Calibrator]] = {
    "platt": Platt,
    "temperature": Temperature,
    "beta": Beta,
    "isotonic": Isotonic,
}
