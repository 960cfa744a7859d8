"""FrugalGPT's search: which models, in which order and with which thresholds, give the most quality for a budget.

max E[quality] subject to E[cost] <= budget over lists of at most three models (arXiv 2305.05176, section 3): lists
whose neighbours seldom differ are pruned, thresholds are searched between the scores. The scores are out of
fold, so that thresholds are not chosen on the rows that taught the scorer. Checked against enumeration by hand.
"""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core import Model
from ..data import Lessons
from ..errors import BadInput
from ..shape import name_of
from ..signals.frugal import frugal
from ..signals.learning import observe
from .cascade import Cascade

Floats = NDArray[np.float64]


class Plan(NamedTuple):
    """Models' places in the order asked, a threshold for each but the last, and the means this gives on the rows."""

    order: tuple[int, ...]
    at_least: tuple[float, ...]
    quality: float
    cost: float


def search(
    quality: Floats, cost: Floats, trust: Floats, budget: float, *, most: int = 3, differ: float = 0.01, steps: int = 40
) -> Plan:
    """The best list within the budget (dollars per request) for rows (n, m); ties go to the cheaper, then shorter.

    A list is left out where two neighbours' quality differs on less than `differ` of the rows: asking the second one
    gains nothing. Raises BadInput where no list fits the budget.
    """
    m = quality.shape[1]
    apart = np.array([[float(np.mean(quality[:, i] != quality[:, j])) for j in range(m)] for i in range(m)])
    best: Plan | None = None
    for length in range(1, min(most, m) + 1):
        for order in permutations(range(m), length):
            if all(apart[a, b] >= differ for a, b in pairwise(order)):
                for plan in _thresholds(order, quality, cost, trust, budget, steps):
                    if best is None or _rank(plan) < _rank(best):
                        best = plan
    if best is None:
        raise BadInput(f"No list of these models costs at most {budget:.3g} dollars per request.",
                       hint=f"The cheapest costs {cost.mean(axis=0).min():.3g}.")  # fmt: skip
    return best


def _rank(plan: Plan) -> tuple[float, float]:
    # Rounded, so that the order of a sum does not decide between equals.
    return -round(plan.quality, 12), round(plan.cost, 12)


def _thresholds(
    order: tuple[int, ...], quality: Floats, cost: Floats, trust: Floats, budget: float, steps: int
) -> list[Plan]:
    """The best thresholds of one list, if any fit the budget: about `steps` per level, evenly over the scores there."""
    n = len(quality)
    found: list[Plan] = []

    def walk(level: int, reach: NDArray[np.int64], chosen: tuple[float, ...], gained: float, paid: float) -> None:
        model = order[level]
        paid += float(cost[reach, model].sum())
        if paid > budget * n * (1 + 1e-12):
            return
        if level == len(order) - 1:
            found.append(Plan(order, chosen, (gained + float(quality[reach, model].sum())) / n, paid / n))
            return
        scores = trust[reach, model]
        values = np.unique(scores)
        # Half way between two scores: the fitted scorer's will differ a little from those out of fold.
        cuts = (values[1:] + values[:-1]) / 2
        for cut in cuts if len(cuts) <= steps else cuts[np.linspace(0, len(cuts) - 1, steps).astype(int)]:
            kept = scores >= cut
            now = gained + float(quality[reach[kept], model].sum())
            walk(level + 1, reach[~kept], (*chosen, float(cut)), now, paid)

    walk(0, np.arange(n), (), 0.0, 0.0)
    return sorted(found, key=_rank)[:1]


def frugal_cascade(*models: Model, lessons: Lessons, budget: float, trust: Any = None, most: int = 3) -> Cascade:
    """The cascade of at most `most` of these models that promises the most quality for `budget` dollars per request.

    `trust` is an unfitted signal, fitted once per model; frugal() unless given. Raises BadInput where scores or costs
    are missing, or nothing fits the budget.
    """
    names = [name_of(m) for m in models]
    lacking = [name for name in names if name not in lessons.models]
    if lacking or not models:
        raise BadInput(f"frugal_cascade needs lessons about every model; there are none about {lacking or 'no model'}.")
    signal, lessons = trust or frugal(), lessons.of_models(names)
    known = np.isfinite(lessons.scores).all(axis=1) & np.isfinite(lessons.costs).all(axis=1)
    told = np.array([all(lessons.replies[name][i] is not None for name in names) for i in range(len(lessons))])
    rows = np.flatnonzero(known & told)
    if not len(rows):
        raise BadInput("frugal_cascade needs rows with every model's reply, score and cost; none has all three.",
                       hint="Give the models' prices, so that their costs are known.")  # fmt: skip
    lessons = lessons.take(rows)
    folds = np.random.default_rng(lessons.seed).permutation(len(rows)) % 5
    scores = np.empty((len(rows), len(names)))
    for column, name in enumerate(names):
        own = lessons.of_models((name,))
        for fold in range(5):
            out = np.flatnonzero(folds == fold)
            fitted = signal.fit(own.take(np.flatnonzero(folds != fold)))
            asked = [fitted.trust(lessons.requests[i], lessons.replies[name][i]) for i in out]
            scores[out, column] = observe(asked, lessons)
    plan = search(lessons.scores, lessons.costs, scores, budget, most=most)
    signals = tuple(signal.fit(lessons.of_models((names[i],))) for i in plan.order[:-1])
    return Cascade(tuple(models[i] for i in plan.order), signals, plan.at_least)
