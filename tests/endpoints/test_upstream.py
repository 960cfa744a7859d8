"""The bytes below every HTTP endpoint: passed through, let go of, limited, and never by a proxy to loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import sprat.endpoints.http as http
from mock_server import MockServer
from sprat.endpoints import upstream
from sprat.endpoints.http import Call
from sprat.endpoints.routes import proxy_for
from sprat.errors import BadInput, Garbled, RateLimited, Refused, ServerFailed, TimedOut, Unreachable

ASKED: dict[str, Any] = {"model": "mock", "messages": [{"role": "user", "content": "abc"}]}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True, params=["direct", "aiohttp"])
def plain(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test over both clients; the environment names no proxy."""
    if request.param == "aiohttp":
        monkeypatch.setattr(upstream, "_direct", lambda: None)
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.001)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return request.param


def call(url: str, **options: Any) -> Call:
    return Call("small", url, **{"body": ASKED, "retries": 0, "timeout": 5.0, **options})


class Wire:
    """A server that answers every connection's first request with bytes; it knows when a client has gone."""

    def __init__(self, *parts: bytes, pause: float = 0.0, stay: bool = False) -> None:
        self.parts, self.pause, self.stay = parts, pause, stay
        self.heard, self.gone = b"", asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard += await reader.readuntil(b"\r\n\r\n")
            for part in self.parts:
                writer.write(part)
                await asyncio.sleep(self.pause)
            while self.stay and await reader.read(65536):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.gone.set()
            writer.close()


@asynccontextmanager
async def listening(wire: Wire) -> AsyncIterator[str]:
    server = await asyncio.start_server(wire, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"


def on_wire(wire: Callable[[], Wire], done: Callable[[str, Wire], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        made = wire()
        async with listening(made) as url:
            return await done(url, made)

    return asyncio.run(run())


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def answered(answer: bytes, **options: Any) -> Any:
    return on_wire(lambda: Wire(answer), lambda url, _: http.post(call(url, **options)))


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks)


def test_raw_gives_status_headers_and_the_very_bytes(server: MockServer) -> None:
    body = json.dumps(ASKED).encode()
    found = asyncio.run(http.raw(call(f"{server.url}/chat/completions", body=body)))
    assert (found.status, dict(found.headers)[b"content-type"]) == (200, b"application/json")
    assert json.loads(found.body)["choices"][0]["message"]["content"] == "so: cba"
    assert b"content-length" not in dict(found.headers)


def test_raw_hands_on_the_statuses_it_is_told_to_and_raises_the_others(server: MockServer) -> None:
    server.faults += [{"status": 400}, {"status": 400}, {"status": 429}]
    asked = call(f"{server.url}/chat/completions")
    found = asyncio.run(http.raw(asked, relay=range(200, 429)))
    assert (found.status, b"scripted" in found.body) == (400, True)
    for kind in (Refused, RateLimited):
        with pytest.raises(kind):
            asyncio.run(http.stream_raw(asked))


def test_a_raw_stream_is_the_bytes_that_the_server_sent(server: MockServer) -> None:
    async def read() -> tuple[list[bytes], int]:
        asked = call(f"{server.url}/chat/completions", body={**ASKED, "stream": True}, retries=2)
        async with aclosing(await http.stream_raw(asked)) as came:
            return [c async for c in came], came.status

    server.faults += [{"status": 500}, {"half": 0}]
    chunks, status = asyncio.run(read())
    assert (status, server.seen) == (200, 3)
    assert b"".join(chunks).endswith(b"data: [DONE]\n\n")


def test_a_raw_stream_that_breaks_gives_what_came_and_then_the_error(server: MockServer) -> None:
    async def read() -> list[bytes]:
        chunks = list[bytes]()
        async with aclosing(await http.stream_raw(call(f"{server.url}/chat/completions", body=streaming))) as came:
            try:
                async for chunk in came:
                    chunks.append(chunk)
            except Unreachable:
                chunks.append(b"broke")
        return chunks

    streaming = {**ASKED, "stream": True}
    server.faults += [{"half": 2}]
    *chunks, last = asyncio.run(read())
    assert (b"".join(chunks).count(b"data:"), last) == (2, b"broke")


def test_headers_of_the_connection_are_not_handed_on() -> None:
    lines = ("Connection: close, X-Own", "X-Own: 1", "Keep-Alive: 5", "X-Kept: Yes", "X-Kept: No", "Content-Length: 2")
    found = on_wire(lambda: Wire(head(*lines) + b"{}"), lambda url, _: http.raw(call(url)))
    assert found.headers == [(b"x-kept", b"Yes"), (b"x-kept", b"No")]


@pytest.mark.parametrize("streaming", [False, True])
def test_cancelling_closes_the_upstream_connection(streaming: bool) -> None:
    async def cancel(url: str, wire: Wire) -> None:
        async def read() -> None:
            async for _ in http.events(call(url)):
                pass

        task = asyncio.create_task(read() if streaming else http.post(call(url)))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait_for(wire.gone.wait(), 2)

    part = head("content-type: text/event-stream", "transfer-encoding: chunked") + chunked(b"data: {}\n\n")
    on_wire(lambda: Wire(*[part] * streaming, stay=True), cancel)


def test_leaving_a_stream_early_closes_the_upstream_connection() -> None:
    async def leave(url: str, wire: Wire) -> None:
        async with aclosing(http.events(call(url))) as events:
            assert await anext(events) == ("", "{}")
        await asyncio.wait_for(wire.gone.wait(), 2)

    part = head("content-type: text/event-stream", "transfer-encoding: chunked") + chunked(b"data: {}\n\n")
    on_wire(lambda: Wire(part, stay=True), leave)


def test_a_stream_left_after_its_last_event_keeps_its_connection() -> None:
    part = head("content-type: text/event-stream", "transfer-encoding: chunked") + chunked(b"data: [DONE]\n\n")

    async def leave(url: str, wire: Wire) -> int:
        async with aclosing(http.events(call(url))) as events:
            assert (await anext(events))[1] == "[DONE]"
        await asyncio.sleep(0.3)
        assert not wire.gone.is_set()
        kept = await upstream._kept()
        return len(kept.direct.idle if kept.direct else kept.session.connector._conns)

    assert on_wire(lambda: Wire(part, b"0\r\n\r\n", pause=0.1, stay=True), leave) == 1


def test_a_packed_answer_is_unpacked() -> None:
    packed = gzip.compress(b'{"a": 1}')
    assert answered(head("content-encoding: gzip", f"content-length: {len(packed)}") + packed) == {"a": 1}


def test_a_packed_answer_that_is_none_is_garbled() -> None:
    with pytest.raises(Garbled, match="can't be decoded"):
        answered(head("content-encoding: gzip", "content-length: 9") + b"not gzip!")


def test_an_answer_that_unpacks_to_too_much_is_garbled_without_being_held() -> None:
    import tracemalloc

    packed = zlib.compress(b" " * 50_000_000)
    tracemalloc.start()
    with pytest.raises(Garbled, match="more than 1,000,000 bytes"):
        answered(head("content-encoding: deflate", f"content-length: {len(packed)}") + packed, largest=1_000_000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 5_000_000


def test_an_event_without_end_is_garbled() -> None:
    async def read(url: str, _: Wire) -> None:
        async for _ in http.events(call(url, largest=1000)):
            pass

    part = head("content-type: text/event-stream", "connection: close") + b"data: " + b"x" * 5000
    with pytest.raises(Garbled, match="more than 1,000 bytes"):
        on_wire(lambda: Wire(part), read)


@pytest.mark.parametrize("lines", [["x: " + "y" * 40_000], [f"x{i}: y" for i in range(300)], ["no colon"]])
def test_headers_beyond_measure_are_an_error(lines: list[str]) -> None:
    with pytest.raises(Unreachable, match="broke"):
        answered(head(*lines, "content-length: 2") + b"{}")


@pytest.mark.parametrize("garbage", [b"", b"nonsense\r\n\r\n", head("content-length: 9") + b"{}"])
def test_what_is_no_answer_is_a_broken_connection(garbage: bytes) -> None:
    with pytest.raises(Unreachable, match="broke") as caught:
        answered(garbage)
    assert caught.value.billable


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(Refused, match=r"http://else\.where"):
        answered(head("location: http://else.where/", "content-length: 0", status="307 x"))


def test_a_read_timeout_is_its_own_limit() -> None:
    with pytest.raises(TimedOut, match=r"within 0\.1 s"):
        on_wire(lambda: Wire(stay=True), lambda url, _: http.post(call(url, read_timeout=0.1)))


def test_a_connection_that_is_not_accepted_in_time_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("aiohappyeyeballs.start_connection", never)
    with pytest.raises(TimedOut, match=r"did not accept a connection within 0\.05 s"):
        asyncio.run(http.post(call("http://127.0.0.1:9/v1", connect_timeout=0.05)))


def test_a_header_that_can_t_be_sent_is_bad_input_without_the_key() -> None:
    async def ask(url: str, _: Wire) -> None:
        await http.post(call(url, headers={"authorization": "Bearer sk-planted\n"}, secret="sk-planted"))

    with pytest.raises(BadInput, match="can't be asked") as caught:
        on_wire(lambda: Wire(stay=True), ask)
    assert "sk-planted" not in str(caught.value)


def test_a_large_body_is_sent(server: MockServer) -> None:
    asked = {**ASKED, "messages": [{"role": "user", "content": "é" * 2_000_000}]}
    assert asyncio.run(http.post(call(f"{server.url}/chat/completions", body=asked)))["id"] == "chatcmpl-0"


def test_a_charset_that_the_server_names_is_used() -> None:
    body = '{"a": "é"}'.encode("latin-1")
    lines = ("content-type: application/json; charset=ISO-8859-1", f"content-length: {len(body)}")
    assert answered(head(*lines) + body) == {"a": "é"}


@pytest.mark.parametrize("charset", ["hex", "idna", "undefined", "zlib", "rot13", "punycode", "none-such", "utf-16"])
def test_an_error_in_a_charset_that_no_page_has_is_still_that_error(charset: str) -> None:
    answer = head(f"content-type: text/html; charset={charset}", "content-length: 4", status="500 X") + b"...a"
    with pytest.raises(ServerFailed):
        answered(answer)


def test_no_cookie_is_kept() -> None:
    async def twice(url: str, wire: Wire) -> bytes:
        for _ in range(2):
            await http.post(call(url))
        return wire.heard

    answer = head("set-cookie: who=me; Path=/", "connection: close", "content-length: 2") + b"{}"
    assert b"cookie" not in on_wire(lambda: Wire(answer), twice).lower()


def test_every_loop_has_its_session_and_closes_it() -> None:
    async def mine() -> Any:
        return (await upstream._kept()).session

    first, second = asyncio.run(mine()), asyncio.run(mine())
    assert first is not second
    assert first.closed
    assert second.closed


def test_a_program_that_ends_says_nothing_of_open_sessions(server: MockServer) -> None:
    ended = f"from sprat.endpoints import openai; openai('a', '{server.url}', 'mock')('abc')"
    code = [sys.executable, "-W", "error::ResourceWarning", "-c", ended]
    assert subprocess.run(code, capture_output=True, text=True, check=True).stderr == ""


def test_a_loop_that_was_closed_without_ceremony_leaves_nothing() -> None:
    loop = asyncio.new_event_loop()
    session = loop.run_until_complete(upstream._kept()).session
    loop.close()
    asyncio.run(upstream._kept())
    assert session.closed
    assert loop not in upstream._loops


def test_a_connection_that_the_server_closed_while_the_loop_was_busy_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Brief(BaseHTTPRequestHandler):
        protocol_version, timeout = "HTTP/1.1", 0.05  # how long an idle connection is kept

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.wfile.write(head("content-length: 2") + b"{}")

    async def twice(url: str) -> None:
        await http.post(call(url))
        time.sleep(0.3)
        await http.post(call(url))

    monkeypatch.setattr(upstream, "_QUIET", 0.2)
    with ThreadingHTTPServer(("127.0.0.1", 0), Brief) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        asyncio.run(twice(f"http://127.0.0.1:{server.server_port}/v1"))
        server.shutdown()


def test_loopback_goes_through_no_proxy_and_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy:3128")
    monkeypatch.setenv("ALL_PROXY", "https://all:1")
    monkeypatch.setenv("NO_PROXY", "inner.example,10.0.0.7")
    direct = ("localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:8", "x.localhost", "a.inner.example", "10.0.0.7:1")
    assert [proxy_for(f"http://{h}/v1") for h in direct] == [None] * len(direct)
    assert proxy_for("http://example.com/v1") == "http://proxy:3128"
    assert proxy_for("https://example.com/v1") == "https://all:1"


def test_a_proxy_that_is_not_http_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:planted@proxy:1080")
    with pytest.raises(BadInput, match=r"for example\.com is not an HTTP proxy") as caught:
        proxy_for("https://example.com/v1")
    assert "planted" not in str(caught.value)


def test_a_call_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(url: str, wire: Wire) -> tuple[Any, bytes]:
        monkeypatch.setenv("HTTP_PROXY", url.replace("//", "//me:pw@").removesuffix("/v1/x"))
        return await http.post(call("http://far.example/v1")), wire.heard

    found, heard = on_wire(lambda: Wire(head("content-length: 2") + b"{}"), ask)
    assert found == {}
    assert heard.startswith(b"POST http://far.example/v1 HTTP/1.1")
    assert b"Proxy-Authorization: Basic" in heard


def test_a_proxy_that_refuses_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(url: str, _: Wire) -> None:
        monkeypatch.setenv("HTTPS_PROXY", url.removesuffix("/v1/x"))
        await http.post(call("https://far.example/v1", headers={"authorization": "Bearer sk-planted"}))

    with pytest.raises(Unreachable, match="proxy") as caught:
        on_wire(lambda: Wire(head("content-length: 0", status="407 x")), ask)
    assert "sk-planted" not in repr(caught.value.__cause__)


def test_a_server_that_does_not_speak_tls_is_unreachable() -> None:
    async def ask() -> None:
        server = await asyncio.start_server(lambda _, w: (w.write(b"hello"), w.close()), "127.0.0.1", 0)
        async with server:
            await http.post(call(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"))

    with pytest.raises(Unreachable, match="can't be reached"):
        asyncio.run(ask())
