"""Trust *this* answer as far as further draws agree with it: the share that mean the same, or their mean likeness.

The answer's own confidence of arXiv 2305.19187, in place of the spread over all draws. `agreement` is its exact form
with early stopping. Checked by hand; against question-level entropy in benchmarks/uncertainty.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from ..core import Model, Reply, Request, Signal, ask
from ..errors import BadInput
from ..shape import Asks
from ..uncertainty.clusters import Alike, Draws, comparing
from ..uncertainty.levels import AnswerUncertainty
from .drawn import checked, drawn

How = Literal["share", "likeness"]


@dataclass(frozen=True, repr=False)
class SampleAgreement(Signal):
    """`samples` draws of each model after the reply itself; `how` is the share that mean the same, or the likeness."""

    models: tuple[Any, ...]
    samples: int = 5
    temperature: float | None = 1.0
    equivalence: Any = field(default_factory=Alike)
    how: How = "share"
    use = "sample_agreement"
    reads_reply = True
    level: ClassVar[str] = "answer"

    async def uncertainty(self, request: Request, reply: Reply | None) -> AnswerUncertainty | None:
        """One less the agreement of the others; None where no draw came."""
        found, _ = await drawn(self.use, self.models, request, reply, self.samples, self.temperature)
        if found is None:
            return None
        what = "same" if self.how == "share" else "likeness"
        matrix = await ask(comparing(self.equivalence, what), Draws(found.question, found.texts))
        return AnswerUncertainty(1 - float(np.mean(matrix[0, 1:])), "sample agreement", self.how)

    def asks(self) -> list[Asks]:
        """Every model once, or `samples` times."""
        return [Asks(self.models, max(1, self.samples))]

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The agreement, in [0, 1]; 0 where no draw came."""
        found = await self.uncertainty(request, reply)
        return 0.0 if found is None else min(1.0, max(0.0, 1 - found.value))


def sample_agreement(
    *models: Model,
    samples: int = 5,
    temperature: float | None = 1.0,
    equivalence: Any = None,
    how: How = "share",
) -> SampleAgreement:
    """Agreement of further draws with the reply; BadInput for no model or another `how`."""
    checked("sample_agreement", models, samples)
    if how not in ("share", "likeness"):
        raise BadInput(f"sample_agreement gives the share that agrees or the mean likeness, not '{how}'.")
    return SampleAgreement(tuple(models), samples, temperature, equivalence or Alike(), how)
