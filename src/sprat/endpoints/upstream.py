"""A server's answer by aiohttp: one session per event loop, the body's bytes as they come, errors in a sentence.

Checked against a mock server with scripted faults, and against bytes written by hand, in tests/endpoints.
"""

from __future__ import annotations

import asyncio
import atexit
import codecs
import io
import json
import os
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from ..errors import BadInput, Garbled, SpratError, TimedOut, Unreachable
from .http import Call, scrub, too_large
from .routes import certificates, proxy_for

_LONGEST_FIELD, _MOST_FIELDS = 32_768, 256
_IDLE, _QUIET = 30.0, 1.0
_ROUTES = 1000
_LEFT_BYTES, _LEFT_SECONDS = 65_536, 1.0
# What belongs to one connection, or to a body before it was decoded, and so is not handed on.
_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade content-encoding content-length".split()
)


@dataclass
class _Kept:
    session: aiohttp.ClientSession
    keeper: AsyncGenerator[aiohttp.ClientSession]
    used: float = 0.0
    process: int = field(default_factory=os.getpid)
    routes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept] = WeakKeyDictionary()
_leaving: set[asyncio.Task[None]] = set()


async def _kept() -> _Kept:
    """The running loop's session, made at first need; it closes when the loop shuts down its async generators."""
    loop = asyncio.get_running_loop()
    found = _loops.get(loop)
    if found is None or found.session.closed:
        _end(only_closed=True)
        keeper = _keep()
        found = _loops[loop] = _Kept(await anext(keeper), keeper)
    return found


async def _keep() -> AsyncGenerator[aiohttp.ClientSession]:
    loop = asyncio.get_running_loop()
    made = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": "sprat"},
        max_line_size=_LONGEST_FIELD,
        max_field_size=_LONGEST_FIELD,
        max_headers=_MOST_FIELDS,
        trust_env=False,  # it would read passwords from ~/.netrc too; proxies are named per URL
    )
    try:
        yield made
    finally:
        _loops.pop(loop, None)
        await made.close()


@atexit.register
def _end(only_closed: bool = False) -> None:
    """Close the sessions whose loops did not: aiohttp complains of those that nobody closes.

    A session holds its loop, so neither would go by itself.
    """
    for ref in _loops.keyrefs():
        loop = ref()
        if loop is None or (only_closed and not loop.is_closed()) or (kept := _loops.pop(loop, None)) is None:
            continue
        if loop.is_closed():
            with suppress(StopIteration):
                kept.session.close().send(None)
        elif loop.is_running() and kept.process == os.getpid():  # the loop of the synchronous drivers
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(kept.session.close(), loop).result(1.0)
        elif not loop.is_running():
            loop.run_until_complete(kept.session.close())


def _route(kept: _Kept, url: str) -> dict[str, Any]:
    found: dict[str, Any] | None = kept.routes.get(url)
    if found is None:
        proxy = proxy_for(url)
        found = {"url": URL(url), "proxy": proxy}
        if url.startswith("https") or (proxy and proxy.startswith("https")):
            found["ssl"] = certificates()
        if len(kept.routes) >= _ROUTES:
            kept.routes.clear()
        kept.routes[url] = found
    return found


async def send(call: Call, deadline: float, method: str = "POST", plain: bool = False) -> Upstream:
    """The server's answer as soon as its headers are there; `plain` asks for bytes that are not compressed.

    Raises an EndpointError, or BadInput where the call can't be sent at all.
    """
    content: bytes | io.BytesIO | None = None
    headers = call.headers
    if method == "POST":
        headers = {"content-type": "application/json", **headers}
        content = call.body if isinstance(call.body, bytes) else _written(call.body)
        if len(content) > 2**20:
            content = io.BytesIO(content)  # goes out in parts, so that it does not hold up the loop
    if plain:
        headers = {"accept-encoding": "identity", **headers}
    try:
        kept, now = await _kept(), asyncio.get_running_loop().time()
        if now - kept.used > _QUIET:
            # Where the loop was blocked, it learns only now which servers have closed their connections.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        kept.used = now
        response = await kept.session.request(
            method,
            **_route(kept, call.url),
            data=content,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=max(deadline - now, 1e-3),  # 0 would be no limit
                connect=call.connect_timeout,
                sock_read=call.read_timeout,
            ),
        )
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _ours(call, error) from _shown(error)
    return Upstream(call, response)


def _written(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if hasattr(value, "tolist"):
        return value.tolist()
    raise BadInput(f"A request holds a {type(value).__name__}, which JSON can't carry.")


class Upstream:
    """A server's answer: `status` and headers, then the body's bytes as they come, decoded but not otherwise touched.

    Iterate over it, then `close` it: before its end that closes the connection. What it raises is an EndpointError.
    """

    __slots__ = ("_ahead", "_call", "_content", "_response", "status")

    def __init__(self, call: Call, response: aiohttp.ClientResponse) -> None:
        self._call, self._response, self._content = call, response, response.content
        self._ahead = b""
        self.status = response.status

    def header(self, name: str) -> str:
        """A header's value, "" where there is none."""
        return self._response.headers.get(name, "")

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What may be handed on: names in lower case, without those of the connection, the length and the coding."""
        own = _HOP | {n.strip() for n in self.header("connection").lower().encode("latin-1", "replace").split(b",")}
        return [(name, v) for n, v in self._response.raw_headers if (name := n.lower()) not in own]

    def __aiter__(self) -> Upstream:
        return self

    async def begin(self) -> None:
        """Wait for the first bytes, which then are the first chunk; they may be none."""
        with suppress(StopAsyncIteration):
            self._ahead = await anext(self)

    async def __anext__(self) -> bytes:
        if self._ahead:
            chunk, self._ahead = self._ahead, b""
            return chunk
        try:
            chunk = await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, aiohttp.ClientError) and (came := self._came()):
                return came
            raise _ours(self._call, error) from _shown(error)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def _came(self) -> bytes:
        """What had come before the connection broke; aiohttp itself would drop it."""
        waiting: Any = getattr(self._content, "_buffer", None)
        came = b"".join(waiting) if waiting else b""
        if waiting:
            waiting.clear()
        return came

    async def whole(self) -> bytes:
        """The body; raises Garbled where it is larger than the call allows. Closes."""
        try:
            chunks, size = list[bytes](), 0
            async for chunk in self:
                chunks.append(chunk)
                size += len(chunk)
                if size > self._call.largest:
                    raise too_large(self._call)
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        finally:
            self.close()

    async def text(self) -> str:
        """The body as text, by the charset that its header names. Closes."""
        body = await self.whole()
        named = re.search(r"charset=[\"']?([\w.-]+)", self.header("content-type"), re.I)
        charset = "utf-8"
        if named and named[1].lower() != "utf-8":
            with suppress(LookupError):
                charset = codecs.lookup(named[1]).name
        return body.decode(charset, "replace").removeprefix("\ufeff")

    def close(self) -> None:
        """Let go of it; where its end has not come the connection closes."""
        self._response.close()

    async def aclose(self) -> None:
        """`close`, for contextlib.aclosing."""
        self.close()

    def leave(self) -> None:
        """Let go of it after the last event that counts; its end is awaited apart, so that the connection is kept."""
        if self._content.is_eof() or self._response.closed:
            self.close()
            return
        task = asyncio.get_running_loop().create_task(self._rest())
        _leaving.add(task)
        task.add_done_callback(_leaving.discard)

    async def _rest(self) -> None:
        left = _LEFT_BYTES
        try:
            async with asyncio.timeout(_LEFT_SECONDS):
                async for chunk in self:
                    left -= len(chunk)
                    if left < 0:
                        break
        except (SpratError, TimeoutError):
            pass
        finally:
            self.close()


def _shown(error: Exception) -> Exception | None:
    # The first carries the request's headers, and with them the key; a header's own error may quote it.
    if isinstance(error, aiohttp.ClientConnectorError):
        return error
    return None if isinstance(error, aiohttp.ClientResponseError | ValueError) else error


def _ours(call: Call, error: Exception) -> SpratError:
    """What aiohttp and the clock raise, as the endpoint's errors."""
    who = f"'{call.name}' at {call.url}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TimedOut(f"{who} did not accept a connection within {call.connect_timeout:g} s.")
    if isinstance(error, TimeoutError):
        read = call.read_timeout if isinstance(error, aiohttp.ServerTimeoutError) else None
        hint = "Raise its timeout, or ask for fewer tokens."
        return TimedOut(f"{who} gave no answer within {read or call.timeout:g} s.", hint=hint, billable=True)
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return Unreachable(f"{who} can't be reached.", hint="The proxy that the environment names did not let it.")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        hint = "Its certificate is not trusted here; SSL_CERT_FILE may name a file with the one that it is signed by."
        return Unreachable(f"{who} can't be reached.", hint=hint)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unreachable(f"{who} can't be reached.", hint="Is the server running, and the url right?")
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return BadInput(f"{who} can't be asked: {scrub(call.secret, str(error))}.")
    if isinstance(error.__cause__, ContentEncodingError):
        return Garbled(f"{who} sent a body that can't be decoded.", billable=True)
    return Unreachable(f"The connection to {who} broke.", billable=True)
