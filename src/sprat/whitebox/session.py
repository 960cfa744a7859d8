"""What a local model must offer to be read token by token: three verbs over rows of text, and its vocabulary.

Logits stay where the model is: a NumPy array, or a torch tensor on the model's device; arrays.py works on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class Session(Protocol):
    """Rows of tokens that a model has read: `feed` reads on, `rollback` forgets, `select` picks rows.

    Where a model shows them, `states(ids, counts)` reads as `feed` does and gives the last token's hidden states.
    """

    @property
    def lengths(self) -> Integers:
        """Tokens that each row holds, (batch,)."""
        ...

    def feed(self, ids: Integers, counts: Integers | None = None, keep: int | None = None) -> Any:
        """Read `ids` (batch, n) after what was read; next-token logits after the last `keep` columns (default all).

        Rows are aligned to the right: the last counts[r] ids of row r are read (default: all n), what stands before
        is ignored, and so are its logits. Returns (batch, keep, vocabulary), float32 or the model's own type.
        Raises BadInput where a row would outgrow what the model reads.
        """
        ...

    def rollback(self, n: Integers | int) -> None:
        """Forget the last n tokens, one number for all rows or one per row; BadInput where so many were not read."""
        ...

    def select(self, rows: Integers | Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be named more than once."""
        ...

    def close(self) -> None:
        """Free the cache."""
        ...
