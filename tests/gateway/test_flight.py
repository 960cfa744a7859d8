"""Equal requests at once share one call, and nobody's leaving ends it for the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any

import pytest
from running import HELLO, Running
from stored import wait_for

from mock_server import MockServer
from sprat import openai
from sprat.core import Piece, Reply
from sprat.errors import ServerFailed
from sprat.gateway.caching.cache import CacheSettings
from sprat.gateway.caching.flight import Flight
from sprat.gateway.served import of
from sprat.prices import Price

BODY: dict[str, Any] = {"model": "auto", "messages": HELLO, "temperature": 0}


def caching(server: MockServer) -> Running:
    model = openai("mock", server.url, price=Price(1.0, 2.0), retries=0)
    return Running(replace(of(model), cache=CacheSettings()))


def impatient(gateway: Running, body: Any, seconds: float) -> None:
    """Ask, and leave before the answer."""
    connection = HTTPConnection("127.0.0.1", gateway.at, timeout=seconds)
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    with pytest.raises(TimeoutError):
        connection.getresponse().read()
    connection.close()


@pytest.mark.parametrize("stream", [False, True])
def test_equal_requests_at_once_share_one_call(stream: bool) -> None:
    with MockServer(latency=0.3) as server, caching(server) as gateway, ThreadPoolExecutor(8) as pool:
        asked = [{**BODY, "stream": stream}] * 8
        found = list(pool.map(lambda b: gateway.post("/v1/chat/completions", b), asked))
        assert len(server.calls) == 1
        assert all(status == 200 and "olleh" in str(body) for status, _, body in found)
        assert sorted(h["x-sprat-cache"] for _, h, _ in found) == ["miss", *["shared"] * 7]
    assert sorted(e.cost for e in gateway.kept)[:7] == [0.0] * 7
    assert sum(e.cost for e in gateway.kept) > 0


def test_a_stream_and_a_whole_reply_in_another_dialect_share_one_call() -> None:
    with MockServer(latency=0.3) as server, caching(server) as gateway, ThreadPoolExecutor(2) as pool:
        first = pool.submit(gateway.post, "/v1/chat/completions", {**BODY, "stream": True, "max_tokens": 50})
        wait_for(lambda: server.seen)
        second = gateway.post("/v1/messages", {**BODY, "max_tokens": 50})
        assert first.result()[2].endswith("data: [DONE]\n\n")
        assert second[2]["content"] == [{"type": "text", "text": "so: uoy olleh"}]
        assert len(server.calls) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_first_does_not_end_it_for_the_others(stream: bool) -> None:
    with MockServer(latency=0.6) as server, caching(server) as gateway, ThreadPoolExecutor(2) as pool:
        body = {**BODY, "stream": stream}

        def later() -> Any:
            wait_for(lambda: server.seen)
            return gateway.post("/v1/chat/completions", body)

        second = pool.submit(later)
        impatient(gateway, body, 0.3)
        status, _, said = second.result()
        assert status == 200
        assert "olleh" in str(said)
        assert len(server.calls) == 1
        wait_for(lambda: len(gateway.kept) == 2)
    left, stayed = sorted(gateway.kept, key=lambda e: -e.status)
    assert (left.status, left.cost) == (499, 0.0)
    assert stayed.cost > 0  # who stays pays


def test_when_all_have_left_the_upstream_is_cancelled() -> None:
    with MockServer() as server, caching(server) as gateway:
        server.faults.append({"stall": 60})
        impatient(gateway, BODY, 0.2)
        wait_for(lambda: gateway.kept and not gateway.app.cached.flights)
        assert gateway.kept[0].cost is None  # who knows what the upstream bills


def test_an_error_reaches_all_who_wait_and_is_forgotten() -> None:
    with MockServer() as server, caching(server) as gateway, ThreadPoolExecutor(4) as pool:
        server.faults.append({"stall": 0.3, "status": 503})
        found = list(pool.map(lambda _: gateway.post("/v1/chat/completions", BODY)[0], range(4)))
        assert found == [503] * 4
        assert gateway.post("/v1/chat/completions", BODY)[0] == 200


class Scripted:
    """A source of so many pieces, which notes how many were taken."""

    def __init__(self, n: int, size: int = 1, error: Exception | None = None) -> None:
        self.n, self.size, self.error, self.given = n, size, error, 0
        self.replies: list[Reply] = []
        self.closed = False

    async def pieces(self) -> AsyncGenerator[Piece]:
        try:
            for _ in range(self.n):
                self.given += 1
                yield Piece("x" * self.size)
                await asyncio.sleep(0)
            if self.error:
                raise self.error
            self.replies = [Reply("whole", "m")]
            yield Piece(reply=self.replies[0])
        finally:
            self.closed = True


def flight(source: Scripted, most: int = 1 << 20) -> Flight:
    return Flight(source, None, lambda s, _: s.replies, most)


def test_a_call_is_read_no_faster_than_its_fastest_client() -> None:
    async def run() -> int:
        source = Scripted(1000)
        riding = flight(source).pieces("slow", True)
        await anext(riding)
        for _ in range(500):
            await asyncio.sleep(0)
        given = source.given
        await riding.aclose()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert source.closed
        return given

    assert asyncio.run(run()) < 80


def test_who_joins_late_gets_every_piece() -> None:
    async def run() -> list[int]:
        one = flight(Scripted(50))

        async def ride(name: str) -> int:
            return len([p async for p in one.pieces(name, True)])

        first = asyncio.create_task(ride("a"))
        for _ in range(20):
            await asyncio.sleep(0)
        return list(await asyncio.gather(first, ride("b")))

    assert asyncio.run(run()) == [51, 51]


def test_nobody_joins_what_the_last_has_left_while_it_is_closing() -> None:
    async def run() -> bool:
        one = flight(Scripted(50))
        riding = one.pieces("a", True)
        await anext(riding)
        assert one.open
        await riding.aclose()
        assert not one.ended
        return one.open

    assert not asyncio.run(run())


def test_nobody_joins_what_is_too_long_to_be_kept() -> None:
    async def run() -> tuple[bool, int]:
        one = flight(Scripted(200, 1000), most=20_000)
        n = 0
        async for _ in one.pieces("a", True):
            n += 1
            if n == 100:
                opened = one.open
        return opened, n

    assert asyncio.run(run()) == (False, 201)


def test_a_failure_ends_the_ride_with_its_error() -> None:
    async def run() -> None:
        async for _ in flight(Scripted(3, error=ServerFailed("It broke."))).pieces("a", True):
            pass

    with pytest.raises(ServerFailed):
        asyncio.run(run())
