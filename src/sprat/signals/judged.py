"""Trust a reply as a judging model does: by its grade, or by how it fares against others' replies, two by two.

A grade by a rubric, over draws or weighted by probabilities (G-Eval, arXiv 2303.16634); with peers, MT-bench's
comparison in both orders, where what flips with the order is a tie (arXiv 2306.05685). Checked by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..core import Can, Model, Reply, Request, Signal, ask, together
from ..data import Example
from ..errors import BadInput, CannotDo
from ..shape import Asks, need
from .agreement import opinions
from .verdicts import CRITERION, PAIR, RUBRIC, grade_of, grade_requests, pair_requests, pair_verdict


@dataclass(frozen=True, repr=False)
class Judged(Signal):
    """`model` judges, by `rubric` where given; `models` are peers whose replies are compared; see `judged`."""

    models: tuple[Any, ...]
    model: Any
    rubric: str | None = None
    draws: int = 1
    temperature: float = 0.7
    weighted: bool = False
    use = "judged"
    reads_reply = True
    level: ClassVar[str] = "answer"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The grade, or the mean over peers of 1, one half or 0; 0 where nothing can be read."""
        if reply is None:
            raise CannotDo("judged judges a reply; it was given none.", hint="Use it in a cascade or best_of.")
        text = reply.text or ""
        if not text.strip():
            return 0.0
        if not self.models:
            example = Example("", request)
            asked = grade_requests(example, text, self.rubric, self.draws, self.temperature, self.weighted)
            found = grade_of(await together([ask(self.model, r, "a grade") for r in asked]), self.weighted).score
            return 0.0 if found is None else found
        heard = [r for r in await opinions(self.models, request) if r.ok and r.text]
        how = (self.rubric or CRITERION, self.draws, self.temperature)
        games = [pair_requests(request, text, r.text or "", *how) for r in heard]
        told = iter(await together([ask(self.model, r, "which is better") for game in games for r in game]))
        verdicts = [pair_verdict([next(told) for _ in game]).preference for game in games]
        known = [v for v in verdicts if v is not None]
        return sum(known) / len(known) if known else 0.0

    def asks(self) -> list[Asks]:
        """The peers once, and the judge for each grade, or each order of each pair."""
        if not self.models:
            return [Asks(self.model, self.draws, replies=1, prompt=len(RUBRIC) + len(self.rubric or ""))]
        games = 2 * self.draws * len(self.models)
        return [Asks(self.models), Asks(self.model, games, replies=2, prompt=len(PAIR) + len(self.rubric or ""))]


def judged(
    model: Model,
    *peers: Model,
    rubric: str | None = None,
    draws: int = 1,
    temperature: float = 0.7,
    weighted: bool = False,
) -> Judged:
    """A judging model's grade of a reply as its trust, or with peers the share of their replies that it beats.

    One draw is at temperature 0. Raises BadInput for draws that make no sense, CannotDo for `weighted` without
    log-probabilities.
    """
    if draws < 1 or (draws > 1 and (temperature <= 0 or weighted)) or (weighted and peers):
        raise BadInput("judged takes at least one draw; several need a temperature above 0, and weighted is of grades.")
    if weighted:
        need(model, Can.LOGPROBS, "judged(weighted=True)")
    return Judged(tuple(peers), model, rubric, draws, temperature, weighted)
