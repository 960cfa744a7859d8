"""The most that an answer can cost: every model as often as a technique or a signal may ask it."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

pytest.importorskip("aiohttp")

import sprat
from sprat import signals
from sprat.core import Request
from sprat.gateway.served import hold_of, worst
from sprat.gateway.wire.chat import Chat
from sprat.gateway.wire.completions import Completions
from sprat.gateway.wire.messages import Messages
from sprat.gateway.wire.problem import Problem
from sprat.gateway.wire.responses import Responses
from sprat.prices import Price

REQUEST = Request.of("What is 2 + 2?", max_tokens=100)


def call(name: str, dollars: float | None) -> Any:
    """A model of so many dollars a call."""
    return sprat.openai(
        name, "http://127.0.0.1:9/v1", price=None if dollars is None else Price(0.0, 0.0, per_call=dollars)
    )


def server(name: str, dollars: float) -> Any:
    """A model of so many dollars a call that says which tokens are likely."""
    more: Any = {"logprobs": True, "continues": "completions"}
    return sprat.openai(name, "http://127.0.0.1:9/v1", price=Price(0.0, 0.0, per_call=dollars), **more)


def length(_: Request, text: str) -> float:
    """A score that asks nobody."""
    return float(len(text))


S, L = call("s", 1.0), call("l", 10.0)
FRY = sprat.tiny("fry", price=Price(0.0, 0.0))
FAR = sprat.remote(server("far", 1.0), FRY)


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        (S, 1),
        (sprat.vote(S, n=5), 5),
        (sprat.vote(S, L, n=3), 33),
        (sprat.best_of(S, n=4, trust=signals.verbalized(L)), 44),
        (sprat.cascade(S, L, trust=signals.agreement(S, samples=4)), 15),
        (sprat.cascade(S, L, trust=signals.agreement(L)), 21),
        (sprat.cascade(S, S, L, trust=signals.automix(S, k=8)), 28),
        (sprat.cascade(sprat.vote(S, n=3, enough=False), L, trust=signals.agreement()), 13),
        (sprat.cascade(sprat.vote(S, n=3), L, trust=signals.p_true(L, ideas=2, draws=5)), 83),
        (sprat.vote(sprat.best_of(S, n=2, trust=signals.agreement(S)), n=5), 20),
        (sprat.fallback(S, L), 11),
        (sprat.blend(S, L, ranker=signals.verbalized(S), fuser=L), 23),
        (sprat.cascade(S, L, trust=signals.self_check(S, how="prompt")), inf),
        (sprat.vote(call("x", None), n=2), inf),
        (sprat.search(S, score=length, beams=2, samples=3, chunk=8), 6 * 13),
        (sprat.search(S, score=length, beams=2, samples=3, chunk=inf), 6),
        (sprat.search(S, score=signals.verbalized(L), beams=2, samples=3, chunk=50), 6 * 2 * 11),
        (sprat.vote(sprat.search(S, score=length, beams=1, samples=2, chunk=50), n=3), 12),
        (sprat.ladder(S, tuned=L), 11),
        (sprat.ladder(S, tuned=FRY, untuned=FRY, rung="chunks", beams=2, samples=2, chunk=20), 20),
        (sprat.aligner(S, L), 11),
        (FAR, inf),
        (sprat.proxy_tune(FAR, tuned=FRY, untuned=FRY), inf),
        (sprat.remote(server("free", 0.0), FRY), 0),
    ],
    ids=repr,
)
def test_every_call_that_may_be_made_is_counted(model: Any, dollars: float) -> None:
    assert worst(model, REQUEST, 100) == pytest.approx(dollars)


def test_several_answers_cost_as_much_each() -> None:
    model = sprat.vote(S, n=5)
    assert (worst(model, REQUEST, 300, 3), hold_of(model, REQUEST, 3).dollars) == (15.0, 15.0)


def test_a_judge_reads_the_reply_too_and_writes_little() -> None:
    reads, writes = (sprat.openai("j", "http://127.0.0.1:9/v1", price=p) for p in (Price(1e6, 0.0), Price(0.0, 1e6)))
    plain = worst(reads, REQUEST, 100)
    free = call("free", 0.0)
    judged = [worst(sprat.cascade(free, free, trust=signals.verbalized(j)), REQUEST, 100) for j in (reads, writes)]
    assert judged[0] >= plain + 100
    assert judged[1] == pytest.approx(16)


def test_what_costs_nothing_costs_nothing_however_often() -> None:
    model = sprat.cascade(S, L, trust=signals.self_check(call("free", 0.0), how="prompt"))
    assert worst(model, REQUEST, 100) == pytest.approx(11)


@pytest.mark.parametrize(
    ("dialect", "body", "dollars"),
    [
        (Completions(), {"prompt": "x", "best_of": 20}, 20),
        (Completions(), {"prompt": "x", "best_of": 20, "n": 3}, 21),
        (Completions(), {"prompt": "x", "best_of": 3, "n": 3}, 3),
        (Chat(), {"messages": [*REQUEST.messages], "best_of": 4, "n": 2}, 8),
    ],
)
def test_samples_that_an_upstream_only_picks_from_are_paid_for_too(dialect: Any, body: Any, dollars: float) -> None:
    asked = dialect.read({"model": "s", **body})
    assert hold_of(S, asked.request, asked.n).dollars == dollars


@pytest.mark.parametrize("name", ["n", "best_of"])
@pytest.mark.parametrize("dialect", [Messages(), Responses()])
def test_more_samples_than_a_protocol_gives_are_refused(dialect: Any, name: str) -> None:
    body = {"model": "s", "messages": list(REQUEST.messages), "max_tokens": 9, "input": "hi", name: 9}
    with pytest.raises(Problem, match=f"'{name}' can't be had"):
        dialect.read(body)
