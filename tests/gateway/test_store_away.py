"""A database that is away while the gateway runs: models answer, what must be read is 503, no address is told."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from running import SORT, Running
from stored import postgresql, wait_for

import sprat
from sprat.gateway.access import keys
from sprat.gateway.dashboard import login
from sprat.gateway.ledger.store import Store

CHAT = "/v1/chat/completions"


@pytest.mark.slow
@pytest.mark.parametrize("durable", [False, True])
def test_a_database_that_is_stopped(durable: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "sprat.gateway")
    with postgresql() as server:
        with Store.read(server.url, create=True) as made:
            secret = keys.create(made.engine, "first")[1]
            login.first_password(made)
        gateway = Running(sprat.tiny("sprat"), durable=durable)

        async def opening() -> Any:
            store = await Store.open(server.url, durable=durable)
            return await keys.Keys.open(store), store

        gateway.app.opening, gateway.app.open_keys = opening, False
        told = {"authorization": f"Bearer {secret}"}
        with gateway:
            assert gateway.post(CHAT, {"model": "sprat", "messages": SORT}, **told)[0] == 200
            server.turn("stop -m immediate")
            status, _, said = gateway.post(CHAT, {"model": "sprat", "messages": SORT}, **told)
            assert (status, said["choices"][0]["message"]["content"]) == (200, "4 15 31")
            away = [gateway.get(f"/sprat/decisions/{'0' * 24}", **told), gateway.get("/sprat/login")]
            assert [(code, body["error"]["code"]) for code, _, body in away] == [(503, "store_failed")] * 2
            wait_for(lambda: gateway.get("/readyz")[0] == 503, 30)  # the writer must have tried first
            written = str(away) + str(gateway.get("/readyz")[2])
            assert "planted-password" not in written
            server.turn("start")
