"""Rungs for answers that come without a document: the "document" of such a check is the question.

How the answer looks, and where question and answer stand in an encoder's space: what kinds of question a model tends to
make things up about. Both learn from labelled answers alone and know no facts; sprat's own. Measured in
benchmarks/halueval.py. Checked against the features that they are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core import Reply, Request, ask
from ..encoders.static import StaticEncoder
from ..signals.reply_features import NAMES, features
from .checks import Check, Floats, Looking, Spent, here


@dataclass(frozen=True)
class Look:
    """How the answer looks beside its question: length, form, numbers, sums that don't add up, hedges."""

    name: ClassVar[str] = "look"
    names: ClassVar[tuple[str, ...]] = NAMES

    async def read(self, checks: Sequence[Check]) -> tuple[Floats, list[Spent]]:
        """The numbers; costs nothing but time here."""
        return await ask(here(self), Looking(tuple(checks)))

    def features(self, checks: Sequence[Check]) -> Floats:
        """The numbers (n, 28)."""
        return np.array([features(Request.of(c.document), Reply(c.claim)) for c in checks]).reshape(-1, len(NAMES))


@dataclass(frozen=True)
class Meaning:
    """The rows of question and answer in the encoder's space, and their cosine."""

    encoder: Any = field(default_factory=StaticEncoder)
    name: ClassVar[str] = "meaning"

    @property
    def names(self) -> tuple[str, ...]:
        """One for each axis of each."""
        axes = range(self.encoder.dim)
        return (*(f"question {i}" for i in axes), *(f"answer {i}" for i in axes), "cosine")

    async def read(self, checks: Sequence[Check]) -> tuple[Floats, list[Spent]]:
        """The numbers; costs the encoding of both."""
        return await ask(here(self), Looking(tuple(checks)))

    def features(self, checks: Sequence[Check]) -> Floats:
        """The numbers (n, 2 dim + 1)."""
        texts = list(dict.fromkeys(t for c in checks for t in (c.document, c.claim)))
        rows = np.asarray(self.encoder.encode(texts), np.float64)
        place = {t: i for i, t in enumerate(texts)}
        asked, said = rows[[place[c.document] for c in checks]], rows[[place[c.claim] for c in checks]]
        return np.hstack([asked, said, (asked * said).sum(axis=1, keepdims=True)])
