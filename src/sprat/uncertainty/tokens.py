"""What a reply's own token probabilities say: entropy at each token, and how likely the tokens were.

A server shows only the k likeliest tokens, so an entropy is known only within bounds, and is marked as such. Baselines
of arXiv 2302.09664 and 2305.19187. Checked by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log

from ..core import Reply
from ..errors import CannotDo

_WHOLE = 1e-9


@dataclass(frozen=True, slots=True)
class TokenEntropy:
    """An entropy in nats that lies within [low, high]; `exact` where nothing was cut off."""

    low: float
    high: float
    exact: bool


def token_entropy(
    top: Mapping[str, float], vocabulary: int | None = None, likeliest: bool = True, chosen: str | None = None
) -> TokenEntropy:
    """The entropy of a token's distribution from its likeliest alternatives' log-probabilities.

    What was cut off lies between being as concentrated as it can (no token is likelier than the least one shown) and
    being spread evenly over the rest of the vocabulary (without its size, the upper bound is infinite). Where `top` are
    not the likeliest, as where the chosen token alone is known, the rest could be a single token. Some servers list the
    `chosen` token beside the likeliest: where it is the least shown, the rest may be likelier than it. What is shown
    with no probability, as OpenAI's -9999 for "not among the likeliest", counts as cut off.
    """
    told = {token: p for token, v in top.items() if (p := exp(v)) > 0}
    shown = list(told.values())
    known = -sum(p * log(p) for p in shown)
    rest = 1 - sum(shown)
    if rest <= _WHOLE:
        return TokenEntropy(known, known, True)
    least = min(shown, default=1.0)
    if chosen is not None and told.get(chosen) == least:
        least = min((p for token, p in told.items() if token != chosen), default=1.0)
    low = known - rest * log(min(least if likeliest else 1.0, rest))
    if vocabulary is None:
        return TokenEntropy(low, inf, False)
    left = max(1, vocabulary - len(shown))
    return TokenEntropy(low, max(low, known - rest * log(rest / left)), False)


def entropies(reply: Reply, vocabulary: int | None = None) -> list[TokenEntropy]:
    """The entropy at each token, from its likeliest alternatives, else from its own log-probability.

    CannotDo where the reply has neither.
    """
    if reply.top_logprobs:
        chosen = reply.tokens or ()
        named = [*chosen, *[None] * (len(reply.top_logprobs) - len(chosen))]
        return [token_entropy(top, vocabulary, chosen=c) for top, c in zip(reply.top_logprobs, named, strict=False)]
    if reply.logprobs:
        return [token_entropy({"": v}, vocabulary, likeliest=False) for v in reply.logprobs]
    raise CannotDo(
        f"Token entropy needs the log-probabilities of the reply's tokens, and the reply of '{reply.model}' has none.",
        hint="Ask with logprobs=True, top_logprobs=20, or use a measure that reads text: agreement, self_check.",
    )


def mean_entropy(found: Sequence[TokenEntropy]) -> TokenEntropy:
    """The mean over the tokens, within bounds."""
    n = len(found)
    return TokenEntropy(sum(e.low for e in found) / n, sum(e.high for e in found) / n, all(e.exact for e in found))


def max_entropy(found: Sequence[TokenEntropy]) -> TokenEntropy:
    """The largest over the tokens, within bounds."""
    return TokenEntropy(max(e.low for e in found), max(e.high for e in found), all(e.exact for e in found))
