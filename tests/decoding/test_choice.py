"""Choosing among given answers: against every option scored alone, by hand, and with options that begin others."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest

import sprat
from decoding_doubles import Letters, given
from sprat.core import Reply, Request
from sprat.decoding.choice import choose
from sprat.errors import BadInput, CannotDo
from sprat.whitebox.scoring import logprobs

FRY, SPRAT = sprat.tiny("fry"), sprat.tiny("sprat")
PROMPTS = ["12+7=", "max 7 120 43:", "Mia likes tea. Bo likes rice. What does Bo like?"]
OPTIONS = ("19", "1", "120", "tea", "rice", "12", "r")
END = Letters(("a", "b", "e"), frozenset({2}))
# P(a) = 1/2, P(b) = 1/4, P(end) = 1/4 after anything
HALVES = given("halves", [math.log(2), 0, 0], letters=END)


def alone(model: Any, prompt: str, options: tuple[str, ...], ended: bool = True) -> np.ndarray:
    found = logprobs(model, [Request.of(prompt)] * len(options), options, ended=ended)
    return np.array([values.sum() for values in found])


def scores(reply: Reply) -> list[float]:
    return list(reply.decoded.told["scores"].values())


def test_by_hand() -> None:
    reply = choose(HALVES, ["a", "b", "ab"])("a")
    assert reply.text == "a"
    assert np.exp(scores(reply)) == pytest.approx([1 / 8, 1 / 16, 1 / 32])
    assert list(reply.decoded.told["choices"].values()) == pytest.approx([4 / 7, 2 / 7, 1 / 7])


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("ends", [True, False])
def test_scores_are_those_of_each_option_alone(prompt: str, ends: bool) -> None:
    reply = choose(SPRAT, OPTIONS, ends=ends)(prompt)
    wanted = alone(SPRAT, prompt, OPTIONS, ends)
    assert scores(reply) == pytest.approx(wanted.tolist(), abs=1e-4)
    assert reply.text == OPTIONS[int(wanted.argmax())]


def test_what_begins_another_is_told_apart_by_the_end() -> None:
    assert choose(SPRAT, ["1", "19", "12"])("3+9=").text == "12"
    assert choose(SPRAT, ["1", "19", "12"], ends=False)("3+9=").text == "1"


def test_lengths_are_taken_out_where_asked() -> None:
    options = ("a", "bbbb", "ab")
    sums = alone(HALVES, "a", options)
    assert scores(choose(HALVES, options, by="token")("a")) == pytest.approx((sums / [2, 5, 3]).tolist())
    assert scores(choose(HALVES, options, by="character")("a")) == pytest.approx((sums / [1, 4, 2]).tolist())


def test_pmi_takes_off_what_the_domain_alone_makes_likely() -> None:
    reply = choose(SPRAT, OPTIONS, by="pmi", domain="12+")("12+7=")
    wanted = alone(SPRAT, "12+7=", OPTIONS) - alone(SPRAT, "12+", OPTIONS)
    assert scores(reply) == pytest.approx(wanted.tolist(), abs=1e-4)


def test_a_composition_chooses_too() -> None:
    model = SPRAT + 0.5 * (SPRAT - FRY)
    reply = choose(model, OPTIONS)("12+7=")
    assert scores(reply) == pytest.approx(alone(model, "12+7=", OPTIONS).tolist(), abs=1e-4)
    assert {part.model for part in reply.asks} == {"sprat", "fry"}


def test_many_requests_with_options_of_their_own() -> None:
    asked = [Request.of(p, choices=["19", "120", o]) for p in PROMPTS * 9 for o in ("rice", "tea")]
    replies = choose(SPRAT).batch(asked)
    assert [r.text for r in replies] == [choose(SPRAT)(r).text for r in asked]
    assert {r.text for r in replies} == {"19", "120", "rice", "tea"}


def test_more_options_than_rows() -> None:
    options = tuple(str(n) for n in range(150))
    reply = choose(SPRAT, options)("12+7=")
    assert scores(reply) == pytest.approx(alone(SPRAT, "12+7=", options).tolist(), abs=1e-4)


def test_the_prompt_is_read_once() -> None:
    model = given("once", [math.log(2), 0, 0], letters=END)
    choose(model, ["aab", "bb", "aa"])("abab")
    assert [len(block) for block in model.fed if isinstance(block, list)] == [1, 2]


def test_at_a_temperature_options_are_drawn() -> None:
    model = choose(HALVES, ["a", "b"])
    drawn = [model("a", temperature=1.0, seed=s).text for s in range(300)]
    assert drawn.count("a") == pytest.approx(200, abs=30)
    assert model("a", temperature=1.0, seed=5).text == model("a", temperature=1.0, seed=5).text


def test_the_reply_has_tokens_and_top_logprobs_among_the_allowed() -> None:
    reply = choose(HALVES, ["ab", "b", "aa"])("a", top_logprobs=5)
    assert reply.tokens == ("b",)
    assert reply.top_logprobs[0] == pytest.approx({"a": math.log(0.5), "b": math.log(0.25)})
    assert reply.finish == "stop"


def test_it_streams_and_cascades() -> None:
    model = sprat.cascade(choose(SPRAT, OPTIONS), sprat.toy("large", "other"), trust=sprat.signals.logprob())

    async def collect() -> list[Any]:
        return [p async for p in model.stream("9+3=")]

    pieces = asyncio.run(collect())
    assert "".join(p.text for p in pieces) == model("9+3=").text == "12"


def test_several_end_tokens_end_alike() -> None:
    two = Letters(("a", "b", "e", "f"), frozenset({2, 3}))
    model = given("two", [math.log(2), 0, 0, 0], letters=two)
    assert np.exp(scores(choose(model, ["a"])("a"))) == pytest.approx([2 / 5 * 2 / 5])


def test_torch_chooses_alike() -> None:
    pytest.importorskip("torch")
    model = given("torch", [math.log(2), 0, 0], letters=END, torch=True)
    assert scores(choose(model, ["a", "ab"])("a")) == pytest.approx(scores(choose(HALVES, ["a", "ab"])("a")))


@pytest.mark.parametrize("wrong", ["ab", [], ["a", "a"], ["a", ""], [1], None])
def test_options_that_make_no_sense_are_said(wrong: Any) -> None:
    with pytest.raises(BadInput):
        choose(HALVES)("a", choices=wrong)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(BadInput, match="compared by 'sums'"):
        choose(HALVES, ["a"], by="sums")
    with pytest.raises(CannotDo):
        choose(sprat.toy("t", "x"), ["a"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="tokens; after its prompt"):
        choose(given("short", [0, 0, 0], letters=END, most=4), ["aaaa"])("a")
    with pytest.raises(BadInput, match="not finite"):
        choose(given("nan", [math.nan, 0, 0], letters=END), ["a"])("a")


def test_a_long_prompt_fails_alone() -> None:
    model = given("short", [0, 0, 0], letters=END, most=4)
    good, bad = choose(model, ["aa"]).batch(["a", "aba"])
    assert good.text == "aa"
    assert bad.error
