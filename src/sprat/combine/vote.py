"""Ask several models, or one several times, and give the answer that most agree on.

Self-consistency (arXiv 2203.11171) over the answers that `same` reads from the replies; `enough` stops asking once the
winner can't be overtaken. A tie goes to the answer that was given first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..answers import final_answer
from ..core import Model, Reply, Request, Technique, ask, together
from ..errors import BadInput
from ..shape import Asks


@dataclass(frozen=True, repr=False)
class Vote(Technique):
    """`n` draws of each model; draws after the first at `temperature` where one is given."""

    models: tuple[Any, ...]
    n: int = 1
    temperature: float | None = None
    same: Callable[[Reply], str] = final_answer
    enough: bool = True
    use = "vote"

    async def answer(self, request: Request) -> Reply:
        """The first reply with the winning answer."""
        sampling = {} if self.temperature is None else {"temperature": self.temperature}
        draws = [
            ask(m, request if self.n == 1 else request.drawn(request.sample * self.n + i, **(sampling if i else {})))
            for i in range(self.n)
            for m in self.models
        ]
        total = len(draws)

        def decided(replies: list[Reply]) -> bool:
            first, second = self._counts(replies)[:2]
            return first > second + total - len(replies)

        replies = await together(draws, until=decided if self.enough and total > 1 else None)
        answers = [r for r in replies if r.ok]
        keys = [self.same(r) for r in answers]
        return answers[max(range(len(keys)), key=lambda i: (keys.count(keys[i]), -i))]

    def asks(self) -> list[Asks]:
        """Every model, `n` times."""
        return [Asks(m, self.n) for m in self.models]

    def _counts(self, replies: list[Reply]) -> list[int]:
        keys = [self.same(r) for r in replies if r.ok]
        return [*sorted((keys.count(k) for k in set(keys)), reverse=True), 0, 0]


def vote(
    *models: Model,
    n: int = 1,
    temperature: float | None = None,
    same: Callable[[Reply], str] = final_answer,
    enough: bool = True,
) -> Vote:
    """A majority vote over `n` draws of each model; raises BadInput for no model or n < 1."""
    if not models or n < 1:
        raise BadInput("vote needs at least one model and n of at least 1.")
    return Vote(tuple(models), n, temperature, same, enough)
