"""Prompts and models in one space: a prompt is drawn to the models that answer it well, and to prompts of its kind.

RouterDC (arXiv 2409.19886): for each prompt the top models are contrasted with the bottom ones (score at most 1/2),
plus prompts of the same cluster with those of others; similarity is the cosine. Here a projection of the frozen
encoder is trained instead of the encoder, and clusters are k-means of its rows (the paper: of their t-SNE). Gradients
checked numerically.
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
from .fitting import Adam, scaled, softmax

_BATCH = 128
Array = NDArray[Any]


@dataclass(frozen=True, repr=False, eq=False)
class RouterDC(Embedded):
    """Trust is the first model's softmax against the last one's; `top` and `bottom` are K+ and K-."""

    encoder: Any = field(default_factory=default_encoder)
    width: int = 64
    steps: int = 400
    top: int = 3
    bottom: int = 3
    clusters: int = 5
    weight: float = 1.0
    others: int = 3
    temperature: float = 0.2
    rate: float = 1e-3
    project: NDArray[np.float32] | None = None
    shift: NDArray[np.float32] | None = None
    models: NDArray[np.float32] | None = None
    use = "routerdc"
    learnt: ClassVar[str] = "project"

    def _chances(self, rows: Rows) -> Floats:
        assert self.project is not None
        assert self.shift is not None
        assert self.models is not None
        placed = (rows @ self.project.T + self.shift).astype(np.float64)
        unit = placed / np.linalg.norm(placed, axis=1, keepdims=True)
        return softmax(unit @ self.models.T / self.temperature)

    async def predict(self, request: Request) -> Floats:
        """The softmax (m,) of the prompt's cosines with the models."""
        return self._chances(await self.read((request,)))[0]

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """P(first) / (P(first) + P(last)), (n,)."""
        chances = self._chances(rows)
        return chances[:, 0] / (chances[:, 0] + chances[:, -1])

    def fit(self, lessons: Lessons) -> RouterDC:
        """The router trained on rows on which every model was scored; raises BadInput where there are none."""
        _, texts, scores = table(lessons, self.use, whole=True)
        mean, scale, x = scaled(self.encoder.encode(texts))
        rng = np.random.default_rng([lessons.seed, 2])
        kinds = kmeans(x, self.clusters, rng)
        positive, negative = contrasts(scores, self.top, self.bottom)
        project = (rng.standard_normal((self.width, x.shape[1])) * x.shape[1] ** -0.5).astype(np.float32)
        models = rng.standard_normal((scores.shape[1], self.width)).astype(np.float32)
        adam = Adam([project, models], self.rate)
        for _ in range(self.steps):
            some = rng.integers(0, len(x), min(_BATCH, len(x)))
            mate, rest = partners(kinds[some], self.others, rng)
            given = (x[some], positive[some], negative[some], mate, rest, self.weight, self.temperature)
            adam.step(losses(project, models, *given)[1])
        project = project.astype(np.float64) / scale
        unit = models / np.linalg.norm(models, axis=1, keepdims=True)
        return replace(
            self,
            project=project.astype(np.float32),
            shift=(-project @ mean).astype(np.float32),
            models=unit,
        )


def contrasts(scores: Floats, top: int, bottom: int) -> tuple[Array, Array]:
    """Which models (n, m) are a prompt's positives (among the top, above 0) and negatives (bottom, at most 1/2)."""
    m = scores.shape[1]
    order = np.argsort(-scores, axis=1, kind="stable")
    place = np.argsort(order, axis=1)
    positive = (place < min(top, m - 1)) & (scores > 0)
    negative = (place >= m - min(bottom, m - 1)) & (scores <= 0.5)
    return positive, negative & ~positive


def partners(kinds: Array, others: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """For each row of a batch one of its cluster (itself where alone), and `others` rows of other clusters, or -1."""
    n = len(kinds)
    same = kinds[:, None] == kinds[None, :]
    draw = rng.random((n, n))
    mate = np.argmax(np.where(same & ~np.eye(n, dtype=bool), draw, -1.0), axis=1)
    mate = np.where(same.sum(axis=1) > 1, mate, np.arange(n))
    rest = np.argsort(np.where(same, 2.0, draw), axis=1)[:, :others]
    return mate, np.where(np.take_along_axis(same, rest, axis=1), -1, rest)


def losses(
    project: Array, models: Array, x: Array, positive: Array, negative: Array, mate: Array, rest: Array,
    weight: float, temperature: float,
) -> tuple[float, list[Array]]:  # fmt: skip
    """Both contrastive losses, mean over rows, and the gradients by the projection (h, d) and the models (m, h)."""
    n = len(x)
    placed = x @ project.T
    norms = np.linalg.norm(placed, axis=1, keepdims=True)
    unit = placed / norms
    lengths = np.linalg.norm(models, axis=1, keepdims=True)
    heads = models / lengths
    cosine = unit @ heads.T / temperature
    e = np.exp(cosine)
    against = np.sum(e * negative, axis=1, keepdims=True)
    share = e / (e + against)
    loss = -float(np.sum(np.where(positive, np.log(share), 0.0))) / n
    # d/dcos of -log(e+ / (e+ + E-)): share - 1 at the positive, and e- / (e+ + E-) at each negative.
    pulls = np.sum(positive / (e + against), axis=1, keepdims=True)
    to_cosine = (np.where(positive, share - 1.0, 0.0) + negative * e * pulls) / (n * temperature)
    to_unit, to_heads = to_cosine @ heads, to_cosine.T @ unit
    near = np.sum(unit * unit[mate], axis=1, keepdims=True) / temperature
    far = np.einsum("nh,nkh->nk", unit, unit[rest]) / temperature
    chance = softmax(np.hstack([near, np.where(rest >= 0, far, -np.inf)]))
    loss -= weight * float(np.sum(np.log(chance[:, 0]))) / n
    slope = chance * (weight / (n * temperature))
    slope[:, 0] -= weight / (n * temperature)
    column = np.hstack([mate[:, None], np.maximum(rest, 0)])
    to_unit = to_unit + np.einsum("nk,nkh->nh", slope, unit[column])
    np.add.at(to_unit, column.ravel(), (slope[:, :, None] * unit[:, None, :]).reshape(-1, unit.shape[1]))
    to_placed = (to_unit - unit * np.sum(unit * to_unit, axis=1, keepdims=True)) / norms
    to_models = (to_heads - heads * np.sum(heads * to_heads, axis=1, keepdims=True)) / lengths
    return loss, [to_placed.T @ x, to_models]


def kmeans(x: Array, k: int, rng: np.random.Generator, rounds: int = 15) -> NDArray[np.int64]:
    """The cluster (n,) of each row, by Lloyd's rounds from k-means++ centres."""
    centres = x[[int(rng.integers(len(x)))]]
    square = np.sum(x * x, axis=1)
    for _ in range(1, min(k, len(x))):
        away = np.min(square[:, None] - 2 * x @ centres.T + np.sum(centres * centres, axis=1), axis=1)
        odds = np.maximum(away, 0.0).astype(np.float64) + 1e-9
        centres = np.vstack([centres, x[int(rng.choice(len(x), p=odds / odds.sum()))]])
    kinds = np.zeros(len(x), np.int64)
    for _ in range(rounds):
        kinds = np.argmin(np.sum(centres * centres, axis=1) - 2 * x @ centres.T, axis=1)
        centres = np.stack([x[kinds == j].mean(axis=0) if np.any(kinds == j) else c for j, c in enumerate(centres)])
    return kinds


def routerdc(
    width: int = 64, steps: int = 400, top: int = 3, bottom: int = 3, clusters: int = 5, weight: float = 1.0,
    encoder: Any = None,
) -> RouterDC:  # fmt: skip
    """RouterDC on a frozen encoder, for any number of models."""
    return RouterDC(encoder or default_encoder(), width, steps, top, bottom, clusters, weight)
