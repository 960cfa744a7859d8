"""Similarity-weighted ranking: a Bradley-Terry model of the logged battles, weighted by their similarity to the prompt.

RouteLLM (arXiv 2406.18665), section 4.2: weights gamma ** (1 + cos / max cos), a tie is half a win. Between two models
the weighted maximum-likelihood strength difference is the log-odds of the weighted win rate, so nothing is optimised
per query. Checked against a direct optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core import Request, ask
from ..data import Floats, Lessons
from .embedded import Embedded, Rows, default_encoder, pair, parts_of

_BLOCK = 128


@dataclass(frozen=True, eq=False)
class Battles:
    """The logged battles: asked with rows (n, d), it answers the probabilities that the small model wins."""

    rows: Rows
    wins: NDArray[np.float32]
    gamma: float
    name: str = "similarity_weighted"
    offline: ClassVar[bool] = True

    def answer_many(self, asked: Sequence[Rows]) -> list[Floats]:
        """The weighted win rates (n,) for each asker's rows; the factor gamma that all weights share cancels."""
        rows = np.concatenate(asked)
        found = np.empty(len(rows))
        for at in range(0, len(rows), _BLOCK):
            weights = rows[at : at + _BLOCK] @ self.rows.T
            # Where nothing is similar the rule would turn around; all battles then count alike.
            top = weights.max(axis=1, keepdims=True)
            weights *= np.where(top > 1e-6, np.float32(np.log(self.gamma)) / np.maximum(top, 1e-6), 0.0)
            np.exp(weights, out=weights)
            found[at : at + _BLOCK] = weights @ self.wins / weights.sum(axis=1)
        return [found[part] for part in parts_of(asked)]


@dataclass(frozen=True, repr=False, eq=False)
class SimilarityWeighted(Embedded):
    """Trust is the probability that the small model wins, ties as half wins."""

    encoder: Any = field(default_factory=default_encoder)
    gamma: float = 10.0
    rows: Rows | None = None
    wins: NDArray[np.float32] | None = None
    use = "similarity_weighted"
    learnt: ClassVar[str] = "rows"

    @cached_property
    def _battles(self) -> Battles:
        assert self.rows is not None
        assert self.wins is not None
        return Battles(self.rows, self.wins, self.gamma)

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """The weighted win rates (n,) of the small model."""
        return await ask(self._battles, rows)

    def fit(self, lessons: Lessons) -> SimilarityWeighted:
        """The router that remembers these battles; raises BadInput where there are none."""
        rows = pair(lessons, self.use)
        wins = 0.5 * (1.0 + np.sign(rows.small - rows.large))
        return replace(self, rows=self.encoder.encode(rows.texts), wins=wins.astype(np.float32))


def similarity_weighted(gamma: float = 10.0, encoder: Any = None) -> SimilarityWeighted:
    """RouteLLM's similarity-weighted ranking of two models."""
    return SimilarityWeighted(encoder or default_encoder(), gamma)
