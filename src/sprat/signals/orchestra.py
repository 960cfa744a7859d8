"""Expert pools: the prompt's nearest examples vote for the model whose pool they are in.

OrchestraLLM (arXiv 2311.09758): the small pool holds prompts that the small model got right, the large pool those that
only the large one did; the k nearest over both pools vote. The paper's contrastive tuning of the encoder is left out.
Checked by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core import Request
from ..data import Floats, Lessons
from ..errors import BadInput
from .embedded import Embedded, Nearest, Rows, default_encoder, pair


@dataclass(frozen=True, repr=False, eq=False)
class Orchestra(Embedded):
    """Trust is the share of the k votes that the small pool has; `right` is the score from which an answer is right."""

    encoder: Any = field(default_factory=default_encoder)
    k: int = 10
    right: float = 0.5
    pool: Rows | None = None
    small: NDArray[np.bool_] | None = None
    use = "orchestra"
    learnt: ClassVar[str] = "pool"

    @cached_property
    def _nearest(self) -> Nearest:
        assert self.pool is not None
        return Nearest(self.pool, self.k, self.use)

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """The small pool's share (n,) of the votes; one half or more sends the request to the small model."""
        assert self.small is not None
        return self.small[(await self._nearest.of(rows)).at].mean(axis=1)

    def fit(self, lessons: Lessons) -> Orchestra:
        """The router with its pools; raises BadInput where both are empty."""
        rows = pair(lessons, self.use)
        small, large = rows.small >= self.right, rows.large >= self.right
        kept = np.flatnonzero(small | large)
        if not len(kept):
            raise BadInput("orchestra needs rows that one of the two models got right; there are none.")
        texts = [rows.texts[int(i)] for i in kept]
        return replace(self, pool=self.encoder.encode(texts), small=small[kept])


def orchestra(k: int = 10, right: float = 0.5, encoder: Any = None) -> Orchestra:
    """OrchestraLLM's vote of the `k` nearest examples."""
    return Orchestra(encoder or default_encoder(), k, right)
