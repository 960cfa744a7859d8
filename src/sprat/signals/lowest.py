"""Trust a reply as little as the strictest of several signals does; a baseline that needs no paper.

So that log-probability, form and agreement may each be a reason for doubt. Checked against its laws: one signal is
itself, and its running form's bounds are the lowest of its parts' bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core import Can, Piece, Reply, Request, Signal
from ..errors import BadInput, CannotDo
from .running import Running, Runs


@dataclass(frozen=True, repr=False)
class Lowest(Signal):
    """The lowest trust of its `parts`; what they ask is paid for."""

    parts: tuple[Any, ...]
    use = "lowest"

    @property
    def needs(self) -> Can:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What its most demanding part needs."""
        return max(p.needs for p in self.parts)

    @property
    def reads_reply(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether a part does."""
        return any(p.reads_reply for p in self.parts)

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The lowest of the parts' trusts."""
        return min([await p.trust(request, reply) for p in self.parts])

    def running(self, request: Request) -> Running:
        """The parts' running forms as one; CannotDo where a part has none."""
        lacking = [p for p in self.parts if not isinstance(p, Runs)]
        if lacking:
            raise CannotDo(f"{lacking[0]!r} reads whole replies alone.", hint="Use it in a cascade.")
        return _Parts([p.running(request) for p in self.parts])


class _Parts:
    def __init__(self, parts: list[Running]) -> None:
        self.parts = parts
        self.beside = tuple(model for p in parts for model in p.beside)
        self.first = [1 + sum(len(q.beside) for q in parts[:i]) for i in range(len(parts))]  # where each one's begin

    def wants(self) -> int:
        """What the first part wants that is not settled."""
        for part, first in zip(self.parts, self.first, strict=True):
            low, high = part.within()
            if low < high:
                which = part.wants()
                return which and first + which - 1
        return 0

    def take(self, which: int, piece: Piece | None) -> None:
        for part, first in zip(self.parts, self.first, strict=True):
            if which == 0 or first <= which < first + len(part.beside):
                part.take(which and which - first + 1, piece)

    def within(self) -> tuple[float, float]:
        found = [p.within() for p in self.parts]
        return min(low for low, _ in found), min(high for _, high in found)


def lowest(*parts: Signal) -> Lowest:
    """The strictest of several signals; raises BadInput for none."""
    if not parts:
        raise BadInput("lowest needs at least one signal.")
    return Lowest(tuple(parts))
