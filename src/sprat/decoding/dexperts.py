"""Steer a base model by what a small expert writes and a small anti-expert would, within the base's own nucleus.

Paper: arXiv 2105.03023: z_base + alpha (z_expert - z_anti), the base's logits nucleus-filtered before that; a missing
expert or anti-expert is the base itself. Read against the authors' code, checked by hand on four tokens
(tests/decoding/test_dexperts.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..core import Can
from ..errors import BadInput
from ..shape import need
from ..whitebox.arrays import where
from ..whitebox.decoder import Decoder
from ..whitebox.pool import Step
from .kept import check, nucleus, total

MINUS = float("-inf")


@dataclass(frozen=True, repr=False)
class DExperts(Decoder):
    """z_base + alpha (z_expert - z_anti) on the base's nucleus."""

    model: Any
    expert: Any = None
    anti: Any = None
    alpha: float = 2.0
    top_p: float = 0.9
    name: str = field(default="", kw_only=True, repr=False)
    use = "dexperts"

    def __post_init__(self) -> None:
        if self.expert is None and self.anti is None:
            raise BadInput("dexperts has neither an expert nor an anti-expert.", hint="Give one of them, or both.")
        for part in self.parts:
            need(part, Can.LOGITS, self.use)
        check("alpha", self.alpha, float("-inf"))
        check("top_p", self.top_p, 0, 1)
        if not self.top_p:
            raise BadInput("top_p is 0.", hint="Needed: > 0; 1 filters nothing.")

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The base, and those of expert and anti-expert that are there."""
        return (self.model, *(part for part in (self.expert, self.anti) if part is not None))

    @property
    def formula(self) -> str:
        """Which part is which."""
        named = (("expert", self.expert), ("anti", self.anti))
        said = "".join(f", {what}={part.formula}" for what, part in named if part is not None)
        return f"dexperts({self.model.formula}{said})"

    def scores(self, step: Step) -> Any:
        """The steered scores, -inf outside the nucleus."""
        return total(self.terms(step))

    @property
    def linear(self) -> tuple[tuple[Decoder, float], ...]:
        """The base (once more for each part that is missing), the expert and the anti-expert, on the base's nucleus."""
        added = ((self.expert, self.alpha), (self.anti, -self.alpha))
        own = 1 + sum(weight for part, weight in added if part is None)
        return ((self.model, own), *((part, weight) for part, weight in added if part is not None))

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """The base's part, once more for each part that is missing, and what expert and anti-expert add."""
        base = step.of(self.model)
        kept = nucleus(base, self.top_p) if self.top_p < 1 else base > MINUS
        weighted = [(self.expert, self.alpha), (self.anti, -self.alpha)]
        own = 1 + sum(weight for part, weight in weighted if part is None)
        others = [(part, where(kept, weight * step.of(part), 0.0)) for part, weight in weighted if part is not None]
        return [(self.model, where(kept, own * base, MINUS)), *others]


def dexperts(
    model: Decoder,
    *,
    expert: Decoder | None = None,
    anti: Decoder | None = None,
    alpha: float = 2.0,
    top_p: float = 0.9,
) -> DExperts:
    """A model steered towards an expert and away from an anti-expert; either may be left out.

    The paper used alpha 2 against toxic text and 3.2 for sentiment (as remembered, not checked), top_p .9.
    Raises CannotDo for parts without logits, BadInput for parameters out of range.
    """
    return DExperts(model, expert, anti, alpha, top_p)
