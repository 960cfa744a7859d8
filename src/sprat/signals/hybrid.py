"""Hybrid LLM's router: will the small model's answer be as good as the large one's?

Hybrid LLM (arXiv 2404.14618), section 3, with H = q(small) - q(large) over their draws: "deterministic" learns
1[H >= 0] of the first draws, "probabilistic" learns Pr[H >= 0], "transformed" learns Pr[H >= -t] with the t that
spreads the labels most, the mean |y_i - y_j| over pairs of rows. Checked against all pairs by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core import Request
from ..data import Floats, Lessons
from ..errors import BadInput, nearest
from .embedded import Embedded, Rows, default_encoder, pair
from .fitting import logistic, sigmoid

VARIANTS = ("deterministic", "probabilistic", "transformed")
_GRID = 200


@dataclass(frozen=True, repr=False, eq=False)
class Hybrid(Embedded):
    """Trust is the predicted label; `relaxed` is the t that was chosen at fit (0 but for "transformed")."""

    encoder: Any = field(default_factory=default_encoder)
    variant: str = "probabilistic"
    strength: float = 0.3
    weights: NDArray[np.float32] | None = None
    bias: float = 0.0
    relaxed: float = 0.0
    use = "hybrid"
    learnt: ClassVar[str] = "weights"

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """Pr[q(small) >= q(large) - t], (n,)."""
        assert self.weights is not None
        return sigmoid((rows @ self.weights).astype(np.float64) + self.bias)

    def fit(self, lessons: Lessons) -> Hybrid:
        """The router fitted to the two models' scores, of every recorded draw where the lessons have a recording."""
        rows = pair(lessons, self.use)
        apart = (rows.small - rows.large)[:, None]
        if self.variant != "deterministic" and lessons.recording is not None:
            apart = differences(lessons, rows.at, apart)
        relaxed = spread_most(apart) if self.variant == "transformed" else 0.0
        weights, bias = logistic(self.encoder.encode(rows.texts), reaches(apart, relaxed), self.strength)
        return replace(self, weights=weights.astype(np.float32), bias=bias, relaxed=relaxed)


def reaches(apart: Floats, relaxed: float) -> Floats:
    """Pr[H >= -t] (n,) of differences (n, pairs of draws), NaN where a draw is missing."""
    known = np.isfinite(apart)
    return np.sum(known & (apart >= -relaxed - 1e-9), axis=1) / known.sum(axis=1)


def spread(labels: Floats) -> float:
    """The mean of |y_i - y_j| over all n * n pairs, from one sort."""
    n = len(labels)
    return float(np.sort(labels) @ (2.0 * np.arange(1, n + 1) - n - 1)) * 2.0 / (n * n)


def spread_most(apart: Floats) -> float:
    """The smallest t >= 0 whose labels spread most; only where a difference lies can the labels change."""
    behind = np.unique(np.round(np.maximum(-apart[np.isfinite(apart)], 0.0), 9))
    grid = behind if len(behind) <= _GRID else np.quantile(behind, np.linspace(0, 1, _GRID))
    steps = [0.0, *grid.tolist()]
    return float(max(steps, key=lambda t: (round(spread(reaches(apart, t)), 12), -t)))


def differences(lessons: Lessons, at: NDArray[np.int64], single: Floats) -> Floats:
    """q(small) - q(large) (n, most pairs) over all pairs of recorded draws; NaN pads, the lessons' own where none."""
    data = lessons.recording.data
    low, high = data.bounds
    ends = (lessons.models[0], lessons.models[-1])
    drawn: dict[str, list[list[float]]] = {}
    for example in data:
        found = drawn.setdefault(example.request.key, [[], []])
        for call in example.calls:
            if call.model in ends and call.reply.score is not None:
                found[ends.index(call.model)].append((float(call.reply.score) - low) / (high - low))
    rows = list[Floats]()
    for i, alone in zip(at, single, strict=True):
        small, large = drawn.get(lessons.requests[int(i)].key, [[], []])
        rows.append(np.subtract.outer(small, large).ravel() if small and large else alone)
    out = np.full((len(rows), max(len(r) for r in rows)), np.nan)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def hybrid(variant: str = "probabilistic", strength: float = 0.3, encoder: Any = None) -> Hybrid:
    """Hybrid LLM's router; raises BadInput for an unknown variant."""
    if variant not in VARIANTS:
        raise BadInput(f"hybrid has no variant '{variant}'.", hint=nearest(variant, VARIANTS))
    return Hybrid(encoder or default_encoder(), variant, strength)
