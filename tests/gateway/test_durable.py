"""With durable = true a reply ends once its record is committed, and what it cost counts once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import HELLO, Running

from mock_server import MockServer
from sprat.gateway.access.keys import Keys, create
from sprat.gateway.access.limits import Budget
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import load

FILE = """
[way]
use = "fallback"
models = ["m"]
[models.m]
url = "{url}"
model = "mock"
price = {{input = 0.0, output = 0.0, per_call = 0.4}}
[encoders.e]
use = "static"
[gateway]
durable = true
[budget]
all = "9/day"
"""


class Durable:
    up: MockServer

    """A gateway with one key, whose budget is a dollar a day; it looks at the store only at its start."""

    def __init__(self, folder: Path, url: str) -> None:
        (folder / "serve.toml").write_text(FILE.format(url=url))
        self.path, self.running = folder / "sprat.db", Running(load(folder / "serve.toml"))
        with Store.read(self.path, create=True) as made:
            self.secret = create(made.engine, "k", budget=Budget(1.0, "day"))[1]
        self.running.app.opening, self.running.app.open_keys = self._opening, False

    async def _opening(self) -> Any:
        store = await Store.open(self.path, durable=True, linger=0.01, poll=600.0)
        return await Keys.open(store), store

    def ask(self, path: str, **body: Any) -> tuple[int, str]:
        status, headers, _ = self.running.post(path, body, authorization=f"Bearer {self.secret}")
        return status, headers["x-sprat-id"]

    def committed(self) -> set[str]:
        with Store.read(self.path) as found:
            return {e.id for e in found.exchanges()}


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Durable]:
    with MockServer(honours=False) as up:
        made = Durable(tmp_path, up.url)
        made.up = up
        with made.running:
            yield made


def test_what_a_request_cost_counts_once_against_its_key(durable: Durable) -> None:
    durable.ask("/v1/chat/completions", model="auto", messages=HELLO)
    keys = durable.running.app.keys
    (key,) = [key for _, key in keys._by_digest.values()]
    assert keys.spent(key, time.time()).dollars == pytest.approx(0.4)


def test_what_a_request_cost_counts_once_against_the_budget_for_all(durable: Durable) -> None:
    durable.ask("/v1/chat/completions", model="auto", messages=HELLO)
    spending = durable.running.app.policy.spending
    assert spending is not None
    assert spending._paid(spending.scopes["*"]).dollars == pytest.approx(0.4)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_reply_ends_once_its_record_is_committed(durable: Durable, streaming: bool) -> None:
    number = durable.ask("/v1/chat/completions", model="auto", messages=HELLO, stream=streaming)[1]
    assert number in durable.committed()


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("status", [429, 404])
def test_an_error_comes_once_its_record_is_committed(durable: Durable, status: int, streaming: bool) -> None:
    durable.up.faults += [{"status": status, "after": "0"}] * 9
    found, number = durable.ask("/v1/chat/completions", model="auto", messages=HELLO, stream=streaming)
    assert found >= 400
    assert number in durable.committed()


def test_embeddings_come_once_their_record_is_committed(durable: Durable) -> None:
    number = durable.ask("/v1/embeddings", model="e", input="hi")[1]
    assert number in durable.committed()


def test_a_request_has_one_record(durable: Durable) -> None:
    asked = [durable.ask("/v1/embeddings", model="e", input="hi")[1] for _ in range(3)]
    assert durable.committed() == set(asked)
    assert [row["requests"] for row in durable.running.app.policy.budgets() if row["scope"] == "all"] == [3]
