"""An upstream's bytes to the client as they come, where nothing needs to be changed: they are only read.

The request is the endpoint's own (its model, its defaults, its key); of a stream whole events are let through, and the
count of tokens, asked for on the ledger's behalf, is kept from a client that did not ask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ...core import Piece, Reply, Request, Usage
from ...endpoints import OpenAI, http
from ...endpoints.attempts import broke
from ...errors import EndpointError, Garbled
from ...prices import cost
from ..asgi import LARGE, fresh
from .sniffer import Sniffer, finish_of, table_in, usage_in


@dataclass(frozen=True)
class Passed:
    """An OpenAI-compatible endpoint whose answers pass through as bytes: each piece's `raw`, then the reply.

    `usage` says that the client wants the count of tokens itself; `route` is another address of the upstream's, with
    the body for it.
    """

    endpoint: OpenAI
    streaming: bool
    usage: bool = False
    route: tuple[str, Mapping[str, Any]] | None = None

    @property
    def name(self) -> str:
        """The endpoint's."""
        return self.endpoint.name

    async def whole(self, request: Request) -> tuple[bytes, Reply]:
        """The body as it came, and what it took; raises an EndpointError."""
        return await whole(self._call(request), self.endpoint)

    def pieces(self, request: Request) -> AsyncGenerator[Piece]:
        """The answer's bytes as they come; raises an EndpointError."""
        return streamed(self._call(request), self.endpoint, keep_usage=self.usage)

    def _call(self, request: Request) -> http.Call:
        return self._posted(*self.route) if self.route else call_of(self.endpoint, request, self.streaming)

    def _posted(self, path: str, body: Mapping[str, Any]) -> http.Call:
        if self.streaming and self.endpoint.stream_usage:
            told: Mapping[str, Any] = body.get("stream_options") or {}
            body = {**body, "stream_options": {**told, "include_usage": True}}  # the ledger needs it
        return posted(self.endpoint, path, body)


def call_of(endpoint: OpenAI, request: Request, streaming: bool) -> http.Call:
    """The endpoint's own call; log-probabilities that only a technique would read are not asked for."""
    call = endpoint._call(request, fresh(), streaming)  # pyright: ignore[reportPrivateUsage]
    if isinstance(call.body, dict):
        if endpoint.logprobs and "logprobs" not in request.options:
            call.body.pop("logprobs", None)
        if streaming and endpoint.stream_usage:  # the ledger needs it, whatever the client wants to see
            call.body["stream_options"] = {**call.body.get("stream_options", {}), "include_usage": True}
    return call


def posted(endpoint: OpenAI, path: str, body: Mapping[str, Any]) -> http.Call:
    """A call of another of the upstream's routes, with the upstream's model."""
    body = {**body, "model": endpoint.model or endpoint.name}
    return endpoint._posted(path, body, fresh())  # pyright: ignore[reportPrivateUsage]


async def whole(call: http.Call, endpoint: OpenAI) -> tuple[bytes, Reply]:
    """The body as it came, and what it took; raises an EndpointError after the last retry."""
    began = time.perf_counter()
    body = (await http.raw(call)).body
    found = table_in(body) if len(body) < LARGE else await asyncio.to_thread(table_in, body)
    listed: Any = found.get("data" if call.url.endswith("/embeddings") else "choices") if found else None
    told = isinstance(listed, list) and all(isinstance(x, dict) for x in cast("list[Any]", listed))
    if found is None or not listed or not told:
        what = "JSON" if found is None else "a completion"
        error = Garbled(f"'{call.name}' did not answer with {what}.", billable=True)
        broke(call, error)
        raise error
    return body, _reply(endpoint, usage_in(found), finish_of(found), time.perf_counter() - began)


async def streamed(call: http.Call, endpoint: OpenAI, keep_usage: bool) -> AsyncGenerator[Piece]:
    """A stream's events in bytes, then the reply; raises an EndpointError, also where the stream ends too early."""
    began = time.perf_counter()
    upstream = await http.stream_raw(call)
    sniffer = Sniffer(keep_usage)
    try:
        if "event-stream" not in upstream.header("content-type"):
            raise Garbled(f"'{call.name}' did not stream.", billable=True)
        async for chunk in upstream:
            # A large event, such as an image's, is read off the event loop.
            events = sniffer.take(chunk) if sniffer.held < LARGE else await asyncio.to_thread(sniffer.take, chunk)
            if events:
                yield Piece(raw=events)
            if sniffer.error is not None:
                raise said_in_stream(call, sniffer.error)
            if sniffer.broken:
                raise Garbled(f"A part of the stream of '{call.name}' is no completion.", billable=True)
            if sniffer.done or sniffer.cut:
                break
            if sniffer.held > call.largest:
                raise Garbled(f"An event of '{call.name}' is too long.", billable=True)
        if not sniffer.done:
            raise Garbled(f"The stream of '{call.name}' ended before its reply was finished.", billable=True)
    except EndpointError as error:
        broke(call, error)
        raise
    finally:
        upstream.leave() if sniffer.done else upstream.close()
    yield Piece(reply=_reply(endpoint, sniffer.usage, sniffer.finish, time.perf_counter() - began))


def _reply(endpoint: OpenAI, usage: tuple[Usage | None, int], finish: str | None, seconds: float) -> Reply:
    price = cost(endpoint.price, usage[0], usage[1])
    return Reply(None, endpoint.name, usage=usage[0], cost=price, seconds=seconds, finish=finish)


def said_in_stream(call: http.Call, error: Any) -> EndpointError:
    """The error that an upstream said within its stream."""
    told = error if isinstance(error, dict) else {"message": str(error)}  # pyright: ignore[reportUnknownVariableType]
    code: Any = told.get("code")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    status: int = code if isinstance(code, int) and 400 <= code < 600 else 500
    return http.failure_of(call, status, str(told.get("message", "")))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
