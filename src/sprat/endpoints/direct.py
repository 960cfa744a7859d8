"""HTTP/1.1 to a server without a proxy between, over asyncio's transports and httptools' parser (the gateway's own).

It exists for the gateway's sake: 64 at once, a call by aiohttp takes 154 us of CPU, this one 58
(under uvloop, loopback), and a gateway that is to answer 1,500 requests a second on one core has 667 for all it does.
aiohttp stays for proxies and where httptools is not installed; errors and limits are the same, and so are the tests
(tests/endpoints/test_upstream.py runs over both; what only this one could get wrong is in test_direct.py).

A connection carries one exchange at a time. It is kept for the next one only where the answer came to its end, all of
the request was sent, the server did not say otherwise, and nothing came that nobody had asked for. A request is never
sent twice here: whether to try again is for endpoints/http.py to say.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohappyeyeballs
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from yarl import URL

from ..errors import EndpointError
from .failures import broken, no_answer, not_accepted, not_asked, not_decoded, not_reached, not_trusted
from .http import Call
from .packed import Packed

_LONGEST_FIELD, _MOST_FIELDS, _MOST_DRY = 32_768, 256, 2**18  # dry: bytes that give nothing of a body
_IDLE = 30.0  # seconds that a connection is kept unused
_HELD = 2**17  # bytes of a body that wait to be read before the server has to
_PART = 2**16
_SECOND_FAMILY = 0.25  # seconds until IPv4 is tried beside IPv6, as RFC 8305 has it


class Direct:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.open: set[_Connection] = set()
        self.idle: dict[tuple[str, str, int], list[_Connection]] = {}
        self.sweep: asyncio.TimerHandle | None = None

    async def ask(
        self, call: Call, url: URL, tls: ssl.SSLContext | None, head: Mapping[str, str], body: bytes | None,
        deadline: float, method: str,
    ) -> Answer:  # fmt: skip
        """The answer with its head there; raises an EndpointError, or BadInput for a header that can't be sent."""
        request = _request(call, url, head, body, method)
        connection = self._kept(url) or await self._opened(call, url, tls, deadline)
        answer = Answer(call, connection, deadline)
        try:
            await connection.send(answer, request, body)
            await answer.begun()
        except BaseException:
            answer.close()
            raise
        return answer

    def _kept(self, url: URL) -> _Connection | None:
        idle, now = self.idle.get(_origin(url), ()), self.loop.time()
        while idle:
            found = idle.pop()  # the one that was used last: the others may grow old and go
            if now - found.since < _IDLE and not found.transport.is_closing():
                return found
            found.transport.abort()
        return None

    async def _opened(self, call: Call, url: URL, tls: ssl.SSLContext | None, deadline: float) -> _Connection:
        own = self.loop.time() + call.connect_timeout
        origin = scheme, host, port = _origin(url)
        try:
            async with asyncio.timeout_at(min(own, deadline)):
                found = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_SECOND_FAMILY)
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    name = host.rstrip(".") if scheme == "https" else None
                    made = lambda: _Connection(self, origin)  # noqa: E731
                    return (await self.loop.create_connection(made, sock=sock, ssl=tls, server_hostname=name))[1]
                except BaseException:
                    sock.close()
                    raise
        except TimeoutError as error:
            raise (not_accepted(call) if own <= deadline else no_answer(call, call.timeout)) from error
        except ssl.SSLCertVerificationError as error:
            raise not_trusted(call) from error
        except OSError as error:
            raise not_reached(call) from error
        except ValueError as error:  # a host name that none can be
            raise not_asked(call, error) from None

    def keep(self, connection: _Connection) -> None:
        """Keep a connection for the next call."""
        connection.since = self.loop.time()
        self.idle.setdefault(connection.origin, []).append(connection)
        if self.sweep is None:
            self.sweep = self.loop.call_later(_IDLE, self._sweep)

    def lost(self, connection: _Connection) -> None:
        """A connection is no more."""
        self.open.discard(connection)
        idle = self.idle.get(connection.origin, [])
        with suppress(ValueError):
            idle.remove(connection)
        if not idle:
            self.idle.pop(connection.origin, None)

    def _sweep(self) -> None:
        self.sweep, now = None, self.loop.time()
        left = [c for idle in self.idle.values() for c in idle]
        for connection in left:
            if now - connection.since >= _IDLE:
                connection.transport.abort()
        if left:
            self.sweep = self.loop.call_later(_IDLE / 2, self._sweep)

    async def close(self) -> None:
        """Close every connection; answers that are still being read break."""
        if self.sweep is not None:
            self.sweep.cancel()
        for connection in list(self.open):
            connection.transport.abort()
        await asyncio.sleep(0)  # only then are the sockets closed
        await asyncio.sleep(0)


def _origin(url: URL) -> tuple[str, str, int]:
    return url.scheme, url.raw_host or "", url.port or 0


def _request(call: Call, url: URL, fields: Mapping[str, str], body: bytes | None, method: str) -> bytes:
    host = url.host_port_subcomponent if url.explicit_port else url.host_subcomponent
    lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"host: {host}", "accept: */*", "user-agent: sprat"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise not_asked(call, ValueError("a header holds the end of a line"))
    return text.encode() + b"\r\n\r\n"


class _Connection(asyncio.Protocol):
    __slots__ = ("answer", "direct", "full", "origin", "since", "transport")

    def __init__(self, direct: Direct, origin: tuple[str, str, int]) -> None:
        self.direct, self.origin, self.since = direct, origin, 0.0
        self.answer: Answer | None = None
        self.full = False

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport
        self.direct.open.add(self)

    async def send(self, answer: Answer, head: bytes, body: bytes | None) -> None:
        """Send a request; a large body in parts, until the server has begun to answer."""
        self.answer = answer
        if body is None or len(body) <= _PART:
            self.transport.write(head + body if body else head)
        else:
            self.transport.write(head)
            for at in range(0, len(body), _PART):
                self.transport.write(body[at : at + _PART])
                await asyncio.sleep(0)  # the loop has others to serve
                while self.full and not answer.said:
                    await answer.more()
                if answer.said:
                    return
        answer.sent = True

    def data_received(self, data: bytes) -> None:
        if self.answer is None:
            self.transport.abort()  # nobody asked for anything
        else:
            self.answer.feed(data)

    def eof_received(self) -> None:
        if self.answer is not None:
            self.answer.ends()

    def connection_lost(self, exc: Exception | None) -> None:
        self.direct.lost(self)
        if self.answer is not None:
            self.answer.ends()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.answer is not None:
            self.answer.wake()


class Answer:
    """What a server answers: `status` and `fields` once it has begun, and then the body, decoded, as it comes."""

    __slots__ = (
        "call", "chunks", "connection", "deadline", "dry", "ended", "error", "fields", "heard", "keep", "loop",
        "packed", "parser", "paused", "sent", "size", "status", "timer", "waiter",
    )  # fmt: skip

    def __init__(self, call: Call, connection: _Connection, deadline: float) -> None:
        self.call, self.connection, self.loop = call, connection, connection.direct.loop
        self.status, self.fields, self.packed = 0, list[tuple[bytes, bytes]](), None
        self.chunks, self.size, self.dry = list[bytes](), 0, 0
        self.keep = self.sent = self.ended = self.paused = False
        self.error: EndpointError | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.parser: Any = HttpResponseParser(self)
        # As browsers do, and aiohttp.
        self.parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self.deadline, self.heard = deadline, self.loop.time()
        self.timer = self.loop.call_at(self._due(), self._tick)

    @property
    def said(self) -> bool:
        """Whether the server has begun to answer, or will not."""
        return self.status > 0 or self.error is not None

    async def begun(self) -> None:
        """Wait for the head; raises an EndpointError."""
        while not self.said:
            await self.more()
        if not self.status and self.error is not None:
            raise self.error

    async def read(self) -> bytes:
        """Some of the body, b"" at its end; what had come before an error is given before it is raised."""
        while True:
            if self.chunks and (self.packed is None or not self.packed.held):
                came = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
                self.chunks.clear()
                self.size = 0
                if self.paused:
                    self.paused, self.heard = False, self.loop.time()
                    self.connection.transport.resume_reading()
                if self.packed is None:
                    return came
                self.packed.held = came
            if self.packed is not None and (came := self._unpacked(self.packed)):
                return came
            if self.chunks:
                continue
            if self.error is not None:
                raise self.error
            if self.ended:
                return b""
            await self.more()

    def _unpacked(self, packed: Packed) -> bytes:
        try:
            came = packed.take()
        except zlib.error:
            came = None
        if came is None or (not came and self.ended and not self.chunks and packed.within):
            self.close()
            raise not_decoded(self.call)
        return came

    async def more(self) -> None:
        """Wait for anything to happen."""
        self.waiter = self.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def wake(self) -> None:
        """Something has happened."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def close(self) -> None:
        """Let go of it; where its end has not come the connection closes."""
        self._fail(broken(self.call)) if not self.ended else None
        self.chunks.clear()

    def feed(self, data: bytes) -> None:
        """Take in what came."""
        self.heard = self.loop.time()
        self.dry += len(data)
        try:
            self.parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):  # nobody asked for another protocol
            self.keep = False
            if not self.ended:
                return self._fail(broken(self.call))
        if self.ended:
            self._leave(self.keep and self.sent)
        elif self.dry > _MOST_DRY:
            return self._fail(broken(self.call))
        elif self.size > _HELD and not self.paused:
            self.paused = True
            self.connection.transport.pause_reading()
        return self.wake()

    def ends(self) -> None:
        """No more will come: the body's end where nothing else told it."""
        told = {name.lower() for name, _ in self.fields}
        if self.status and b"content-length" not in told and b"transfer-encoding" not in told and not self.error:
            self.ended = True
            self._leave(False)
            self.wake()
        else:
            self._fail(broken(self.call))

    def _leave(self, keep: bool) -> None:
        connection, connection.answer = self.connection, None
        self.timer.cancel()
        self.parser = None  # it holds this object, which would keep both until the collector comes
        if keep and not connection.transport.is_closing():
            if self.paused:
                connection.transport.resume_reading()
            self.paused = False
            connection.direct.keep(connection)
        else:
            self.paused = False
            connection.transport.abort()

    def _fail(self, error: EndpointError) -> None:
        if self.error is None and not self.ended:
            self.error = error
            self._leave(False)
            self.wake()

    def _due(self) -> float:
        quiet = self.call.read_timeout
        if quiet is None:
            return self.deadline
        return min(self.deadline, (self.loop.time() if self.paused else self.heard) + quiet)

    def _tick(self) -> None:
        now = self.loop.time()
        if now >= self.deadline:
            self._fail(no_answer(self.call, self.call.timeout))
        elif now >= (due := self._due()):
            self._fail(no_answer(self.call, self.call.read_timeout or self.call.timeout))
        else:
            self.timer = self.loop.call_at(due, self._tick)

    # What the parser tells.

    def on_message_begin(self) -> None:
        if self.ended:
            self.keep = False  # a second answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return  # a trailer
        if len(self.fields) >= _MOST_FIELDS or len(name) + len(value) > _LONGEST_FIELD:
            raise ValueError
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self.ended:
            return
        status = self.parser.get_status_code()
        if 100 <= status < 200:
            self.fields.clear()
            return
        self.status, self.keep = status, self.parser.should_keep_alive()
        coding = next((v.strip().lower() for n, v in self.fields if n.lower() == b"content-encoding"), b"")
        if coding not in (b"", b"identity"):
            self.packed = Packed(coding)

    def on_body(self, body: bytes) -> None:
        if not self.ended:
            self.chunks.append(body)
            self.size += len(body)
            self.dry = 0

    def on_message_complete(self) -> None:
        if self.status:
            self.ended = True
