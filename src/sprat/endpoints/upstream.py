"""A server's answer: by direct.py where it can, else by aiohttp; kept connections per event loop, errors in a sentence.

Checked against a mock server with scripted faults, and against bytes written by hand, in tests/endpoints.
"""

from __future__ import annotations

import asyncio
import atexit
import io
import json
import os
import re
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from ..errors import BadInput, SpratError
from . import failures
from .http import Call, too_large
from .routes import certificates, proxy_for

if TYPE_CHECKING:
    from .direct import Direct

_LONGEST_FIELD, _MOST_FIELDS = 32_768, 256
_IDLE, _QUIET = 30.0, 1.0
_ROUTES = 1000
_LEFT_BYTES, _LEFT_SECONDS = 65_536, 1.0
# Read as UTF-8, which the last two are not for text: they take time by the square of its length.
_NOT_A_PAGES = ("utf-8", "utf8", "punycode", "idna")
# What belongs to one connection, or to a body before it was decoded, and so is not handed on.
_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade content-encoding content-length".split()
)


@dataclass
class _Route:
    url: URL
    proxy: str | None
    tls: ssl.SSLContext | None


@dataclass
class _Kept:
    session: aiohttp.ClientSession
    direct: Direct | None
    keeper: AsyncGenerator[_Kept] | None = None
    used: float = 0.0
    process: int = field(default_factory=os.getpid)
    routes: dict[str, _Route] = field(default_factory=dict[str, _Route])

    async def close(self) -> None:
        """Close every connection."""
        await self.session.close()
        if self.direct is not None:
            await self.direct.close()


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept] = WeakKeyDictionary()
_leaving: set[asyncio.Task[None]] = set()


async def _kept() -> _Kept:
    """The running loop's connections, made at first need; they close when the loop shuts its async generators down."""
    loop = asyncio.get_running_loop()
    found = _loops.get(loop)
    if found is None or found.session.closed:
        _end(only_closed=True)
        keeper = _keep()
        found = _loops[loop] = await anext(keeper)
        found.keeper = keeper
    return found


async def _keep() -> AsyncGenerator[_Kept]:
    loop = asyncio.get_running_loop()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": "sprat"},
        max_line_size=_LONGEST_FIELD,
        max_field_size=_LONGEST_FIELD,
        max_headers=_MOST_FIELDS,
        trust_env=False,  # it would read passwords from ~/.netrc too; proxies are named per URL
    )
    made = _Kept(session, _direct())
    try:
        yield made
    finally:
        _loops.pop(loop, None)
        await made.close()


def _direct() -> Direct | None:
    try:
        from .direct import Direct
    except ImportError:  # httptools comes with the gateway; aiohttp carries everything without it
        return None
    return Direct()


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
                asyncio.run_coroutine_threadsafe(kept.close(), loop).result(1.0)
        elif not loop.is_running():
            loop.run_until_complete(kept.close())


def _route(kept: _Kept, url: str) -> _Route:
    found = kept.routes.get(url)
    if found is None:
        proxy = proxy_for(url)
        tls = url.startswith("https") or (proxy is not None and proxy.startswith("https"))
        found = _Route(URL(url), proxy, certificates() if tls else None)
        if len(kept.routes) >= _ROUTES:
            kept.routes.clear()
        kept.routes[url] = found
    return found


async def send(call: Call, deadline: float, method: str = "POST", plain: bool = False) -> Upstream:
    """The server's answer as soon as its headers are there; `plain` asks for bytes that are not compressed.

    Raises an EndpointError, or BadInput where the call can't be sent at all.
    """
    content: bytes | None = None
    headers = {"accept-encoding": "identity" if plain else "gzip, deflate", **call.headers}
    if method == "POST":
        headers = {"content-type": "application/json", **headers}
        content = call.body if isinstance(call.body, bytes) else _written(call.body)
    try:
        kept, now = await _kept(), asyncio.get_running_loop().time()
        if now - kept.used > _QUIET:
            # Where the loop was blocked, it learns only now which servers have closed their connections.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        kept.used, route = now, _route(kept, call.url)
        if kept.direct is not None and route.proxy is None:
            answer = await kept.direct.ask(call, route.url, route.tls, headers, content, deadline, method)
            return Upstream(call, answer)
        response = await kept.session.request(
            method,
            route.url,
            proxy=route.proxy,
            ssl=route.tls or True,
            # A large body goes out in parts, so that it does not hold up the loop.
            data=io.BytesIO(content) if content and len(content) > 2**20 else content,
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
    return Upstream(call, _ByAiohttp(call, response))


def _written(body: Mapping[str, Any]) -> bytes:
    return _encode(body).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if hasattr(value, "tolist"):
        return value.tolist()
    raise BadInput(f"A request holds a {type(value).__name__}, which JSON can't carry.")


_encode = json.JSONEncoder(ensure_ascii=False, default=_plain).encode  # json.dumps would make one for each body


class Answer(Protocol):
    """What carried the answer: direct.py's connection, or aiohttp's."""

    @property
    def status(self) -> int:
        """HTTP's."""
        ...

    @property
    def fields(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers as they came."""
        ...

    @property
    def ended(self) -> bool:
        """Whether its end has come, so that nothing is cut short by letting go of it."""
        ...

    async def read(self) -> bytes:
        """Some of the decoded body, b"" at its end; raises an EndpointError."""
        ...

    def close(self) -> None:
        """Let go of it; where its end has not come the connection closes."""
        ...


class _ByAiohttp:
    __slots__ = ("_call", "_content", "_response", "fields", "status")

    def __init__(self, call: Call, response: aiohttp.ClientResponse) -> None:
        self._call, self._response, self._content = call, response, response.content
        self.status, self.fields = response.status, response.raw_headers

    @property
    def ended(self) -> bool:
        return self._content.is_eof() or self._response.closed

    async def read(self) -> bytes:
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, aiohttp.ClientError) and (came := self._came()):
                return came
            raise _ours(self._call, error) from _shown(error)

    def _came(self) -> bytes:
        """What had come before the connection broke; aiohttp itself would drop it."""
        waiting: Any = getattr(self._content, "_buffer", None)
        came = b"".join(waiting) if waiting else b""
        if waiting:
            waiting.clear()
        return came

    def close(self) -> None:
        self._response.close()


class Upstream:
    """A server's answer: `status` and headers, then the body's bytes as they come, decoded but not otherwise touched.

    Iterate over it, then `close` it: before its end that closes the connection. What it raises is an EndpointError.
    """

    __slots__ = ("_ahead", "_answer", "_call", "status")

    def __init__(self, call: Call, answer: Answer) -> None:
        self._call, self._answer = call, answer
        self._ahead = b""
        self.status = answer.status

    def header(self, name: str) -> str:
        """A header's value, "" where there is none."""
        wanted = name.lower().encode()
        found = (v for n, v in self._answer.fields if n.lower() == wanted)
        return next(found, b"").decode("utf-8", "surrogateescape")

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What may be handed on: names in lower case, without those of the connection, the length and the coding."""
        own = _HOP | {n.strip() for n in self.header("connection").lower().encode("latin-1", "replace").split(b",")}
        return [(name, v) for n, v in self._answer.fields if (name := n.lower()) not in own]

    def __aiter__(self) -> Upstream:
        return self

    async def begin(self) -> None:
        """Wait for the first bytes, which then are the first chunk; they may be none."""
        self._ahead = await self._answer.read()

    async def __anext__(self) -> bytes:
        if self._ahead:
            chunk, self._ahead = self._ahead, b""
            return chunk
        chunk = await self._answer.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk

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
        if named and named[1].lower() not in _NOT_A_PAGES:
            with suppress(LookupError, UnicodeError):  # no charset, or one that decodes no text
                return body.decode(named[1], "replace").removeprefix("\ufeff")
        return body.decode("utf-8", "replace").removeprefix("\ufeff")

    def close(self) -> None:
        """Let go of it; where its end has not come the connection closes."""
        self._answer.close()

    async def aclose(self) -> None:
        """`close`, for contextlib.aclosing."""
        self.close()

    def leave(self) -> None:
        """Let go of it after the last event that counts; its end is awaited apart, so that the connection is kept."""
        if self._answer.ended:
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
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return failures.not_accepted(call)
    if isinstance(error, TimeoutError):
        read = call.read_timeout if isinstance(error, aiohttp.ServerTimeoutError) else None
        return failures.no_answer(call, read or call.timeout)
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return failures.not_reached(call, "The proxy that the environment names did not let it.")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return failures.not_trusted(call)
    if isinstance(error, aiohttp.ClientConnectorError):
        return failures.not_reached(call)
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return failures.not_asked(call, error)
    if isinstance(error.__cause__, ContentEncodingError):
        return failures.not_decoded(call)
    return failures.broken(call)
