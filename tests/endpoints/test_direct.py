"""What only the direct client could get wrong: whose connection is kept, whose bytes are whose, who has to wait."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

import sprat.endpoints.http as http
from sprat.endpoints import upstream
from sprat.endpoints.http import Call
from sprat.errors import BadInput, Garbled, Refused, Unreachable

pytest.importorskip("httptools")

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Script:
    """A server that answers each request on a connection with the next bytes, and counts its connections."""

    def __init__(self, *answers: bytes, close: bool = False) -> None:
        self.answers, self.close, self.connections = list(answers), close, 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                asked = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(asked.split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(size)
                writer.write(self.answers.pop(0))
                if self.close:
                    return
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def talk(script: Any, done: Callable[[Call], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        server = await asyncio.start_server(script, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            found = await done(Call("small", url, **{"body": {}, "retries": 0, "timeout": 5.0, **options}))
            await asyncio.sleep(0.02)  # the server's side sees what the client's did
            return found

    return asyncio.run(run())


async def twice(call: Call) -> list[bytes]:
    found = [(await http.raw(call)).body]
    await asyncio.sleep(0.05)
    return [*found, (await http.raw(call)).body]


def test_a_connection_is_used_again() -> None:
    script = Script(OK, OK)
    assert talk(script, twice) == [b"{}", b"{}"]
    assert script.connections == 1


@pytest.mark.parametrize(
    "first",
    [
        OK + OK,  # a second answer, to nobody
        OK.replace(b"200 OK\r\n", b"200 OK\r\nconnection: close\r\n"),
        OK.replace(b"1.1", b"1.0"),
    ],
)
def test_a_connection_that_can_t_be_trusted_is_not_used_again(first: bytes) -> None:
    script = Script(first, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n[1]")
    assert talk(script, twice) == [b"{}", b"[1]"]
    assert script.connections == 2


def test_bytes_that_come_while_nobody_asks_close_the_connection() -> None:
    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(OK)
        await asyncio.sleep(0.02)
        writer.write(OK.replace(b"{}", b"no"))
        writer.close()

    assert talk(chatty, twice) == [b"{}", b"{}"]


def test_interim_answers_are_passed_over() -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    found = talk(Script(hints + OK), http.raw)
    assert (found.status, found.body, found.headers) == (200, b"{}", [])


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    assert talk(Script(b"HTTP/1.1 200 OK\r\n\r\nabc", close=True), http.raw).body == b"abc"


def test_gzip_in_several_parts_is_unpacked_and_half_of_it_is_garbled() -> None:
    both = gzip.compress(b"ab") + gzip.compress(b"c" * 200_000)
    frame = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
    assert talk(Script(frame % len(both) + both), http.raw).body == b"ab" + b"c" * 200_000
    with pytest.raises(Garbled, match="can't be decoded"):
        talk(Script(frame % (len(both) - 9) + both[:-9]), http.raw)


@pytest.mark.parametrize(
    "flood", [b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;"]
)
def test_a_flood_that_is_no_body_is_not_held(flood: bytes) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + flood)
        try:
            for _ in range(10_000):
                writer.write(b"y" * 65_536)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    with pytest.raises(Unreachable, match="broke"):
        talk(pour, http.raw)


def test_an_answer_before_the_whole_of_a_large_body_is_read_and_its_connection_closed() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 x\r\ncontent-length: 2\r\n\r\n{}")
            await asyncio.sleep(0.5)
        finally:
            writer.transport.abort()

    with pytest.raises(Refused, match="413"):
        talk(refuse, http.raw, body=b" " * 50_000_000)


def test_a_server_waits_for_a_slow_reader() -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 64000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"y" * 64_000)
            sent += 64_000
            await writer.drain()
        writer.close()

    async def slow(call: Call) -> tuple[int, int]:
        async with aclosing(await http.stream_raw(call)) as came:
            await asyncio.sleep(0.3)
            held, size = sent, 0
            async for chunk in came:
                size += len(chunk)
            return held, size

    held, size = talk(pour, slow, read_timeout=0.2)
    assert held < 32_000_000
    assert size == 64_000_000


def test_all_connections_are_closed_when_the_loop_ends() -> None:
    async def left(call: Call) -> Any:
        await http.raw(call)
        direct = (await upstream._kept()).direct
        assert direct is not None
        assert len(direct.open) == 1
        return direct

    assert not talk(Script(OK, OK), left).open


def test_an_idle_connection_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(call: Call) -> int:
        await http.raw(call)
        await asyncio.sleep(0.3)
        direct = (await upstream._kept()).direct
        assert direct is not None
        return len(direct.open)

    monkeypatch.setattr("sprat.endpoints.direct._IDLE", 0.1)
    assert talk(Script(OK, OK), wait) == 0


def test_a_header_can_t_smuggle_a_request() -> None:
    for value in ("a\r\nx: y", "a\ny", "a\ry", "a\0"):
        with pytest.raises(BadInput, match="can't be asked"):
            talk(Script(OK), http.raw, headers={"x": value})


def test_json_is_what_was_sent() -> None:
    body = json.dumps({"a": "é" * 100_000}).encode()
    frame = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    assert talk(Script(frame + body), http.raw, body=body).body == body


def test_an_answer_by_another_protocol_is_no_failure_of_the_loops(caplog: pytest.LogCaptureFixture) -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc"
    with pytest.raises(Unreachable):
        talk(Script(switched, close=True), http.post)
    assert "Fatal error" not in caplog.text
