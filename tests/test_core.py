"""The nouns: requests, replies, and what they say of themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.combine import cascade, vote
from sprat.core import Reply, Request, Usage
from sprat.endpoints import toy
from sprat.errors import BadInput

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
}
TURNS = (
    {"role": "user", "content": "weather?", "x_mark": 7},
    CALLED,
    {"role": "tool", "tool_call_id": "1", "content": "rain"},
)


def test_a_prompt_is_one_user_message() -> None:
    assert Request.of("hi").messages == ({"role": "user", "content": "hi"},)


@pytest.mark.parametrize("asked", [[], [{"content": "no role"}]])
def test_a_request_without_roles_is_refused(asked: list[dict[str, str]]) -> None:
    with pytest.raises(BadInput, match="each with a 'role'"):
        Request.of(asked)


def test_text_is_that_of_the_last_user_message() -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "u"}}]
    assert Request.of([{"role": "user", "content": parts}, {"role": "assistant", "content": "no"}]).text == "look"


def test_the_key_does_not_see_how_a_request_travels() -> None:
    assert Request.of("hi", stream=True, user="u").key == Request.of("hi").key


@pytest.mark.parametrize("option", [{"temperature": 1}, {"tools": [WEATHER]}, {"max_tokens": 3}, {"x_new": 1}])
def test_the_key_sees_what_shapes_the_answer(option: dict[str, object]) -> None:
    assert Request.of("hi", **option).key != Request.of("hi").key


def test_the_key_sees_the_draw() -> None:
    assert Request.of("hi").drawn(1).key != Request.of("hi").key


@given(st.permutations(["a", "b", "c"]))
def test_the_key_does_not_see_the_order_of_options(names: list[str]) -> None:
    assert Request.of("hi", **dict.fromkeys(names, 1)).key == Request.of("hi", a=1, b=1, c=1).key


def test_a_request_that_stands_alone_never_continues() -> None:
    assert Request(TURNS).continues
    assert not Request(TURNS, thread="").continues


def test_a_few_shot_prompt_before_the_first_user_turn_is_no_conversation() -> None:
    assert not Request.of([{"role": "assistant", "content": "hello"}, {"role": "user", "content": "hi"}]).continues


def test_a_later_turn_stays_with_the_model_that_answered_before() -> None:
    model = cascade(toy("small", "s"), toy("large", "l"), at_least=2)
    assert model(Request(TURNS, answered_by="small")).model == "large"  # above 1 the small one is never paid
    trusting = cascade(toy("small", "s", trusted=-0.1), toy("large", "l"), at_least=0.0)
    assert trusting(Request(TURNS)).model == "small"


def test_a_thread_whose_model_is_unknown_goes_to_the_large_one() -> None:
    from sprat.signals import logprob

    model = cascade(toy("small", "s", trusted=-0.1), toy("large", "l"), trust=logprob(), at_least=0.1)
    assert [model(Request(TURNS)).model, model(Request(TURNS, answered_by="small")).model] == ["large", "small"]


@pytest.mark.parametrize("option", [{"tools": [WEATHER]}, {"response_format": {"type": "json_object"}}, {"n": 2}])
def test_tools_json_and_choices_are_read_whole(option: dict[str, object]) -> None:
    assert Request.of("hi", **option).whole
    assert not Request.of("hi", n=1).whole


def test_tool_turns_and_unknown_fields_arrive_untouched() -> None:
    seen: list[Request] = []
    model = vote(cascade(toy("a", lambda r: seen.append(r) or "ok")), toy("b", "ok"), enough=False)
    model(list(TURNS), tools=[WEATHER], x_unknown={"deep": [1]}, n=None)
    assert seen[0].messages == TURNS
    assert seen[0].options == {"tools": [WEATHER], "x_unknown": {"deep": [1]}, "n": None}


def test_unknown_usage_stays_unknown() -> None:
    assert Usage(1, None) + Usage(2, 3) == Usage(3, None)


def test_an_unknown_cost_makes_the_whole_unknown() -> None:
    assert vote(toy("a", "x", cost=1.0), toy("b", "x", cost=None), enough=False)("hi").cost is None


def test_the_tree_is_drawn_with_reasons() -> None:
    drawn = cascade(toy("a", "x", cost=0.5), toy("b", "y", cost=None), at_least=2)("hi").tree()
    assert drawn.splitlines() == ['cascade → b · "y" · cost unknown · 0 ms', '└─ b · "y" · cost unknown · 0 ms']


def test_repr_reads_as_the_recipe() -> None:
    model = cascade(toy("a"), vote(toy("b", "x", cost=1.0), n=3), at_least=2)
    assert (
        repr(model) == "cascade(toy('a'), vote(toy('b', answers='x', cost=1.0), n=3), trust=(None,), at_least=(2.0,))"
    )


def test_a_failed_reply_is_not_ok() -> None:
    assert [Reply("x").ok, Reply(None, error="no").ok, Reply(None, cancelled=True).ok] == [True, False, False]
