"""Is a text safe? Toxicity, private information and prompt injection by embedded scorers, or any hub classifier.

The embedded ones need numpy alone and say what they are worth (`toxicity().worth`); see docs/safety.md before trusting
any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .groups import mentions
    from .hub_classifiers import HubScorer, hub
    from .linear import Linear
    from .naming import named
    from .private import PRIVATE, Pii, pii
    from .scorer import Scorer, Span

__all__ = [
    "PRIVATE",
    "HubScorer",
    "Linear",
    "Pii",
    "Scorer",
    "Span",
    "hub",
    "injection",
    "mentions",
    "named",
    "pii",
    "toxicity",
]

_WHERE = {
    "HubScorer": ".hub_classifiers",
    "Linear": ".linear",
    "PRIVATE": ".private",
    "Pii": ".private",
    "Scorer": ".scorer",
    "Span": ".scorer",
    "hub": ".hub_classifiers",
    "mentions": ".groups",
    "named": ".naming",
    "pii": ".private",
}


def toxicity(rate: float | None = None) -> Linear:
    """The embedded scorer of hateful and offensive texts; `rate` is the share of such texts where it is to be used."""
    from .linear import linear

    return linear("toxicity", rate)


def injection(rate: float | None = None) -> Linear:
    """The embedded scorer of instructions that the reader did not write; learnt from synthetic attacks mostly."""
    from .linear import linear

    return linear("injection", rate)


__getattr__ = lazily(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
