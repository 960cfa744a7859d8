"""What an inference model is to the rest of sprat: pairs in, probabilities out, and what they are worth.

The classes stand in one order everywhere: entailment, neutral, contradiction. Which of a hub model's outputs is which
is that model's own matter (cross_encoder.py), never its users'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Pair = tuple[str, str]
Floats = NDArray[np.float64]
ENTAILMENT, NEUTRAL, CONTRADICTION = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Measured:
    """A rate on one set: `of` (accuracy, balanced accuracy) with its 95 % interval, over n pairs.

    `majority` is what the commonest label scores, `hypothesis_only` what a model scores that never sees the premise;
    None where nobody measured it.
    """

    on: str
    of: str
    value: float
    low: float
    high: float
    n: int
    majority: float | None = None
    hypothesis_only: float | None = None


@dataclass(frozen=True, slots=True)
class Worth:
    """What a model's probabilities are worth: in a sentence, and as measured; nothing measured says "unknown"."""

    said: str
    measured: tuple[Measured, ...] = ()

    def __str__(self) -> str:
        lines = [self.said]
        for m in self.measured:
            beside = [f"majority {m.majority:.3f}"] if m.majority is not None else []
            beside += [f"hypothesis alone {m.hypothesis_only:.3f}"] if m.hypothesis_only is not None else []
            told = f" ({', '.join(beside)})" if beside else ""
            lines.append(f"  {m.on}: {m.of} {m.value:.3f} [{m.low:.3f}, {m.high:.3f}], n {m.n:,}{told}")
        return "\n".join(lines)


@runtime_checkable
class Nli(Protocol):
    """A natural language inference model; frozen, so that a pair always has the same probabilities."""

    @property
    def name(self) -> str:
        """Which model this is, weights included: probabilities under one name may be compared and cached."""
        ...

    @property
    def worth(self) -> Worth:
        """What its probabilities are worth, as far as anybody measured."""
        ...

    def probabilities(self, pairs: Sequence[Pair]) -> Floats:
        """For each (premise, hypothesis) the probabilities (n, 3) of entailment, neutral, contradiction."""
        ...


def check_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs as a list; BadInput where an item is not two texts."""
    found = cast("list[Any]", list(pairs))
    for i, pair in enumerate(found):
        if not (isinstance(pair, (tuple, list)) and [type(t) for t in cast("Any", pair)] == [str, str]):
            raise BadInput(f"Pair {i} is not a premise and a hypothesis.", hint="Give tuples of two texts.")
    return [(p, h) for p, h in found]
