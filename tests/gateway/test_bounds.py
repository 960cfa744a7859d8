"""Broken and hostile HTTP: what is held of it, how long it is waited for, and who may not ask at all."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from running import SORT, Running

import sprat
from sprat.gateway import bounds
from sprat.gateway.bounds import foreign

CHAT = "/v1/chat/completions"
BODY = json.dumps({"model": "auto", "messages": SORT}).encode()


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with Running(sprat.tiny("sprat"), header_limit=4_000) as made:
        yield made


def told(gateway: Running, *parts: bytes, patience: float = 5.0) -> bytes:
    """What is answered to raw bytes until the connection is closed, or silent for a moment."""
    with socket.create_connection(("127.0.0.1", gateway.at), timeout=patience) as client:
        said = b""
        try:
            for part in parts:
                client.sendall(part)
            while found := client.recv(65536):
                said += found
                client.settimeout(0.3)
        except (TimeoutError, ConnectionError):
            pass
        return said


def post(body: bytes = BODY, *more: str, path: str = CHAT) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: localhost", *more]
    if not any(m.lower().startswith(("content-length", "transfer-encoding")) for m in more):
        head.append(f"content-length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


def error_of(said: bytes) -> tuple[int, Any]:
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def test_a_header_without_end_is_cut_off_before_it_is_held(gateway: Running) -> None:
    parts = [b"POST /v1/chat/completions HTTP/1.1\r\nx-long: "] + [b"x" * 65536] * 64
    said = told(gateway, *parts)
    assert said == b"" or error_of(said)[0] == 431  # a client that goes on writing may miss the answer


def test_a_header_that_is_too_long_is_answered_in_json(gateway: Running) -> None:
    said = told(gateway, b"GET /v1/models HTTP/1.1\r\nx-long: " + b"x" * 5000)
    assert error_of(said) == (
        431,
        {
            "message": "The headers are too long.",
            "type": "invalid_request_error",
            "param": None,
            "code": "headers_too_large",
        },
    )


def test_trailers_without_end_are_cut_off(gateway: Running) -> None:
    head = b"POST /v1/models HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-long: "
    said = told(gateway, head, *[b"x" * 65536] * 16)
    assert b" 200 " not in said


def test_a_body_in_chunks_of_one_byte_is_read(gateway: Running) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY + b" " * 4000) + b"0\r\n\r\n"
    assert b" 200 OK" in told(gateway, post(chunks, "transfer-encoding: chunked"))


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/models HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\ntransfer-encoding: identity, gzip\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_in_json_and_the_connection_closed(gateway: Running, head: bytes) -> None:
    status, error = error_of(told(gateway, head))
    assert (status, error["code"]) == (400, "invalid_http")


def test_a_request_hidden_in_anothers_body_is_not_answered(gateway: Running) -> None:
    hidden = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n"
    both = post(b"0\r\n\r\n" + hidden, "content-length: 5", "transfer-encoding: chunked")
    assert told(gateway, both).count(b"HTTP/1.1") == 1


def test_broken_http_to_messages_is_refused_in_their_dialect(gateway: Running) -> None:
    said = told(gateway, b"POST /v1/messages HTTP/1.1\r\nx-long: " + b"x" * 5000)
    assert json.loads(said.partition(b"\r\n\r\n")[2])["type"] == "error"


def test_an_upgrade_is_passed_over_and_its_body_read(gateway: Running) -> None:
    said = told(gateway, post(BODY, "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AA"))
    assert b" 200 OK" in said


def test_pipelined_requests_are_answered_in_turn(gateway: Running) -> None:
    assert told(gateway, post() * 3).count(b" 200 OK") == 3


def test_a_request_that_never_ends_is_answered_and_closed(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "_PATIENCE", 0.2)
    monkeypatch.setattr(bounds, "_LOOK", 0.05)
    began = time.monotonic()
    said = told(gateway, b"POST /v1/chat/completions HTTP/1.1\r\nhost: loc")
    assert error_of(said)[0] == 408
    said = told(gateway, post(b"{", "content-length: 100"))
    assert error_of(said)[0] == 408
    assert time.monotonic() - began < 5


def test_a_client_that_reads_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from mock_server import MockServer

    monkeypatch.setattr(bounds, "_UNREAD", 0.3)
    monkeypatch.setattr(bounds, "_LOOK", 0.05)
    with MockServer(lambda _: "word " * 20_000) as up, Running(sprat.openai("m", up.url, "mock", retries=0)) as gateway:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", gateway.at))
        body = json.dumps({"model": "auto", "messages": SORT, "stream": True}).encode()
        client.sendall(post(body) * 3)
        end = time.monotonic() + 8
        while not any(e.status == 499 for e in gateway.kept) and time.monotonic() < end:
            time.sleep(0.02)
        client.close()
        assert [e.status for e in gateway.kept][-1] == 499
        assert gateway.app.working == 0


class Wire:
    """A transport that notes what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, parts: Sequence[bytes]) -> None:
        self.written.append(b"".join(parts))

    def close(self) -> None:
        self.written.append(b"closed")


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ([b"head", b"body"], [b"headbody"]),
        ([b"head", b"", b"late"], [b"head", b"late"]),
        ([b"head", b"a", b"b"], [b"heada", b"b"]),
        ([b"head", b"x" * 2**17, b"b"], [b"head" + b"x" * 2**17, b"b"]),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"head", b"body"], [b"HTTP/1.1 100 Continue\r\n\r\n", b"headbody"]),
    ],
)
def test_a_head_goes_out_with_the_first_of_its_body(given: list[bytes], written: list[bytes]) -> None:
    wire = Wire()
    way = bounds.Joined(wire)
    for part in given:
        way.write(part)
    assert wire.written == written


def test_a_head_that_nothing_followed_is_written_before_the_connection_closes() -> None:
    wire = Wire()
    way = bounds.Joined(wire)
    way.write(b"head")
    way.close()
    assert wire.written == [b"head", b"closed"]


@pytest.mark.parametrize("line", [b"HEAD /healthz", b"HEAD /nowhere"])
def test_a_request_for_the_head_alone_gets_it(gateway: Running, line: bytes) -> None:
    said = told(gateway, line + b" HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 4")
    assert said.endswith(b"\r\n\r\n")


def test_who_waits_to_be_told_to_go_on_is(gateway: Running) -> None:
    head, body = post(BODY, "expect: 100-continue").split(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", gateway.at), timeout=5) as client:
        client.sendall(head + b"\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(body)
        assert b" 200 OK" in client.recv(65536)


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({b"host": b"localhost:8080"}, True),
        ({b"host": b"127.0.0.1:8080"}, True),
        ({b"host": b"[::1]:8080"}, True),
        ({b"host": b"192.168.1.5"}, True),
        ({}, True),
        ({b"host": b"evil.example:8080"}, False),
        ({b"host": b"localhost.evil.example"}, False),
        ({b"host": b"localhost", b"origin": b"http://evil.example"}, False),
        ({b"host": b"localhost", b"sec-fetch-site": b"cross-site"}, False),
    ],
)
def test_a_web_page_does_not_ask_a_gateway_on_loopback(headers: dict[bytes, bytes], may: bool) -> None:
    assert foreign(headers) is not may


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/sprat/decisions/x"])
def test_a_name_that_was_made_to_point_here_reads_nothing(gateway: Running, path: str) -> None:
    assert gateway.get(path, host="evil.example")[0] == 401


def test_without_httptools_the_same_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("running.protocol", lambda limit: bounds.protocol(limit, "h11"))
    monkeypatch.setattr(bounds, "_PATIENCE", 0.2)
    monkeypatch.setattr(bounds, "_LOOK", 0.05)
    with Running(sprat.tiny("sprat")) as gateway:
        assert told(gateway, post() * 2).count(b" 200 ") == 2
        assert error_of(told(gateway, b"GET /v1/models HTTP/1.1\r\nx-long: " + b"x" * 70_000))[0] in (400, 431)
        assert error_of(told(gateway, b"POST / HTTP/1.1\r\nhost: loc"))[0] == 408
        assert error_of(told(gateway, post(b"{", "content-length: 100")))[0] == 408
        assert error_of(told(gateway, b"\x16\x03\x01\x02\x00\r\n\r\n"))[1]["code"] == "invalid_http"
