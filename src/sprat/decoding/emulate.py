"""Emulate fine-tuning at another size: a base model's log-probabilities plus what smaller (or larger) ones learnt.

Paper: arXiv 2310.12962: log p_base + sum_i w_i (log p_tuned_i - log p_untuned), normalised; several tuned models are
mixed by weights while writing. `top_p` drops the differences of unlikely tokens, the paper's conservative variant; that
it is the base's nucleus which counts, and 0 what is added outside, is from memory: the paper was not at hand. Checked
by hand on four tokens (tests/decoding/test_emulate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core import Can
from ..errors import BadInput
from ..shape import need
from ..whitebox.arrays import log_softmax, where
from ..whitebox.decoder import Decoder
from ..whitebox.pool import Step
from ..whitebox.weighted import bracketed
from .kept import check, nucleus, total


@dataclass(frozen=True, repr=False)
class Emulate(Decoder):
    """log p_base + sum_i weights[i] (log p_tuned[i] - log p_untuned), normalised."""

    model: Any
    tuned: tuple[Any, ...]
    untuned: Any
    weights: tuple[float, ...]
    top_p: float | None = None
    name: str = field(default="", kw_only=True, repr=False)
    use = "emulate"

    def __post_init__(self) -> None:
        if not self.tuned or len(self.tuned) != len(self.weights):
            raise BadInput(
                f"emulate has {len(self.tuned)} tuned models and {len(self.weights)} weights.",
                hint="Give at least one tuned model, and one weight for each.",
            )
        for part in self.parts:
            need(part, Can.LOGITS, self.use)
        for weight in self.weights:
            check("A weight", weight, float("-inf"))
        if self.top_p is not None:
            check("top_p", self.top_p, 0, 1)

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The base, the tuned models and the untuned one."""
        return (self.model, *self.tuned, self.untuned)

    @property
    def formula(self) -> str:
        """Such as `emulate(large + 0.7 * (kind - small) + 0.3 * (brief - small))`."""
        said = bracketed(self.model)
        for part, weight in zip(self.tuned, self.weights, strict=True):
            times = "" if abs(weight) == 1 else f"{abs(weight):g} * "
            said += f" {'-' if weight < 0 else '+'} {times}({bracketed(part)} - {bracketed(self.untuned)})"
        return f"emulate({said})"

    def scores(self, step: Step) -> Any:
        """Normalised log-probabilities."""
        return log_softmax(total(self.terms(step)))

    @property
    def linear(self) -> tuple[tuple[Decoder, float], ...] | None:
        """The base, and the weighted differences; with a nucleus it is not linear."""
        if self.top_p is not None and self.top_p < 1:
            return None
        pairs = zip(self.tuned, self.weights, strict=True)
        return ((self.model, 1.0), *pairs, (self.untuned, -sum(self.weights)))

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """Each part's weighted log-probabilities; outside the nucleus only the base's."""
        base = log_softmax(step.of(self.model))
        pairs = [(p, w) for p, w in zip((*self.tuned, self.untuned), (*self.weights, -sum(self.weights)), strict=True)]
        added = [(part, weight * log_softmax(step.of(part))) for part, weight in pairs if weight]
        if self.top_p is not None and self.top_p < 1:
            kept = nucleus(base, self.top_p)
            added = [(part, where(kept, term, 0.0)) for part, term in added]
        return [(self.model, base), *added]


def emulate(
    model: Decoder,
    *,
    tuned: Decoder | Sequence[Decoder],
    untuned: Decoder,
    weights: Sequence[float] | None = None,
    top_p: float | None = None,
) -> Emulate:
    """A model as if it had been fine-tuned: up-scaling with small tuned models, down-scaling with large ones.

    `weights` (one per tuned model; default: equal, adding up to 1) may be changed from request to request. top_p keeps
    the differences of the base's nucleus alone (0: of the likeliest token). Raises CannotDo for parts without logits.
    """
    several = (tuned,) if isinstance(tuned, Decoder) else tuple(tuned)
    shares = tuple(weights) if weights is not None else (1 / max(1, len(several)),) * len(several)
    return Emulate(model, several, untuned, tuple(map(float, shares)), top_p)
