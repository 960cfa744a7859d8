"""Trust a reply as far as others, asked the same, come to the same answer.

Agreement-based cascading (arXiv 2407.02348). Three ways: peers (other models), further draws of a model, or, with
neither, the votes of a reply that `vote(..., enough=False)` made, which is the paper's own cascade of ensembles.
Checked against hand-counted votes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..answers import final_answer
from ..core import Model, Reply, Request, Signal, ask, together
from ..errors import BadInput, CannotDo
from ..shape import Asks

Same = Callable[[Reply], str]


async def opinions(
    models: tuple[Any, ...],
    request: Request,
    samples: int = 0,
    temperature: float | None = None,
    until: Callable[[list[Reply]], bool] | None = None,
) -> list[Reply]:
    """Each model's reply to the request, or its draws number 1 to `samples`; failed and cancelled ones included."""
    sampling = {} if temperature is None else {"temperature": temperature}
    drawn = [request.drawn(i + 1, **sampling) for i in range(samples)] or [request]
    return list(await together([ask(m, r, "a second opinion") for r in drawn for m in models], until))


@dataclass(frozen=True, repr=False)
class Agreement(Signal):
    """`samples` draws of each model after the first, or one reply each (0); stops early once `decide` is settled."""

    models: tuple[Any, ...] = ()
    samples: int = 0
    temperature: float | None = None
    same: Same = final_answer
    decide: float | None = None
    use = "agreement"
    reads_reply = True

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The share of the others' answers that equal the reply's; for a vote, the share of the votes it got.

        A reply without an answer agrees with none. With `decide`, what was not asked any more counts as
        disagreement: the share may come out too low, but on the same side of `decide`.
        """
        if reply is None:
            raise CannotDo("agreement compares a reply with others; it was given none.", hint="Use it in a cascade.")
        own = self.same(reply)
        if not self.models:
            votes = [r for r in reply.asks if not r.error]
            if not votes:
                raise CannotDo(
                    f"agreement() without models reads the votes of a reply, and this one of '{reply.model}' has none.",
                    hint="Name peers, or let vote(..., enough=False) make the reply.",
                )
            return self._share(own, votes)
        total = len(self.models) * max(1, self.samples)

        def settled(seen: list[Reply]) -> bool:
            agreed = sum(self._agrees(own, r) for r in seen)
            assert self.decide is not None
            return agreed >= self.decide * total or agreed + total - len(seen) < self.decide * total

        until = settled if self.decide is not None else None
        heard = await opinions(self.models, request, self.samples, self.temperature, until)
        return self._share(own, [r for r in heard if not r.error])

    def asks(self) -> list[Asks]:
        """Every model once, or `samples` times."""
        return [Asks(self.models, max(1, self.samples))]

    def _agrees(self, own: str, other: Reply) -> bool:
        return bool(own) and other.ok and self.same(other) == own

    def _share(self, own: str, others: list[Reply]) -> float:
        return sum(self._agrees(own, r) for r in others) / max(1, len(others))


def agreement(
    *models: Model,
    samples: int = 0,
    temperature: float | None = None,
    same: Same = final_answer,
    decide: float | None = None,
) -> Agreement:
    """Agreement with peers, with draws of a model, or among a vote; raises BadInput where these don't fit together."""
    if samples < 0 or (samples and not models):
        raise BadInput("agreement needs samples of at least 0, and a model to draw them from.")
    if decide is not None and (not models or not 0 < decide <= 1):
        raise BadInput("agreement can stop early only with models to ask and `decide` in (0, 1].")
    return Agreement(tuple(models), samples, temperature, same, decide)
