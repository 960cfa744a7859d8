"""kill -9, a full disk, a database that is gone: the gateway goes on, counts, retries, loses nothing it promised."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

import sqlalchemy as sa
from stored import NOW, made, postgresql, wait_for, wait_for_it

from sprat.errors import BadInput
from sprat.gateway.access.keys import Keys
from sprat.gateway.access.limits import span
from sprat.gateway.ledger import schema, writer
from sprat.gateway.ledger.store import Store

CHILD = """
import asyncio, sys, time
sys.path.insert(0, sys.argv[3])
from sprat.gateway.ledger.store import Store
from stored import made

async def main():
    durable = sys.argv[2] == "durable"
    store = await Store.open(sys.argv[1], durable=durable)
    for i in range(10**9):
        done = await store.record(made(i))
        print(i, time.monotonic(), int(done), flush=True)
        await asyncio.sleep(0 if durable else 0.0005)

asyncio.run(main())
"""


def killed(tmp_path: Path, mode: str) -> tuple[list[tuple[int, float]], float, set[str]]:
    """Write until killed: what was acknowledged and when, when it was killed, and what is there afterwards."""
    url = str(tmp_path / "sprat.db")
    command = [sys.executable, "-c", CHILD, url, mode, str(Path(__file__).parent)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert child.stdout is not None
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(child.stdout or ()))
    reader.start()
    wait_for(lambda: len(said) > 150, 30)
    child.send_signal(signal.SIGKILL)
    at = time.monotonic()
    child.wait()
    reader.join()
    child.stdout.close()
    told = [line.split() for line in said if line.endswith("\n")]
    with Store.read(url) as store:
        there = {e.id for e in store.exchanges()}
        assert store.spent_in(span("month", NOW))["key_a"].calls == len(there)
    return [(int(i), float(t)) for i, t, done in told if done == "1"], at, there


def test_nothing_that_a_durable_store_acknowledged_is_lost_on_kill_9(tmp_path: Path):
    acknowledged, _, there = killed(tmp_path, "durable")
    assert len(acknowledged) > 100
    assert {f"x{i}" for i, _ in acknowledged} <= there


def test_by_default_kill_9_loses_the_newest_alone_and_no_more_than_a_moment_s(tmp_path: Path):
    acknowledged, at, there = killed(tmp_path, "default")
    assert there == {f"x{i}" for i in range(len(there))}
    lost = [t for i, t in acknowledged if f"x{i}" not in there]
    assert all(at - t < 2.0 for t in lost)  # 0.05 s and a commit; the machine may be busy


def run(work: Any) -> None:
    asyncio.run(work())


def test_a_full_disk_is_said_and_what_waited_is_written_when_there_is_room(tmp_path: Path):
    async def go() -> None:
        store = await Store.open(tmp_path / "sprat.db", limit=400)
        pages = ["pragma max_page_count = 1"]  # as small as it is now
        sa.event.listen(store.engine, "checkout", lambda raw, *_: raw.execute(pages[0]).fetchall())
        for i in range(500):
            store.put(made(i, cost=0.5, card={"filler": "x" * 900}))
        await wait_for_it(lambda: not store.health.ok)
        health = store.health
        assert "database or disk is full" in health.said
        assert (health.queued, health.dropped, health.written) == (400, 100, 0)
        assert not await store.flush(patience=0.2)
        pages[0] = "pragma max_page_count = 1000000"
        await wait_for_it(lambda: store.health.ok and not store.health.queued)
        assert (len(store.exchanges()), store.health.written) == (400, 400)
        assert store.spent_in(span("month", NOW))["key_a"] == (250.0, 500, 0, 0.0)  # what was dropped was still spent
        await store.close()

    run(go)


def test_a_file_that_is_taken_away_is_said_and_written_when_it_is_back(tmp_path: Path):
    async def go() -> None:
        path = tmp_path / "sprat.db"
        store = await Store.open(path, poll=0.05)
        store.put(made(1))
        await store.flush()
        await Keys.open(store)
        away = [(p, p.with_name(p.name + ".away")) for p in tmp_path.glob("sprat.db*")]
        for p, q in away:
            p.rename(q)
        store.put(made(2))
        await wait_for_it(lambda: not store.health.ok)
        assert "sprat.db is gone" in store.health.said
        assert not path.exists()
        for p, q in away:
            q.rename(p)
        await wait_for_it(lambda: store.health.ok and not store.health.queued)
        assert [e.id for e in store.exchanges()] == ["x2", "x1"]
        await store.close()

    run(go)


def test_a_locked_database_holds_up_nobody(tmp_path: Path):
    async def go() -> None:
        store = await Store.open(tmp_path / "sprat.db")
        with Store.read(tmp_path / "sprat.db") as other, schema.writing(other.engine):
            start = time.perf_counter()
            for i in range(1000):
                assert store.put(made(i))
            assert time.perf_counter() - start < 0.5
            await asyncio.sleep(0.2)
            assert store.health.written == 0
        assert await store.flush()
        assert len(store.exchanges()) == 1000
        await store.close()

    run(go)


def test_a_durable_reply_ends_all_the_same_when_the_database_is_away(tmp_path: Path):
    async def go() -> None:
        store = await Store.open(tmp_path / "sprat.db", durable=True)
        assert await store.record(made(1))
        (tmp_path / "sprat.db").rename(tmp_path / "away.db")
        assert not await store.record(made(2), patience=0.1)
        assert await store.close(patience=0.3) == 1

    run(go)


def test_a_long_queue_drops_prompts_before_it_drops_records(tmp_path: Path):
    async def go() -> None:
        store = await Store.open(tmp_path / "sprat.db", prompts=True, limit=100)
        (tmp_path / "sprat.db").rename(tmp_path / "away.db")
        for i in range(120):
            store.put(made(i, request={"messages": []}))
        await wait_for_it(lambda: not store.health.ok)
        assert (store.health.stripped, store.health.dropped) == (90, 20)
        (tmp_path / "away.db").rename(tmp_path / "sprat.db")
        assert await store.flush()
        kept = store.exchanges(prompts=True)
        assert (len(kept), sum(e.request is not None for e in kept)) == (100, 10)
        await store.close()

    run(go)


def test_a_wall_clock_that_jumps_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async def go() -> None:
        store = await Store.open(tmp_path / "sprat.db", keep_days=30, poll=0.01)
        store.put(made(1, at=time.time()))
        await store.flush()
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 400 * 86400)
        store.writer._retain_at = 0.0
        await asyncio.sleep(0.1)
        monkeypatch.undo()
        assert len(store.exchanges()) == 1
        await store.close()

    run(go)


def test_postgresql_that_is_stopped_and_started_again():
    with postgresql() as server:

        async def go() -> None:
            store = await Store.open(server.url, poll=0.05)
            store.put(made(1))
            assert await store.flush()
            server.turn("stop -m immediate")
            for i in range(2, 300):
                assert store.put(made(i))
            await wait_for_it(lambda: not store.health.ok)
            said = store.health.said
            server.turn("start")
            await wait_for_it(lambda: store.health.ok and not store.health.queued, 20)
            assert "planted-password" not in said
            assert store.spent_in(span("month", NOW))["key_a"].calls == len(store.exchanges()) == 299
            await store.close()

        run(go)


def test_a_store_that_can_t_be_read_is_said_in_a_sentence(tmp_path: Path):
    store = Store.read(tmp_path / "sprat.db", create=True)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("drop table sprat_exchanges")
    with pytest.raises(BadInput, match="can't be used: no such table: sprat_exchanges"), store:
        store.exchanges()


def test_many_that_open_a_new_database_at_once_all_succeed(tmp_path: Path):
    failed: list[Exception] = []

    def open_it() -> None:
        try:
            Store.read(tmp_path / "sprat.db", create=True).engine.dispose()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.slow
def test_kill_9_again_and_again_leaves_a_whole_database(tmp_path: Path):
    for i in range(12):
        place = tmp_path / str(i)
        place.mkdir()
        acknowledged, _, there = killed(place, "durable" if i % 2 else "default")
        assert there == {f"x{n}" for n in range(len(there))}
        assert i % 2 == 0 or {f"x{n}" for n, _ in acknowledged} <= there
        with Store.read(place / "sprat.db") as store, store.engine.connect() as connection:
            assert connection.exec_driver_sql("pragma integrity_check").scalar() == "ok"


def test_what_a_full_queue_dropped_is_charged_once_though_the_commit_was_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    unheard, real = [2], schema.writing

    @contextmanager
    def writing(engine: Any) -> Iterator[Any]:
        with real(engine) as connection:
            yield connection
        if unheard[0]:
            unheard[0] -= 1
            raise ConnectionError("the commit's answer was lost")

    async def go() -> None:
        store = await Store.open(tmp_path / "sprat.db", limit=0)
        monkeypatch.setattr(schema, "writing", writing)
        for i in range(3):
            store.put(made(i, cost=1.0))
            await store.flush()
            await wait_for_it(lambda: store.health.ok)
        assert not unheard[0]
        assert store.spent_in(span("month", NOW))["key_a"] == (3.0, 3, 0, 0.0)
        await store.close()

    monkeypatch.setattr(writer, "_RETRY", (0.001, 0.004))
    run(go)


def test_what_the_database_refuses_is_charged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = writer.row_of

    def refused(exchange: Any, secrets: Any) -> Any:
        if exchange.id == "x1":
            raise ValueError
        return real(exchange, secrets)

    async def go() -> None:
        store = await Store.open(tmp_path / "sprat.db")
        monkeypatch.setattr(writer, "row_of", refused)
        for i in range(3):
            store.put(made(i, cost=1.0))
        await store.flush()
        await store.close()
        assert (store.health.unwritable, store.health.written) == (1, 2)

    run(go)
    with Store.read(tmp_path / "sprat.db") as store:
        assert store.spent_in(span("month", NOW))["key_a"] == (3.0, 3, 0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_faults_at_random_lose_and_repeat_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int):
    chance, fail, failures = random.Random(seed), [False], [0, 0]
    commit = writer.Writer._commit

    def broken(self: writer.Writer, *given: Any) -> Any:
        """A database that fails before a commit, or after it, when nobody can tell whether it took place."""
        late = chance.random() < 0.5
        found = commit(self, *given) if late or not fail[0] else None
        if (fail[0] and chance.random() < 0.7) or found is None:
            failures[late] += 1
            raise sqlite3.OperationalError("disk I/O error")
        return found

    async def go() -> None:
        path, away = tmp_path / "sprat.db", tmp_path / "away.db"
        store = await Store.open(path, linger=0.001, poll=0.02, limit=500)
        for i in range(6000):
            store.put(made(i, cost=0.25))
            if i % 20 == 0:
                fail[0] = chance.random() < 0.5
                if away.exists():
                    away.rename(path)
                elif chance.random() < 0.2:
                    path.rename(away)
                await asyncio.sleep(0.004)
        fail[0] = False
        if away.exists():
            away.rename(path)
        await wait_for_it(lambda: store.health.ok and not store.health.queued, 30)
        health = store.health
        assert min(failures) > 5
        assert 0 < health.written == len(store.exchanges()) == 6000 - health.dropped
        assert store.spent_in(span("month", NOW))["key_a"] == (1500.0, 6000, 0, 0)
        await store.close()

    monkeypatch.setattr(writer.Writer, "_commit", broken)
    monkeypatch.setattr(writer, "_RETRY", (0.001, 0.004))
    run(go)


def test_postgresql_takes_what_it_can_not_hold_as_near_as_it_can():
    odd = "a\0b\ud800\u202e"
    with postgresql() as server:

        async def go():
            store = await Store.open(server.url, prompts=True)
            told: Any = {"asked": odd, "thread": odd, "error": odd, "model": odd, "way": odd, "dialect": odd}
            request = {"messages": [{"role": "user", "content": odd}], "options": {"x": float("nan"), "y": 10**400}}
            told |= {"trusts": {odd: float("nan")}, "card": {odd: odd}, "request": request, "reply": {"text": odd}}
            store.put(made(0, **told))
            assert await store.flush()
            health = store.health
            found = await asyncio.to_thread(store.exchanges, prompts=True)
            await store.close()
            return health, found

        health, found = asyncio.run(go())
    assert (health.unwritable, health.written, len(found)) == (0, 1, 1)
    assert found[0].asked.startswith("ab")
    assert found[0].request is not None
    assert found[0].request["messages"][0]["content"].startswith("a\0b")
