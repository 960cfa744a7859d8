"""Semantic entropy: how far a model's draws spread over meanings. It judges the question, not the one answer.

Kuhn et al., arXiv 2302.09664; Farquhar et al., Nature 2024; conventions by name in sprat.uncertainty. Draws that mean
the same are found by an Equivalence: the final answer, an encoder, or an inference model. Checked by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp
from typing import Any, ClassVar

from ..core import Can, Model, Reply, Request, Signal, ask
from ..errors import BadInput, nearest
from ..shape import Asks, need
from ..uncertainty.clusters import Draws, Exact, cluster, comparing
from ..uncertainty.entropy import CONVENTIONS
from ..uncertainty.entropy import semantic_entropy as entropy_of
from ..uncertainty.levels import QuestionUncertainty
from .drawn import checked, drawn


@dataclass(frozen=True, repr=False)
class SemanticEntropy(Signal):
    """`samples` draws of each model after the reply itself, clustered by `equivalence`, measured by `convention`."""

    models: tuple[Any, ...]
    samples: int = 5
    temperature: float | None = 1.0
    equivalence: Any = field(default_factory=Exact)
    convention: str = "discrete"
    use = "semantic_entropy"
    reads_reply = True
    level: ClassVar[str] = "question"

    async def uncertainty(self, request: Request, reply: Reply | None) -> QuestionUncertainty | None:
        """The entropy in nats; None where no draw came. CannotDo where log-probabilities are needed and not known."""
        found, _ = await drawn(self.use, self.models, request, reply, self.samples, self.temperature, True)
        if found is None:
            return None
        same = await ask(comparing(self.equivalence), Draws(found.question, found.texts))
        return entropy_of(found, cluster(same), self.convention)

    def asks(self) -> list[Asks]:
        """Every model once, or `samples` times."""
        return [Asks(self.models, max(1, self.samples))]

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """exp(-entropy), one by the number of meanings that are as good as there; 0 where no draw came.

        Without a reply, in a route, of the draws alone.
        """
        found = await self.uncertainty(request, reply)
        return 0.0 if found is None else exp(-max(0.0, found.value))


def semantic_entropy(
    *models: Model,
    samples: int = 5,
    temperature: float | None = 1.0,
    equivalence: Any = None,
    convention: str = "discrete",
) -> SemanticEntropy:
    """Semantic entropy over draws; BadInput for no model or another convention, CannotDo without log-probabilities."""
    checked("semantic_entropy", models, samples)
    if convention not in CONVENTIONS:
        raise BadInput(f"There is no convention '{convention}'.", hint=nearest(convention, CONVENTIONS))
    if CONVENTIONS[convention].needs > Can.TEXT:
        for model in models:
            need(model, Can.LOGPROBS, f"semantic_entropy(convention='{convention}')")
    return SemanticEntropy(tuple(models), samples, temperature, equivalence or Exact(), convention)
