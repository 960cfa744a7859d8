"""Virtual keys: shown once and kept as a hash, checked in memory, hard caps, changes that a running server follows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from stored import NOW, made, postgresql, wait_for_it

from sprat.errors import BadInput
from sprat.gateway.access.keys import PREFIX, Key, Keys, create, disable, listed
from sprat.gateway.access.limits import Budget, Hold
from sprat.gateway.ledger import schema
from sprat.gateway.ledger.store import Store

Work = Callable[[Store, Keys], Awaitable[None]]


class Clock:
    """A monotonic clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(work: Work, tmp_path: Path, clock: Clock | None = None, **options: Any) -> None:
    async def go() -> None:
        store = await Store.open(tmp_path / "sprat.db", poll=0.02, **options)
        try:
            await work(store, Keys(store, clock or Clock()))
        finally:
            await store.close()

    asyncio.run(go())


def test_a_secret_is_in_the_database_nowhere(tmp_path: Path):
    engine = schema.connect(tmp_path / "sprat.db")
    key, secret = create(engine, "search", budget=Budget(50, "month"), models=["auto"])
    engine.dispose()
    kept = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert secret.startswith(PREFIX)
    assert len(secret) == len(PREFIX) + 43
    assert secret.encode() not in kept
    assert secret not in repr(key)


def test_a_key_is_known_by_its_secret_alone(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        key, secret = create(store.engine, "a", models=["small"])
        await wait_for_it(lambda: len(keys) == 1)
        assert keys.check(secret, NOW) == key
        wrong = (secret[:-1], secret + "x", "", "sk-other", key.id, key.shown, PREFIX, PREFIX + "é\ud800")
        assert [keys.check(w, NOW) for w in wrong] == [None] * len(wrong)
        assert key.allows("small")
        assert not key.allows("large")

    run(work, tmp_path)


def test_a_running_server_follows_what_commands_change(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        _, secret = create(store.engine, "a")
        await wait_for_it(lambda: keys.check(secret, NOW) is not None)
        disable(store.engine, "a")
        await wait_for_it(lambda: keys.check(secret, NOW) is None)
        disable(store.engine, "a", disabled=False)
        await wait_for_it(lambda: keys.check(secret, NOW) is not None)

    run(work, tmp_path)


def test_a_key_ends_when_it_expires(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        _, secret = create(store.engine, "a", expires=NOW)
        await wait_for_it(lambda: len(keys) == 1)
        assert keys.check(secret, NOW - 1) is not None
        assert keys.check(secret, NOW) is None

    run(work, tmp_path)


def test_names_are_taken_once_and_unknown_ones_are_named(tmp_path: Path):
    engine = schema.connect(tmp_path / "sprat.db")
    create(engine, "search")
    with pytest.raises(BadInput, match="There is a key 'search' already"):
        create(engine, "search")
    with pytest.raises(BadInput, match=r"There is no key 'serach'\. Did you mean 'search'\?"):
        disable(engine, "serach")
    assert [k.name for k in listed(engine)] == ["search"]
    engine.dispose()


CAPPED = Key("key_a", "a", budget=Budget(1.0, "day"))


def test_a_request_that_would_pass_the_cap_is_refused_until_the_window_ends(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        noon = NOW - NOW % 86400 + 43200
        keys.charge("key_a", 0.7, noon)
        assert keys.refusal(CAPPED, noon, hold=Hold(0.3)) is None
        keys.charge("key_a", 0.0, noon, hold=Hold(0.3))
        refused = keys.refusal(CAPPED, noon, hold=Hold(0.31))
        assert refused is not None
        assert (refused.status, refused.kind, refused.retry_after) == (429, "budget", 43200)
        assert "has spent $0.7000 of its budget of $1/day, and this request may cost $0.3100." in refused.said
        assert keys.refusal(CAPPED, noon + 43200, hold=Hold(0.31)) is None

    run(work, tmp_path)


def test_requests_that_run_at_once_never_pass_the_cap_together(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        hold = Hold(0.3)
        outcomes = [keys.refusal(CAPPED, NOW, hold=hold) for _ in range(5)]
        assert [o is None for o in outcomes] == [True] * 3 + [False] * 2
        assert outcomes[4] is not None
        assert outcomes[4].retry_after == 1.0  # the running ones may cost less than they hold
        keys.charge("key_a", 0.01, NOW, hold=hold)
        assert keys.refusal(CAPPED, NOW, hold=hold) is None

    run(work, tmp_path)


def test_spend_outlives_a_restart_and_is_never_counted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time", lambda: NOW)

    async def first(store: Store, keys: Keys) -> None:
        create(store.engine, "a")
        for i in range(10):
            exchange = made(i, at=NOW, cost=0.05)
            keys.charge(exchange.key, exchange.cost, exchange.at)
            store.put(exchange)
            assert keys.spent(CAPPED, NOW).calls == i + 1
        await store.flush()
        assert keys.spent(CAPPED, NOW) == pytest.approx((0.5, 10, 0, 0))

    async def second(store: Store, keys: Keys) -> None:
        assert keys.spent(CAPPED, NOW) == pytest.approx((0.5, 10, 0, 0))
        keys.charge("key_a", 0.1, NOW)
        store.put(made(99, at=NOW, cost=0.1))
        await store.flush()
        assert keys.spent(CAPPED, NOW) == pytest.approx((0.6, 11, 0, 0))

    run(first, tmp_path)
    run(second, tmp_path)


def test_another_process_s_spend_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time", lambda: NOW)

    async def work(store: Store, keys: Keys) -> None:
        other = await Store.open(tmp_path / "sprat.db")
        other.put(made(1, at=NOW, cost=0.9))
        await other.close()

        def refused() -> bool:
            return keys.refusal(CAPPED, NOW, hold=Hold(0.2)) is not None

        keys._held.clear()
        await wait_for_it(lambda: (refused(), keys._held.clear())[0])

    run(work, tmp_path)


def test_an_unknown_cost_counts_as_the_most_that_it_can_have_been(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        hold = Hold(0.6)
        assert keys.refusal(CAPPED, NOW, hold=hold) is None
        keys.charge("key_a", None, NOW, hold=hold)
        assert keys.spent(CAPPED, NOW) == (0.0, 1, 1, 0.6)
        refused = keys.refusal(CAPPED, NOW, hold=Hold(0.5))
        assert refused is not None
        assert "has spent $0.0000 and up to $0.6000 more in calls of unknown cost of its budget" in refused.said
        assert keys.refusal(CAPPED, NOW, hold=Hold(0.4)) is None

    run(work, tmp_path)


def test_an_unknown_cost_still_counts_after_a_restart(tmp_path: Path):
    async def first(store: Store, keys: Keys) -> None:
        store.put(made(1, at=time.time(), cost=None, at_most=0.6))

    async def second(store: Store, keys: Keys) -> None:
        assert keys.refusal(CAPPED, time.time(), hold=Hold(0.5)) is not None

    run(first, tmp_path)
    run(second, tmp_path)


def test_a_cost_without_any_bound_is_counted_and_refused_only_where_asked(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        keys.charge("key_a", None, NOW)
        assert keys.spent(CAPPED, NOW) == (0.0, 1, 1, 0.0)
        assert keys.refusal(CAPPED, NOW, hold=Hold(None)) is None
        refused = keys.refusal(replace(CAPPED, priced_only=True), NOW, hold=Hold(None))
        assert refused is not None
        assert refused.kind == "unpriced"

    run(work, tmp_path)


def test_requests_and_tokens_per_minute(tmp_path: Path):
    clock = Clock()

    async def work(store: Store, keys: Keys) -> None:
        key = Key("key_a", "a", rate=2, tokens=1000)
        assert [keys.refusal(key, NOW) for _ in range(2)] == [None, None]
        refused = keys.refusal(key, NOW)
        assert refused is not None
        assert (refused.kind, refused.retry_after) == ("rate", pytest.approx(30))
        keys.charge("key_a", 0.0, NOW, tokens=2000)
        clock.now += 29.9
        assert keys.refusal(key, NOW) is not None
        clock.now += 0.2
        refused = keys.refusal(key, NOW)
        assert refused is not None
        assert (refused.status, refused.kind) == (429, "tokens")
        clock.now += 60
        assert keys.refusal(key, NOW) is None

    run(work, tmp_path, clock)


def test_tokens_that_were_held_are_given_back(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        key = Key("key_a", "a", tokens=1000)
        hold = Hold(0.0, 900)
        assert keys.refusal(key, NOW, hold=hold) is None
        assert keys.refusal(key, NOW, hold=hold) is not None
        keys.charge("key_a", 0.0, NOW, tokens=50, hold=hold)
        assert keys.refusal(key, NOW, hold=hold) is None

    run(work, tmp_path)


def test_a_wall_clock_that_jumps_touches_no_rate_and_loses_no_spend(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        key = replace(CAPPED, rate=1)
        assert keys.refusal(key, NOW) is None
        assert keys.refusal(key, NOW + 400 * 86400) is not None
        keys.charge("key_a", 1.0, NOW)
        keys.charge("key_a", 0.2, NOW + 400 * 86400)
        assert [keys.spent(key, NOW + d * 86400).dollars for d in (0, 400, 0)] == [1.0, 0.2, 1.0]

    run(work, tmp_path)


def test_a_model_that_is_not_allowed(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        refused = keys.refusal(Key("key_a", "a", models=("small",)), NOW, model="large")
        assert refused is not None
        assert (refused.status, refused.kind) == (403, "model")

    run(work, tmp_path)


def test_keys_go_on_in_memory_when_the_database_is_gone(tmp_path: Path):
    async def work(store: Store, keys: Keys) -> None:
        _, secret = create(store.engine, "a")
        await wait_for_it(lambda: len(keys) == 1)
        (tmp_path / "sprat.db").rename(tmp_path / "away.db")
        await wait_for_it(lambda: not store.health.ok)
        assert keys.check(secret, NOW) is not None
        (tmp_path / "away.db").rename(tmp_path / "sprat.db")

    run(work, tmp_path)


def test_keys_in_postgresql_are_followed_and_capped_too():
    async def go(url: str) -> None:
        store = await Store.open(url, poll=0.02)
        keys = await Keys.open(store)
        key, secret = create(store.engine, "a", budget=Budget(1, "month"))
        await wait_for_it(lambda: keys.check(secret, NOW) == key)
        keys.charge(key.id, 1.0, NOW)
        store.put(made(1, at=NOW, key=key.id, cost=1.0))
        await store.flush()
        assert keys.spent(key, NOW) == (1.0, 1, 0, 0.0)
        assert keys.refusal(key, NOW) is not None
        with pytest.raises(BadInput, match="already"):
            create(store.engine, "a")
        disable(store.engine, "a")
        await wait_for_it(lambda: keys.check(secret, NOW) is None)
        await store.close()

    with postgresql() as server:
        asyncio.run(go(server.url))
