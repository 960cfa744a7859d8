"""A shadowed pair's scores, and when the reference's own reply needs no second call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("aiohttp")

import sprat
from sprat.combine import Vote
from sprat.core import Reply, Request
from sprat.gateway.promise.pairs import is_own, one_writer, said, scores
from sprat.gateway.steering.policy import Read
from sprat.signals import random

SMALL, LARGE = sprat.toy("small"), sprat.toy("large")
ROUTE = sprat.route(SMALL, LARGE, trust=random(), at_least=0.5)
ASKED = Request.of("What is 2 + 2?")


def judged(*verdicts: str, reference: Reply, policy: Reply) -> tuple[Any, list[str]]:
    left, seen = list(verdicts), []

    async def ask(name: str, request: Request) -> Reply:
        seen.append(request.text)
        return Reply(left.pop(0), name)

    return asyncio.run(scores("judge", ask, ASKED, reference, policy)), seen


def agreement(reference: Reply, policy: Reply, measure: str = "agreement") -> Any:
    async def ask(name: str, request: Request) -> Reply:
        raise AssertionError("agreement asks nobody")

    return asyncio.run(scores(measure, ask, ASKED, reference, policy))


def test_agreement_is_that_of_final_answers() -> None:
    assert agreement(Reply("So the answer is: 4"), Reply("#### 4")) == (1.0, 1.0)
    assert agreement(Reply("4"), Reply("5")) == (1.0, 0.0)


def test_agreement_of_prose_is_token_f1_as_in_the_study() -> None:
    assert agreement(Reply("the cat sat"), Reply("the dog sat"), "agreement:f1") == (1.0, pytest.approx(0.5, abs=0.2))
    assert agreement(Reply(""), Reply(""), "agreement:f1") == (1.0, 1.0)


def test_a_policy_that_failed_does_not_agree() -> None:
    assert agreement(Reply(""), Reply(None, error="no")) == (1.0, 0.0)


def test_tool_calls_agree_by_name_and_arguments() -> None:
    calls = [{"id": i, "function": {"name": "f", "arguments": a}} for i, a in (("1", '{"x": 1}'), ("2", '{"x":1}'))]
    assert agreement(Reply(None, tool_calls=(calls[0],)), Reply(None, tool_calls=(calls[1],))) == (1.0, 1.0)


def test_a_judge_grades_each_reply_by_itself() -> None:
    found, seen = judged("Score: 10", "Score: 3", reference=Reply("four"), policy=Reply("five"))
    assert found == (1.0, 0.3)
    assert ["four" in text and "five" not in text for text in seen] == [True, False]


def test_a_verdict_that_can_not_be_read_is_asked_for_once_more() -> None:
    found, seen = judged("Well ...", "Score: 8", "no", "no", reference=Reply("four"), policy=Reply("five"))
    assert (found, len(seen)) == ((0.8, None), 4)


def test_an_empty_reply_scores_nothing_without_a_judge() -> None:
    assert judged("Score: 9", reference=Reply("four"), policy=Reply(""))[0] == (0.9, 0.0)


def test_a_judge_sees_tool_calls() -> None:
    call = {"id": "1", "function": {"name": "weather", "arguments": "{}"}}
    assert "weather" in said(Reply("Let me see.", tool_calls=(call,)))


@pytest.mark.parametrize(
    ("model", "own"),
    [(LARGE, True), (ROUTE, True), (Read(ROUTE, random()), True), (Vote((SMALL, LARGE, LARGE)), False)],
)
def test_a_way_that_picks_among_replies_is_not_one_writer(model: Any, own: bool) -> None:
    assert one_writer(model) is own


def test_the_reference_own_reply_is_the_one_that_it_was_asked_for_once() -> None:
    small, large = Reply("5", "small"), Reply("4", "large")
    assert is_own(ROUTE, Reply("4", "large", asks=(small, large), by="cascade"), "large")
    assert not is_own(ROUTE, Reply("5", "small", asks=(small, large), by="cascade"), "large")
    assert not is_own(ROUTE, Reply("4", "large", asks=(large, large), by="cascade"), "large")
