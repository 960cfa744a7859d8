"""What answers while the promise is broken, whatever a request or a budget calls for, and what is logged of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from promised import FILE, asking
from running import Running
from stored import wait_for

from mock_server import MockServer
from sprat.gateway.access.keys import Keys
from sprat.gateway.ledger.store import Store
from sprat.gateway.promise import evidence
from sprat.gateway.served import load

CHAT = "/v1/chat/completions"
PRICE = "price = {{input = 0.0, output = 0.0, per_call = {}}}"
BUDGET = '\n[budget]\nall = "8/day"\nexpected = 10000\nallow_uncertified = true\n'


class Broken(Running):
    """A gateway whose watch has published that the promise is broken; every request is to be shadowed."""

    def __init__(self, folder: Path, url: str, more: str = "") -> None:
        file, self.db = folder / "serve.toml", folder / "sprat.db"
        model = 'url = "' + url + '"\nmodel = "mock"\n'
        text = FILE.format(small=model + PRICE.format(0.001), large=model + PRICE.format(0.01))
        text = text.replace('use = "route"', 'use = "cascade"')  # so that what is drawn is logged as a setting
        told = 'explore = 0.0\njudge = "agreement"\nrestore_share = 1.0'
        file.write_text(text.replace("explore = 0.3", told) + more)
        super().__init__(load(file))
        self.app.opening = self._opening

    async def _opening(self) -> Any:
        store = await Store.open(self.db, linger=0.01, poll=0.1)
        return await Keys.open(store), store

    def __enter__(self) -> Broken:
        super().__enter__()
        self.folder: Any = self.app.keeper.folder  # pyright: ignore[reportOptionalMemberAccess]
        self.folder._stop.set()
        self.folder._thread.join(10)
        self.folder.status = {**self.folder.status, "acting": "broken", "state": "broken"}
        return self

    def ask(self, **more: Any) -> str:
        status, headers, said = self.post(CHAT, {"model": "auto", "messages": asking(0.5), **more})
        assert status == 200, said
        return headers["x-sprat-model"]

    def pairs(self) -> int:
        with self.folder.engine.connect() as connection:
            return sum(row.kind == "pair" for row in evidence.unfolded(connection, self.folder.identity))

    def logged(self) -> list[tuple[str, str]]:
        with Store.read(self.db) as reading:
            return [(e.model, e.setting) for e in reading.exchanges() if e.dialect == "chat"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with MockServer(lambda _: "4", honours=False) as up:
        yield up.url


def test_a_budget_that_calls_for_an_uncertified_setting_takes_no_pairs_away(tmp_path: Path, url: str) -> None:
    with Broken(tmp_path, url, BUDGET) as gateway:
        spending: Any = gateway.app.policy.spending
        for _ in range(400):
            spending.scopes["*"].budget.settle(0, 0.0195, *spending.clock())
        assert not spending.scopes["*"].budget.setting.certified
        assert [gateway.ask() for _ in range(3)] == ["large"] * 3
        wait_for(lambda: gateway.pairs() == 3)


@pytest.mark.parametrize("more", [{}, {"sprat": {"max_cost": 1.0}}])
def test_what_is_logged_is_the_setting_that_answered(tmp_path: Path, url: str, more: dict[str, Any]) -> None:
    with Broken(tmp_path, url) as gateway:
        assert gateway.ask(**more) == "large"
        wait_for(lambda: bool(gateway.logged()))
        assert gateway.logged() == [("large", "reference alone")]
