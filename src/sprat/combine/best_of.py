"""Draw several replies and give the one that a signal trusts most.

Best-of-n with any signal as the verifier (arXiv 2110.14168). One draw is the model itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core import Ask, Model, Reply, Request, Technique, ask, together
from ..errors import BadInput
from ..shape import Asks


@dataclass(frozen=True, repr=False)
class BestOf(Technique):
    """`n` draws of each model, judged by `trust`; the first of the best wins."""

    models: tuple[Any, ...]
    trust: Any = None
    n: int = 1
    temperature: float | None = None
    use = "best_of"

    async def answer(self, request: Request) -> Reply | Ask:
        """The reply with the highest trust."""
        if self.n * len(self.models) == 1:
            return ask(self.models[0], request)
        sampling = {} if self.temperature is None else {"temperature": self.temperature}
        draws = [
            ask(m, request if self.n == 1 else request.drawn(request.sample * self.n + i, **(sampling if i else {})))
            for i in range(self.n)
            for m in self.models
        ]
        replies = [r for r in await together(draws) if r.ok]
        trusts = [await self.trust.trust(request, reply) for reply in replies]
        return replies[max(range(len(trusts)), key=lambda i: (trusts[i], -i))]

    def asks(self) -> list[Asks]:
        """Every model `n` times, and the signal about each of their replies."""
        draws = self.n * len(self.models)
        judged = [Asks(self.trust, draws)] if draws > 1 else []
        return [*(Asks(m, self.n) for m in self.models), *judged]


def best_of(*models: Model, trust: Any, n: int = 1, temperature: float | None = None) -> BestOf:
    """The most trusted of `n` draws of each model; raises BadInput for no model or n < 1."""
    if not models or n < 1:
        raise BadInput("best_of needs at least one model and n of at least 1.")
    return BestOf(tuple(models), trust, n, temperature)
