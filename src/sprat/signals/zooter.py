"""A router distilled from rewards: softmax(scores / temperature) is the label, KL divergence the loss.

ZOOTER (arXiv 2311.08692), with its tag-based label enhancement: where rows carry a group, a score becomes beta times
itself plus (1 - beta) times its group's mean, which takes noise out of rewards. Checked by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core import Request
from ..data import Floats, Lessons
from .embedded import Embedded, Rows, default_encoder, table
from .fitting import softmax, softmax_regression


@dataclass(frozen=True, repr=False, eq=False)
class Zooter(Embedded):
    """Trust is the first model's probability against the last one's."""

    encoder: Any = field(default_factory=default_encoder)
    temperature: float = 0.2
    beta: float = 0.3
    strength: float = 0.1
    weights: NDArray[np.float32] | None = None
    bias: Floats | None = None
    use = "zooter"
    learnt: ClassVar[str] = "weights"

    def _chances(self, rows: Rows) -> Floats:
        assert self.weights is not None
        assert self.bias is not None
        return softmax((rows @ self.weights + self.bias).astype(np.float64))

    async def predict(self, request: Request) -> Floats:
        """The predicted distribution (m,) over models."""
        return self._chances(await self.read((request,)))[0]

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """P(first) / (P(first) + P(last)), (n,)."""
        chances = self._chances(rows)
        return chances[:, 0] / (chances[:, 0] + chances[:, -1])

    def fit(self, lessons: Lessons) -> Zooter:
        """The router fitted to rows on which every model was scored; raises BadInput where there are none."""
        at, texts, scores = table(lessons, self.use, whole=True)
        smooth = enhanced(scores, [lessons.requests[int(i)].group for i in at], self.beta)
        labels = softmax(smooth / self.temperature)
        weights, bias = softmax_regression(self.encoder.encode(texts), labels, self.strength)
        return replace(self, weights=weights.astype(np.float32), bias=bias)


def enhanced(scores: Floats, tags: list[str | None], beta: float) -> Floats:
    """Scores (n, m), each mixed with the mean of its tag; a row without a tag keeps its own."""
    out, rows = scores.copy(), dict[str, list[int]]()
    for i, tag in enumerate(tags):
        if tag is not None:
            rows.setdefault(tag, []).append(i)
    for at in rows.values():
        out[at] = beta * scores[at] + (1.0 - beta) * scores[at].mean(axis=0)
    return out


def zooter(temperature: float = 0.2, beta: float = 0.3, strength: float = 0.1, encoder: Any = None) -> Zooter:
    """ZOOTER's distilled router for any number of models."""
    return Zooter(encoder or default_encoder(), temperature, beta, strength)
