"""Choose what an expert finds likely and an amateur does not, among the tokens that the expert finds plausible.

Papers: arXiv 2210.15097 (the log-ratio form), arXiv 2309.09117 (the logit form, which keeps the expert's scale, so that
a temperature still works). Checked by hand on four tokens, and against the laws in tests/decoding/test_contrast.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..core import Can
from ..errors import BadInput, nearest
from ..shape import need
from ..whitebox.arrays import log_softmax, where
from ..whitebox.decoder import Decoder
from ..whitebox.pool import Step
from .kept import check, head, total

FORMS = ("logits", "log_ratio")
MINUS = float("-inf")


@dataclass(frozen=True, repr=False)
class Contrast(Decoder):
    """ "logits": (1 + beta) z_e - beta z_a; "log_ratio": log p_e - beta log p_a; both on p_e >= alpha max p_e."""

    expert: Any
    amateur: Any
    beta: float = 0.5
    alpha: float = 0.1
    form: Literal["logits", "log_ratio"] = "logits"
    amateur_temperature: float = 1.0
    name: str = field(default="", kw_only=True, repr=False)
    use = "contrast"

    def __post_init__(self) -> None:
        for part in self.parts:
            need(part, Can.LOGITS, self.use)
        if self.form not in FORMS:
            raise BadInput(f"contrast has no form '{self.form}'.", hint=nearest(self.form, FORMS))
        check("beta", self.beta, 0)
        check("alpha", self.alpha, 0, 1)
        check("amateur_temperature", self.amateur_temperature, 0)
        if not self.amateur_temperature or (self.form == "logits" and self.amateur_temperature != 1):
            raise BadInput(
                f"amateur_temperature is {self.amateur_temperature} in the form '{self.form}'.",
                hint="Needed: > 0 in the form 'log_ratio'; 'logits' has none (it would only change beta).",
            )

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The expert, which is the base, and the amateur."""
        return (self.expert, self.amateur)

    def scores(self, step: Step) -> Any:
        """The contrast on the plausible tokens; beta 0 does not look at the amateur."""
        return total(self.terms(step))

    @property
    def linear(self) -> tuple[tuple[Decoder, float], ...]:
        """The expert and the amateur, on the plausible tokens."""
        return (
            (self.expert, 1 + self.beta * (self.form == "logits")),
            (self.amateur, -self.beta / self.amateur_temperature),
        )

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """The expert's part, -inf where a token is not plausible, and the amateur's, 0 there."""
        seen = step.of(self.expert)
        kept = head(seen, self.alpha)
        if self.form == "logits":
            terms = [(self.expert, where(kept, (1 + self.beta) * seen, MINUS))]
        else:
            terms = [(self.expert, where(kept, log_softmax(seen), MINUS))]
        if self.beta:
            amateur = step.of(self.amateur)
            if self.form == "log_ratio":
                amateur = log_softmax(amateur / self.amateur_temperature)
            terms.append((self.amateur, where(kept, -self.beta * amateur, 0.0)))
        return terms


def contrast(
    expert: Decoder,
    amateur: Decoder,
    *,
    beta: float | None = None,
    alpha: float = 0.1,
    form: Literal["logits", "log_ratio"] = "logits",
    amateur_temperature: float = 1.0,
) -> Contrast:
    """An expert less its amateur; beta is 0.5 in the form "logits" and 1 in "log_ratio" unless given.

    alpha is the least share of the likeliest token's probability that a token needs. The paper of the log-ratio form
    set the amateur's temperature to .5 for GPT-2. Raises CannotDo for parts without logits, BadInput out of range.
    """
    chosen = (0.5 if form == "logits" else 1.0) if beta is None else beta
    return Contrast(expert, amateur, chosen, alpha, form, amateur_temperature)
