"""The mean of several routers' standardised trusts: by default ridge, nearest neighbours and matrix factorization.

Each router's trust, less its mean on (up to 1,000 of) the fit rows and over its spread there, is averaged; trust is the
logistic of that. Routers with one encoder share its row. It is sprat's own. Checked by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core import Reply, Request, Signal
from ..data import Floats, Lessons
from ..drivers import drive
from .embedded import Ahead, Embedded, Rows, default_encoder, fitted, trusts_of
from .fitting import sigmoid

_SAMPLE = 1000


@dataclass(frozen=True, repr=False, eq=False)
class EnsembleRouter(Ahead):
    """`centres` and `spreads` (p,) are each part's mean and standard deviation on the fit rows."""

    parts: tuple[Any, ...] = ()
    centres: Floats | None = None
    spreads: Floats | None = None
    use = "ensemble_router"
    learnt: ClassVar[str] = "centres"

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """The logistic of the parts' mean standardised trust, (n,); raises BadInput before fit."""
        fitted(self)
        assert self.centres is not None
        assert self.spreads is not None
        rows: dict[int, Rows] = {}
        total = np.zeros(len(requests))
        for part, centre, spread in zip(self.parts, self.centres, self.spreads, strict=True):
            if isinstance(part, Embedded) and requests:
                if id(part.encoder) not in rows:
                    rows[id(part.encoder)] = await part.read(requests)
                values = await part.judge(rows[id(part.encoder)], requests)
            else:
                values = await trusts_of(part, requests, [None] * len(requests))
            total += (values - centre) / spread
        return sigmoid(total / len(self.parts))

    def fit(self, lessons: Lessons) -> EnsembleRouter:
        """The ensemble with every part fitted; raises BadInput where a part cannot be."""
        parts = tuple(p.fit(lessons) for p in self.parts)
        drawn = np.random.default_rng([lessons.seed, 4]).permutation(len(lessons))[:_SAMPLE]
        some = [lessons.requests[int(i)] for i in drawn]
        values = np.array([drive(trusts_of(p, some, [None] * len(some))) for p in parts], np.float64)
        return replace(self, parts=parts, centres=values.mean(axis=1), spreads=np.maximum(values.std(axis=1), 1e-9))


def ensemble_router(*parts: Signal, encoder: Any = None) -> EnsembleRouter:
    """The mean of these routers, or of ridge_gain, knn and matrix_factorization on one encoder."""
    from .knn import knn
    from .matrix_factorization import matrix_factorization
    from .ridge_gain import ridge_gain

    shared = encoder or default_encoder()
    default = (ridge_gain(encoder=shared), knn(encoder=shared), matrix_factorization(encoder=shared))
    return EnsembleRouter(tuple(parts) or default)
