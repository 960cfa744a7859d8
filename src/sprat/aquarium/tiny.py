"""Tiny language models in numpy: a file's weights with their vocabulary, and sessions over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sprat.aquarium.checkpoint import Weights, read_weights
from sprat.aquarium.forward import TinySession
from sprat.aquarium.vocabulary import Vocabulary, read_vocabulary


@dataclass(frozen=True, eq=False)
class TinyLlama:
    """A tiny model under its name; `sprat.tiny(name)` writes with it."""

    name: str
    vocabulary: Vocabulary
    weights: Weights

    @classmethod
    def load(cls, path: Path | str) -> TinyLlama:
        """The model of a .safetensors file with the vocab.json beside it; BadInput where the file is not one."""
        path = Path(path)
        return cls(path.stem, read_vocabulary(path.with_name("vocab.json")), read_weights(path))

    def session(self, batch: int, capacity: int | None = None) -> TinySession:
        """An empty cache for `batch` rows of at most `capacity` tokens each (default: all the model reads)."""
        return TinySession(self.weights, batch, capacity or self.weights.positions)
