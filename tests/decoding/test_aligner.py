"""A corrector that copies: the same text as alone, in fewer passes; and what it makes of replies it can't copy from."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import sprat
from decoding_doubles import Letters, given
from sprat.core import Reply, Request
from sprat.decoding.aligner import TEMPLATE, Aligner, Predicted, aligner
from sprat.errors import BadInput

FRY, SPRAT, MACKEREL = sprat.tiny("fry"), sprat.tiny("sprat"), sprat.tiny("mackerel")
PLAIN = "{q}({a})"
PROMPTS = ["12+7=", "sort 31 4 15:", "reverse shark:", "Mia likes tea. Bo likes rice. What does Bo like?"]
TURNS = Letters(("a", "b", "c", "e"), frozenset({3}))
# After a comes b, after b c, after c a ... the prompt ends with what the answer said.
CYCLE = given("cycle", [0, 9, 0, 0], [0, 0, 9, 0], [9, 0, 0, 0], [9, 0, 0, 0], letters=TURNS)


def passes(model: Any) -> int:
    return sum(isinstance(block, list) for block in model.fed)


def counted() -> Any:
    return given("cycle", *CYCLE.logits, letters=TURNS)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("options", [{}, {"temperature": 1.2, "seed": 3}])
def test_it_is_what_the_corrector_says_alone(prompt: str, options: dict[str, Any]) -> None:
    model = aligner(FRY, SPRAT, PLAIN)
    first = FRY(prompt, **options).text
    assert model(prompt, **options).text == SPRAT(f"{prompt}({first})", **options).text


@pytest.mark.parametrize("draft", ["4 15 31", "4 15 3", "4 16 31", "zzzz", "4 15 31 31", "15 31", "4  15 31"])
@pytest.mark.parametrize("options", [{}, {"temperature": 1.0, "seed": 5}])
def test_whatever_is_predicted_the_text_is_the_decoders_own(draft: str, options: dict[str, Any]) -> None:
    said = Predicted(SPRAT)("sort 31 4 15:", prediction=draft, **options)
    alone = SPRAT("sort 31 4 15:", **options)
    assert (said.text, said.finish) == (alone.text, alone.finish)
    assert said.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


def test_an_unchanged_answer_is_one_pass() -> None:
    model = counted()
    assert Predicted(model)("a", prediction="bcabca", max_tokens=6).text == "bcabca"
    assert passes(model) == 1  # the prompt and all of the answer
    plain = counted()
    plain("a", max_tokens=6)
    assert passes(plain) == 6


def test_one_changed_letter_is_one_pass_more() -> None:
    model = counted()
    assert Predicted(model)("a", prediction="bcbbcabca", max_tokens=9).text == "bcabcabca"
    assert passes(model) <= 4


def test_a_wholly_other_answer_is_a_pass_per_token() -> None:
    model = counted()
    assert Predicted(model)("a", prediction="aaaaaa", max_tokens=6).text == "bcabca"
    assert passes(model) <= 1 + 6


def test_only_the_question_and_the_answer_are_read() -> None:
    seen: list[Request] = []
    corrector = sprat.toy("corrector", lambda r: seen.append(r) or "better")
    turns = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "x"}]
    reply = aligner(sprat.toy("up", "an {q} answer"), corrector)([*turns, {"role": "user", "content": "why {a}?"}])
    assert seen[0].text == "##Question: why {a}?\n##Answer: an {q} answer\n##Correction: "
    assert len(seen[0].messages) == 1
    assert reply.text == "better"


def test_a_corrector_of_text_alone_says_that_nothing_was_copied() -> None:
    reply = aligner(FRY, sprat.toy("corrector", "better"))("12+7=")
    assert "nothing is copied" in reply.asks[1].because
    assert [ask.model for ask in reply.asks] == ["fry", "corrector"]
    assert "prediction" not in TEMPLATE


def test_the_reply_says_how_much_was_copied() -> None:
    reply = aligner(MACKEREL, SPRAT, "{q}{a}")("reverse shark:")
    assert reply.asks[1].model == "sprat"
    assert reply.asks[1].decoded.told["speculative_decoding"]["num_drafts"] >= 1


def test_the_correction_streams_and_costs_add_up() -> None:
    model = aligner(FRY, SPRAT, PLAIN)

    async def collect() -> list[Any]:
        return [p async for p in model.stream("sort 31 4 15:")]

    pieces = asyncio.run(collect())
    reply = pieces[-1].reply
    assert "".join(p.text for p in pieces) == reply.text == model("sort 31 4 15:").text
    assert reply.cost == pytest.approx(sum(ask.cost for ask in reply.asks))


def test_it_composes_in_cascades_and_batches() -> None:
    model = sprat.cascade(FRY, aligner(FRY, SPRAT, PLAIN), trust=sprat.signals.logprob(), at_least=1.1)
    assert [r.text for r in model.batch(PROMPTS)] == [aligner(FRY, SPRAT, PLAIN)(p).text for p in PROMPTS]


def test_a_composed_corrector_copies_too() -> None:
    corrector = SPRAT + 0.5 * (SPRAT - FRY)
    reply = aligner(FRY, corrector, PLAIN)("12+7=")
    assert reply.text == corrector(f"12+7=({FRY('12+7=').text})").text


def test_what_has_no_text_is_given_as_it_is() -> None:
    call = Reply(None, "up", tool_calls=({"id": "1"},), cost=0.0)
    reply = aligner(sprat.toy("up", lambda r: call), SPRAT)("call")
    assert reply.tool_calls == ({"id": "1"},)
    assert len(reply.asks) == 1


@pytest.mark.parametrize("template", ["{q}", "{a}", ""])
def test_a_template_needs_both(template: str) -> None:
    with pytest.raises(BadInput):
        aligner(FRY, SPRAT, template)
    assert Aligner(FRY, SPRAT).template == TEMPLATE


def test_without_a_prediction_it_is_the_decoder() -> None:
    assert [r.text for r in Predicted(SPRAT).batch(PROMPTS)] == [r.text for r in SPRAT.batch(PROMPTS)]
    with pytest.raises(BadInput):
        Predicted(SPRAT)("12+7=", prediction=3)
