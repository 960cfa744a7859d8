"""Budgets over HTTP: a safer setting while money lasts, the cheapest certified one when it runs short, then 429."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from promised import FILE, asking
from running import Running
from stored import made, wait_for

from mock_server import MockServer
from sprat.cli import main
from sprat.errors import BadInput
from sprat.gateway.access import keys
from sprat.gateway.access.limits import Budget
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import load
from sprat.gateway.steering.controllers import Rules, Spending
from sprat.gateway.wire.problem import Problem

MIDNIGHT = 20_000 * 86_400.0
CHAT = "/v1/chat/completions"
DIALECTS = {
    "chat": (CHAT, {"model": "auto", "messages": asking(0.5)}),
    "completions": ("/v1/completions", {"model": "auto", "prompt": "x"}),
    "responses": ("/v1/responses", {"model": "auto", "input": "x"}),
    "messages": ("/v1/messages", {"model": "auto", "messages": asking(0.5), "max_tokens": 10}),
}
PRICE = "price = {{input = 0.0, output = 0.0, per_call = {}}}"


class Budgeted(Running):
    """A gateway over a store, with one key; time stands at noon unless it is moved."""

    def __init__(self, folder: Path, url: str, table: str, budget: Budget | None = None, prices: bool = True) -> None:
        file, self.db = folder / "serve.toml", folder / "sprat.db"
        model = 'url = "' + url + '"\nmodel = "mock"\n'
        small, large = (model + (PRICE.format(p) if prices else "") for p in (0.001, 0.01))
        file.write_text(FILE.format(small=small, large=large).replace("explore = 0.3\n", "") + table)
        super().__init__(load(file))
        with Store.read(self.db, create=True) as made:
            known = {k.name for k in keys.listed(made.engine)}
            name = f"key {len(known)}"
            self.name, self.secret = name, keys.create(made.engine, name, budget=budget)[1]
        self.now = MIDNIGHT + 43_200
        assert self.app.policy.spending is not None
        self.spending = self.app.policy.spending
        self.spending.clock = lambda: (self.now, self.now)
        self.app.opening, self.app.open_keys = self._opening, False

    def __enter__(self) -> Budgeted:
        super().__enter__()
        return self

    async def _opening(self) -> Any:
        store = await Store.open(self.db, linger=0.01, poll=0.1)
        return await keys.Keys.open(store), store

    def ask(self, dialect: str = "chat", trust: float | None = None) -> tuple[int, Any, Any]:
        path, body = DIALECTS[dialect]
        if trust is not None:
            body = {**body, "messages": asking(trust)}
        return self.post(path, body, authorization=f"Bearer {self.secret}")

    def card(self, headers: Any) -> Any:
        return self.get(f"/sprat/decisions/{headers['x-sprat-id']}", authorization=f"Bearer {self.secret}")[2]

    def setting(self, trust: float = 0.5) -> str:
        status, headers, said = self.ask(trust=trust)
        assert status == 200, said
        return self.card(headers)["facts"]["setting"].partition(";")[0]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with MockServer() as server:
        yield server.url


def test_while_money_lasts_the_safest_setting_answers(tmp_path: Path, url: str) -> None:
    with Budgeted(tmp_path, url, '[budget]\nall = "100/day"') as gateway:
        assert {gateway.setting() for _ in range(5)} == {"reference alone"}


def test_a_key_with_a_budget_is_steered_and_one_without_is_not(tmp_path: Path, url: str) -> None:
    with Budgeted(tmp_path, url, "", Budget(100, "month")) as rich:
        assert rich.setting() == "reference alone"
        with Store.read(rich.db) as store:
            rich.secret = keys.create(store.engine, "other")[1]
        wait_for(lambda: rich.ask()[0] == 200)
        assert rich.setting() == "at .2"


def test_ahead_of_the_pace_it_moves_to_the_cheapest_certified_setting_and_no_further(tmp_path: Path, url: str) -> None:
    with Budgeted(tmp_path, url, '[budget]\nall = "5/day"\nexpected = 10000') as gateway:
        gateway.now = MIDNIGHT
        settings = [gateway.setting(0.1) for _ in range(60)]
    assert settings[0] == "reference alone"
    assert settings[-1] == "at .2"
    assert "small alone" not in settings


def test_past_the_certificate_only_by_the_flag_with_the_promise_shown_as_suspended(tmp_path: Path, url: str) -> None:
    table = '[budget]\nall = "5/day"\nexpected = 10000\nallow_uncertified = true'
    with Budgeted(tmp_path, url, table) as gateway:
        gateway.now = MIDNIGHT
        headers = gateway.ask()[1]
        for _ in range(80):
            if not headers["x-sprat-promise"]:
                headers = gateway.ask(trust=0.1)[1]
        assert headers["x-sprat-promise"] == "suspended"
        facts = gateway.card(headers)["facts"]
        assert facts["setting"].startswith("small alone")
        assert facts["promise"].startswith("suspended")
        assert gateway.app.policy.suspended


@pytest.mark.parametrize("dialect", DIALECTS)
def test_at_the_cap_every_dialect_says_429_and_when_to_come_back(tmp_path: Path, url: str, dialect: str) -> None:
    with Budgeted(tmp_path, url, '[budget]\nall = "0.035/day"') as gateway:
        assert [gateway.ask("chat")[0] for _ in range(3)] == [200] * 3
        status, headers, said = gateway.ask(dialect)
        assert (status, said["error"]["type"]) == (429, "rate_limit_error")
        assert 43_000 < int(headers["retry-after"]) <= 43_201
        assert said["error"]["message"].startswith("The budget for all: Of this day's $0.035")
        gateway.now += 43_200
        assert gateway.ask(dialect)[0] == 200


def test_spend_may_run_ahead_of_the_pace_by_the_burst_alone(tmp_path: Path, url: str) -> None:
    with Budgeted(tmp_path, url, '[budget]\nall = "0.2/day"\nburst = 0.1') as gateway:
        gateway.now = MIDNIGHT  # nothing of the day has passed: a tenth of the budget is two dear answers
        assert [gateway.ask()[0] for _ in range(3)] == [200, 200, 429]
        wait = int(gateway.ask()[1]["retry-after"])
        gateway.now += wait
        assert gateway.ask()[0] == 200
        assert wait == pytest.approx(0.05 * 86_400, abs=5)


def test_a_pinned_model_counts_too(tmp_path: Path, url: str) -> None:
    with Budgeted(tmp_path, url, '[budget]\nall = "0.015/day"') as gateway:
        body = {"model": "large", "messages": asking(0.5)}
        assert gateway.post(CHAT, body, authorization=f"Bearer {gateway.secret}")[0] == 200
        assert gateway.ask()[0] == 429


def test_a_budget_survives_a_restart(tmp_path: Path, url: str) -> None:
    table = '[budget]\nall = "5/day"\nexpected = 10000'
    with Budgeted(tmp_path, url, table) as gateway:
        gateway.now = MIDNIGHT
        before = [gateway.setting(0.1) for _ in range(60)][-1]
        row = gateway.app.policy.budgets()[0]
    with Budgeted(tmp_path, url, table) as again:
        again.now = MIDNIGHT
        after = again.app.policy.budgets()[0]
    assert before == "at .2"
    assert after["spent"] == pytest.approx(row["spent"])
    assert after["price"] == pytest.approx(row["price"])
    assert after["setting"] == "at .2"


def test_two_processes_count_together(tmp_path: Path, url: str) -> None:
    table = '[budget]\nall = "0.105/day"'
    with Budgeted(tmp_path, url, table) as one, Budgeted(tmp_path, url, table) as two:
        one.now = two.now = time.time()
        assert [one.ask()[0] for _ in range(6)] == [200] * 6
        wait_for(lambda: two.app.policy.budgets()[0]["spent"] == pytest.approx(0.06))
        assert [two.ask()[0] for _ in range(6)] == [200] * 4 + [429] * 2
        wait_for(lambda: one.app.policy.budgets()[0]["spent"] == pytest.approx(0.1))
        assert one.ask()[0] == 429


def test_unknown_costs_of_two_processes_are_added_up(tmp_path: Path, url: str) -> None:
    table = '[budget]\nall = "1/day"'
    with Budgeted(tmp_path, url, table) as one, Budgeted(tmp_path, url, table) as two:
        one.now = two.now = time.time()
        for i, gateway in enumerate((one, two)):
            lost = made(i, at=time.time(), cost=None, at_most=0.3)
            gateway.spending.reserve(None, 0.3)
            gateway.spending.settle(None, 0.3, None, lost.at, 0.3)
            store: Any = gateway.app.store
            store.put(lost)
        for gateway in (one, two):
            wait_for(lambda g=gateway: g.app.policy.budgets()[0]["at_most"] == pytest.approx(0.6))
            with pytest.raises(Problem, match=r"\$0.6 are spent"):
                gateway.spending.reserve(None, 0.5)


def test_a_key_sees_its_own_budget_and_the_total(tmp_path: Path, url: str) -> None:
    with Budgeted(tmp_path, url, '[budget]\nall = "5/day"', Budget(2, "day")) as gateway:
        gateway.ask()
        status, _, said = gateway.get("/sprat/budgets", authorization=f"Bearer {gateway.secret}")
        shown = {row["scope"]: (row["budget"], row["spent"], row["setting"]) for row in said["budgets"]}
        assert status == 200
        assert shown == {gateway.name: (2, 0.01, "reference alone"), "all": (5, 0.01, "reference alone")}
        with Store.read(gateway.db) as store:
            gateway.secret = keys.create(store.engine, "other")[1]
        wait_for(lambda: gateway.ask()[0] == 200)
        said = gateway.get("/sprat/budgets", authorization=f"Bearer {gateway.secret}")[2]
        assert [row["scope"] for row in said["budgets"]] == ["all"]
        assert gateway.get("/sprat/budgets")[0] == 401


def test_the_command_shows_every_budget(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Budgeted(tmp_path, url, '[budget]\nall = "5/day"', Budget(2, "month")) as gateway:
        gateway.ask()
        gateway.ask()
    assert main(["budget", "status", "--store", str(gateway.db), "--json"]) == 0
    rows = {row["scope"]: row for row in json.loads(capsys.readouterr().out)}
    assert {n: (r["budget"], r["per"]) for n, r in rows.items()} == {"all": (5, "day"), gateway.name: (2, "month")}
    assert rows["all"]["spent"] == pytest.approx(0.02)
    assert rows[gateway.name]["setting"] == "reference alone"
    assert main(["budget", "status", "--store", str(gateway.db)]) == 0
    assert "reference alone" in capsys.readouterr().out


def test_what_was_refused_is_no_call(tmp_path: Path, url: str) -> None:
    with Budgeted(tmp_path, url, '[budget]\nall = "0.015/day"') as gateway:
        gateway.now = time.time()
        assert [gateway.ask()[0] for _ in range(4)] == [200, 429, 429, 429]
        store: Any = gateway.app.store
        wait_for(lambda: store.health.written == 4)
        time.sleep(0.2)
        row = gateway.app.policy.budgets()[0]
        assert (row["requests"], row["spent"]) == (1, pytest.approx(0.01))


def test_a_budget_needs_prices(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadInput, match="the price of every model"):
        Budgeted(tmp_path, url, '[budget]\nall = "1/day"', prices=False)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('al = "1/day"', "'al' is not known"),
        ("all = 3", "dollars per day"),
        ('all = "3/year"', "dollars per day"),
        ("burst = 0", "at most 1"),
        ("burst = true", "at most 1"),
        ("expected = 0", "above 0"),
        ("allow_uncertified = 1", "true or false"),
    ],
)
def test_what_a_budget_table_lacks_is_said(tmp_path: Path, url: str, table: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Budgeted(tmp_path, url, f"[budget]\n{table}")


def test_budgets_that_take_the_place_of_others_hear_of_each_commit_once(tmp_path: Path) -> None:
    rules, now = Rules(Budget(9.0, "day")), time.time()

    async def run() -> tuple[list[Any], float]:
        store = await Store.open(tmp_path / "sprat.db", linger=0.01, poll=600.0)
        found = [Spending(rules, ()) for _ in range(3)]
        found[0].attach(store)
        found[0].settle(None, 0.0, 0.5, now)
        for before, after in pairwise(found):
            after.follow(before)
        store.put(made(1, cost=0.5, at=now))
        await store.flush()
        last = found[-1]
        watchers, spent = [w is last for w in store._writer.watchers], last._paid(last.scopes["*"]).dollars
        await store.close()
        return watchers, spent

    assert asyncio.run(run()) == ([True], 0.5)


def test_a_request_that_ends_right_after_a_look_at_the_store_counts_once() -> None:
    spending = Spending(Rules(Budget(9.0, "day")), ())
    spending.store, spending._looks = object(), 1
    spending.settle(None, 0.0, 0.5, time.time())
    budget = spending.scopes["*"].budget
    assert (budget.requests, budget.spent) == (1, 0.5)
