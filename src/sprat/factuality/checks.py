"""What a check is, what a rung gives back, and how rungs that work in this process are timed and asked together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Check:
    """A claim, and the text that should bear it out ("" where there is none)."""

    claim: str
    document: str


class Spent(NamedTuple):
    """What a check took: dollars (None: unknown), and CPU-seconds here (0 where a server did the work)."""

    dollars: float | None
    seconds: float


@runtime_checkable
class Rung(Protocol):
    """One way of looking at a check; awaits only the verbs."""

    @property
    def name(self) -> str:
        """What the ledger and the command line call it."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """What each number is."""
        ...

    async def read(self, checks: Sequence[Check]) -> tuple[Floats, list[Spent]]:
        """The numbers (n, len(names)), finite, and what each check took."""
        ...


@dataclass(frozen=True)
class Looking:
    """What a rung that works here is asked."""

    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Here:
    """A rung that works in this process, as an endpoint: what many askers want is read in one go, and timed."""

    rung: Any
    name: str = "check"
    offline: ClassVar[bool] = True

    def answer_many(self, asked: Sequence[Looking]) -> list[tuple[Floats, list[Spent]]]:
        """The numbers of each asker's checks, and the mean CPU time of one."""
        checks = [c for one in asked for c in one.checks]
        began = time.thread_time()
        rows = self.rung.features(checks)
        each = (time.thread_time() - began) / max(1, len(checks))
        out: list[tuple[Floats, list[Spent]]] = []
        at = 0
        for one in asked:
            n = len(one.checks)
            out.append((rows[at : at + n], [Spent(0.0, each)] * n))
            at += n
        return out


@lru_cache(maxsize=64)
def here(rung: Any) -> Here:
    """The one endpoint of a rung."""
    return Here(rung)
