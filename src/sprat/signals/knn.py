"""The mean logged outcome of the k most similar prompts.

Retrieval routing as in RouterBench (arXiv 2403.12031) and Routing with Benchmark Datasets (arXiv 2309.15789). Checked
against neighbours found by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..core import Request
from ..data import Floats, Lessons
from .embedded import Embedded, Nearest, Rows, default_encoder, ease, table


@dataclass(frozen=True, repr=False, eq=False)
class Knn(Embedded):
    """Trust is (1 - gain) / 2 of the neighbours' mean scores, last model less first."""

    encoder: Any = field(default_factory=default_encoder)
    k: int = 100
    rows: Rows | None = None
    scores: Floats | None = None
    use = "knn"
    learnt: ClassVar[str] = "rows"

    @cached_property
    def _nearest(self) -> Nearest:
        assert self.rows is not None
        return Nearest(self.rows, self.k, self.use, ordered=False)

    @cached_property
    def _whole(self) -> bool:
        """Whether every row has every model's score."""
        assert self.scores is not None
        return bool(np.isfinite(self.scores).all())

    @cached_property
    def _gains(self) -> Floats | None:
        """Each row's gain (n,), last model less first; None where not every row has every model's score."""
        assert self.scores is not None
        return self.scores[:, -1] - self.scores[:, 0] if self._whole else None

    async def predict(self, request: Request) -> Floats:
        """The predicted score (m,) of each model."""
        return (await self._means(await self.read((request,))))[0]

    async def _means(self, rows: Rows) -> Floats:
        assert self.scores is not None
        near = await self._nearest.of(rows)
        if self._whole:
            return np.stack([scores[near.at].mean(axis=1) for scores in self.scores.T], axis=1)
        means = list[Floats]()
        for scores in self.scores.T:  # a model at a time: (n, k, m) at once could be large
            found = scores[near.at]
            known = np.isfinite(found)
            counts = known.sum(axis=1)
            # A model that no neighbour was scored by is predicted at its mean over all rows.
            everywhere = np.nanmean(scores) if not known.all() else 0.0
            sums = np.where(known, found, 0.0).sum(axis=1)
            means.append(np.where(counts > 0, sums / np.maximum(counts, 1), everywhere))
        return np.stack(means, axis=1)

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """(1 - gain) / 2 of the neighbours' mean gain, (n,)."""
        if self._gains is not None:  # one mean, not one for each model
            near = await self._nearest.of(rows)
            return ease(np.add.reduce(self._gains[near.at], axis=1) / near.at.shape[1])
        means = await self._means(rows)
        return ease(means[:, -1] - means[:, 0])

    def fit(self, lessons: Lessons) -> Knn:
        """The router that remembers these rows; raises BadInput where a model has no score."""
        _, texts, scores = table(lessons, self.use, whole=False)
        return replace(self, rows=self.encoder.encode(texts), scores=scores)


def knn(k: int = 100, encoder: Any = None) -> Knn:
    """The mean outcome of the `k` nearest prompts."""
    return Knn(encoder or default_encoder(), k)
