"""Replay: recorded calls answer exactly what they hold, and say what they don't."""

from __future__ import annotations

import pytest

from sprat.combine import cascade, fallback, vote
from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.endpoints import toy
from sprat.errors import BadInput, NotRecorded
from sprat.replay import Recorded, Recording, coverage, record, replay, required

A, B = toy("a"), toy("b")


def data(*calls: Call, request: Request | None = None) -> Dataset:
    return Dataset((Example("1", request or Request.of("hi"), calls=calls),), name="calls")


def said(model: str, text: str, cost: float | None = 1.0, seconds: float | None = 2.0) -> Call:
    return Call(model, Reply(text, model, cost=cost, seconds=seconds))


def test_a_replay_gives_the_recorded_reply_cost_and_seconds() -> None:
    reply = replay(vote(A, B, enough=False), data(said("a", "x"), said("b", "x", 8.0)))[0]
    assert (reply.text, reply.cost, reply.seconds) == ("x", 9.0, 4.0)


def test_at_once_the_slower_of_two_counts() -> None:
    calls = data(said("a", "x", seconds=2.0), said("b", "x", seconds=5.0))
    assert replay(vote(A, B, enough=False), calls, at_once=True)[0].seconds == 5.0


def test_at_once_a_cancelled_call_is_charged_in_full_and_not_waited_for() -> None:
    calls = data(said("a", "x", seconds=1.0), said("b", "x", seconds=2.0), said("c", "x", 8.0, seconds=9.0))
    reply = replay(vote(A, B, toy("c")), calls, at_once=True)[0]
    assert (reply.cost, reply.seconds, [a.cancelled for a in reply.asks]) == (10.0, 2.0, [False, False, True])


def test_in_turn_an_ask_that_is_not_needed_is_not_charged() -> None:
    calls = data(said("a", "x"), said("b", "x"), said("c", "x", 8.0))
    assert replay(vote(A, B, toy("c")), calls)[0].cost == 2.0


def test_what_is_not_recorded_is_said_and_not_guessed() -> None:
    reply = replay(cascade(B), data(said("a", "x")))[0]
    assert reply.error.startswith("No call of 'b' is recorded for the request 'hi'.")


def test_coverage_names_the_model_whose_calls_are_missing() -> None:
    rows = (*data(said("a", "x")), *data(said("a", "x"), said("b", "y")))
    found = coverage(cascade(vote(A, B, enough=False)), Dataset(rows))
    assert (found.rows, found.answered) == (2, 2)  # a vote goes on without one of two
    found = coverage(cascade(A, B, at_least=2), Dataset((Example("1", Request.of("new"), calls=(said("a", "x"),)),)))
    assert (found.answered, found.missing) == (0, {"b": 1})


def test_a_missing_call_is_no_failure_that_fallback_may_hide() -> None:
    with pytest.raises(NotRecorded):
        Recording(data(said("b", "x"))).reply("a", Request.of("hi"))
    assert replay(fallback(A, B), data(said("b", "x")))[0].error


def test_a_call_without_sampling_options_answers_any() -> None:
    assert Recording(data(said("a", "x"))).reply("a", Request.of("hi", temperature=0.3)).text == "x"


def test_a_call_with_sampling_options_answers_only_these() -> None:
    hot = Call("a", Reply("x"), options={"temperature": 1.0})
    with pytest.raises(NotRecorded):
        Recording(data(hot)).reply("a", Request.of("hi"))
    assert Recording(data(hot)).reply("a", Request.of("hi", temperature=1.0)).text == "x"


def test_draws_are_recorded_apart() -> None:
    drawn = vote(toy("a", lambda r: "xyz"[r.sample]), n=3, enough=False)
    recorded, _ = record(drawn, data())
    assert [c.reply.text for c in recorded.examples[0].calls] == ["x", "y", "z"]


def test_a_call_with_another_prompt_is_not_recorded_as_this_rows() -> None:
    from sprat.core import Technique, ask

    class Rewrites(Technique):
        use = "rewrites"

        async def answer(self, request: Request) -> Reply:
            return await ask(A, request.asking("other"))

    recorded, _ = record(Rewrites(), data())
    assert recorded.examples[0].calls == ()


def test_a_model_known_by_name_alone_says_what_to_do() -> None:
    with pytest.raises(NotRecorded, match="Give its url"):
        Recorded("gpt")("hi")


def test_no_rows_and_unknown_models_are_bad_input() -> None:
    with pytest.raises(BadInput, match="holds no rows"):
        required(Dataset(()), ["a"])
    with pytest.raises(BadInput, match="Did you mean 'large'"):
        required(data(said("large", "x")), ["lagre"])
