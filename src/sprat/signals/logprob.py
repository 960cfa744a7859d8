"""Trust a reply as much as its own tokens were likely: exp of the mean, the lowest or the summed log-probability.

Token-level deferral (arXiv 2404.10136) found quantiles such as the lowest better than the sum, which punishes length.
Checked against hand-computed values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..core import Can, Reply, Request, Signal
from ..errors import BadInput, CannotDo

How = Literal["mean", "min", "sum"]


@dataclass(frozen=True, repr=False)
class Logprob(Signal):
    """`how` sums up the first `first` tokens' log-probabilities; all tokens' where `first` is 0."""

    how: How = "mean"
    first: int = 0
    use = "logprob"
    needs = Can.LOGPROBS
    reads_reply = True

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The exp of the chosen log-probability, in [0, 1]; raises CannotDo where the reply has none."""
        found = reply.logprobs if reply is not None else None
        if not found:
            whose = f" of '{reply.model}'" if reply is not None and reply.model else ""
            raise CannotDo(
                f"logprob needs the log-probabilities of the reply's tokens, and the reply{whose} has none.",
                hint="Ask the model for them, or use agreement() or answer_features(), which read text alone.",
            )
        read = found[: self.first] if self.first else found
        level = {"mean": math.fsum(read) / len(read), "min": min(read), "sum": math.fsum(read)}[self.how]
        return math.exp(min(0.0, level))


def logprob(how: How = "mean", first: int = 0) -> Logprob:
    """The trust in a reply by its tokens' log-probabilities; raises BadInput for another `how` or first < 0."""
    if how not in ("mean", "min", "sum") or first < 0:
        raise BadInput(f"logprob takes mean, min or sum, and first of at least 0; got {how!r} and {first}.")
    return Logprob(how, first)
