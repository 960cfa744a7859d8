"""Checkers and inference models as endpoints, so that the drivers put together what many signals ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from .checks import Check, Checker
from .protocol import Floats, Nli, Pair


@dataclass(frozen=True)
class Against:
    """What a checker is asked: a text, and the document that it is held against."""

    document: str
    text: str


@dataclass(frozen=True)
class Pairs:
    """What an inference model is asked: pairs of premise and hypothesis."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Checking:
    """Asked with documents and texts, it answers with a check of each, all in one go."""

    checker: Checker
    name: str = "checker"
    offline: ClassVar[bool] = True

    def answer_many(self, asked: Sequence[Against]) -> list[Check]:
        """The check of each; what several ask is checked once."""
        unique = {one: i for i, one in enumerate(dict.fromkeys(asked))}
        found = self.checker.check([(one.document, one.text) for one in unique])
        return [found[unique[one]] for one in asked]


@dataclass(frozen=True)
class Judging:
    """Asked with pairs, it answers with their probabilities, those of all who ask in one go."""

    nli: Nli
    name: str = "nli"
    offline: ClassVar[bool] = True

    def answer_many(self, asked: Sequence[Pairs]) -> list[Floats]:
        """Probabilities (n, 3) for each asker's pairs."""
        unique = {pair: i for i, pair in enumerate(dict.fromkeys(p for one in asked for p in one.pairs))}
        found = self.nli.probabilities(list(unique))
        return [found[[unique[p] for p in one.pairs]] for one in asked]


@lru_cache(maxsize=64)
def checking(checker: Checker) -> Checking:
    """The one endpoint of a checker."""
    return Checking(checker)


@lru_cache(maxsize=64)
def judging(nli: Nli) -> Judging:
    """The one endpoint of an inference model."""
    return Judging(nli)
