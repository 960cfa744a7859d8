"""A token encoder as an endpoint, so that the drivers put together what many signals ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from .token_vectors import Tokens


@dataclass(frozen=True)
class Read:
    """What a token encoder is asked: texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """Asked with texts, it answers with the tokens of each."""

    encoder: Any
    name: str = "tokens"
    offline: ClassVar[bool] = True

    def answer_many(self, asked: Sequence[Read]) -> list[list[Tokens]]:
        """The tokens of each asker's texts; a text that several ask for is read once."""
        unique = {text: i for i, text in enumerate(dict.fromkeys(t for one in asked for t in one.texts))}
        tokens = self.encoder.tokens(list(unique))
        return [[tokens[unique[t]] for t in one.texts] for one in asked]


@lru_cache(maxsize=64)
def reading(encoder: Any) -> Reading:
    """The one endpoint of an encoder."""
    return Reading(encoder)
