"""Trust a reply as far as its tokens were clear: exp of minus the mean, or the largest, entropy of a token.

A baseline of arXiv 2302.09664. Servers show the likeliest tokens alone: the entropy is then a bound, and
`uncertainty` says so. Perplexity is `logprob`. Checked by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import ClassVar, Literal

from ..core import Can, Reply, Request, Signal
from ..errors import BadInput, CannotDo
from ..uncertainty.tokens import TokenEntropy as Bounds
from ..uncertainty.tokens import entropies, max_entropy, mean_entropy

How = Literal["mean", "max"]


@dataclass(frozen=True, repr=False)
class TokenEntropy(Signal):
    """`how` sums up the tokens; with `vocabulary`, its size, a cut-off entropy has an upper bound too."""

    how: How = "mean"
    vocabulary: int | None = None
    use = "token_entropy"
    needs = Can.LOGPROBS
    reads_reply = True
    level: ClassVar[str] = "answer"

    def uncertainty(self, reply: Reply) -> Bounds:
        """The entropy in nats, within bounds; `exact` where nothing was cut off. CannotDo without alternatives."""
        found = entropies(reply, self.vocabulary)
        return mean_entropy(found) if self.how == "mean" else max_entropy(found)

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """exp(-entropy) by the lower bound, so the trust is an upper bound where alternatives were cut off."""
        if reply is None:
            raise CannotDo("token_entropy reads a reply; it was given none.", hint="Use it in a cascade.")
        return exp(-max(0.0, self.uncertainty(reply).low))


def token_entropy(how: How = "mean", vocabulary: int | None = None) -> TokenEntropy:
    """Trust by token entropy; BadInput for another `how` or an empty vocabulary."""
    if how not in ("mean", "max") or (vocabulary is not None and vocabulary < 1):
        raise BadInput(f"token_entropy takes mean or max, and a vocabulary of at least 1; got {how!r}, {vocabulary}.")
    return TokenEntropy(how, vocabulary)
