"""Speculation: the target's own text, whatever the draft; its blocks end where the plain loop ends."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import sprat
from decoding_doubles import Letters, given
from sprat.decoding.drafts import Copied, lookup
from sprat.decoding.speculate import Speculate, speculate
from sprat.errors import BadInput, CannotDo

BIG = given("big", [1, 2, 3, 0.5], noise=1.5)
LIKE = given("like", [1, 2, 3, 0.5], noise=0.3)
UNLIKE = given("unlike", [3, 2, 1, 3.0], noise=1.5)
COMPOSED = BIG + 0.5 * (LIKE - UNLIKE)
SAID = {"max_tokens": 24}


def spoken(model: Any, prompt: str = "abca", **options: Any) -> sprat.Reply:
    return model(prompt, **SAID | options)


def told(reply: sprat.Reply) -> dict[str, Any]:
    return reply.decoded.told["speculative_decoding"]


@pytest.mark.filterwarnings("ignore:A token of the draft")  # these models cost nothing, so anything may cost more
@pytest.mark.parametrize("target", [BIG, COMPOSED], ids=["leaf", "composed"])
@pytest.mark.parametrize("draft", [LIKE, UNLIKE, BIG, lookup()], ids=["like", "unlike", "itself", "lookup"])
@pytest.mark.parametrize("length", [1, 3, 7, 40, None])
def test_greedy_text_is_the_targets(target: Any, draft: Any, length: int | None) -> None:
    reply = spoken(speculate(target, draft, length))
    plain = spoken(target)
    assert (reply.tokens, reply.finish) == (plain.tokens, plain.finish)
    np.testing.assert_allclose(reply.logprobs, plain.logprobs, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_no_more_is_written_than_asked_for(n: int) -> None:
    reply = spoken(speculate(BIG, BIG, 8), max_tokens=n)
    assert len(reply.tokens or ()) == n
    assert reply.finish == "length"


def test_a_draft_that_is_the_target_stands_whole() -> None:
    found = told(spoken(speculate(BIG, given("twin", [1, 2, 3, 0.5], noise=1.5), 5), temperature=1.0, seed=3))
    assert found["draft_acceptance_rate"] == 1.0
    assert found["mean_acceptance_length"] == 6.0
    assert found["acceptance_per_position"] == [1.0] * 5
    assert found["alpha"] == 1.0


def test_a_draft_that_never_agrees_falls_at_once() -> None:
    found = told(spoken(speculate(given("one", [9, 0, 0]), given("two", [0, 9, 0]), 4), max_tokens=10))
    assert found["num_accepted_tokens"] == 0
    assert found["num_drafts"] == 9
    assert found["num_draft_tokens"] == 4 * 6 + 3 + 2 + 1


def test_an_end_token_inside_a_block_ends_the_text() -> None:
    letters = Letters(("a", "b", "c", "d"), frozenset((3,)))
    chain = [[0, 9, 0, 0], [0, 0, 9, 0], [0, 0, 0, 9], [9, 0, 0, 0]]
    target, draft = (given(n, *chain, letters=letters) for n in ("target", "draft"))
    reply = spoken(speculate(target, draft, 6), "a")
    assert (reply.text, reply.finish) == ("bc", "stop")
    kept = spoken(speculate(target, draft, 6), "a", ignore_eos=True, max_tokens=6)
    assert kept.text == spoken(target, "a", ignore_eos=True, max_tokens=6).text


def test_stop_strings_and_stop_ids_end_it_as_plainly() -> None:
    for options in ({"stop": "c"}, {"stop_token_ids": [1]}):
        a, b = spoken(speculate(BIG, LIKE, 5), **options), spoken(BIG, **options)
        assert (a.text, a.tokens, a.finish) == (b.text, b.tokens, b.finish)


def test_what_the_target_reads_bounds_the_text_and_what_the_draft_reads_only_the_drafts() -> None:
    short = given("short", [1, 2, 3, 0.5], noise=1.5, most=9)
    assert spoken(speculate(short, BIG, 4)).tokens == spoken(short).tokens
    reply = spoken(speculate(BIG, short, 4))
    assert reply.tokens == spoken(BIG).tokens
    assert 0 < told(reply)["num_drafts"] < 4


def test_a_draft_that_cannot_read_the_prompt_is_done_without() -> None:
    reply = spoken(speculate(BIG, given("short", [1, 2, 3, 0.5], most=2), 4))
    assert reply.tokens == spoken(BIG).tokens
    assert "reads at most 2" in told(reply)["off"]


def test_a_shared_draft_is_fed_once() -> None:
    tuned, small = given("tuned", [1, 2, 3, 1.0], noise=0.5), given("small", [1, 2, 2.5, 1.0], noise=0.5)
    reply = spoken(speculate(BIG + (tuned - small), tuned, 4))
    fed = [row for entry in tuned.fed if isinstance(entry, list) for row in entry]
    read, gone = sum(map(len, fed)) - 4, sum(int(e.split()[1]) for e in tuned.fed if isinstance(e, str) and "roll" in e)
    assert read - gone in (22, 23)  # every token that stands was read exactly once
    assert reply.decoded.told["fed"]["tuned"] == read + 1 == reply.decoded.told["fed"]["big"]


def test_a_shared_leaf_of_another_decoder_is_opened_once() -> None:
    tuned = given("tuned", [1, 2, 3, 1.0], noise=0.5)
    spoken(speculate(BIG + tuned, tuned, 4))
    assert [entry for entry in tuned.fed if entry == "open 1"] == ["open 1"]
    assert tuned.fed[-1] == "close"


def test_penalties_see_the_drafted_tokens() -> None:
    options = {"repetition_penalty": 1.7, "frequency_penalty": 0.4, "logit_bias": {"0": 0.5}}
    for draft in (LIKE, lookup()):
        assert spoken(speculate(BIG, draft, 5), **options).tokens == spoken(BIG, **options).tokens


@pytest.mark.parametrize("draft", [lookup(), Copied((1, 2, 0, 2, 2, 1, 0))], ids=["lookup", "copied"])
def test_drafts_without_chances_leave_even_the_sampled_text_alone(draft: Any) -> None:
    for seed in range(5):
        options = {"temperature": 1.3, "top_p": 0.95, "seed": seed}
        assert spoken(speculate(BIG, draft, 6), **options).tokens == spoken(BIG, **options).tokens


def test_a_length_makes_sampled_text_repeatable() -> None:
    m = speculate(BIG, LIKE, 3)
    first, again, other = (spoken(m, temperature=1.0, seed=s).tokens for s in (4, 4, 5))
    assert first == again != other


def test_top_logprobs_come_for_every_token() -> None:
    a, b = spoken(speculate(BIG, LIKE, 3), top_logprobs=2), spoken(BIG, top_logprobs=2)
    assert [list(t) for t in a.top_logprobs or ()] == [list(t) for t in b.top_logprobs or ()]


def test_rows_of_a_batch_are_each_as_alone() -> None:
    prompts = ["a", "bca", "dd"]
    for length in (3, None):
        replies = speculate(BIG, LIKE, length).batch(prompts, **SAID)
        assert [r.tokens for r in replies] == [spoken(BIG, p).tokens for p in prompts]
    assert "batch" in told(replies[0])["off"]  # pyright: ignore[reportPossiblyUnboundVariable]


def test_it_streams_what_it_writes_and_frees_its_caches() -> None:
    async def pieces() -> str:
        return "".join([p.text async for p in speculate(BIG, LIKE, 3).stream("abca", **SAID)])

    assert asyncio.run(pieces()) == spoken(BIG).text

    async def cut() -> None:
        stream = speculate(BIG, LIKE, 3).stream("abca", **SAID)
        await anext(stream)
        await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]

    asyncio.run(cut())
    assert BIG.fed[-1] == "close"
    assert LIKE.fed[-1] == "close"


def test_scores_that_are_not_finite_are_said() -> None:
    with pytest.raises(BadInput, match="not finite at token 2"):
        spoken(speculate(given("bad", [0, 5, 0], [float("nan")] * 3, [0, 0, 0]), given("d", [0, 5, 0]), 3), "a")


def test_a_narrower_draft_leaves_the_targets_tokens_alone() -> None:
    narrow = given("narrow", *[[1, 2, 3]] * 3, noise=1.0)  # a row per token: reading another one is an error
    wide = given("wide", *[[1, 2, 3, 3.5, 4]] * 5, noise=1.0)
    for a, b in ((wide, narrow), (narrow, wide)):
        assert spoken(speculate(a, b, 3)).tokens == spoken(a).tokens
        drawn = spoken(speculate(a, b, 3), temperature=1.0, presence_penalty=0.5, max_tokens=30)
        assert len(drawn.tokens or ()) == 30


def test_what_it_can_not_use_is_refused() -> None:
    with pytest.raises(CannotDo, match="gives text"):
        speculate(sprat.toy("parrot"), LIKE)
    with pytest.raises(CannotDo, match="can't draft"):
        speculate(BIG, "small")
    with pytest.raises(BadInput, match="at least 1"):
        speculate(BIG, LIKE, 0)


def test_the_draft_is_paid_for() -> None:
    reply = spoken(speculate(BIG, LIKE, 3))
    assert [r.model for r in reply.asks] == ["big", "like"]
    drafted = told(reply)["num_draft_tokens"]
    assert reply.asks[1].usage is not None
    assert (reply.asks[1].usage.output_tokens or 0) >= drafted


def test_it_is_a_decoder_again() -> None:
    fast = speculate(BIG, LIKE, 3)
    assert fast.formula == "speculate(big, draft=like)"
    assert spoken(fast + UNLIKE).tokens == spoken(BIG + UNLIKE).tokens
    assert fast == Speculate(BIG, LIKE, 3)
    assert spoken(speculate(COMPOSED, BIG + LIKE, 3)).tokens == spoken(COMPOSED).tokens


def test_real_models_too() -> None:
    big, small = sprat.tiny("mackerel"), sprat.tiny("fry")
    for prompt in ("reverse shark:", "sort 31 4 15:", "12+7="):
        for draft in (small, lookup()):
            assert speculate(big, draft, 4)(prompt).text == big(prompt).text


def test_what_writes_in_a_way_of_its_own_is_no_target() -> None:
    chosen = sprat.choose(sprat.tiny("mackerel"), ("yes", "no"))
    with pytest.raises(CannotDo, match="a way of its own"):
        sprat.speculate(chosen, sprat.tiny("fry"))
