"""The store in both databases: what is put is read back, totals add up, migrations, retention, labels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import NOW, Server, made, postgresql

from sprat.errors import BadInput
from sprat.gateway.access.limits import Spent, span
from sprat.gateway.ledger import schema
from sprat.gateway.ledger.exchange import Exchange
from sprat.gateway.ledger.records import COLUMNS, exchange_of, row_of
from sprat.gateway.ledger.store import Store, beside

Read = Callable[[str], Store]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return str(tmp_path / "sprat.db")
    address: str = request.getfixturevalue("server").url
    engine = sa.create_engine(schema.parsed(address))
    with engine.begin() as connection:
        connection.exec_driver_sql("drop schema public cascade")
        connection.exec_driver_sql("create schema public")
    engine.dispose()
    return address


@pytest.fixture
def read() -> Iterator[Read]:
    """Opens stores to read, and closes them."""
    with ExitStack() as opened:
        yield lambda url: opened.enter_context(Store.read(url))


def fill(url: str, *exchanges: Exchange, **options: object) -> None:
    async def go() -> None:
        store = await Store.open(url, **options)  # type: ignore[arg-type]
        for exchange in exchanges:
            store.put(exchange)
        assert await store.close() == 0

    asyncio.run(go())


def test_what_is_put_is_read_back_newest_first(url: str, read: Read):
    fill(url, *(made(i) for i in range(1200)))
    assert read(url).exchanges() == [made(i) for i in reversed(range(1200))]


def test_what_was_refused_at_the_door_is_kept_too(url: str, read: Read):
    refused = made(1, status=429, cost=0.0, error="rate")
    fill(url, refused)
    assert read(url).exchanges() == [refused]
    assert read(url).spent_in(span("day", refused.at)) == {}


def test_prompts_are_kept_only_if_asked_for(url: str, read: Read):
    told = made(1, request={"messages": [{"role": "user", "content": "hi \0 \ud800 é"}]}, reply={"text": "yes"})
    fill(url, told)
    fill(url, replace(told, id="x2", at=NOW + 2), prompts=True)
    kept, not_kept = read(url).exchanges(prompts=True)
    assert (kept, not_kept) == (replace(told, id="x2", at=NOW + 2), replace(told, request=None, reply=None))


def test_a_part_of_the_log_by_time_and_key(url: str, read: Read):
    fill(url, made(1), made(2, key="key_b"), made(3), made(4))
    store = read(url)
    assert [e.id for e in store.exchanges(NOW + 1, NOW + 4, "key_a")] == ["x3", "x1"]
    assert [e.id for e in store.exchanges(limit=1)] == ["x4"]
    assert store.spend("key_b") == Spent(0.001, 1, 0)


def test_unknown_costs_are_counted_as_unknown_and_never_as_nothing(url: str, read: Read):
    fill(url, made(1), made(2, cost=None, at_most=0.5), made(3, cost=float("nan")), made(4, status=500, cost=0.0))
    totals = read(url).totals()
    assert (totals.requests, totals.failed, totals.unknown, totals.compared) == (4, 1, 2, 2)
    assert (totals.dollars, totals.saved) == pytest.approx((0.001, 0.019))
    assert read(url).spent_in(span("month", NOW))["key_a"] == Spent(0.001, 4, 2, 0.5)


def test_spend_is_the_sum_of_the_exchanges_in_each_window(url: str, read: Read):
    fill(url, *(made(i, at=NOW + i * 7200, cost=0.5) for i in range(24)))
    fill(url, *(made(i, at=NOW + i * 7200, cost=0.5) for i in range(24, 36)))
    days = [read(url).spent_in(span("day", NOW + d * 86400)).get("key_a", Spent()) for d in range(4)]
    assert (sum(d.dollars for d in days), sum(d.calls for d in days)) == (18.0, 36)


def test_two_stores_write_to_one_database(url: str, read: Read):
    async def go() -> None:
        stores = [await Store.open(url) for _ in range(3)]
        for i in range(300):
            stores[i % 3].put(made(i))
            await asyncio.sleep(0)
        assert [await s.close() for s in stores] == [0, 0, 0]

    asyncio.run(go())
    assert read(url).spent_in(span("month", NOW))["key_a"].calls == 300


def test_what_the_database_refuses_does_not_hold_up_the_rest(url: str, read: Read):
    async def go() -> None:
        store = await Store.open(url)
        for i in range(10):
            store.put(made(i, status=2**70 if i == 3 else 200, at=float("nan") if i == 5 else NOW))
        assert await store.flush()
        assert (store.health.ok, store.health.written, store.health.unwritable) == (True, 8, 2)
        await store.close()

    asyncio.run(go())
    assert {f"x{i}" for i in range(10)} - {e.id for e in read(url).exchanges()} == {"x3", "x5"}
    assert read(url).spent_in(span("month", NOW))["key_a"].calls == 9  # one that has no time belongs to no window


def test_an_id_that_comes_twice_is_written_and_charged_once(url: str, read: Read):
    fill(url, made(1), made(1), made(2))
    assert len(read(url).exchanges()) == 2
    assert read(url).spent_in(span("month", NOW))["key_a"].calls == 2


def test_old_exchanges_go_in_small_steps_and_spend_stays(url: str, read: Read):
    now = time.time()
    fill(url, *(made(i, at=now - 10 * 86400) for i in range(700)), made(900, at=now), keep_days=None)

    async def go() -> None:
        store = await Store.open(url, keep_days=7, poll=0.01)
        for _ in range(500):
            if len(store.exchanges()) == 1:
                break
            await asyncio.sleep(0.01)
        await store.close()

    asyncio.run(go())
    store = read(url)
    assert [e.id for e in store.exchanges()] == ["x900"]
    assert store.spent_in(span("day", now - 10 * 86400))["key_a"].calls == 700


def test_a_label_takes_the_place_of_the_same_source_s(url: str, read: Read):
    fill(url, made(1))
    store = read(url)
    for source, score in (("human", 0.0), ("judge:large", 0.5), ("human", 1.0)):
        store.label("x1", source, score)
    assert sorted((mark.source, mark.score) for mark in store.labels()) == [("human", 1.0), ("judge:large", 0.5)]


def test_a_setting_is_kept_until_the_next(url: str, read: Read):
    fill(url)
    assert read(url).setting("budget") is None
    read(url).keep("budget", "one")
    read(url).keep("budget", "two")
    assert read(url).setting("budget") == "two"


def test_the_tables_are_those_that_the_code_expects(url: str):
    engine = schema.connect(url)
    found = sa.inspect(engine)
    for name, table in schema.spend.metadata.tables.items():
        assert [c["name"] for c in found.get_columns(name)] == [c.name for c in table.columns]
    engine.dispose()


def test_a_database_of_an_earlier_version_is_brought_up_to_date(url: str, read: Read):
    engine = schema.connect(url)
    with engine.begin() as connection:
        for table in ("labels", "evidence", "watches"):
            connection.exec_driver_sql(f"drop table sprat_{table}")
        for column in ("setting", "drawn", "crafted"):
            connection.exec_driver_sql(f"alter table sprat_exchanges drop column {column}")
        for table in ("exchanges", "spend"):
            connection.exec_driver_sql(f"alter table sprat_{table} drop column at_most")
        connection.exec_driver_sql("drop index sprat_exchanges_thread")
        connection.exec_driver_sql("delete from sprat_versions where version > 1")
    engine.dispose()
    fill(url, made(1))
    store = read(url)
    store.label("x1", "human", 1.0)
    assert len(store.labels()) == 1
    assert store.exchanges()[0].setting == "at .2"


def test_a_newer_database_is_refused_in_a_sentence(url: str):
    engine = schema.connect(url)
    with engine.begin() as connection:
        connection.execute(sa.insert(schema.versions).values(version=99, at=0.0, what="the future"))
    engine.dispose()
    with pytest.raises(BadInput, match=r"has version 99; this sprat knows none above \d+\. Upgrade sprat") as said:
        Store.read(url)
    assert "planted-password" not in str(said.value)


def test_a_failed_migration_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch):
    engine = schema.connect(url)
    engine.dispose()
    steps = (*schema.MIGRATIONS, ("bad", ("create table sprat_more (id text)", "no such statement")))
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    with pytest.raises(BadInput, match="can't be opened"):
        Store.read(url)
    monkeypatch.undo()
    engine = schema.connect(url)
    assert "sprat_more" not in sa.inspect(engine).get_table_names()
    engine.dispose()


@pytest.mark.parametrize("address", ["mysql://a/b", "sqlite://", "sqlite:///:memory:", "http://x", "://"])
def test_another_address_is_refused_in_a_sentence(address: str):
    with pytest.raises(BadInput, match=r"Give a file's path, or postgresql://"):
        Store.read(address)


def test_what_is_no_database_or_not_there(tmp_path: Path):
    (tmp_path / "other").write_text("not a database, but long enough to be one" * 50)
    with pytest.raises(BadInput, match="file is not a database"):
        Store.read(tmp_path / "other")
    with pytest.raises(BadInput, match="There is no store at"):
        Store.read(tmp_path / "none.db")
    with pytest.raises(BadInput, match="can't be made: No such file"):
        Store.read(tmp_path / "none" / "sprat.db", create=True)


def test_the_store_is_beside_the_toml_and_its_owner_s_alone(tmp_path: Path):
    assert beside(tmp_path / "serve.toml") == tmp_path / "sprat.db"
    fill(str(tmp_path / "sprat.db"), made(1))
    assert (tmp_path / "sprat.db").stat().st_mode & 0o777 == 0o600


texts = st.text(max_size=20)
costs = st.none() | st.floats(0, 1e6)


@given(texts, costs, st.none() | st.integers(0, 2**62), st.dictionaries(texts, st.floats(0, 1)), st.booleans())
@settings(max_examples=100)
def test_a_row_gives_its_exchange_again(text: str, cost: float | None, tokens: int | None, trusts: dict, flag: bool):
    clean = text.replace("\0", "").encode("utf-8", "replace").decode()
    told = made(1, model=clean, cost=cost, input_tokens=tokens, trusts=trusts, streamed=flag)
    assert exchange_of(dict(zip(COLUMNS, row_of(told), strict=True))) == told


def test_what_looks_like_a_secret_is_struck_out():
    error = "401 from https://u:pass-word@host: Bearer abcdefghijk, key sk-proj-12345678; planted"
    row = dict(zip(COLUMNS, row_of(made(1, error=error, card={"a": "sk-ant-abcdefgh"}), ["planted"]), strict=True))
    assert row["error"] == "401 from https://***@host: Bearer ***, key ***; ***"
    assert exchange_of(row).card == {"a": "***"}
