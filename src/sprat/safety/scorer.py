"""What every safety scorer is: calibrated probabilities that texts are unsafe, the words behind them, and its worth.

`Scorer` is a protocol, so a scorer of your own is any object with these. What is unsafe is the scorer's to say:
abusive, holding private information, or carrying instructions that its reader did not write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Floats = NDArray[np.float64]


class Span(NamedTuple):
    """Characters [start, end) of a text, what they are, and how much they count in [0, 1] (the scorer says how)."""

    start: int
    end: int
    kind: str
    score: float


@runtime_checkable
class Scorer(Protocol):
    """Says of texts how likely each is unsafe."""

    @property
    def name(self) -> str:
        """What it is called in tables: toxicity, pii, injection, or a hub model's name."""
        ...

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """P(unsafe) of each text, (n,), in [0, 1]; BadInput where an item is not a str."""
        ...

    def spans(self, text: str) -> list[Span]:
        """The places that make it unsafe, in their order; empty where it can't say."""
        ...

    @property
    def worth(self) -> Mapping[str, Any]:
        """What was measured of it: numbers as [value, low, high] with 95 % intervals; empty where nothing was."""
        ...


def texts_of(texts: Sequence[str]) -> list[str]:
    """The texts as a list; BadInput where one is not a str (a missing value, a number) or they are one str."""
    if isinstance(texts, str):
        raise BadInput("A scorer takes a list of texts and was given one string.", hint="Write probabilities([text]).")
    found = list(texts)
    for i, text in enumerate(cast("list[Any]", found)):
        if not isinstance(text, str):
            hint = "Leave such rows out; what is unknown is not safe."
            raise BadInput(f"Text {i} is a {type(text).__name__} ({text!r:.20}), not a string.", hint=hint)
    return found
