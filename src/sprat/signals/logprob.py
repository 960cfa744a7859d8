"""Trust a reply as much as its own tokens were likely: exp of the mean, the lowest or the summed log-probability.

Token-level deferral (arXiv 2404.10136) found quantiles such as the lowest better than the sum, which punishes length.
Checked against hand-computed values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..core import Can, Piece, Reply, Request, Signal
from ..errors import BadInput, CannotDo
from .running import Alone, Running

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
            raise _lacking(f" of '{reply.model}'" if reply is not None and reply.model else "")
        return level(self.how, found[: self.first] if self.first else found)

    def running(self, request: Request) -> Running:
        """The same over the tokens that have come: a log-probability is at most 0, so what is lost is lost."""
        return _Running(self.how, self.first)


def level(how: How, read: Sequence[float], n: int = 0) -> float:
    """The exp of the mean (over n numbers, where n is given), the lowest or the sum; at most 1."""
    found = {"mean": math.fsum(read) / (n or len(read)), "min": min(read), "sum": math.fsum(read)}[how]
    return math.exp(min(0.0, found))


def _lacking(whose: str = "") -> CannotDo:
    return CannotDo(
        f"logprob needs the log-probabilities of the reply's tokens, and the reply{whose} has none.",
        hint="Ask the model for them, or use agreement() or answer_features(), which read text alone.",
    )


@dataclass(eq=False)
class _Running(Alone):
    how: How
    first: int
    read: list[float] = field(default_factory=list[float])
    ended: bool = False

    def take(self, which: int, piece: Piece | None) -> None:
        self.ended = self.ended or piece is None
        found = piece.logprobs if piece is not None else ()
        self.read += found[: self.first - len(self.read)] if self.first else found

    def within(self) -> tuple[float, float]:
        if self.ended and not self.read:
            raise _lacking()
        if self.ended or (self.first and len(self.read) >= self.first):
            value = level(self.how, self.read)
            return value, value
        if not self.read or (self.how == "mean" and not self.first):
            return 0.0, 1.0  # later tokens could make good for it
        return 0.0, level(self.how, self.read, self.first)  # as if all that is to come were certain


def logprob(how: How = "mean", first: int = 0) -> Logprob:
    """The trust in a reply by its tokens' log-probabilities; raises BadInput for another `how` or first < 0."""
    if how not in ("mean", "min", "sum") or first < 0:
        raise BadInput(f"logprob takes mean, min or sum, and first of at least 0; got {how!r} and {first}.")
    return Logprob(how, first)
