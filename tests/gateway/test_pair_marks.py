"""Pairs scored by a judge or by a person: marks are given blind, and what waits holds back what comes after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from stored import wait_for
from watched import Upstream, Watched, written  # skips where a package of the gateway's is not there

from sprat.cli import main
from sprat.errors import BadInput
from sprat.gateway.ledger import schema
from sprat.gateway.ledger.retention import delete_older
from sprat.gateway.promise import evidence
from sprat.gateway.promise.evidence import Evidence
from sprat.gateway.promise.folding import Folder
from sprat.gateway.promise.promised import promised


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Any]:
    made = schema.connect(tmp_path / "marks.db")
    yield made
    made.dispose()


def file_of(tmp_path: Path, upstream: Upstream, more: str) -> Path:
    file = written(tmp_path, upstream.url, f"share = 1.0\n{more}")
    file.write_text(file.read_text().replace('measure = "agreement"', 'measure = "exact"'))
    return file


def add(engine: Any, *rows: Evidence) -> None:
    with schema.writing(engine) as connection:
        evidence.insert(connection, rows)


def pair(name: str, at: float, **more: Any) -> Evidence:
    texts = {"question": "q", "policy": "the small one's", "reference": "the large one's", "same": False}
    return Evidence(name, "w", "pair", at, name, f"shadow-{name}", propensity=1.0, body=texts, **more)


def folder(engine: Any, **more: Any) -> Folder:
    told = {"kind": "within", "level": 0.05, "delta": 0.1, "share": 1.0, "measure": "exact", **more}
    asked = promised(told, "serve.toml", {"large": 1})
    assert asked is not None
    made = Folder(engine, asked, "w")
    made._begin()
    made.promise.since = 0.0  # the rows of these tests have small times
    assert made._save((), made.version)
    return made


def test_a_model_judges_both_replies_and_what_it_costs_is_counted(upstream: Upstream, tmp_path: Path) -> None:
    upstream.wrong = 1.0
    with Watched(file_of(tmp_path, upstream, 'judge = "large"'), tmp_path / "s.db") as gateway:
        gateway.ask()
        wait_for(lambda: gateway.keeper.status()["pairs"] == 1)
        assert gateway.keeper.status()["mean_loss"] == pytest.approx(0.95)
        wait_for(lambda: gateway.app.store.spend("promise").calls == 3)
    graded = [c for c in upstream.calls if c["text"].startswith("Score")]
    assert len(graded) == 2
    assert all(c["body"]["temperature"] == 0 for c in graded)


def test_the_same_reply_is_judged_once(upstream: Upstream, tmp_path: Path) -> None:
    with Watched(file_of(tmp_path, upstream, 'judge = "large"'), tmp_path / "s.db") as gateway:
        gateway.ask()
        wait_for(lambda: gateway.keeper.status()["pairs"] == 1)
    assert sum(c["text"].startswith("Score") for c in upstream.calls) == 1


def test_without_a_judge_pairs_wait_for_a_person_and_their_marks_break_the_promise(
    upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.wrong, store = 1.0, str(tmp_path / "s.db")
    with Watched(file_of(tmp_path, upstream, "marks = 1.0"), store) as gateway:
        gateway.ask(40)
        wait_for(lambda: gateway.keeper.status()["marks_waiting"] == 40)
        assert gateway.keeper.status()["pairs"] == 0
        assert main(["promise", "mark", "--limit", "100", "--json", "--store", store]) == 0
        for one in json.loads(capsys.readouterr().out)["pairs"]:
            assert one["question"] == "What is 2 + 2?"
            scores = [str(float(text == "4")) for text in one["replies"]]
            assert main(["promise", "mark", one["id"], *scores, "--store", store]) == 0
        wait_for(lambda: gateway.keeper.state == "broken")
        labels = gateway.app.store.labels()
        assert sorted(label.score for label in labels) == [0.0] * 40 + [1.0] * 40


def test_replies_are_shown_in_a_random_order(upstream: Upstream, tmp_path: Path) -> None:
    upstream.wrong = 1.0
    with Watched(file_of(tmp_path, upstream, "marks = 1.0"), tmp_path / "s.db") as gateway:
        gateway.ask(20)
        wait_for(lambda: gateway.keeper.status()["marks_waiting"] == 20)
        shown = {p.replies for p in evidence.waiting(gateway.app.store.engine)[0]}
    assert shown == {("4", "5"), ("5", "4")}


def test_a_pair_that_waits_holds_back_those_after_it(engine: Any) -> None:
    watch = folder(engine, judge="large", marks=0.5)
    scores = {"reference": 1.0, "policy": 1.0, "mark_chance": 0.5}
    add(engine, pair("a", 1.0, **scores), pair("b", 2.0, waits=True, **scores), pair("c", 3.0, **scores))
    watch.tick()
    watch.tick()
    assert (watch.promise.watch.seen, watch.waiting) == (1, (1, 1))
    evidence.mark(engine, "b", [1.0, 1.0], 9.0)
    watch.tick()
    assert (watch.promise.watch.seen, watch.promise.labels.marked) == (3, 1)


@pytest.mark.parametrize("flipped", [False, True])
def test_scores_go_to_the_replies_as_they_were_shown(engine: Any, flipped: bool) -> None:
    add(engine, pair("a", 1.0, waits=True, flipped=flipped))
    shown = evidence.waiting(engine)[0][0].replies
    evidence.mark(engine, "a", [float(text == "the large one's") for text in shown], 9.0)
    with engine.connect() as connection:
        row = connection.execute(sa.select(schema.evidence)).mappings().one()
    assert (row["marked_reference"], row["marked_policy"], row["body"]) == (1.0, 0.0, None)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize(("broken", "own"), [(False, 0.0), (True, 1.0)])
def test_scores_are_labels_of_who_said_it(engine: Any, flipped: bool, broken: bool, own: float) -> None:
    one = pair("a", 1.0, waits=True, flipped=flipped)
    add(engine, replace(one, body={**one.body, **({evidence.RESTORING: True} if broken else {})}))
    shown = evidence.waiting(engine)[0][0].replies
    evidence.mark(engine, "a", [float(text == "the large one's") for text in shown], 9.0)
    with engine.connect() as connection:
        labels = {x.exchange: x.score for x in connection.execute(sa.select(schema.labels))}
    assert labels == {"a": own, "shadow-a": 1 - own}


def test_one_reply_of_both_takes_one_score(engine: Any) -> None:
    one = pair("a", 1.0, waits=True)
    add(engine, Evidence("a", "w", "pair", 1.0, "a", waits=True, body={**one.body, "same": True}))
    assert len(evidence.waiting(engine)[0][0].replies) == 1
    with pytest.raises(BadInput, match="needs 1 scores"):
        evidence.mark(engine, "a", [1.0, 0.0], 9.0)
    evidence.mark(engine, "a", [0.5], 9.0)


def test_a_pair_can_be_marked_only_once_and_within_the_bounds(engine: Any) -> None:
    add(engine, pair("a", 1.0, waits=True))
    with pytest.raises(BadInput, match=r"A score of 1.5 is out of range"):
        evidence.mark(engine, "a", [1.5, 0.0], 9.0)
    evidence.mark(engine, "a", [1.0, 0.0], 9.0)
    with pytest.raises(BadInput, match="No pair 'a' waits"):
        evidence.mark(engine, "a", [1.0, 0.0], 9.0)


def test_pairs_that_are_skipped_never_break_a_promise_nor_restore_it(engine: Any) -> None:
    watch = folder(engine, marks=1.0)
    add(engine, *(pair(f"a{i:03}", 1.0 + i, waits=True) for i in range(60)))
    for i in range(60):
        evidence.mark(engine, f"a{i:03}", None, 9.0)
    watch.tick()
    assert (watch.promise.watch.seen, watch.promise.state) == (60, "holding")
    assert watch.promise.watch.wealth < 1
    watch.promise._break(100.0, "for the test")
    add(engine, *(pair(f"b{i:03}", 101.0 + i, waits=True) for i in range(60)))
    for i in range(60):
        evidence.mark(engine, f"b{i:03}", None, 9.0)
    watch.tick()
    assert watch.promise.restoring is not None
    assert watch.promise.restoring.wealth < 1


def test_pairs_that_nobody_marks_lose_their_texts_with_the_records_and_count_as_skipped(engine: Any) -> None:
    watch = folder(engine, marks=1.0)
    add(engine, pair("old", 1.0, waits=True), pair("new", 1000.0, waits=True))
    delete_older(engine, 500.0)
    watch.tick()
    assert [p.id for p in evidence.waiting(engine)[0]] == ["new"]
    assert (watch.promise.watch.seen, watch.promise.watch.wealth < 1) == (1, True)


def test_texts_of_a_pair_are_kept_only_until_it_is_marked(upstream: Upstream, tmp_path: Path) -> None:
    with Watched(file_of(tmp_path, upstream, "marks = 1.0"), tmp_path / "s.db") as gateway:
        gateway.ask()
        wait_for(lambda: gateway.keeper.status()["marks_waiting"] == 1)
        evidence.mark(gateway.app.store.engine, evidence.waiting(gateway.app.store.engine)[0][0].id, [1.0], 9.0)
        with gateway.app.store.engine.connect() as connection:
            assert connection.execute(sa.select(schema.evidence.c.body)).scalar() is None


def test_a_person_marks_one_after_the_other_and_may_stop(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(engine, *(pair(f"p{i}", float(i), waits=True) for i in range(5)))
    told = iter(["1 x", "1 0.5", "2 2", "s", "q"])
    monkeypatch.setattr("builtins.input", lambda _: next(told))
    assert main(["promise", "mark", "--store", str(tmp_path / "marks.db")]) == 0
    said = capsys.readouterr().out
    assert evidence.waiting(engine)[1] == 3
    assert "Needed: numbers from 0 to 1" in said
    assert "A score of 2 is out of range" in said
    assert "the small one's" in said
    assert "policy" not in said


def test_what_waits_is_listed_and_one_is_marked_by_the_beginning_of_its_id(
    engine: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(engine, pair("abc1", 1.0, waits=True), pair("abd1", 2.0, waits=True))
    store = str(tmp_path / "marks.db")
    assert main(["promise", "mark", "--list", "--store", store]) == 0
    assert "2 pairs wait" in capsys.readouterr().out
    assert main(["promise", "mark", "ab", "1", "0", "--store", store]) == 2
    assert "2 pairs begin with 'ab'" in capsys.readouterr().err
    assert main(["promise", "mark", "abd", "--skip", "--store", store]) == 0
    assert [p.id for p in evidence.waiting(engine)[0]] == ["abc1"]
