"""Models that say what happened to them: for the tests of the drivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sprat.core import Endpoint, Piece, Reply, Request, Signal, Technique, watch
from sprat.endpoints import toy
from sprat.endpoints.toy import Toy
from sprat.errors import Unreachable


@dataclass(frozen=True, repr=False)
class Does(Technique):
    """A technique that is the coroutine function it is given."""

    how: Callable[[Request], Any]
    use = "does"

    async def answer(self, request: Request) -> Any:
        return await self.how(request)


@dataclass(frozen=True, repr=False)
class Slow(Endpoint):
    """Answers when its event is set; says when it was asked, and when it was cancelled."""

    name: str
    log: list[str] = field(default_factory=list[str])
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer_async(self, request: Request) -> Reply:
        self.asked.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        return Reply(self.name, self.name, cost=1.0, seconds=1.0)


@dataclass(frozen=True, repr=False)
class Wire(Endpoint):
    """Streams `words` and then waits for ever, or ends; writes down what happened to it."""

    name: str
    words: tuple[str, ...]
    hangs: bool = False
    log: list[str] = field(default_factory=list[str])

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        self.log.append("whole")
        return [Reply("".join(self.words), self.name, cost=1.0, seconds=1.0) for _ in requests]

    async def pieces(self, request: Request) -> AsyncGenerator[Piece, None]:
        try:
            for word in self.words:
                self.log.append(word)
                yield Piece(word, (word,))
            if self.hangs:
                await asyncio.Event().wait()
            yield Piece(reply=Reply("".join(self.words), self.name, cost=1.0, seconds=1.0))
            self.log.append("ended")
        finally:
            self.log.append("closed")


def broken(name: str = "broken") -> Toy:
    def fail(_: Request) -> str:
        raise Unreachable("No connection.")

    return toy(name, fail)


@dataclass(frozen=True, repr=False)
class Accepts(Technique):
    model: Any
    use = "accepts"

    async def answer(self, request: Request) -> Any:
        draft = watch(self.model, request)
        await draft.next()
        return draft.accept()


async def accepted(request: Request, model: Any) -> Reply:
    draft = watch(model, request)
    await draft.next()
    return await draft.accept()


@dataclass(frozen=True, repr=False)
class Never(Signal):
    use = "never"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        return 0.0


@dataclass(frozen=True, repr=False)
class Counts(Endpoint):
    name: str
    says: str
    sizes: list[int] = field(default_factory=list[int])

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        self.sizes.append(len(requests))
        return [Reply(self.says, self.name, cost=0.0, seconds=0.0) for _ in requests]
