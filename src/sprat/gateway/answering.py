"""Drives a model for the gateway as sprat's drivers do, but upstream bytes may pass, and what is quick takes no thread.

What is kept: who wrote the reply (`Tap.model`, as soon as it is known), what the signals found (`Tap.trusts`), and the
upstream's own body where a whole reply may pass (`Tap.body`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..core import Look, Piece, Reply, Request, Usage
from ..drivers.concurrent import finish, steps_of
from ..drivers.process import Effect, Leaf, Tail, process
from ..endpoints import OpenAI
from ..errors import SpratError
from ..shape import name_of
from . import witness
from .cards.escalation import unwatched
from .gathering import gathered, quick
from .served import passes
from .upstreams.passthrough import Passed


@dataclass(frozen=True)
class Known:
    """A reply that is there already: it is given, for nothing, where its model is asked the very same request."""

    name: str
    request: Request
    reply: Reply

    async def answer_async(self, request: Request) -> Reply:
        return replace(self.reply, cost=0.0, seconds=0.0, usage=Usage(0, 0))


@dataclass(eq=False)
class Tap:
    """What is let through, and what is noted on the way; `kept` are the trusts behind a reply that was given again."""

    streaming: bool = False
    through: bool = False
    usage: bool = False
    route: tuple[str, Mapping[str, Any]] | None = None
    model: str = ""
    body: bytes | None = None
    trusts: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    kept: Sequence[tuple[str, float]] = ()
    known: Known | None = None


async def answers(model: Any, request: Request, n: int, tap: Tap) -> tuple[bytes | None, list[Reply]]:
    """The upstream's own body where it may pass, and the replies; raises SpratError."""
    if n > 1 and not (tap.through and passes(model)):
        one = replace(request, options={k: v for k, v in request.options.items() if k != "n"})
        model = unwatched(model)
        drawn = [_whole(model, one.drawn(i), replace(tap, through=False)) for i in range(n)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_kept(d)) for d in drawn]
        found = [task.result() for task in tasks]
        errors = [f for f in found if isinstance(f, SpratError)]
        if errors:
            errors[0].spent = None  # the others may have been answered
            raise errors[0]
        replies = [f[1] for f in found if not isinstance(f, SpratError)]
        tap.model = replies[0].model
        return None, replies
    body, reply = await _whole(model, request, tap)
    return body, [reply]


async def _kept(work: Any) -> tuple[bytes | None, Reply] | SpratError:
    try:
        return await work
    except SpratError as error:
        return error


async def _whole(model: Any, request: Request, tap: Tap) -> tuple[bytes | None, Reply]:
    if passes(model) and tap.through:
        reply = await _Whole(model, tap).answer_async(request)
    else:
        mark = witness.seen.set(tap.trusts)
        try:
            done = await finish(process(model, request, tail=Tail.STREAMS), partial(_tapped, tap))
        finally:
            witness.seen.reset(mark)
        if done.error:
            done.error.spent, done.error.tree = done.node.cost, done.node
            raise done.error
        tap.model, reply = tap.model or done.node.model, done.node
    return tap.body, reply


@dataclass(frozen=True)
class _Whole:
    """An upstream that is asked for a whole reply, whose bytes are kept in the tap."""

    endpoint: OpenAI
    tap: Tap

    @property
    def name(self) -> str:
        return self.endpoint.name

    async def answer_async(self, request: Request) -> Reply:
        self.tap.model = self.endpoint.name
        self.tap.body, reply = await Passed(self.endpoint, False, route=self.tap.route).whole(request)
        return reply


async def streamed(model: Any, request: Request, tap: Tap) -> AsyncGenerator[Piece]:
    """The pieces, `raw` being bytes where they pass; the last one carries the reply. Raises SpratError."""
    if passes(model) and tap.through:
        tap.model = model.name
        async with aclosing(Passed(model, tap.streaming, tap.usage, tap.route).pieces(request)) as source:
            async for piece in source:
                yield piece
        return
    mark = witness.seen.set(tap.trusts)
    try:
        async with aclosing(steps_of(process(model, request, tail=Tail.STREAMS), partial(_tapped, tap))) as steps:
            async for out in steps:
                if isinstance(out, Piece):
                    yield out
                elif out.error:
                    out.error.spent, out.error.tree = out.node.cost, out.node
                    raise out.error
                else:
                    tap.model = tap.model or out.node.model
                    yield Piece(reply=out.node)
    finally:
        # A generator that is closed from another task's context has nothing to put back.
        if witness.seen.get() is tap.trusts:
            witness.seen.reset(mark)


def _tapped(tap: Tap, effect: Effect) -> Effect:
    """The effect as it is let through."""
    if isinstance(effect, Leaf):
        return _leaf(effect, tap)
    if isinstance(effect, Look) and effect.tail and effect.what == "accept":
        tap.model = name_of(effect.draft.model)
        # Nothing of a whole reply is seen before its end: where it breaks off another model may answer.
        return effect if tap.streaming else replace(effect, tail=Tail.NO)
    return effect


def _leaf(leaf: Leaf, tap: Tap) -> Leaf:
    known = tap.known
    if known is not None and name_of(leaf.endpoint) == known.name and leaf.payload == known.request:
        return Leaf(known, leaf.payload, Tail.NO)
    if quick(leaf.endpoint):
        return Leaf(gathered(leaf.endpoint), leaf.payload, Tail.NO)
    if not leaf.tail:
        return leaf
    tap.model = name_of(leaf.endpoint)
    if tap.through and passes(leaf.endpoint) and not (tap.streaming and leaf.tail == Tail.KEPT):
        if not tap.streaming:
            return Leaf(_Whole(leaf.endpoint, tap), leaf.payload, Tail.NO)
        return Leaf(Passed(leaf.endpoint, True, tap.usage), leaf.payload, leaf.tail)
    return Leaf(leaf.endpoint, leaf.payload, leaf.tail if tap.streaming else Tail.NO)
