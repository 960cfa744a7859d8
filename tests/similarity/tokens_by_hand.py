"""A token encoder whose vectors are written by hand: two axes, one vector a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sprat.similarity import Tokens

ANGLES = {"east": 0, "northeast": 60, "north": 90, "west": 180, "near-east": 20}
NAMES = list(ANGLES)
MARK = 100


@dataclass(frozen=True)
class ByHand:
    """A word has the unit vector of its angle; a mark of no weight, to the east, begins each text."""

    name: str = "by-hand"
    asked: list[str] = field(default_factory=list, compare=False)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        self.asked.extend(texts)
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Tokens:
        words = text.split()
        turned = np.deg2rad([0, *(ANGLES[w] for w in words)])
        vectors = np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)
        ids = np.array([MARK, *(NAMES.index(w) for w in words)], np.int32)
        return Tokens(ids, ids != MARK, vectors)

    def pieces(self, text: str) -> list[tuple[int, int]]:
        places, at = [(0, 0)], 0
        for word in text.split():
            start = text.index(word, at)
            at = start + len(word)
            places.append((start, at))
        return places
