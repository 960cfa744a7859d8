"""Signals that tell what they found, so that a decision can be shown and logged with the scores it was drawn from."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..combine import Cascade, Route, Watchful
from ..core import Can, Reply, Request, Signal, ask
from ..shape import exchanged, name_of
from ..signals.running import Running
from .gathering import Judge, judge_of

seen: ContextVar[list[tuple[str, float]] | None] = ContextVar("seen", default=None)


@dataclass(frozen=True, repr=False, eq=False)
class Witness(Signal):
    """A signal whose findings are noted in `seen`, by its word."""

    signal: Any
    use = "witness"

    @property
    def name(self) -> str:
        """The signal's."""
        return name_of(self.signal)

    @property
    def needs(self) -> Can:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The signal's."""
        return self.signal.needs

    @property
    def reads_reply(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The signal's."""
        return self.signal.reads_reply

    @cached_property
    def _judge(self) -> Judge | None:
        return judge_of(self.signal)

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The signal's trust, noted."""
        judge = self._judge
        value: float = await (ask(judge, request) if judge else self.signal.trust(request, reply))
        found = seen.get()
        if found is not None:
            found.append((name_of(self.signal), float(value)))
        return value

    def running(self, request: Request) -> Running:
        """The signal's, its last bounds noted."""
        return _Seen(self.signal.running(request), name_of(self.signal))

    def __repr__(self) -> str:
        return repr(self.signal)


class _Seen:
    """A running trust whose value, or what it can at most come to, is noted where `seen` is."""

    def __init__(self, inner: Running, name: str) -> None:
        self.inner, self.name, self.beside = inner, name, inner.beside
        self.wants, self.take = inner.wants, inner.take
        self.place: int | None = None

    def within(self) -> tuple[float, float]:
        low, high = self.inner.within()
        found = seen.get()
        if found is not None:
            if self.place is None:
                self.place = len(found)
                found.append((self.name, high))
            found[self.place] = (self.name, low or high)
        return low, high

    def failed(self) -> None:
        """There is no reply to be trusted: what its beginning might have come to is no finding."""
        found = seen.get()
        if found is not None and self.place is not None:
            del found[self.place]


def witnessed(model: Any, made: dict[int, Witness] | None = None) -> Any:
    """The model with its routes', cascades' and watched drafts' signals noted; `made` keeps those that models share."""
    made = {} if made is None else made

    def change(thing: Any) -> Any:
        if not isinstance(thing, (Route, Cascade, Watchful)):
            return thing
        signals = tuple(made.setdefault(id(s), Witness(s)) for s in thing.trust)
        return replace(thing, models=tuple(exchanged(m, change) for m in thing.models), trust=signals)

    return exchanged(model, change)
