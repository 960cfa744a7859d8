"""Weighted sums of decoders: `a + 0.5 * (b - c)` adds their scores, token by token.

A sum of log-scores is a product of policies; a difference is what one learnt beyond the other (arXiv 2401.08565).
Checked against the softmax of the sum, by hand, and by the laws in tests/whitebox/test_weighted.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core import Can
from ..errors import BadInput
from ..shape import need
from .decoder import Decoder
from .pool import Step


@dataclass(frozen=True, repr=False)
class Weighted(Decoder):
    """sum_i weights[i] * parts[i]; the first part is the base."""

    models: tuple[Any, ...]
    weights: tuple[float, ...]
    name: str = field(default="", kw_only=True, repr=False)
    use = "weighted"

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The decoders that are added."""
        return self.models

    @property
    def formula(self) -> str:
        """Such as `big + 0.5 * tuned - 0.5 * small`."""
        said = ""
        for part, weight in zip(self.models, self.weights, strict=True):
            sign = ("-" if weight < 0 else "") if not said else (" - " if weight < 0 else " + ")
            times = "" if abs(weight) == 1 else f"{abs(weight):g} * "
            said += f"{sign}{times}{bracketed(part)}"
        return said

    def scores(self, step: Step) -> Any:
        """The weighted sum of the parts' scores; a part of weight 0 is not looked at."""
        if not any(self.weights):
            return 0.0 * step.of(self.models[0])
        total: Any = None
        # A masked token less a masked token is no number: the loop says so in a sentence.
        with np.errstate(invalid="ignore"):
            for part, weight in zip(self.models, self.weights, strict=True):
                if weight:
                    seen = step.of(part)
                    added = seen if weight == 1 else weight * seen
                    total = added if total is None else total + added
        return total

    @property
    def linear(self) -> tuple[tuple[Decoder, float], ...]:
        """The parts and their weights."""
        return tuple(zip(self.models, self.weights, strict=True))

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """Each part with its weighted scores."""
        return [(p, w * step.of(p)) for p, w in zip(self.models, self.weights, strict=True) if w]


def bracketed(part: Decoder) -> str:
    """A part's formula as a term of a sum: one that is itself a sum gets brackets."""
    said, depth = part.formula, 0
    for before, letter in zip(" " + said, said, strict=False):
        depth += (letter == "(") - (letter == ")")
        if not depth and letter in "+-" and before == " " and not part.is_leaf:
            return f"({said})"
    return said


def weighted(*models: Decoder, weights: Sequence[float]) -> Weighted:
    """The weighted sum, one weight per model; nested sums are opened, so that equal parts meet once.

    Raises BadInput where the numbers differ, CannotDo for a model without logits.
    """
    if not models or len(models) != len(weights):
        raise BadInput(f"{len(models)} models came with {len(weights)} weights.", hint="Give one weight per model.")
    opened: list[tuple[Decoder, float]] = []
    for part, weight in zip(models, weights, strict=True):
        need(part, Can.LOGITS, "weighted")
        inner = ((part, 1.0),)
        if isinstance(part, Weighted) and not part.name:
            inner = tuple(zip(part.models, part.weights, strict=True))
        for one, times in inner:
            place = next((i for i, (seen, _) in enumerate(opened) if seen is one), len(opened))
            before = opened.pop(place)[1] if place < len(opened) else 0.0
            opened.insert(place, (one, before + weight * times))
    return Weighted(tuple(p for p, _ in opened), tuple(w for _, w in opened))
