"""The engine of arun and stream: asyncio; endpoints that only block run on worker threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeGuard

from ..core import Draft, Look, Piece, Reply, Request
from ..errors import SpratError, WrongAwait
from ..shape import name_of
from .ahead import Ahead
from .process import Done, Effect, Fork, Leaf, Process, Tail, answer_all, done

Change = Callable[[Effect], Effect]


async def look_at(look: Look, swap: Callable[[Any], Any] | None = None) -> Any:
    """What a look at a draft comes to: a piece for `next`; `accept` and `stop` leave the reply in the draft."""
    draft = look.draft
    endpoint = swap(draft.model) if swap else draft.model
    if draft.source is None:
        draft.source, draft.began = pieces(endpoint, draft.request), time.perf_counter()
    if look.what == "begin":
        draft.source = Ahead(draft.source)
        return None
    if look.what == "next":
        async for piece in draft.source:
            draft.held.append(piece)
            draft.reply = piece.reply or draft.reply
            if piece.text or piece.tokens or piece.logprobs:
                return piece
        return None
    if look.what == "accept":
        async for piece in draft.source:
            draft.held.append(piece)
            draft.reply = piece.reply or draft.reply
        return None
    if draft.reply is None:
        draft.reply = _partial(draft, endpoint)
    await draft.source.aclose()
    return None


def _partial(draft: Draft, endpoint: Any) -> Reply:
    known = getattr(endpoint, "spent", None)
    usage, dollars, seconds = known(draft.request, draft.held) if known else (None, None, None)
    tokens = tuple(t for p in draft.held for t in p.tokens)
    return Reply(
        "".join(p.text for p in draft.held),
        name_of(draft.model),
        tokens=tokens or None,
        logprobs=tuple(x for p in draft.held for x in p.logprobs) or None,
        usage=usage,
        cost=dollars,
        seconds=time.perf_counter() - draft.began if seconds is None else seconds,
        cancelled=True,
    )


async def pieces(endpoint: Any, payload: Request) -> AsyncGenerator[Piece, None]:
    """The pieces of an endpoint's reply; one that cannot stream gives its reply as a single piece."""
    if hasattr(endpoint, "pieces"):
        began, last = time.perf_counter(), None
        async with aclosing(endpoint.pieces(payload)) as source:
            async for piece in source:
                last = piece
                if piece.reply is not None and piece.reply.seconds is None and not getattr(endpoint, "recorded", False):
                    piece = replace(piece, reply=replace(piece.reply, seconds=time.perf_counter() - began))
                yield piece
        if last is None or last.reply is None:
            raise WrongAwait(f"The stream of '{name_of(endpoint)}' ended without its reply.")
        return
    node = (await _leaf(Leaf(endpoint, payload, Tail.NO))).node
    yield Piece(node.text or "", node.tokens or (), node.logprobs or ())
    yield Piece(reply=node)


async def _leaf(leaf: Leaf) -> Any:
    if hasattr(leaf.endpoint, "answer_async"):
        began = time.perf_counter()
        return done(leaf.endpoint, await leaf.endpoint.answer_async(leaf.payload), time.perf_counter() - began)
    outcome = (await asyncio.to_thread(answer_all, leaf.endpoint, [leaf.payload]))[0]
    if isinstance(outcome, SpratError):
        raise outcome
    return outcome


async def steps_of(steps: Process, change: Change | None = None) -> AsyncGenerator[Piece | Done, None]:
    """Drive one process; yields the pieces of a tail that streams, then Done. Closing it closes what is upstream.

    `change` puts another effect, or the same one, in the place of each that the process comes to.
    """
    run = _Run(steps, change)
    try:
        while not isinstance(effect := run.on(), Done):
            try:
                if _flows(effect):
                    async with aclosing(run.flow(effect)) as source:
                        async for piece in source:
                            yield piece
                else:
                    run.told = await run.did(effect)
            except SpratError as error:
                run.error = error
        yield effect
    finally:
        await run.leave()


async def finish(steps: Process, change: Change | None = None) -> Done:
    """Drive one process to its end, as steps_of does; what it streams is not wanted."""
    run = _Run(steps, change)
    try:
        while not isinstance(effect := run.on(), Done):
            try:
                if _flows(effect):
                    async for _ in run.flow(effect):
                        pass
                else:
                    run.told = await run.did(effect)
            except SpratError as error:
                run.error = error
        return effect
    finally:
        await run.leave()


class _Run:
    """A process under way: what it is to be told, or the error to be thrown at it, and the drafts that it looked at."""

    __slots__ = ("change", "drafts", "error", "steps", "told")

    def __init__(self, steps: Process, change: Change | None) -> None:
        self.steps, self.change = steps, change
        self.told: Any = None
        self.error: SpratError | None = None
        self.drafts: dict[int, Draft] = {}

    def on(self) -> Effect | Done:
        """What the process wants next, or what it came to."""
        told, error, self.told, self.error = self.told, self.error, None, None
        try:
            effect = self.steps.throw(error) if error else self.steps.send(told)
        except StopIteration as stop:
            return stop.value
        return self.change(effect) if self.change else effect

    async def did(self, effect: Effect) -> Any:
        """Do it; the answer."""
        if isinstance(effect, Leaf):
            return await _leaf(effect)
        if isinstance(effect, Fork):
            return await _fork(effect)
        self.drafts.setdefault(id(effect.draft), effect.draft)
        return await look_at(effect)

    async def flow(self, effect: Leaf | Look) -> AsyncGenerator[Piece]:
        """The pieces of what is the root's own reply; an error knows what of it was seen before."""
        kept: list[Piece] = []
        seen = False
        if isinstance(effect, Look):
            self.drafts.setdefault(id(effect.draft), effect.draft)
        source = pieces(effect.endpoint, effect.payload) if isinstance(effect, Leaf) else released(effect.draft)
        try:
            async with aclosing(source):
                async for piece in source:
                    if piece.reply is not None and isinstance(effect, Leaf):
                        self.told = Done(piece.reply, piece.reply)
                    if piece.text or piece.raw is not None:
                        seen = True
                        if effect.tail == Tail.KEPT:
                            kept.append(piece)
                        yield piece if piece.reply is None else replace(piece, reply=None)
        except SpratError as error:
            error.said = tuple(kept) if kept or not seen else None
            raise

    async def leave(self) -> None:
        """Close what it left."""
        for draft in self.drafts.values():
            if draft.source is not None:
                await draft.source.aclose()
        self.steps.close()


def _flows(effect: Effect) -> TypeGuard[Leaf | Look]:
    """Whether what is asked for is the root's own reply, piece by piece."""
    return isinstance(effect, (Leaf, Look)) and bool(effect.tail) and getattr(effect, "what", "accept") == "accept"


async def released(draft: Draft) -> AsyncGenerator[Piece]:
    """What an accepted draft held back, then the rest of it as it is written."""
    for piece in draft.held:
        if piece.text or piece.raw is not None:
            yield replace(piece, reply=None)
    if draft.source is None:
        draft.source = pieces(draft.model, draft.request)
    async for piece in draft.source:
        draft.reply = piece.reply or draft.reply
        if piece.text or piece.raw is not None:
            yield replace(piece, reply=None)


async def _fork(fork: Fork) -> tuple[list[Any], float]:
    began = time.perf_counter()
    tasks = [asyncio.create_task(finish(steps)) for steps in fork.processes]
    outcomes: list[Any] = [None] * len(tasks)
    index = {task: i for i, task in enumerate(tasks)}
    seen: list[Reply] = []
    pending: set[asyncio.Task[Done]] = set(tasks)
    try:
        stopped = False
        while pending and not stopped:
            arrived, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(arrived, key=index.__getitem__):
                outcome = outcomes[index[task]] = task.result()
                if not outcome.error:
                    seen.append(outcome.value)
            stopped = fork.until is not None and bool(seen) and fork.until(seen)
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    for task in pending:
        outcomes[index[task]] = Reply(None, fork.names[index[task]], cancelled=True)
    return outcomes, time.perf_counter() - began
