"""A coin with the request's hash: the same request always falls on the same side, and nothing is read from it.

The baseline of chance: what a router must beat.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar

from ..core import Reply, Request, Signal
from ..data import Lessons


@dataclass(frozen=True, repr=False)
class Random(Signal):
    """Trust is uniform in [0, 1), a function of `seed` and the request."""

    seed: int = 0
    use = "random"
    reads_reply: ClassVar[bool] = False

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """53 bits of SHA-256 over seed and request."""
        digest = hashlib.sha256(f"{self.seed} {request.key}".encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 11) / 2.0**53

    def fit(self, lessons: Lessons) -> Random:
        """The coin with the lessons' seed."""
        return replace(self, seed=lessons.seed)


def random(seed: int = 0) -> Random:
    """A coin: the control that every router must beat."""
    return Random(seed)
