"""A client that leaves before the end: what its request may have cost still counts against its key's cap."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Running
from stored import wait_for

import sprat
from mock_server import MockServer
from sprat.gateway.access import keys
from sprat.gateway.access.limits import Budget
from sprat.gateway.ledger.store import Store
from sprat.prices import Price

CHAT = "/v1/chat/completions"
ASKED = {"model": "auto", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 400}
MOST = Budget(0.01, "day")


@pytest.fixture
def up() -> Iterator[MockServer]:
    with MockServer(lambda _: "yes") as server:
        yield server


class Capped(Running):
    """A gateway over an upstream at $10 a million tokens, and the secret of a key that may spend a cent a day."""

    def __init__(self, folder: Path, up: MockServer) -> None:
        super().__init__(sprat.openai("mock", up.url, price=Price(10.0, 10.0), retries=0))
        with Store.read(folder / "sprat.db", create=True) as made:
            self.key, self.secret = keys.create(made.engine, "a", budget=MOST)

        async def opening() -> Any:
            store = await Store.open(folder / "sprat.db", linger=0.01, poll=0.1)
            return await keys.Keys.open(store), store

        self.app.opening, self.app.open_keys = opening, False

    def __enter__(self) -> Capped:
        super().__enter__()
        return self

    def leave(self, path: str, body: Any) -> None:
        """Ask, and hang up before there is an answer."""
        before = self.spent().calls
        client = http.client.HTTPConnection("127.0.0.1", self.at)
        client.request("POST", path, json.dumps(body), {"authorization": f"Bearer {self.secret}"})
        time.sleep(0.15)
        client.close()
        wait_for(lambda: self.spent().calls == before + 1)

    def spent(self) -> Any:
        held: Any = self.app.keys
        return held.spent(self.key, time.time())


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_does_not_pass_the_cap(tmp_path: Path, up: MockServer, stream: bool) -> None:
    with Capped(tmp_path, up) as gateway:
        for _ in range(2):
            up.faults.append({"stall": 2.0})
            gateway.leave(CHAT, {**ASKED, "stream": stream})
        spent = gateway.spent()
        assert (spent.dollars, spent.unknown) == (0.0, 2)
        assert 0.008 < spent.at_most <= MOST.dollars
        status, _, said = gateway.post(CHAT, ASKED, authorization=f"Bearer {gateway.secret}")
        assert (status, said["error"]["code"]) == (429, "insufficient_quota")


def test_embeddings_that_nobody_waited_for_have_an_unknown_cost(tmp_path: Path, up: MockServer) -> None:
    with Capped(tmp_path, up) as gateway:
        up.faults.append({"stall": 2.0})
        gateway.leave("/v1/embeddings", {"model": "mock", "input": "hello"})
        spent = gateway.spent()
        assert (spent.dollars, spent.unknown) == (0.0, 1)
        assert spent.at_most > 0.0


def test_an_upstream_that_turned_the_call_away_takes_nothing_from_the_cap(tmp_path: Path, up: MockServer) -> None:
    with Capped(tmp_path, up) as gateway:
        up.faults.append({"status": 429})
        gateway.post(CHAT, ASKED, authorization=f"Bearer {gateway.secret}")
        assert gateway.spent() == (0.0, 1, 0, 0.0)
