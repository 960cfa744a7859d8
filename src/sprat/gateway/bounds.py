"""What a client may do to a connection: how long its headers, how slow its sending and reading, from which page.

uvicorn bounds none of these with httptools: a header of 200 MB would be held, a client that sends a byte an hour would
be waited for, one that reads nothing would keep its stream's upstream open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from ..endpoints.routes import is_loopback
from .wire.problem import Problem, anthropic_error, dumped, openai_error

_PATIENCE = 20.0  # seconds for a request to come whole, and a second more for each _RATE bytes of it
_RATE = 8192
_UNREAD = 60.0  # seconds in which a client reads nothing of what waits for it
_REST = 5.0  # seconds for the rest of a request that was answered before its end
_LOOK = 1.0
_FRAME = 9  # bytes sent for one of the body, at most: chunks of one byte take six


def protocol(header_limit: int, name: str = "httptools") -> type[asyncio.Protocol]:
    """uvicorn's protocol of that name ("httptools", "h11") with headers of at most about `header_limit` bytes."""
    if name == "httptools":
        return _httptools(header_limit)
    return _h11()


class Patience:
    """Looks at every connection once a second, and ends those that wait for their client too long.

    One look at all of them costs less than a timer for each request.
    """

    def __init__(self) -> None:
        self.open: set[Any] = set()
        self.handle: asyncio.TimerHandle | None = None

    def add(self, connection: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Look at this one too, from now on."""
        self.open.add(connection)
        if self.handle is None:
            self.handle = loop.call_later(_LOOK, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [c for c in self.open if c.overdue(now)]:
            connection.give_up()
        self.handle = loop.call_later(_LOOK, self._look, loop) if self.open else None


class _Bounded:
    """What both protocols share; `since` is when the client began to owe the rest of a request, None: it owes none."""

    patience: Patience
    transport: Any
    flow: Any
    cycle: Any
    loop: asyncio.AbstractEventLoop

    def _opened(self) -> None:
        self.since: float | None = self.loop.time()
        self.unread: float | None = None
        self.came = 0
        self.patience.add(self, self.loop)

    def overdue(self, now: float) -> bool:
        """Whether the client was waited for long enough."""
        if self.transport.is_closing() and self.unread is None:
            self.unread = now  # closed, but for what the client has not read
        if self.unread is not None:
            return now - self.unread > _UNREAD
        if self.since is None or self.flow.read_paused:
            return False
        if self.cycle is not None and self.cycle.response_complete and self.partial():
            return now - self.since > _REST + _PATIENCE
        return now - self.since > _PATIENCE + self.came / _RATE

    def partial(self) -> bool:
        """Whether a part of a request has come."""
        return self.came > 0

    def give_up(self) -> None:
        """Say that the request took too long, where nothing else was said; end the connection."""
        cycle = self.cycle
        begun = cycle is not None and cycle.response_started and not cycle.response_complete
        if self.unread is not None or begun:
            self.transport.abort()
        elif not self.partial():
            self.transport.close()
        else:
            self.refuse(_LATE)

    def refuse(self, problem: Problem) -> None:
        """Answer with an error and close: what follows on this connection can't be understood."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_answer(problem, getattr(self, "url", b"") or b""))
        self.transport.close()


def _answer(problem: Problem, url: bytes) -> bytes:
    body = dumped((anthropic_error if url.startswith(b"/v1/messages") else openai_error)(problem))
    head = f"HTTP/1.1 {problem.status} {_PHRASES.get(problem.status, 'Bad Request')}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


_PHRASES = {408: "Request Timeout", 431: "Request Header Fields Too Large"}
_LATE = Problem(408, "The request did not come whole in time.", code="request_timeout")
_INVALID = Problem(400, "This is not HTTP that can be understood.", code="invalid_http")
_TOO_LONG = Problem(431, "The headers are too long.", code="headers_too_large")


class Joined:
    """A response's way out: its head waits for the first of its body, as ASGI has it, so that both are one packet.

    uvicorn would send the head at once: a system call more for every request, and a client that wakes up for nothing.
    """

    __slots__ = ("head", "transport")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.head: bytes | None = None  # b"" once it is sent

    def write(self, data: bytes) -> None:
        """Write what comes, but for the head, which the next one takes along."""
        if self.head == b"" or data.startswith(_CONTINUE):
            self.transport.write(data)
        elif self.head is None:
            self.head = data
        else:
            head, self.head = self.head, b""
            self.transport.write(head + data) if len(data) < _JOINED else self.transport.writelines((head, data))

    def close(self) -> None:
        """Write the head if it still waits, and close."""
        if self.head:
            self.transport.write(self.head)
            self.head = b""
        self.transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is being closed."""
        return self.transport.is_closing()


_CONTINUE = b"HTTP/1.1 100 "
_JOINED = 2**16  # bytes of a body that are copied sooner than written apart


def _httptools(header_limit: int) -> type[asyncio.Protocol]:
    from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Bounded(_Bounded, HttpToolsProtocol):
        """Counts what comes that is no body: the parser itself would hold a header of any length."""

        patience = Patience()

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.active: Any = None
            self.other = self.first = 0
            self._opened()

        def connection_lost(self, exc: Exception | None) -> None:
            self.patience.open.discard(self)
            if self.active is not None and not self.active.response_complete:
                self.active.disconnected = True  # uvicorn tells the last of several pipelined requests alone
                self.active.message_event.set()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return  # refused: what still comes is not for anyone
            # What comes first belongs to the message that it begins; of a later one's beginning nothing is counted.
            self.first = len(data) if self.came == 0 else 0
            self.other += len(data)
            self.came += len(data)
            if self.since is None:
                self.since = self.loop.time()
            self._unset_keepalive_if_required()
            self._feed(data)
            if self.other > header_limit and not self.transport.is_closing():
                self.refuse(_TOO_LONG)

        def _feed(self, data: bytes) -> None:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                self._stay(data[upgrade.args[0] :])
            except HttpParserError:
                self.refuse(_INVALID)

        def _stay(self, rest: bytes) -> None:
            """Read a request that offers another protocol as if it did not: the parser stops before its body."""
            method = self.parser.get_method()
            if method == b"CONNECT":
                self.refuse(_INVALID)
                return
            lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
            lines += [b"%s: %s" % pair for pair in self.headers if pair[0] not in (b"upgrade", b"connection")]
            self.parser = HttpRequestParser(self)
            self._feed(b"\r\n".join([*lines, b"", b""]) + rest)

        def on_headers_complete(self) -> None:
            if not self.parser.should_upgrade():
                super().on_headers_complete()

        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            self.active = cycle
            if cycle.scope["method"] != "HEAD":  # after such a head nothing is written
                cycle.transport = Joined(cycle.transport)
            super()._start_asgi_task(cycle, app)

        def on_message_begin(self) -> None:
            self.other, self.first = self.first, 0
            self.came = max(self.came, 1)
            if self.since is None:  # it began within what came together with the request before
                self.since = self.loop.time()
            super().on_message_begin()

        def on_body(self, body: bytes) -> None:
            self.other -= _FRAME * len(body)
            super().on_body(body)

        def on_message_complete(self) -> None:
            if self.parser.should_upgrade():
                return
            self.since, self.came, self.other = None, 0, 0
            super().on_message_complete()

        def pause_writing(self) -> None:
            self.unread = self.loop.time()
            super().pause_writing()

        def resume_writing(self) -> None:
            self.unread = None
            super().resume_writing()

    return Bounded


def _h11() -> type[asyncio.Protocol]:
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Bounded(_Bounded, H11Protocol):
        """h11 bounds headers itself (h11_max_incomplete_event_size); here the times are."""

        patience = Patience()

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._opened()

        def connection_lost(self, exc: Exception | None) -> None:
            self.patience.open.discard(self)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            self.came += len(data)
            if self.since is None:
                self.since = self.loop.time()
            super().data_received(data)

        def handle_events(self) -> None:
            super().handle_events()
            if self.conn.their_state is not h11.SEND_BODY and not self.conn.trailing_data[0]:
                self.since, self.came = None, 0

        def pause_writing(self) -> None:
            self.unread = self.loop.time()
            super().pause_writing()

        def resume_writing(self) -> None:
            self.unread = None
            super().resume_writing()

        def send_400_response(self, msg: str) -> None:
            self.refuse(_INVALID)

    return Bounded


def foreign(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a web page that the user happens to have open may be what asks a gateway on loopback.

    A page of another origin says so; one whose name was made to resolve to this machine (DNS rebinding) asks for the
    host of its own name.
    """
    if b"origin" in headers or headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return True
    host = headers.get(b"host", b"").decode("latin-1").strip().lower()
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if not host or is_loopback(host):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False
