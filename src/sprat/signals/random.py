"""A coin with the request's hash: the same request always falls on the same side, and nothing is read from it.

The baseline of chance: what a router must beat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core import Reply, Request
from ..data import Floats, Lessons
from .embedded import Ahead


@dataclass(frozen=True, repr=False)
class Random(Ahead):
    """Trust is uniform in [0, 1), a function of `seed` and the request."""

    seed: int = 0
    use = "random"

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """53 bits of SHA-256 over seed and request, (n,)."""
        digests = [hashlib.sha256(f"{self.seed} {r.key}".encode()).digest() for r in requests]
        return np.array([(int.from_bytes(d[:8], "big") >> 11) / 2.0**53 for d in digests], np.float64)

    def fit(self, lessons: Lessons) -> Random:
        """The coin with the lessons' seed."""
        return replace(self, seed=lessons.seed)


def random(seed: int = 0) -> Random:
    """A coin: the control that every router must beat."""
    return Random(seed)
