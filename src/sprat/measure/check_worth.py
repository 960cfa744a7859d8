"""What a ladder of checks is worth: on the rows that taught it, out of fold, or on labelled rows that did not.

AUROC, balanced accuracy and ECE with bootstrap intervals over groups (else documents). Checked by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from ..factuality.check_ladder import Finding, Ladder
from ..factuality.cuts import best_cut
from .calibration import auroc, ece
from .resampling import Estimate, bootstrap, bootstraps

Floats = NDArray[np.float64]
FEWEST = 10  # groups: a bootstrap over fewer says little


@dataclass(frozen=True)
class Worth:
    """On how many rows, of which so many unsupported, and AUROC, balanced accuracy and ECE of the doubt."""

    rows: int
    unsupported: int
    auroc: Estimate
    balanced_accuracy: Estimate
    ece: Estimate

    @property
    def shown(self) -> bool:
        """Whether the order of its doubts is better than chance beyond the interval."""
        return self.auroc.low > 0.5


def out_of_fold(made: Ladder) -> tuple[Floats, Floats]:
    """For each row that taught the ladder the doubt (n,) at the rung where it stopped, and whether it was unsupported.

    Each doubt is by what was learnt on other groups' rows. Raises BadInput before fit.
    """
    if not made.steps:
        raise BadInput("The ladder has not learned yet, so nothing shows its worth.", hint="Use ladder(...).fit(rows).")
    y = made.steps[0].unsupported
    doubts, left = np.full(len(y), np.nan), np.arange(len(y))
    for step in made.steps:
        # A rung learnt from the rows that came to it, or from all where these were few.
        here = step.out_of_fold[left] if len(step.out_of_fold) == len(y) else step.out_of_fold
        doubts[left] = here
        left = left[(here > step.low) & (here < step.high)]
    return doubts, y


def taught(made: Ladder, groups: Sequence[str]) -> Worth:
    """The worth out of fold, for the `groups` (n,) of the rows that taught it; the cut is chosen on the other half.

    Raises BadInput before fit, or where one kind of row is too rare for an interval.
    """
    doubts, y = out_of_fold(made)
    place = np.unique(list(groups), return_inverse=True)[1]
    half = np.random.default_rng(0).permutation(int(place.max()) + 1)[place] % 2
    called = np.zeros(len(y))
    for one in (0, 1):
        other = half != one
        cut = best_cut(doubts[other], y[other]) if 0 < y[other].sum() < other.sum() else 0.5
        called[half == one] = doubts[half == one] >= cut
    return worth(doubts, called, y, groups)


def found_worth(findings: Sequence[Finding], unsupported: ArrayLike, groups: Sequence[str]) -> Worth:
    """The worth on labelled rows that taught nothing; a claim that says nothing is left out."""
    known = [i for i, f in enumerate(findings) if f.doubt == f.doubt]
    y = np.asarray(unsupported, np.float64)[known]
    doubts = np.array([findings[i].doubt for i in known], np.float64)
    called = np.array([findings[i].unsupported for i in known], np.float64)
    return worth(doubts, called, y, [groups[i] for i in known])


def worth(doubts: Floats, called: Floats, unsupported: Floats, groups: Sequence[str]) -> Worth:
    """From doubts, verdicts and what is true (n,) each; BadInput where groups, or one kind, are too few for one."""
    if (n := len(set(groups))) < FEWEST:
        raise BadInput(f"An interval needs labelled rows of {FEWEST} documents or groups; there are {n}.")
    order = bootstrap(auroc, doubts, unsupported, units=groups)
    verdicts = bootstrap(balanced, called, unsupported, units=groups)
    off = bootstraps({"": partial(ece, equal="mass")}, doubts, unsupported, units=groups, centred=True)[""]
    return Worth(len(unsupported), int(unsupported.sum()), order, verdicts, off._replace(low=max(0.0, off.low)))


def balanced(called: Floats, unsupported: Floats) -> float:
    """The mean of the shares of either kind that are called so; BadInput where one kind lacks."""
    bad = unsupported == 1
    if bad.all() or not bad.any():
        raise BadInput("Balanced accuracy needs rows of both kinds.")
    return float((called[bad].mean() + (1 - called[~bad]).mean()) / 2)
