"""Ridge regression of the gain, large less small, on the prompt's embedding and its look: the plain baseline.

Hoerl and Kennard 1970; the strength is the one with the least leave-one-out error (PRESS, in closed form). Checked
against the normal equations and against refitting without each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core import Request
from ..data import Lessons
from .embedded import Embedded, Rows, default_encoder, ease, pair
from .fitting import Floats, scaled
from .surface import surfaces

_STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True, repr=False, eq=False)
class RidgeGain(Embedded):
    """Trust is (1 - predicted gain) / 2; `look` weighs the plain features beside the embedding (0 leaves them out)."""

    encoder: Any = field(default_factory=default_encoder)
    strength: float | None = None
    look: float = 3.0
    weights: NDArray[np.float32] | None = None
    seen: Floats | None = None
    bias: float = 0.0
    use = "ridge_gain"
    learnt: ClassVar[str] = "weights"

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """(1 - gain) / 2 of the gains (n,) that the line predicts."""
        assert self.weights is not None
        gain = (rows @ self.weights).astype(np.float64) + self.bias
        if self.seen is not None:
            gain += surfaces([r.text for r in requests]) @ self.seen
        return ease(gain)

    def fit(self, lessons: Lessons) -> RidgeGain:
        """The router fitted to the two models' scores; raises BadInput where there are none."""
        rows = pair(lessons, self.use)
        x = self.encoder.encode(rows.texts)
        mean, scale, wide = scaled(x)
        columns: Floats = wide.astype(np.float64)
        if self.look:
            looks = surfaces(rows.texts)
            middle, spread = looks.mean(axis=0), np.maximum(looks.std(axis=0), 1e-9) / self.look
            columns = np.hstack([columns, (looks - middle) / spread])
        gain = rows.large - rows.small
        beta = ridge(columns, gain, (self.strength,) if self.strength is not None else _STRENGTHS)
        weights = beta[: x.shape[1]] / scale
        seen = beta[x.shape[1] :] / spread if self.look else None  # pyright: ignore[reportPossiblyUnboundVariable]
        bias = float(gain.mean() - mean @ weights)
        if seen is not None:
            bias -= float(middle @ seen)  # pyright: ignore[reportPossiblyUnboundVariable]
        return replace(self, weights=weights.astype(np.float32), seen=seen, bias=bias)


def ridge(x: Floats, y: Floats, strengths: tuple[float, ...]) -> Floats:
    """Weights (d,) of centred columns (n, d); each strength is per row; the one with the least PRESS is taken."""
    n = len(x)
    values, vectors = np.linalg.eigh(x.T @ x)
    across = x @ vectors
    right = across.T @ (y - y.mean())
    square = np.square(across)
    best, least = np.zeros(x.shape[1]), np.inf
    for strength in strengths:
        inverse = 1.0 / (np.maximum(values, 0.0) + max(strength, 1e-9) * n)
        beta = inverse * right
        leverage = np.minimum(square @ inverse + 1.0 / n, 1.0 - 1e-9)
        press = float(np.mean(np.square((y - y.mean() - across @ beta) / (1.0 - leverage))))
        if press < least:
            best, least = vectors @ beta, press
    return best


def ridge_gain(strength: float | None = None, look: float = 3.0, encoder: Any = None) -> RidgeGain:
    """Ridge on the gain; `strength` None chooses it by leave-one-out error on the fit rows."""
    return RidgeGain(encoder or default_encoder(), strength, look)
