"""Matrix factorization: a score for each (model, prompt) from a product of their embeddings, learnt from battles.

RouteLLM (arXiv 2406.18665), section 4.2: delta(M, q) = w . (v_M * (W q + b)) with unit v_M, and P(A wins) =
sigmoid(delta(A) - delta(B)); binary cross-entropy, noise on the prompt's embedding, Adam. All pairs of models are
battles; with `ties`, an equal outcome counts as half a win (RouteLLM drops it). Gradients checked numerically.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core import Request
from ..data import Floats, Lessons
from ..errors import BadInput
from .embedded import Embedded, Rows, default_encoder, table
from .fitting import Adam, scaled, sigmoid

_BATCH = 256


@dataclass(frozen=True, repr=False, eq=False)
class MatrixFactorization(Embedded):
    """Trust is P(first model beats last); `heads` (d, m) and `bias` (m,) give each model's delta."""

    encoder: Any = field(default_factory=default_encoder)
    width: int = 64
    steps: int = 100
    noise: float = 1.0
    rate: float = 1e-3
    ties: bool = False
    heads: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    use = "matrix_factorization"
    learnt: ClassVar[str] = "heads"

    def _deltas(self, rows: Rows) -> Floats:
        assert self.heads is not None
        assert self.bias is not None
        return (rows @ self.heads + self.bias).astype(np.float64)

    async def predict(self, request: Request) -> Floats:
        """Each model's delta, centred, through a sigmoid (m,): which is likelier to win, not by how much."""
        deltas = self._deltas(await self.read((request,)))[0]
        return sigmoid(deltas - deltas.mean())

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """P(the first model beats the last), (n,)."""
        deltas = self._deltas(rows)
        return sigmoid(deltas[:, 0] - deltas[:, -1])

    def fit(self, lessons: Lessons) -> MatrixFactorization:
        """The router fitted to the battles of all pairs of models; raises BadInput where there are none."""
        _, texts, scores = table(lessons, self.use, whole=False)
        battles = _battles(scores, self.ties)
        if not len(battles[0]):
            raise BadInput("matrix_factorization needs rows on which two models' scores can be compared.")
        mean, scale, x = scaled(self.encoder.encode(texts))
        rng = np.random.default_rng([lessons.seed, 1])
        shapes = ((scores.shape[1], self.width), (self.width, x.shape[1]), (self.width,), (self.width,))
        sizes = (1.0, x.shape[1] ** -0.5, 0.0, self.width**-0.5)
        parts = [(s * rng.standard_normal(n)).astype(np.float32) for n, s in zip(shapes, sizes, strict=True)]
        adam = Adam(parts, self.rate)
        for _ in range(self.steps):
            some = rng.integers(0, len(battles[0]), min(_BATCH, len(battles[0])))
            q = x[battles[0][some]]
            q = q + np.float32(self.noise) * rng.standard_normal(q.shape, dtype=np.float32)
            adam.step(slopes(parts, q, *(b[some] for b in battles[1:]))[1])
        models, project, shift, weigh = parts
        mixed = (models / np.linalg.norm(models, axis=1, keepdims=True)) * weigh
        heads = (mixed @ project).T.astype(np.float64) / scale
        return replace(self, heads=heads.astype(np.float32), bias=(mixed @ shift - mean @ heads).astype(np.float32))


def _battles(scores: Floats, ties: bool) -> tuple[NDArray[np.int64], ...]:
    """Rows, both models, and whether the first won (1, 0, or one half), for every pair that can be compared."""
    found = list[tuple[NDArray[Any], ...]]()
    for a, b in combinations(range(scores.shape[1]), 2):
        sign = np.sign(scores[:, a] - scores[:, b])
        at = np.flatnonzero(np.isfinite(sign) if ties else np.abs(sign) == 1)
        found.append((at, np.full(len(at), a), np.full(len(at), b), (0.5 + 0.5 * sign[at]).astype(np.float32)))
    return tuple(np.concatenate(c) for c in zip(*found, strict=True)) if found else (np.zeros(0, np.int64),) * 4


def slopes(
    parts: list[NDArray[Any]], q: NDArray[Any], a: NDArray[Any], b: NDArray[Any], won: NDArray[Any]
) -> tuple[float, list[NDArray[Any]]]:
    """Mean binary cross-entropy of battles, and its gradients: models (m, h), project (h, d), shift and weigh (h,)."""
    models, project, shift, weigh = parts
    norms = np.linalg.norm(models, axis=1, keepdims=True)
    unit = models / norms
    hidden = q @ project.T + shift
    apart = unit[a] - unit[b]
    logit = (apart * hidden) @ weigh
    loss = float(np.mean(np.logaddexp(0.0, logit) - won * logit))
    error = ((sigmoid(logit) - won) / len(q))[:, None]
    to_hidden = error * apart * weigh
    to_apart = error * hidden * weigh
    to_unit = np.zeros_like(models)
    np.add.at(to_unit, a, to_apart)
    np.subtract.at(to_unit, b, to_apart)
    to_models = (to_unit - unit * np.sum(unit * to_unit, axis=1, keepdims=True)) / norms
    return loss, [to_models, to_hidden.T @ q, to_hidden.sum(axis=0), (error * apart * hidden).sum(axis=0)]


def matrix_factorization(
    width: int = 64, steps: int = 100, noise: float = 1.0, ties: bool = False, encoder: Any = None
) -> MatrixFactorization:
    """RouteLLM's matrix factorization, for any number of models."""
    return MatrixFactorization(encoder or default_encoder(), width, steps, noise, ties=ties)
