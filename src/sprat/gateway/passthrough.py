"""An upstream's bytes to the client as they come, where nothing needs to look: parsed is only what they cost.

The request is the endpoint's own (its model, its defaults, its key); of a stream whole events are let through, and the
count of tokens, asked for on the ledger's behalf, is kept from a client that did not ask.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..core import Piece, Reply, Request, Usage
from ..endpoints import OpenAI, http
from ..errors import EndpointError, Garbled, TimedOut, Unreachable
from ..prices import cost

if TYPE_CHECKING:
    import aiohttp

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
_decoder = json.JSONDecoder()
_LARGEST = 256 << 20


async def session() -> aiohttp.ClientSession:
    """The running loop's client session, made at first need."""
    import aiohttp

    loop = asyncio.get_running_loop()
    found = _sessions.get(loop)
    if found is None or found.closed:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0)
        # Bytes go on as they come: nothing is unpacked, no redirect is followed, no cookie is kept.
        found = _sessions[loop] = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers={"accept-encoding": "identity"}
        )
    return found


async def close() -> None:
    """Close the running loop's session."""
    found = _sessions.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


@dataclass(frozen=True)
class Passed:
    """An OpenAI-compatible endpoint whose answers pass through as bytes: each piece's `raw`, then the reply."""

    endpoint: OpenAI
    streaming: bool
    usage: bool = False

    @property
    def name(self) -> str:
        """The endpoint's."""
        return self.endpoint.name

    async def pieces(self, request: Request) -> AsyncGenerator[Piece]:
        """The answer's bytes; raises an EndpointError."""
        call = call_of(self.endpoint, request, self.streaming)
        if self.streaming:
            async for piece in streamed(call, self.endpoint, keep_usage=self.usage):
                yield piece
        else:
            body, reply = await whole(call, self.endpoint)
            yield Piece(raw=body)
            yield Piece(reply=reply)


def call_of(endpoint: OpenAI, request: Request, streaming: bool) -> http.Call:
    """The endpoint's own call; log-probabilities that only a technique would read are not asked for."""
    call = endpoint._call(request, "", streaming)  # pyright: ignore[reportPrivateUsage]
    if endpoint.logprobs and "logprobs" not in request.options and isinstance(call.body, dict):
        call.body.pop("logprobs", None)
    return call


def posted(endpoint: OpenAI, path: str, body: Mapping[str, Any]) -> http.Call:
    """A call of another of the upstream's routes, with the upstream's model."""
    body = {**body, "model": endpoint.model or endpoint.name}
    return endpoint._posted(path, body, "")  # pyright: ignore[reportPrivateUsage]


async def whole(call: http.Call, endpoint: OpenAI) -> tuple[bytes, Reply]:
    """The body as it came, and what it took; raises an EndpointError after the last retry."""
    began = time.perf_counter()
    deadline = asyncio.get_running_loop().time() + call.timeout
    for attempt in count():
        try:
            with _translated(call):
                response = await _send(call)
                async with response:
                    body = await response.read()
            if response.status != 200:
                raise _failed(call, response, body)
            if not body.lstrip()[:1] == b"{":
                raise Garbled(f"'{call.name}' did not answer with JSON.", billable=True)
            return body, _reply(endpoint, usage_in(body), finish_in(body), time.perf_counter() - began)
        except EndpointError as error:
            await _pause(call, error, attempt, deadline)
    raise AssertionError


async def streamed(call: http.Call, endpoint: OpenAI, keep_usage: bool) -> AsyncGenerator[Piece]:
    """A stream's events in bytes, then the reply; raises an EndpointError, also where the stream ends too early."""
    began = time.perf_counter()
    deadline = asyncio.get_running_loop().time() + call.timeout
    response: Any = None
    for attempt in count():
        try:
            with _translated(call):
                response = await _send(call)
            if response.status != 200:
                with _translated(call):
                    async with response:
                        raise _failed(call, response, await response.read())
            break
        except EndpointError as error:
            await _pause(call, error, attempt, deadline)
    if "event-stream" not in response.headers.get("content-type", ""):
        async with response:
            raise Garbled(f"'{call.name}' did not stream.", billable=True)
    sniffer = Sniffer(keep_usage)
    try:
        chunks = response.content.iter_any()
        while True:
            with _translated(call):
                chunk = await anext(chunks, b"")
            if not chunk:
                break
            events = sniffer.take(chunk)
            if sniffer.error is not None:
                if events:
                    yield Piece(raw=events)
                raise said_in_stream(call, sniffer.error)
            if events:
                yield Piece(raw=events)
    finally:
        response.close() if not sniffer.done else response.release()
    if not sniffer.done:
        raise Garbled(f"The stream of '{call.name}' ended before its reply was finished.", billable=True)
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
        if cut < 2:
            cut = data.rfind(b"\r\n\r\n") + 4
            if cut < 4:
                self.held = data
                return b""
        whole, self.held = data[:cut], data[cut:]
        # Most chunks hold neither the reason of the end nor a count: they pass unread.
        if b"data: [DONE]" in whole or b"data:[DONE]" in whole:
            self.done = True
        if b'"finish_reason"' in whole and self.finish is None:
            self.finish = finish_in(whole)
        if b'"error"' in whole and self._failed(whole):
            return b""
        if b'"usage"' not in whole:
            return whole
        found = usage_in(whole)
        if found[0] is not None:
            self.usage = found
            if not self.keep_usage:
                return self._without_count(whole)
        return whole

    def _failed(self, whole: bytes) -> bool:
        for event in whole.replace(b"\r\n", b"\n").split(b"\n\n"):
            if event.startswith(b"data:") and b'"error"' in event:
                with suppress(ValueError):
                    found = json.loads(event[5:])
                    if isinstance(found, dict) and found.get("error"):  # pyright: ignore[reportUnknownMemberType]
                        self.error = found["error"]
                        return True
        return False

    def _without_count(self, whole: bytes) -> bytes:
        kept: list[bytes] = []
        for event in whole.split(b"\n\n"):
            if b'"usage"' in event and b'"choices"' in event:
                with suppress(ValueError):
                    found = json.loads(event[event.index(b"{") :])
                    if found.get("choices") == [] and found.get("usage"):
                        continue
            kept.append(event)
        return b"\n\n".join(kept)


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
                details: Any = found.get("prompt_tokens_details") or {}
                return Usage(found["prompt_tokens"], found.get("completion_tokens")), int(
                    details.get("cached_tokens") or 0
                )
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


async def _send(call: http.Call) -> aiohttp.ClientResponse:
    import aiohttp

    from .wire.problem import dumped

    made = await session()
    limits = aiohttp.ClientTimeout(total=call.timeout, sock_connect=call.connect_timeout, sock_read=call.read_timeout)
    headers = {"content-type": "application/json", **call.headers}
    return await made.post(call.url, data=dumped(call.body), headers=headers, timeout=limits, allow_redirects=False)


def _failed(call: http.Call, response: aiohttp.ClientResponse, body: bytes) -> EndpointError:
    said, code = body[:2000].decode("utf-8", "replace"), ""
    with suppress(ValueError):
        found: Any = json.loads(body)
        told: Any = found.get("error", found.get("detail", said)) if isinstance(found, dict) else said  # pyright: ignore[reportUnknownMemberType]
        if isinstance(told, dict):
            code = str(told.get("code") or told.get("type") or "")  # pyright: ignore[reportUnknownMemberType]
            told = told.get("message", said)  # pyright: ignore[reportUnknownMemberType]
        said = str(told)  # pyright: ignore[reportUnknownArgumentType]
    after = http.retry_after(response.headers.get("retry-after"))
    return http.failure_of(call, response.status, said, after, code)


def said_in_stream(call: http.Call, error: Any) -> EndpointError:
    """The error that an upstream said within its stream."""
    told = error if isinstance(error, dict) else {"message": str(error)}  # pyright: ignore[reportUnknownVariableType]
    code: Any = told.get("code")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    status: int = code if isinstance(code, int) and 400 <= code < 600 else 500
    return http.failure_of(call, status, str(told.get("message", "")))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


async def _pause(call: http.Call, error: EndpointError, attempt: int, deadline: float) -> None:
    if not error.retryable or attempt >= call.retries:
        raise error
    pause = http.backoff(attempt, error.after)
    if asyncio.get_running_loop().time() + pause >= deadline:
        raise error
    await asyncio.sleep(pause)


@contextmanager
def _translated(call: http.Call) -> Generator[None]:
    import aiohttp

    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ServerTimeoutError, TimeoutError) as error:
        raise TimedOut(f"'{call.name}' gave no answer in time.", billable=True) from error
    except aiohttp.ClientConnectorError as error:
        raise Unreachable(f"'{call.name}' can't be reached.", hint="Is the server running?") from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise Unreachable(f"The connection to '{call.name}' broke.", billable=True) from error
