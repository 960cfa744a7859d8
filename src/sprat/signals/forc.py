"""One meta-model that predicts each model's score from (prompt, model), for choosing by score less price.

FORC (arXiv 2308.06077): there a transformer reads "[model] prompt"; here a ridge whose weights are a part shared by all
models and a part of each (regularised multi-task learning, Evgeniou and Pontil 2004), so that a model with few
scores leans on the others. `assign` makes the cost-aware choice. Checked against the stacked normal equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core import Request
from ..data import Floats, Lessons
from .embedded import Embedded, Rows, default_encoder, ease, table
from .fitting import scaled


@dataclass(frozen=True, repr=False, eq=False)
class Forc(Embedded):
    """`strength` is the ridge penalty per row; `apart` says how freely a model departs from the shared part."""

    encoder: Any = field(default_factory=default_encoder)
    strength: float = 10.0
    apart: float = 1.0
    weights: NDArray[np.float32] | None = None
    bias: Floats | None = None
    use = "forc"
    learnt: ClassVar[str] = "weights"

    def _scores(self, rows: Rows) -> Floats:
        assert self.weights is not None
        assert self.bias is not None
        return (rows @ self.weights + self.bias).astype(np.float64)

    async def predict(self, request: Request) -> Floats:
        """The predicted score (m,) of each model."""
        return self._scores(await self.read((request,)))[0]

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """(1 - gain) / 2 of the predicted gains (n,), last model less first."""
        scores = self._scores(rows)
        return ease(scores[:, -1] - scores[:, 0])

    def fit(self, lessons: Lessons) -> Forc:
        """The router fitted to all scores there are; raises BadInput where a model has none."""
        _, texts, scores = table(lessons, self.use, whole=False)
        mean, scale, x = scaled(self.encoder.encode(texts))
        shared, own, shift = shared_ridge(x.astype(np.float64), scores, self.strength, self.apart)
        weights = (shared[:, None] + own) / scale
        return replace(self, weights=weights.astype(np.float32), bias=shift - mean @ weights)


def shared_ridge(x: Floats, y: Floats, strength: float, apart: float) -> tuple[Floats, Floats, Floats]:
    """The shared weights (d,), each model's own (d, m) and its free shift (m,), for scores y (n, m) with NaN gaps.

    Minimises sum (y - x (shared + own_m) - shift_m)^2 + n strength (|shared|^2 + sum |own_m|^2 / apart), by
    eliminating each model's own part first.
    """
    n, d = x.shape
    m = y.shape[1]
    wide = np.hstack([x, np.ones((n, 1))])
    penalty = np.diag([n * strength / apart] * d + [1e-9 * n])
    left, right = n * strength * np.eye(d), np.zeros(d)
    grams: dict[bytes, Floats] = {}
    solved = list[tuple[NDArray[Any], NDArray[Any]]]()
    for j in range(m):
        known = np.isfinite(y[:, j])
        some = wide[known]
        gram = grams.setdefault(known.tobytes(), some.T @ some)
        target = some.T @ y[known, j]
        both = np.linalg.solve(gram + penalty, np.column_stack([gram[:, :d], target]))
        solved.append((both[:, :d], both[:, d]))
        left += gram[:d, :d] - gram[:d] @ both[:, :d]
        right += target[:d] - gram[:d] @ both[:, d]
    shared = np.linalg.solve(left, right)
    own = np.stack([free - tied @ shared for tied, free in solved], axis=1)
    return shared, own[:d], own[d]


def forc(strength: float = 10.0, apart: float = 1.0, encoder: Any = None) -> Forc:
    """FORC's meta-model for any number of models."""
    return Forc(encoder or default_encoder(), strength, apart)
