"""How wrong a confidence is for groups of rows though right on average: grouping loss, and the groups by name.

The lower bound of Perez-Lebel, Le Morvan and Varoquaux (ICLR 2023, arXiv 2210.16315), debiased, less what binning
itself brings in. Checked by hand-made groups whose grouping loss is known, and by a confidence that has none.

Brier = calibration loss + grouping loss + what cannot be known. Rows of one confidence may still differ in their chance
of being right; grouping loss is the mean variance of that chance among rows of one confidence, which no calibration
curve can mend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from ..signals.calibrators import Floats, paired
from ..signals.reconfidence import Partition, partition
from .calibration import place
from .resampling import Estimate, wilson


class GroupingLoss(NamedTuple):
    """`bound` = explained - induced, at most the grouping loss in expectation; a little below 0 means none is seen."""

    bound: float
    explained: float
    induced: float
    groups: int


def grouping_loss(
    confidence: ArrayLike,
    outcome: ArrayLike,
    features: ArrayLike,
    bins: int = 15,
    leaves: int = 5,
    fewest: int = 10,
    units: Sequence[object] | NDArray[Any] | None = None,
    seed: int = 0,
) -> GroupingLoss:
    """A debiased lower bound of the grouping loss that the features (n, d) explain.

    One half of the units grows, within each bin of equal mass, a tree of at most `leaves` groups of at least `fewest`
    rows; the other half measures how far the groups' rates lie apart. Fewer bins on fewer rows: a bin has at least
    4 `fewest` rows. Raises BadInput for features with missing numbers or too few rows; MissingExtra without
    scikit-learn.
    """
    s, y = paired(confidence, outcome)
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or len(x) != len(s) or not np.isfinite(x).all():
        raise BadInput(f"Features are (rows, features) without missing numbers; got {x.shape} for {len(s)} rows.")
    if len(s) < 8 * fewest:
        raise BadInput(f"A grouping loss needs at least {8 * fewest} rows; there are {len(s)}.")
    _, unit = np.unique(np.arange(len(s)) if units is None else np.asarray(units), return_inverse=True)
    quarter = (np.random.default_rng(seed).permutation(int(unit.max()) + 1) % 4)[unit]
    grows = quarter < 2
    at = place(s, max(1, min(bins, len(s) // (8 * fewest))), "mass")
    explained, induced, groups, n = 0.0, 0.0, 0, int((~grows).sum())
    for b in np.unique(at):
        here, out = grows & (at == b), ~grows & (at == b)
        if out.sum() < 2 or not here.any():
            continue
        tree = partition(x[here], y[here], leaves, fewest)
        found = _apart(y[out], tree.groups(x[out]))
        explained += out.sum() / n * found[0]
        induced += out.sum() / n * _curve(s, y, [(quarter == q) & (at == b) for q in (0, 1)], out)
        groups += found[1]
    return GroupingLoss(explained - induced, explained, induced, groups)


def _curve(s: Floats, y: Floats, halves: list[NDArray[np.bool_]], out: NDArray[np.bool_]) -> float:
    """How much the calibration curve, a straight line within a bin, varies there.

    The product of two slopes learnt on different rows is the square of one without its noise.
    """
    slopes: list[float] = []
    for half in halves:
        apart = s[half] - s[half].mean() if half.any() else np.zeros(1)
        spread = float(apart @ apart)
        slopes.append(float(apart @ y[half]) / spread if spread > 1e-12 else 0.0)
    return slopes[0] * slopes[1] * float(np.var(s[out]))


def _apart(y: NDArray[np.float64], group: NDArray[np.int64]) -> tuple[float, int]:
    """The variance of the groups' true rates, weighted by rows and debiased, and how many groups there are.

    A group of one row says nothing of its own variance: it joins the largest.
    """
    size = np.bincount(group)
    group = np.where(size[group] < 2, int(size.argmax()), group)
    _, group, size = np.unique(group, return_inverse=True, return_counts=True)
    if size.min() < 2:
        return 0.0, 1
    rate, square = (np.bincount(group, weights=v) / size for v in (y, y * y))
    share, n = size / len(y), len(y)
    noise = float(share @ ((square - rate**2) / (size - 1)))
    whole = float(np.mean(y * y) - np.mean(y) ** 2) / (n - 1)
    return float(share @ (rate - y.mean()) ** 2) - noise + whole, len(size)


@dataclass(frozen=True)
class Group:
    """Rows of one rule: how many, their mean confidence, their rate of right answers, and how far apart these are.

    The intervals of all groups hold together, at 95 %.
    """

    rule: str
    rows: int
    confidence: float
    rate: Estimate
    gap: Estimate


def worst_groups(
    tree: Partition,
    names: Sequence[str],
    confidence: ArrayLike,
    outcome: ArrayLike,
    features: ArrayLike,
    units: Sequence[object] | NDArray[Any] | None = None,
    rule: Callable[[int], str] | None = None,
) -> list[Group]:
    """The groups of a tree on rows that it was not grown on, first where confidence surely is furthest off.

    `rule` puts a group into words; unless given, by the features' names and bounds.

    Rates have Wilson's interval (1927) over units, at 95 % for all groups together (Bonferroni).
    """
    s, y = paired(confidence, outcome)
    group = tree.groups(features)
    unit = np.arange(len(s)) if units is None else np.asarray(units)
    every = np.unique(group)
    found: list[Group] = []
    for g in every:
        here = group == g
        n = len(np.unique(unit[here]))
        rate, mean = float(y[here].mean()), float(s[here].mean())
        low, high = wilson(rate, n, 1 - 0.05 / len(every))
        gap = Estimate(mean - rate, mean - high, mean - low, n)
        found.append(
            Group(
                rule(int(g)) if rule else tree.rule(int(g), tuple(names)),
                int(here.sum()),
                mean,
                Estimate(rate, low, high, n),
                gap,
            )
        )
    return sorted(found, key=lambda g: -max(g.gap.low, -g.gap.high))
