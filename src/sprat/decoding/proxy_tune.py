"""Give a large model what a small one learnt in fine-tuning: add the difference of the small one's logits to its own.

Paper: arXiv 2401.08565: z_large + alpha (z_tuned - z_untuned), alpha 1; ids past the shortest vocabulary are given up.
Checked by hand on four tokens, and against the weighted sum token by token (tests/decoding/test_proxy_tune.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..core import Can
from ..shape import need
from ..whitebox.decoder import Decoder
from ..whitebox.pool import Step
from ..whitebox.weighted import bracketed
from .kept import check, total


@dataclass(frozen=True, repr=False)
class ProxyTune(Decoder):
    """large + alpha (tuned - untuned)."""

    large: Any
    tuned: Any
    untuned: Any
    alpha: float = 1.0
    name: str = field(default="", kw_only=True, repr=False)
    use = "proxy_tune"

    def __post_init__(self) -> None:
        for part in self.parts:
            need(part, Can.LOGITS, self.use)
        check("alpha", self.alpha, float("-inf"))

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The large model, the tuned small one and the untuned."""
        return (self.large, self.tuned, self.untuned)

    @property
    def formula(self) -> str:
        """Such as `large + 0.5 * (tuned - untuned)`."""
        large, tuned, untuned = map(bracketed, self.parts)
        sign, times = "-" if self.alpha < 0 else "+", "" if abs(self.alpha) == 1 else f"{abs(self.alpha):g} * "
        return f"{large} {sign} {times}({tuned} - {untuned})"

    def scores(self, step: Step) -> Any:
        """The sum; alpha 0 looks at the large model alone."""
        return total(self.terms(step))

    @property
    def linear(self) -> tuple[tuple[Decoder, float], ...]:
        """The large model, and alpha times the difference."""
        return ((self.large, 1.0), (self.tuned, self.alpha), (self.untuned, -self.alpha))

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """Each part's weighted logits."""
        large = (self.large, step.of(self.large))
        if not self.alpha:
            return [large]
        return [
            large,
            (self.tuned, self.alpha * step.of(self.tuned)),
            (self.untuned, -self.alpha * step.of(self.untuned)),
        ]


def proxy_tune(large: Decoder, *, tuned: Decoder, untuned: Decoder, alpha: float = 1.0) -> ProxyTune:
    """A large model as if it had been fine-tuned as the small one was; its weights are not touched.

    Where the tuned model needs another prompt, give it one: sprat.told. Raises CannotDo for parts without logits.
    """
    return ProxyTune(large, tuned, untuned, alpha)
