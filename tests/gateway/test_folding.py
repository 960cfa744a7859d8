"""Evidence is folded exactly once: by workers that race, by one that takes over, and where processes are killed."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from stored import postgresql, wait_for
from watched import Upstream, written  # skips where a package of the gateway's is not there

from sprat.gateway.ledger import schema
from sprat.gateway.promise import evidence, folding
from sprat.gateway.promise.evidence import Evidence
from sprat.gateway.promise.folding import Folder
from sprat.gateway.promise.promised import Promised

ASKED = Promised("within", 0.05, 0.1, measure="agreement", judge="agreement", share=1.0)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path_factory.mktemp("folding") / "s.db")
    else:
        with postgresql() as server:
            yield server.url


@pytest.fixture
def engine(url: str) -> Iterator[Any]:
    made = schema.connect(url)
    with schema.writing(made) as connection:
        for table in (schema.evidence, schema.watches):
            connection.execute(sa.delete(table))
    yield made
    made.dispose()


def folder(engine: Any, identity: str = "w", asked: Promised = ASKED, **told: Any) -> Folder:
    made = Folder(engine, asked, identity, **told)
    made._begin()
    return made


def pairs(n: int, start: int = 0, policy: float = 1.0, identity: str = "w") -> list[Evidence]:
    now = time.time() + 1
    told = {"reference": 1.0, "policy": policy, "propensity": 1.0}
    return [Evidence(f"p{i:06}", identity, "pair", now + i * 1e-4, **told) for i in range(start, start + n)]


def add(engine: Any, rows: list[Evidence]) -> None:
    with schema.writing(engine) as connection:
        evidence.insert(connection, rows)


def expire(engine: Any) -> None:
    """As if the holder had been silent for long."""
    with schema.writing(engine) as connection:
        connection.execute(sa.update(schema.watches).values(until=0.0))


def left(engine: Any) -> int:
    rows = schema.evidence
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).where(rows.c.folded == 0)).scalar() or 0


def test_the_same_row_twice_is_one(engine: Any) -> None:
    watch = folder(engine)
    add(engine, pairs(3))
    add(engine, pairs(3))
    watch.tick()
    assert watch.promise.watch.seen == 3


def test_only_the_holder_folds_and_all_see_what_is_published(engine: Any) -> None:
    first, second = folder(engine), folder(engine)
    add(engine, pairs(5))
    second.tick()
    assert left(engine) == 5
    first.tick()
    second.tick()
    assert second.status["pairs"] == 5


def test_another_goes_on_from_what_was_saved_once_the_lease_has_ended(engine: Any) -> None:
    first, second = folder(engine), folder(engine)
    add(engine, pairs(5))
    first.tick()
    expire(engine)
    add(engine, pairs(5, 5))
    second.tick()
    assert (second.promise.watch.seen, left(engine)) == (10, 0)


def test_one_that_was_away_and_believes_it_still_folds_changes_nothing(engine: Any) -> None:
    first, second = folder(engine), folder(engine)
    add(engine, pairs(5))
    rows = first._new()
    expire(engine)
    second.tick()
    assert not first._fold(rows)
    first.tick()
    assert (first.status["pairs"], second.promise.watch.seen) == (5, 5)


def test_a_lease_from_a_clock_that_was_wrong_is_not_waited_for(engine: Any) -> None:
    folder(engine)
    with schema.writing(engine) as connection:
        connection.execute(sa.update(schema.watches).values(until=time.time() + 1e6))
    second = folder(engine)
    add(engine, pairs(2))
    second.tick()
    assert second.promise.watch.seen == 2


@pytest.mark.slow
def test_workers_that_race_count_every_row_once(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "LEASE", 0.0)  # so that all believe that they may fold, all the time
    monkeypatch.setattr(evidence, "FOLDED_AT_ONCE", 7)
    workers = [folder(engine) for _ in range(3)]
    rows = pairs(200)
    random.Random(0).shuffle(rows)

    def work(worker: Folder) -> None:
        for _ in range(400):
            worker.tick()
            if not left(engine):
                return

    threads = [threading.Thread(target=work, args=(w,)) for w in workers]
    for thread in threads:
        thread.start()
    for i in range(0, len(rows), 10):
        add(engine, rows[i : i + 10])
    for thread in threads:
        thread.join()
    last = folder(engine)
    last.tick()
    with engine.connect() as connection:
        saved = evidence.watch(connection)
    assert saved is not None
    last._restore(saved)
    assert (last.promise.watch.seen, left(engine)) == (200, 0)


def test_another_promise_takes_the_place_and_its_rows_go(engine: Any) -> None:
    old = folder(engine)
    add(engine, pairs(5))
    new = folder(engine, "v")
    new.tick()
    old.tick()
    assert (new.promise.watch.seen, old.superseded, left(engine)) == (0, True, 0)


def test_what_could_not_be_saved_is_counted_once_later(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = folder(engine)
    add(engine, pairs(5))

    def full(*_: Any) -> bool:
        raise sa.exc.OperationalError("update", {}, OSError("the disk is full"))

    monkeypatch.setattr(evidence, "save", full)
    with pytest.raises(sa.exc.OperationalError):
        watch.tick()
    monkeypatch.undo()
    watch.tick()
    assert (watch.promise.watch.seen, watch.status["pairs"], left(engine)) == (5, 5, 0)


def test_a_row_that_can_not_be_counted_is_refused_and_the_rest_goes_on(engine: Any) -> None:
    watch = folder(engine)
    bad = Evidence("bad", "w", "pair", time.time() + 1, reference=2.0, policy=0.0, propensity=1.0)
    broken = Evidence("odd", "w", "request", time.time() + 1, body={"no": "features"})
    add(engine, [bad, broken, *pairs(3)])
    watch.tick()
    assert (watch.promise.watch.seen, watch.refused, left(engine)) == (3, 2, 0)


def broken(engine: Any, **told: Any) -> Folder:
    watch = folder(engine, **told)
    add(engine, pairs(60, policy=0.0))
    watch.tick()
    assert watch.status["state"] == "broken"
    return watch


def test_a_worker_with_an_older_file_does_not_replace_the_watch(engine: Any) -> None:
    newer = broken(engine, read_at=2.0)
    older = folder(engine, "old", read_at=1.0)
    assert (older.superseded, older.status["state"]) == (True, "broken")
    older.tick()
    newer.tick()
    assert (newer.superseded, newer.status["state"]) == (False, "broken")


def test_a_time_of_reading_from_a_clock_that_was_wrong_is_not_waited_for(engine: Any) -> None:
    folder(engine, "ahead", read_at=time.time() + 1e6)
    assert not folder(engine, read_at=time.time()).superseded


def test_reading_the_same_file_again_is_remembered_by_whoever_folds(engine: Any) -> None:
    first = folder(engine, read_at=1.0)
    folder(engine, "other", read_at=2.0)
    folder(engine, read_at=3.0)
    expire(engine)
    add(engine, pairs(1))
    first.tick()
    assert folder(engine, "other", read_at=2.0).superseded


def test_a_broken_promise_stays_broken_whatever_of_the_file_was_changed(engine: Any) -> None:
    why = broken(engine, certificate="c", read_at=1.0).status["why"]
    after = folder(engine, "changed", certificate="c", read_at=2.0)
    assert (after.status["state"], after.status["why"], after.status["pairs"]) == ("broken", why, 0)


def test_a_promise_suspended_by_hand_stays_so_whatever_of_the_file_was_changed(engine: Any) -> None:
    watch = folder(engine, certificate="c", read_at=1.0)
    evidence.tell(engine, "suspend", time.time(), "an uncertified model runs today")
    watch.tick()
    after = folder(engine, "changed", certificate="c", read_at=2.0)
    assert (after.status["state"], after.status["why"]) == ("suspended", "an uncertified model runs today")


def test_another_certificate_begins_anew_after_a_broken_promise(engine: Any) -> None:
    broken(engine, certificate="c", read_at=1.0)
    assert folder(engine, "changed", certificate="d", read_at=2.0).status["state"] == "holding"


def test_what_a_changed_file_serves_is_watched_but_not_said_to_be_as_certified(engine: Any) -> None:
    watch = folder(engine, altered=True)
    add(engine, pairs(3))
    watch.tick()
    assert watch.status["state"] == "suspended"
    assert "not watched as certified: the file was changed" in watch.status["sentence"]
    assert (watch.status["pairs"], folding.acting(watch.status)) == (3, "holding")


def test_a_request_that_the_writer_adds_again_after_it_was_folded_counts_once(engine: Any) -> None:
    watch = folder(engine, asked=Promised("within", 0.05, 0.1, features={"characters": tuple(range(100))}))
    body = {"features": {"characters": 5.0}, "draw": 0.5}
    row = Evidence("request-1", "w", "request", time.time() + 1, "1", body=body)
    for _ in range(3):
        add(engine, [row])
        watch.tick()
    assert watch.status["requests"] == 1


def test_folded_requests_are_deleted_after_an_hour_those_of_threads_after_a_day_and_pairs_are_kept(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "_CLEARED", 1)
    watch = folder(engine, asked=Promised("within", 0.05, 0.1, features={"characters": tuple(range(100))}))
    body = {"features": {"characters": 5.0}, "draw": 0.5}
    rows = [("1", 0), ("2", 4000), ("thread", 4000), ("older-thread", 90_000)]  # numbers: without a thread
    told = [(f"request-{n}", "w", "request", time.time() - ago, n if n.isdigit() else "9") for n, ago in rows]
    add(engine, [Evidence(*row, body=body) for row in told])
    add(engine, [Evidence("p", "w", "pair", time.time() - 4000, reference=1.0, policy=1.0, propensity=1.0)])
    watch.tick()
    with engine.connect() as connection:
        assert {r.id for r in connection.execute(sa.select(schema.evidence))} == {"request-1", "request-thread", "p"}


def test_a_pair_of_what_answered_before_the_alarm_was_heard_of_restores_nothing(engine: Any) -> None:
    watch = folder(engine)
    watch.promise._break(0.0, "for the test")
    watch._save((), watch.version)
    add(engine, pairs(5))
    watch.tick()
    assert watch.promise.restoring is not None
    assert (watch.promise.restoring.seen, left(engine)) == (0, 0)


def test_what_was_drawn_at_the_lower_rate_before_the_alarm_is_left_out(engine: Any) -> None:
    watch = folder(engine, asked=Promised("within", 0.05, 0.1, judge="agreement", share=0.1, restore_share=0.5))
    watch.promise._break(0.0, "for the test")
    watch._save((), watch.version)
    told: Any = {"reference": 1.0, "policy": 1.0, "body": {evidence.RESTORING: True}}
    add(engine, [Evidence(f"{q}", "w", "pair", 1.0, propensity=q, **told) for q in (0.1, 0.5)])
    watch.tick()
    assert watch.promise.restoring is not None
    assert (watch.promise.restoring.seen, left(engine)) == (1, 0)


FORKED = """
import os
from sprat.gateway.asgi import fresh
if os.fork():
    os.wait()
print(fresh(), flush=True)
"""


def test_forked_workers_draw_ids_of_their_own() -> None:
    said = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True).stdout.split()
    assert len(set(said)) == 2


RUN = "import sys; from sprat.cli import main; sys.exit(main(sys.argv[1:]))"


class Process:
    """A gateway in a process of its own, on a store that others share."""

    def __init__(self, file: Path, store: str, *more: str) -> None:
        command = [sys.executable, "-c", RUN, "serve", str(file), "--port", "0", "--store", store, *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        said = ""
        while "/healthz" not in said and (line := self.process.stdout.readline()):
            said += line
        found = re.search(r"base URL\s+(\S+)/v1", said)
        assert found, said
        self.url = found[1]

    def ask(self) -> str:
        body = b'{"model": "auto", "messages": [{"role": "user", "content": "2 + 2?"}]}'
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/v1/chat/completions", body), timeout=10
        ) as said:
            said.read()
            return said.headers["x-sprat-model"]

    def end(self, how: int) -> None:
        self.process.send_signal(how)
        self.process.communicate(timeout=20)


@pytest.mark.slow
def test_when_the_worker_that_folds_is_killed_the_other_takes_over_and_nothing_is_counted_twice_or_lost(
    url: str, engine: Any, tmp_path: Path
) -> None:
    with Upstream() as upstream:
        file = written(tmp_path, upstream.url, "share = 1.0")
        first = Process(file, url)
        second = Process(file, url)
        try:
            for _ in range(30):
                first.ask()
                second.ask()
            wait_for(lambda: folded(engine) > 0)
            noted = folded(engine) + left(engine)
            first.end(signal.SIGKILL)  # while it folds, with pairs of both still to come
            for _ in range(10):
                second.ask()
            wait_for(lambda: folded(engine) >= max(noted, 40) and left(engine) == 0, 20)
            assert published(engine)["pairs"] == folded(engine) <= 70
            upstream.wrong = 1.0
            asked = 0
            while second.ask() != "large":
                asked += 1
                time.sleep(0.02)
                assert asked < 500
            assert published(engine)["state"] == "broken"
        finally:
            second.end(signal.SIGTERM)
        assert left(engine) == 0


@pytest.mark.slow
def test_all_workers_of_a_server_add_to_one_watch(url: str, engine: Any, tmp_path: Path) -> None:
    with Upstream() as upstream:
        both = Process(written(tmp_path, upstream.url, "share = 1.0"), url, "--workers", "2")
        try:
            for _ in range(60):
                both.ask()
            wait_for(lambda: published(engine)["pairs"] == 60, 15)
            upstream.wrong = 1.0
            wait_for(lambda: both.ask() == "large", 20)
            time.sleep(1.5)
            assert {both.ask() for _ in range(20)} == {"large"}
        finally:
            both.end(signal.SIGTERM)
    assert left(engine) == 0


def published(engine: Any) -> dict[str, Any]:
    with engine.connect() as connection:
        saved = evidence.watch(connection)
    return dict(saved.status) if saved else {"pairs": 0, "state": ""}


def folded(engine: Any) -> int:
    rows = schema.evidence
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).where(rows.c.folded == 1)).scalar() or 0
