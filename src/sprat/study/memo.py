"""An encoder that remembers the rows it has made: one study asks for the same texts many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Remembered:
    """Answers as `encoder` does, from memory where it can; each text keeps the row of its first time."""

    encoder: Any
    rows: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def name(self) -> str:
        """The encoder's own name."""
        return str(self.encoder.name)

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self.encoder.dim)

    def encode(self, texts: Sequence[str]) -> Any:
        """Rows (n, dim) of the texts."""
        new = [t for t in dict.fromkeys(texts) if t not in self.rows]
        if new:
            self.rows.update(zip(new, self.encoder.encode(new), strict=True))
        return np.stack([self.rows[t] for t in texts]) if texts else np.empty((0, self.dim), np.float32)


@dataclass(frozen=True)
class Forgot:
    """Stands for the encoder in what a worker sends back."""
