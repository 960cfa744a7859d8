"""A classifier of battles: the small model wins, ties or loses; trust is P(win) + P(tie).

RouteLLM's BERT classifier (arXiv 2406.18665), section 4.2, as a three-class softmax head on a frozen encoder;
fine-tuning the encoder itself is left to a library that trains encoders. Checked against scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Request
from ..data import Floats, Lessons
from .embedded import Embedded, Rows, default_encoder, pair
from .fitting import softmax, softmax_regression


@dataclass(frozen=True, repr=False, eq=False)
class Classifier(Embedded):
    """`weights` (d, 3) and `bias` (3,): win, tie, loss of the small model."""

    encoder: Any = field(default_factory=default_encoder)
    strength: float = 0.1
    weights: NDArray[np.float32] | None = None
    bias: Floats | None = None
    use = "classifier"

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """P(win) + P(tie), (n,)."""
        assert self.weights is not None
        assert self.bias is not None
        return 1.0 - softmax((rows @ self.weights + self.bias).astype(np.float64))[:, 2]

    def fit(self, lessons: Lessons) -> Classifier:
        """The router fitted to the two models' outcomes; raises BadInput where there are none."""
        rows = pair(lessons, self.use)
        outcome = 1 - np.sign(rows.small - rows.large).astype(np.int64)
        weights, bias = softmax_regression(self.encoder.encode(rows.texts), np.eye(3)[outcome], self.strength)
        return replace(self, weights=weights.astype(np.float32), bias=bias)


def classifier(strength: float = 0.1, encoder: Any = None) -> Classifier:
    """RouteLLM's win/tie/loss classifier on a frozen encoder; `strength` is the L2 penalty."""
    return Classifier(encoder or default_encoder(), strength)
