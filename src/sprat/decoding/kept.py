"""The tokens that a combination may choose from: a plausible head, or a nucleus; and sums taken on these alone.

What is not kept has the score -inf. A mask goes into one term only, so that the terms still add up to the scores.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import BadInput
from ..whitebox.arrays import largest
from ..whitebox.sampling import Sampling, probabilities


def head(scores: Any, alpha: float) -> Any:
    """Where a token is at least `alpha` times as likely as the likeliest (arXiv 2210.15097), shaped as the scores."""
    return scores >= largest(scores) + (math.log(alpha) if alpha else -math.inf)


def nucleus(scores: Any, top_p: float) -> Any:
    """Where a token is in the smallest set of likeliest ones that holds at least `top_p` (arXiv 1904.09751)."""
    with np.errstate(invalid="ignore"):  # of scores that are no numbers nothing is kept
        return probabilities(scores, Sampling(temperature=1.0, top_p=top_p)) > 0


def total(terms: list[tuple[Any, Any]]) -> Any:
    """The sum of the terms' scores."""
    added = terms[0][1]
    for _, term in terms[1:]:
        added = added + term
    return added


def check(name: str, value: float, low: float, high: float = math.inf) -> None:
    """BadInput where a parameter is not a finite number from `low` to `high`."""
    if not (math.isfinite(value) and low <= value <= high):
        needed = f"from {low:g} to {high:g}" if high < math.inf else f">= {low:g}" if low > -math.inf else "a number"
        raise BadInput(f"{name} is {value}.", hint=f"Needed: {needed}.")
