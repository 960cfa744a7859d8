"""Collecting: priced before, never over the budget, resumed without asking twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sprat.endpoints.http as http
from mock_server import MockServer
from sprat.collect import Collection, Outcome, estimate, plan
from sprat.core import Endpoint, Request
from sprat.data import Dataset, Example
from sprat.endpoints import openai, tiny, toy
from sprat.errors import BadInput, OverBudget, Refused
from sprat.journal import Journal
from sprat.prices import Price
from sprat.reading import read

PRICE = Price(1.0, 10.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.01)


@pytest.fixture
def server() -> Any:
    with MockServer() as made:
        yield made


def data(n: int = 3) -> Dataset:
    return Dataset(tuple(Example(str(i), Request.of(f"number {i}"), target=str(i)) for i in range(n)))


def small(server: MockServer, **options: Any) -> Endpoint:
    return openai("small", server.url, "mock", **{"price": PRICE, "max_tokens": 5, **options})


def collected(of: Dataset, models: list[Endpoint], out: Path, **options: Any) -> Outcome:
    planned = plan(of, {m.name: m for m in models}, **options.pop("plan", {}))
    collection = Collection(planned, out)
    try:
        return collection.run(**options)
    finally:
        collection.close()


def test_every_model_is_asked_every_prompt(server: MockServer, tmp_path: Path) -> None:
    outcome = collected(data(), [small(server), tiny("fry")], tmp_path / "calls.jsonl")
    back = read(tmp_path / "calls.jsonl")
    assert outcome.complete
    assert [e.reply("small").text for e in back] == [f"so: {i} rebmun" for i in range(3)]
    assert back.models == ("small", "fry")
    assert [e.target for e in back] == ["0", "1", "2"]


def test_what_is_written_replays_as_it_was_answered(server: MockServer, tmp_path: Path) -> None:
    from sprat.replay import replay

    model = small(server, logprobs=True)
    collected(data(), [model], tmp_path / "calls.jsonl", plan={"samples": 2, "temperature": 0.7})
    back = read(tmp_path / "calls.jsonl")
    replies = replay(model, back)
    live = model("number 1")
    assert (replies[1].text, replies[1].cost, replies[1].logprobs) == (live.text, live.cost, live.logprobs)
    assert [c.options for c in back.examples[0].calls] == [None, {"temperature": 0.7}, {"temperature": 0.7}]


def test_a_second_run_asks_nothing(server: MockServer, tmp_path: Path) -> None:
    for _ in range(2):
        outcome = collected(data(), [small(server)], tmp_path / "calls.jsonl")
    assert (server.seen, outcome.done) == (3, 3)


def test_more_prompts_ask_only_for_what_is_new(server: MockServer, tmp_path: Path) -> None:
    for n in (2, 5):
        collected(data(n), [small(server)], tmp_path / "calls.jsonl")
    assert server.seen == 5
    assert len(read(tmp_path / "calls.jsonl")) == 5


def test_calls_that_the_prompts_hold_are_not_asked_again(server: MockServer, tmp_path: Path) -> None:
    collected(data(), [small(server)], tmp_path / "calls.jsonl")
    outcome = collected(read(tmp_path / "calls.jsonl"), [small(server), tiny("fry")], tmp_path / "more.jsonl")
    assert (server.seen, outcome.total) == (3, 3)
    assert read(tmp_path / "more.jsonl").models == ("small", "fry")


def test_equal_requests_are_asked_once(server: MockServer, tmp_path: Path) -> None:
    twice = Dataset(tuple(Example(str(i), Request.of("same")) for i in range(2)))
    collected(twice, [small(server)], tmp_path / "calls.jsonl")
    assert server.seen == 1
    assert [e.reply("small").text for e in read(tmp_path / "calls.jsonl")] == ["so: emas"] * 2


def test_the_estimate_bounds_the_cost(server: MockServer, tmp_path: Path) -> None:
    planned = plan(data(), {"small": small(server)})
    least, most = estimate(planned.calls)
    spent = collected(data(), [small(server)], tmp_path / "calls.jsonl").spent
    assert 0 < least < most
    assert spent <= most


@pytest.mark.parametrize("change", [{"price": None}, {"max_tokens": None}])
def test_an_unknown_worst_case_and_a_budget_do_not_go_together(
    server: MockServer, tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(BadInput, match="budget can't be kept"):
        collected(data(), [small(server, **change)], tmp_path / "calls.jsonl", budget=1.0)


def test_an_image_has_no_bound(server: MockServer) -> None:
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}]
    planned = plan(Dataset((Example("1", Request.of(picture)),)), {"small": small(server)})
    assert estimate(planned.calls)[1] is None


@pytest.mark.parametrize("concurrency", [1, 4])
def test_no_call_is_started_that_could_pass_the_budget(server: MockServer, tmp_path: Path, concurrency: int) -> None:
    most = plan(data(1), {"small": small(server)}).calls[0].most
    outcome = collected(data(30), [small(server)], tmp_path / "c.jsonl", budget=1.3 * most, concurrency=concurrency)
    assert outcome.stopped == "budget"
    assert outcome.spent <= 1.3 * most
    assert 1 < outcome.done < 30
    assert len(read(tmp_path / "c.jsonl").models) == 1


def test_the_budget_counts_what_was_spent_before(server: MockServer, tmp_path: Path) -> None:
    most = plan(data(1), {"small": small(server)}).calls[0].most
    for _ in range(3):
        outcome = collected(data(30), [small(server)], tmp_path / "c.jsonl", budget=1.3 * most)
    assert outcome.spent <= 1.3 * most


def test_a_failed_call_that_may_be_billed_counts_against_the_budget(server: MockServer, tmp_path: Path) -> None:
    server.faults += [{"reset": True}]
    outcome = collected(data(1), [small(server)], tmp_path / "c.jsonl", budget=1.0)
    assert (outcome.done, outcome.in_doubt) == (0, 1)
    assert outcome.doubtful_spent == plan(data(1), {"small": small(server)}).calls[0].most


def test_what_is_in_doubt_is_left_out_until_told_to_retry(server: MockServer, tmp_path: Path) -> None:
    server.faults += [{"reset": True}]
    for retry, done in ((False, 2), (False, 2), (True, 3)):
        outcome = collected(data(3), [small(server)], tmp_path / "c.jsonl", concurrency=1, retry_in_doubt=retry)
        assert outcome.done == done


def test_a_server_that_knows_keys_leaves_no_doubt(server: MockServer, tmp_path: Path) -> None:
    server.faults += [{"reset": True}, {"reset": True}]
    outcome = collected(data(1), [small(server, idempotent=True)], tmp_path / "c.jsonl", budget=1.0)
    assert (outcome.complete, outcome.in_doubt, outcome.doubtful_spent) == (True, 0, 0)
    assert (server.seen, len(server.calls)) == (3, 1)


def test_errors_that_cost_nothing_are_retried(server: MockServer, tmp_path: Path) -> None:
    server.faults += [{"status": 429, "after": "0.01"}, {"status": 503}]
    assert collected(data(1), [small(server)], tmp_path / "c.jsonl").complete


def test_what_one_request_fails_of_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    rows = Dataset((Example("1", Request.of("12+7=")), Example("2", Request.of("é"))))
    outcome = collected(rows, [tiny("fry")], tmp_path / "c.jsonl")
    assert outcome.done == 1
    assert "no token for" in next(iter(outcome.failed))


def test_a_wrong_model_stops_everything(server: MockServer, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the server offers"):
        collected(data(20), [openai("small", server.url, "wrong", retries=0)], tmp_path / "c.jsonl", concurrency=1)
    assert server.seen == 1


def test_a_model_without_url_is_said_before_anything_is_asked(server: MockServer, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'far' has no url"):
        collected(data(), [small(server), openai("far")], tmp_path / "c.jsonl")
    assert server.seen == 0


def test_a_server_that_costs_more_than_it_could_stops_everything(tmp_path: Path) -> None:
    dear = toy("small", "x")
    object.__setattr__(dear, "price", Price(1.0, 1.0))
    object.__setattr__(dear, "max_tokens", 1)
    with pytest.raises(OverBudget, match="more than"):
        collected(data(5), [replaced(dear, cost=1.0)], tmp_path / "c.jsonl", budget=5.0, concurrency=1)


def replaced(endpoint: Any, **changes: Any) -> Any:
    made = replace(endpoint, **changes)
    for name in ("price", "max_tokens"):
        object.__setattr__(made, name, getattr(endpoint, name))
    return made


def test_unknown_prices_are_counted_as_unknown(server: MockServer, tmp_path: Path) -> None:
    outcome = collected(data(), [small(server, price=None)], tmp_path / "c.jsonl")
    assert (outcome.spent, outcome.unpriced) == (0, 3)
    assert [e.reply("small").cost for e in read(tmp_path / "c.jsonl")] == [None] * 3


def test_a_file_that_was_not_collected_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text("mine")
    with pytest.raises(BadInput, match="not collected here"):
        collected(data(), [tiny("fry")], tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_text() == "mine"


def test_two_collections_into_one_file_are_refused(tmp_path: Path) -> None:
    planned = plan(data(), {"fry": tiny("fry")})
    first = Collection(planned, tmp_path / "c.jsonl")
    with pytest.raises(BadInput, match="Another process"):
        Collection(planned, tmp_path / "c.jsonl")
    first.close()


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"is": "opened", "salt": "x"}\n{"is": "beg')
    journal = Journal(path)
    journal.close()
    assert journal.entries == [{"is": "opened", "salt": "x"}]
    assert path.read_bytes().endswith(b"}\n")


def test_a_damaged_line_is_said(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"is": "opened"}\nnonsense\n{"is": "begun"}\n')
    with pytest.raises(BadInput, match="line 2 is damaged"):
        Journal(path)


def test_a_foreign_journal_is_said(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl.journal").write_text(json.dumps({"other": 1}) + "\n")
    with pytest.raises(BadInput, match="not a journal"):
        collected(data(), [tiny("fry")], tmp_path / "c.jsonl")


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"budget": -1.0}, {"plan": {"samples": 2}}])
def test_numbers_that_make_no_sense_are_said(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        collected(data(), [tiny("fry")], tmp_path / "c.jsonl", **wrong)
