"""The tiny models as endpoints say what their recordings say."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sprat.aquarium import recorded
from sprat.core import Can, Piece, Request
from sprat.endpoints import tiny
from sprat.errors import BadInput
from sprat.prices import Price


def streamed(model: object, asked: str, **options: object) -> list[Piece]:
    async def collect() -> list[Piece]:
        return [p async for p in model.stream(asked, **options)]

    return asyncio.run(collect())


@pytest.mark.parametrize("name", ["fry", "sprat"])
def test_replies_are_those_recorded(name: str) -> None:
    calls = [c for c in recorded() if c["model"] == name and not c.get("sample") and "options" not in c][:40]
    replies = tiny(name).batch([c["prompt"] for c in calls])
    assert [r.text for r in replies] == [c["reply"] for c in calls]
    assert [r.usage.output_tokens for r in replies] == [c["usage"]["output_tokens"] for c in calls]
    for reply, call in zip(replies, calls, strict=True):
        assert reply.logprobs == pytest.approx(call["logprobs"], abs=2e-3)


def test_a_known_answer() -> None:
    assert tiny("sprat")("sort 31 4 15:").text == "4 15 31"


def test_a_stream_comes_to_the_same_reply() -> None:
    model = tiny("fry")
    for options in ({}, {"temperature": 1.0, "seed": 3}, {"max_tokens": 1}, {"top_logprobs": 2}):
        pieces = streamed(model, "reverse shark:", **options)
        whole = model("reverse shark:", **options)
        assert replace(pieces[-1].reply, seconds=None) == replace(whole, seconds=None)
        assert "".join(p.text for p in pieces) == whole.text


def test_costs_are_the_notional_ones_unless_priced() -> None:
    reply = tiny("fry")("12+7=")
    used = reply.usage
    assert reply.cost == pytest.approx((0.01 * used.input_tokens + 0.03 * used.output_tokens) / 1e6)
    assert tiny("fry", price=Price(0, 0, per_call=2.0))("12+7=").cost == 2.0


def test_draws_depend_on_seed_and_sample_alone() -> None:
    model, asked = tiny("fry"), Request.of("Mia likes tea. Bo likes rice. What does Bo like?", temperature=1.5)
    draws = model.answer_many([asked.drawn(i) for i in range(6)])
    assert len({r.text for r in draws}) > 1
    assert draws[4].text == model(replace(asked, options={"temperature": 1.5, "seed": 4})).text


def test_one_bad_prompt_fails_alone() -> None:
    good, bad, other = tiny("fry").answer_many([Request.of(p) for p in ("12+7=", "é", "12+7=")])
    assert good.text == other.text
    assert isinstance(bad, BadInput)


def test_it_gives_logits_and_is_a_model() -> None:
    assert tiny("fry").can == Can.LOGITS
    assert not tiny("fry").offline


@pytest.mark.parametrize("name", ["spart", "nowhere.safetensors"])
def test_a_model_that_is_not_there_is_said(name: str) -> None:
    with pytest.raises(BadInput):
        tiny(name)


@pytest.mark.parametrize("options", [{"max_tokens": -1}, {"temperature": -1}, {"temperature": "hot"}])
def test_bad_options_are_said(options: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        tiny("fry")("12+7=", **options)
