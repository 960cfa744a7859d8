"""An upstream's bytes to the client as they come, where nothing needs to look: parsed is only what they cost.

The request is the endpoint's own (its model, its defaults, its key); of a stream whole events are let through, and the
count of tokens, asked for on the ledger's behalf, is kept from a client that did not ask.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..core import Piece, Reply, Request, Usage
from ..endpoints import OpenAI, http
from ..endpoints.attempts import broke
from ..errors import EndpointError, Garbled
from ..prices import cost
from .asgi import fresh

_DONE = re.compile(rb"(?:^|\n)data: ?\[DONE\]\s*\n")  # at a line's start: a text may say it too
_decoder = json.JSONDecoder()


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

    async def pieces(self, request: Request) -> AsyncGenerator[Piece]:
        """The answer's bytes as they come; raises an EndpointError."""
        async for piece in streamed(self._call(request), self.endpoint, keep_usage=self.usage):
            yield piece

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
    if body.lstrip()[:1] != b"{":
        raise Garbled(f"'{call.name}' did not answer with JSON.", billable=True)
    return body, _reply(endpoint, usage_in(body), finish_in(body), time.perf_counter() - began)


async def streamed(call: http.Call, endpoint: OpenAI, keep_usage: bool) -> AsyncGenerator[Piece]:
    """A stream's events in bytes, then the reply; raises an EndpointError, also where the stream ends too early."""
    began = time.perf_counter()
    upstream = await http.stream_raw(call)
    sniffer = Sniffer(keep_usage)
    try:
        if "event-stream" not in upstream.header("content-type"):
            raise Garbled(f"'{call.name}' did not stream.", billable=True)
        async for chunk in upstream:
            events = sniffer.take(chunk)
            if events:
                yield Piece(raw=events)
            if sniffer.error is not None:
                raise said_in_stream(call, sniffer.error)
            if sniffer.done:
                break
            if len(sniffer.held) > call.largest:
                raise Garbled(f"An event of '{call.name}' is too long.", billable=True)
        if not sniffer.done:
            raise Garbled(f"The stream of '{call.name}' ended before its reply was finished.", billable=True)
    except EndpointError as error:
        broke(call, error)
        raise
    finally:
        upstream.leave() if sniffer.done else upstream.close()
    yield Piece(reply=_reply(endpoint, sniffer.usage, sniffer.finish, time.perf_counter() - began))


class Sniffer:
    """Lets whole events through and keeps what the ledger needs: usage, how it ended, and an error within."""

    def __init__(self, keep_usage: bool) -> None:
        self.keep_usage = keep_usage
        self.held = b""
        self.usage: tuple[Usage | None, int] = (None, 0)
        self.finish: str | None = None
        self.error: Any = None
        self.done = False

    def take(self, chunk: bytes) -> bytes:
        """The events that are whole by now, but for those that the client is not to see."""
        data = (self.held + chunk) if self.held else chunk
        cut = data.rfind(b"\n\n") + 2
        if b"\r" in data:
            cut = max(cut, data.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0)
        if cut < 2:
            self.held = data
            return b""
        whole, self.held = data[:cut], data[cut:]
        # Most chunks hold neither the reason of the end nor a count: they pass unread.
        if b"[DONE]" in whole and _DONE.search(whole):
            self.done = True
        if b'"finish_reason"' in whole and self.finish is None:
            self.finish = finish_in(whole)
        if b'"error"' in whole and (before := self._before_error(whole)) is not None:
            return before
        if b'"usage"' not in whole:
            return whole
        found = usage_in(whole)
        if found[0] is not None:
            self.usage = found
            if not self.keep_usage:
                return self._without_count(whole)
        return whole

    def _before_error(self, whole: bytes) -> bytes | None:
        """The events before the one that tells of a failure; None where none does."""
        events = events_in(whole)
        for place, event in enumerate(events):
            if event.startswith(b"data:") and b'"error"' in event:
                with suppress(ValueError):
                    found = json.loads(event[5:])
                    if isinstance(found, dict) and found.get("error"):  # pyright: ignore[reportUnknownMemberType]
                        self.error = found["error"]
                        return b"".join(before + b"\n\n" for before in events[:place])
        return None

    def _without_count(self, whole: bytes) -> bytes:
        kept: list[bytes] = []
        for event in events_in(whole):
            if b'"usage"' in event and b'"choices"' in event:
                with suppress(ValueError):
                    found = json.loads(event[event.index(b"{") :])
                    if found.get("choices") == [] and found.get("usage"):
                        continue
            kept.append(event)
        return b"\n\n".join(kept)


def events_in(data: bytes) -> list[bytes]:
    """The events in bytes, whichever way the upstream ends its lines; the last one is what follows them."""
    return (data.replace(b"\r\n", b"\n") if b"\r\n" in data else data).split(b"\n\n")


def usage_in(data: bytes) -> tuple[Usage | None, int]:
    """The last usage object in JSON bytes, and how many tokens were read from a cache."""
    at = len(data)
    while (at := data.rfind(b'"usage"', 0, at)) >= 0:
        start = data.find(b"{", at, at + 12)
        if start < 0:
            continue
        with suppress(ValueError):
            found = _decoder.raw_decode(data[start : start + 4096].decode("utf-8", "replace"))[0]
            if "prompt_tokens" in found:
                details: Any = found.get("prompt_tokens_details")
                cached = details.get("cached_tokens") if isinstance(details, dict) else 0  # pyright: ignore[reportUnknownMemberType]
                counts = (found["prompt_tokens"], found.get("completion_tokens"))
                if all(c is None or isinstance(c, int) for c in (*counts, cached)):
                    return Usage(*counts), cached or 0
    return None, 0


def finish_in(data: bytes) -> str | None:
    """The first finish_reason that is a word."""
    at = -1
    while (at := data.find(b'"finish_reason"', at + 1)) >= 0:
        found = data[at + 15 : at + 60].lstrip(b" :")
        if found[:1] == b'"':
            return found[1:].partition(b'"')[0].decode("ascii", "replace")
    return None


def _reply(endpoint: OpenAI, usage: tuple[Usage | None, int], finish: str | None, seconds: float) -> Reply:
    price = cost(endpoint.price, usage[0], usage[1])
    return Reply(None, endpoint.name, usage=usage[0], cost=price, seconds=seconds, finish=finish)


def said_in_stream(call: http.Call, error: Any) -> EndpointError:
    """The error that an upstream said within its stream."""
    told = error if isinstance(error, dict) else {"message": str(error)}  # pyright: ignore[reportUnknownVariableType]
    code: Any = told.get("code")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    status: int = code if isinstance(code, int) and 400 <= code < 600 else 500
    return http.failure_of(call, status, str(told.get("message", "")))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
