"""FrugalGPT's scorer: how reliable a reply is, learned from request and reply together (arXiv 2305.05176).

The paper fine-tunes DistilBERT on "query, answer"; here a sentence encoder reads both, beside the reply's features,
and a logistic head scores, so that neither fitting nor serving needs torch. Thresholds and the order of models are
chosen together by combine/frugal_cascade.py. Checked by benchmarks/gsm8k_cascade.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Reply, Request, Signal, Texts, ask
from ..data import Lessons
from .embedded import default_encoder
from .heads import Linear, fit_linear
from .learning import Label, judged, observe, unfitted
from .reply_features import features

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class Frugal(Signal):
    """g(request, reply): `head` reads the rows of both from the encoder, their product, and the reply's features."""

    encoder: Any = field(repr=False)
    label: Label = "score"
    head: Linear | None = field(default=None, repr=False)
    use = "frugal"
    reads_reply = True

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The predicted label, in [0, 1]; raises BadInput where it has not learned."""
        if self.head is None or reply is None:
            raise unfitted(self.use)
        return float(self.head.predict((await self._read(request, reply))[None])[0])

    async def _read(self, request: Request, reply: Reply) -> Floats:
        asked, said = await ask(self.encoder, Texts((request.text, reply.text or "")))
        return np.concatenate([asked, said, asked * said, features(request, reply)])

    def fit(self, lessons: Lessons) -> Frugal:
        """Learn from the first model's replies and their scores."""
        requests, replies, y, _ = judged(self.use, lessons, self.label)
        read = observe([self._read(q, r) for q, r in zip(requests, replies, strict=True)], lessons)
        wide = np.array(read, np.float64)
        own = wide.shape[1] - len(features(requests[0], replies[0]))
        # One scale for all of the encoder's columns: a column that hardly varies says little, and must stay small.
        blocks = [slice(0, own // 3), slice(own // 3, 2 * own // 3), slice(2 * own // 3, own)]
        return replace(self, head=fit_linear(wide, y, lessons.seed, blocks=blocks))


def frugal(encoder: Any = None, label: Label = "score") -> Frugal:
    """FrugalGPT's scorer over this encoder's rows, the embedded encoder's unless given."""
    return Frugal(default_encoder() if encoder is None else encoder, label)
