"""Any sentence-transformers model by name or folder, loaded at the first text.

Sentence-BERT, arXiv 1908.10084. Checked against SentenceTransformer.encode on the same texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from sprat.encoders.protocol import Rows, check_texts, unit
from sprat.errors import BadInput, MissingExtra


@lru_cache(maxsize=2)
def _model(name: str, longest: int | None, device: str) -> Any:
    try:
        library: Any = import_module("sentence_transformers")
    except ImportError as missing:
        raise MissingExtra("encoders", f"The sentence encoder '{name}'") from missing
    try:
        model: Any = library.SentenceTransformer(name, device=device)
    except (OSError, ValueError) as broken:
        hint = "Check the name, the network, or give the folder of a downloaded model."
        raise BadInput(f"The sentence encoder '{name}' could not be loaded: {broken}.", hint=hint) from broken
    if longest is not None:
        model.max_seq_length = longest
    return model


@dataclass(frozen=True)
class SentenceEncoder:
    """Encodes with a sentence-transformers model; `longest` cuts texts to that many tokens."""

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    longest: int | None = None
    batch: int = 32
    device: str = "cpu"

    @property
    def name(self) -> str:
        """The model and where it cuts; the batch size and the device do not change a row beyond rounding."""
        return f"sentence-{self.model}-{self.longest or 'full'}"

    @property
    def dim(self) -> int:
        """Length of a row; loads the model. MissingExtra without sentence-transformers."""
        model = _model(self.model, self.longest, self.device)
        size = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        return int(size())

    def encode(self, texts: Sequence[str]) -> Rows:
        """Unit rows (n, dim), float32; MissingExtra without sentence-transformers, BadInput for an unknown model."""
        found = check_texts(texts)
        if not found:
            return np.empty((0, self.dim), np.float32)
        model = _model(self.model, self.longest, self.device)
        rows = model.encode(found, batch_size=self.batch, convert_to_numpy=True, show_progress_bar=False)
        return unit(np.asarray(rows, np.float32))
