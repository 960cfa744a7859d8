"""Trust by the graph of how alike a model's draws are: degree, eccentricity, or the sum of eigenvalues.

Lin et al., arXiv 2305.19187: of the question (all draws) or of the answer (this reply's place in the graph; the sum of
eigenvalues has none). Checked by hand and against lm-polygraph in benchmarks/uncertainty.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..core import Model, Reply, Request, Signal, ask
from ..errors import BadInput
from ..shape import Asks
from ..uncertainty import graph
from ..uncertainty.clusters import Alike, Draws, comparing
from ..uncertainty.levels import AnswerUncertainty, QuestionUncertainty
from .drawn import checked, drawn

How = Literal["degree", "eccentricity", "eigenvalue"]
Level = Literal["answer", "question"]


@dataclass(frozen=True, repr=False)
class LikenessGraph(Signal):
    """`how` of `samples` draws of each model and the reply, at the level of the answer or of the question."""

    models: tuple[Any, ...]
    samples: int = 5
    temperature: float | None = 1.0
    equivalence: Any = field(default_factory=Alike)
    how: How = "degree"
    level: Level = "answer"
    use = "likeness_graph"
    reads_reply = True

    async def uncertainty(
        self, request: Request, reply: Reply | None
    ) -> AnswerUncertainty | QuestionUncertainty | None:
        """The measure; None where no draw came."""
        of_question = self.level == "question"
        found, _ = await drawn(self.use, self.models, request, reply, self.samples, self.temperature, of_question)
        if found is None:
            return None
        w = await ask(comparing(self.equivalence, "likeness"), Draws(found.question, found.texts))
        if self.how == "eigenvalue":
            return graph.eigenvalue(w)
        if self.how == "degree":
            return graph.degree_of(w) if self.level == "answer" else graph.degree(w)
        return graph.eccentricity_of(w) if self.level == "answer" else graph.eccentricity(w)

    def asks(self) -> list[Asks]:
        """Every model once, or `samples` times."""
        return [Asks(self.models, max(1, self.samples))]

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """1 - degree, 1 / (1 + eccentricity) or 1 / the sum of eigenvalues, in [0, 1]; 0 where no draw came.

        Without a reply, in a route, of the draws alone: at the level of the question.
        """
        found = await self.uncertainty(request, reply)
        if found is None:
            return 0.0
        if self.how == "degree":
            return min(1.0, max(0.0, 1 - found.value))
        return 1 / (1 + found.value) if self.how == "eccentricity" else min(1.0, 1 / max(1.0, found.value))


def likeness_graph(
    *models: Model,
    samples: int = 5,
    temperature: float | None = 1.0,
    equivalence: Any = None,
    how: How = "degree",
    level: Level = "answer",
) -> LikenessGraph:
    """A measure of the graph of draws; BadInput for no model, another `how`, or eigenvalues of one answer."""
    checked("likeness_graph", models, samples)
    if how not in ("degree", "eccentricity", "eigenvalue") or level not in ("answer", "question"):
        raise BadInput("likeness_graph takes degree, eccentricity or eigenvalue, of the answer or the question.")
    if how == "eigenvalue" and level == "answer":
        raise BadInput("The sum of eigenvalues is of the question alone.", hint="Say level='question', or use degree.")
    return LikenessGraph(tuple(models), samples, temperature, equivalence or Alike(), how, level)
