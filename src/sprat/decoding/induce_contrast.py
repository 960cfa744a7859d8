"""Contrast a model with a copy of itself that was made to err: trained on made-up answers, or told to give wrong ones.

Paper: arXiv 2312.15710: beta log p - log p_induced on p >= alpha max p ("log_ratio"). "relu" is its code's second mode,
p + max(0, p - p_induced) read as logits; the code was read by others, not run here, and that its head is cut likewise
is an assumption. Checked by hand on four tokens (tests/decoding/test_induce_contrast.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..core import Can
from ..errors import BadInput, nearest
from ..shape import need
from ..whitebox.arrays import log_softmax, softmax, where
from ..whitebox.decoder import Decoder, Leaf
from ..whitebox.pool import Step
from .kept import check, head, total
from .told import told

FORMS = ("log_ratio", "relu")
MINUS = float("-inf")


@dataclass(frozen=True, repr=False)
class InduceContrast(Decoder):
    """beta log p - log p_induced, or p + max(0, p - p_induced), where p >= alpha max p."""

    model: Any
    induced: Any
    alpha: float = 0.1
    beta: float = 1.0
    form: Literal["log_ratio", "relu"] = "log_ratio"
    name: str = field(default="", kw_only=True, repr=False)
    use = "induce_contrast"

    def __post_init__(self) -> None:
        for part in self.parts:
            need(part, Can.LOGITS, self.use)
        if self.form not in FORMS:
            raise BadInput(f"induce_contrast has no form '{self.form}'.", hint=nearest(self.form, FORMS))
        check("alpha", self.alpha, 0, 1)
        check("beta", self.beta, 0)
        if self.form == "relu" and self.beta != 1:
            raise BadInput(f"beta is {self.beta} in the form 'relu'.", hint="That form has none; leave it out.")

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The model, which is the base, and its induced copy."""
        return (self.model, self.induced)

    def scores(self, step: Step) -> Any:
        """The contrast on the head, -inf elsewhere."""
        return total(self.terms(step))

    @property
    def linear(self) -> tuple[tuple[Decoder, float], ...] | None:
        """Both models, on the plausible tokens; "relu" is not linear."""
        return ((self.model, self.beta), (self.induced, -1.0)) if self.form == "log_ratio" else None

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """The model's part, -inf outside the head, and what the induced copy adds, 0 there."""
        seen, induced = step.of(self.model), step.of(self.induced)
        kept = head(seen, self.alpha)
        if self.form == "log_ratio":
            own, added = self.beta * log_softmax(seen), -log_softmax(induced)
        else:
            own = softmax(seen)
            gain = own - softmax(induced)
            added = where(gain > 0, gain, 0.0)
        return [(self.model, where(kept, own, MINUS)), (self.induced, where(kept, added, 0.0))]


def induce_contrast(
    model: Decoder,
    induced: Decoder | str,
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    form: Literal["log_ratio", "relu"] = "log_ratio",
) -> InduceContrast:
    """A model less its errors; `induced` is a copy that was trained to err, or the system prompt that makes it err.

    Raises CannotDo for parts without logits, BadInput for parameters out of range.
    """
    if isinstance(induced, str):
        if not isinstance(model, Leaf):
            raise BadInput(
                "A prompt can induce errors in one model, not in a combination.",
                hint="Give the combination of told models as `induced`.",
            )
        induced = told(model, system=induced)
    return InduceContrast(model, induced, alpha, beta, form)
