"""The few pieces of ASGI that the gateway needs: reading a body within its limit, answering, noticing who has left."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, cast

from .wire.problem import Problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
LARGE = 1 << 18  # bytes of a body above which it is not read on the event loop

JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")
EVENTS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


# Seeded by the system in every worker; ids need not be secret, and asking it for each would let other threads in.
chance = random.Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=chance.seed)  # else all workers would draw the same ids


def fresh() -> str:
    """An id that no other request has."""
    return f"{chance.getrandbits(96):024x}"


_SOON = 0.05  # seconds


class Gone(Exception):
    """The client has left."""


async def read_body(headers: dict[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The body; Problem 413 where it is longer than `limit` bytes, Gone where the client left."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise _too_long(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_long(limit)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_long(limit: int) -> Problem:
    return Problem(413, f"The body is longer than {limit:,} bytes.", code="request_too_large")


def _whole(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_number(word: str) -> Any:
    raise ValueError(word)


def _number(word: str) -> float:
    found = float(word)
    if abs(found) == float("inf"):  # it would reach the upstream as Infinity, which is no JSON
        raise Problem(400, f"The body holds a number that is too large: {word[:20]}.")
    return found


_decode = json.JSONDecoder(
    parse_constant=_no_number, parse_float=_number
).decode  # json.loads would make one for each body


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; Problem 400 where there is none."""
    try:
        found = _decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):
        raise Problem(400, "The body is not JSON.") from None
    if (b"\\ud" in body or b"\\uD" in body) and not _whole(found):
        raise Problem(400, "The body holds half of a character (a lone surrogate).")
    if not isinstance(found, dict):
        raise Problem(400, "The body needs a JSON object.")
    return cast("dict[str, Any]", found)


async def read(body: bytes) -> dict[str, Any]:
    """read_json, a large body off the event loop."""
    return read_json(body) if len(body) < LARGE else await asyncio.to_thread(read_json, body)


async def respond(send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = (JSON,)) -> None:
    """Send a whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


class Watch:
    """While this is open, a client that leaves cancels the task; `gone` says that it did.

    It begins to listen after 50 ms: a task for each request that is answered sooner would be work for nothing.
    """

    def __init__(self, receive: Receive) -> None:
        self.receive, self.gone, self.open = receive, False, True
        self.ear: asyncio.Future[MutableMapping[str, Any]] | None = None

    def __enter__(self) -> Watch:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.timer = asyncio.get_running_loop().call_later(_SOON, self._listen)
        return self

    def _listen(self) -> None:
        self.ear = asyncio.ensure_future(self.receive())
        self.ear.add_done_callback(self._heard)

    def _heard(self, ear: asyncio.Future[MutableMapping[str, Any]]) -> None:
        if self.open and not ear.cancelled() and ear.exception() is None:
            self.gone = True
            self.task.cancel()

    def __exit__(self, *_: object) -> None:
        self.open = False
        self.timer.cancel()
        if self.ear is not None:
            self.ear.cancel()
