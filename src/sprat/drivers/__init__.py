"""The drivers: who runs a technique decides how its asks are answered.

run      every ask in turn                    batch    many requests in lock step, asks grouped per endpoint
arun     asks made together run concurrently  replay   from recorded calls (replay.py), through `batch`
stream   piece by piece
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from ..core import Piece, Reply, Request
from .concurrent import finish, steps_of
from .lockstep import lock_step
from .process import Done, Tail, bare, process

Swap = Callable[[Any], Any]


def run(model: Any, request: Request) -> Reply:
    """Answer one request, every ask in turn."""
    return _unwrap(lock_step([process(model, request)])[0]).node


async def arun(model: Any, request: Request) -> Reply:
    """Answer one request; asks made together run concurrently, local endpoints on worker threads."""
    return _unwrap(await finish(process(model, request))).node


async def stream(model: Any, request: Request) -> AsyncIterator[Piece]:
    """Answer one request piece by piece; the last piece carries the whole reply."""
    emitted = False
    async with aclosing(steps_of(process(model, request, tail=Tail.STREAMS))) as steps:
        async for out in steps:
            if isinstance(out, Piece):
                emitted = emitted or bool(out.text)
                yield out
            else:
                node = _unwrap(out).node
                if not emitted and node.text:
                    yield Piece(node.text, node.tokens or (), node.logprobs or ())
                yield Piece(reply=node)


def batch(model: Any, requests: Sequence[Request], swap: Swap | None = None, at_once: bool = False) -> list[Reply]:
    """Answer many requests in lock step; a failed one comes back with `error` set."""
    outcomes = lock_step([process(model, r) for r in requests], swap, at_once)
    return [o.node for o in outcomes]


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The value of a coroutine that awaits only the verbs (a signal's trust, say)."""
    return drive_many([coroutine])[0]


def drive_many(coroutines: Sequence[Coroutine[Any, Any, Any]], swap: Swap | None = None) -> list[Any]:
    """The values of many such coroutines, stepped together; the first error is raised."""
    return [_unwrap(o).value for o in lock_step([bare(c) for c in coroutines], swap)]


def drive_costed(coroutines: Sequence[Coroutine[Any, Any, Any]], swap: Swap | None = None) -> list[Any]:
    """As `drive_many`, each value with the node that holds what it asked and cost."""
    return [(d.value, d.node) for d in map(_unwrap, lock_step([bare(c) for c in coroutines], swap))]


def _unwrap(done: Done) -> Done:
    if done.error:
        raise done.error
    return done
