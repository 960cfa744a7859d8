"""A safety scorer as an endpoint, so that the drivers put together what many replies ask of it, off the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from .naming import named
from .scorer import Floats


@dataclass(frozen=True)
class Judge:
    """What a scorer is asked: texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Judging:
    """Asked with texts, it answers with P(unsafe) of each."""

    scorer: Any
    name: str = "safety"
    offline: ClassVar[bool] = True

    def answer_many(self, asked: Sequence[Judge]) -> list[Floats]:
        """The probabilities (n,) of each asker's texts; a text that several ask for is read once."""
        unique = {text: i for i, text in enumerate(dict.fromkeys(t for one in asked for t in one.texts))}
        found = self.scorer.probabilities(list(unique))
        return [found[[unique[t] for t in one.texts]] for one in asked]


@lru_cache(maxsize=64)
def judging(scorer: Any) -> Judging:
    """The one endpoint of a scorer, or of a scorer's name."""
    return Judging(named(scorer) if isinstance(scorer, str) else scorer)
