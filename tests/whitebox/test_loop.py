"""Decoders as models: batches, draws, stops, streams, cancellation and what a reply says."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

import sprat
from decoding_doubles import Given
from sprat.aquarium import problems
from sprat.core import Request
from sprat.errors import BadInput, CannotDo

BIG, SMALL, FRY = (sprat.tiny(n) for n in ("mackerel", "sprat", "fry"))
MIX = BIG + 0.5 * (SMALL - FRY)
PROMPTS = [one.prompt for one in problems(30, 4)]


def collect(model, asked, **options):
    async def pieces():
        return [p async for p in model.stream(asked, **options)]

    return asyncio.run(pieces())


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 1.0, "seed": 5}, {"temperature": 0.9, "top_k": 4, "top_p": 0.9}]
)
def test_a_composed_reply_does_not_depend_on_the_batch(options):
    together = MIX.batch(PROMPTS, **options)
    alone = [MIX(p, **options) for p in PROMPTS]
    assert [r.text for r in together] == [r.text for r in alone]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"stop": "1"}, {"temperature": 1.2, "seed": 1}, {"max_tokens": 2}])
def test_a_stream_comes_to_the_same_reply(options):
    pieces, whole = collect(MIX, "sort 31 4 15:", **options), MIX("sort 31 4 15:", **options)
    assert replace(pieces[-1].reply, seconds=None) == replace(whole, seconds=None)
    assert "".join(p.text for p in pieces) == whole.text


def test_log_probabilities_are_those_of_the_combination():
    reply = MIX("12+7=")
    from sprat.whitebox.scoring import logprobs

    (found,) = logprobs(MIX, [Request.of("12+7=")], [reply.text])
    np.testing.assert_allclose(found[: len(reply.logprobs)], reply.logprobs, atol=1e-3)


def test_top_logprobs_are_the_likeliest_tokens_first():
    reply = MIX("12+7=", top_logprobs=3)
    for token, logprob, top in zip(reply.tokens, reply.logprobs, reply.top_logprobs, strict=True):
        assert next(iter(top.items())) == (token, pytest.approx(logprob))
        assert len(top) == 3


def test_a_stop_string_is_left_out_and_its_tokens_too():
    reply = BIG("sort 31 4 15:", stop=[" 1"])
    assert (reply.text, reply.tokens, reply.finish) == ("4", ("4",), "stop")
    assert len(reply.logprobs) == 1


def test_a_stop_token_ends_the_reply():
    five = BIG.vocabulary.encode("5")
    assert BIG("sort 31 4 15:", stop_token_ids=five).text == "4 1"


def test_ignoring_the_end_writes_on_to_the_limit():
    reply = BIG("12+7=", ignore_eos=True, max_tokens=20)
    assert (reply.finish, reply.usage.output_tokens) == ("length", 20)


def test_the_context_ends_a_reply_at_the_shortest_part():
    reply = MIX("a" * 120, ignore_eos=True, max_tokens=500)
    assert (reply.finish, reply.usage.output_tokens) == ("length", 8)


def test_every_part_is_in_the_tree_with_its_cost():
    reply = MIX("12+7=")
    assert [part.model for part in reply.asks] == ["mackerel", "sprat", "fry"]
    assert reply.cost == pytest.approx(sum(part.cost for part in reply.asks))
    assert reply.model == MIX.formula == "mackerel + 0.5 * sprat - 0.5 * fry"


def test_a_part_without_a_price_leaves_the_cost_unknown():
    assert (BIG + Given("free", ((0.0,) * 104,), BIG.vocabulary))("12+7=").cost is None


def test_an_answer_that_was_begun_is_continued():
    begun = [{"role": "user", "content": "reverse shark:"}, {"role": "assistant", "content": "kr"}]
    assert BIG(begun).text == "ahs"


@pytest.mark.parametrize("options", [{"tools": [{}]}, {"response_format": {"type": "json_object"}}, {"n": 2}])
def test_what_a_decoder_cannot_write_is_said(options):
    with pytest.raises(CannotDo):
        MIX("12+7=", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 0},
        {"temperature": -1},
        {"top_logprobs": -1},
        {"seed": "x"},
        {"temperature": 1e-9},
        {"presence_penalty": "nan"},
    ],
)
def test_options_out_of_range_are_said(options):
    with pytest.raises(BadInput):
        MIX("12+7=", **options)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_fail_that_row_in_a_sentence(value):
    broken = Given("broken", ((value, 0.0, 0.0, 0.0),))
    with pytest.raises(BadInput, match="The scores of 'broken' are not finite at token 1"):
        broken("a")


def test_one_prompt_that_is_too_long_fails_alone():
    good, bad = MIX.batch(["12+7=", "a" * 200])
    assert good.text == MIX("12+7=").text
    assert "reads at most 128" in bad.error


def test_a_cancelled_stream_frees_its_caches():
    slow = Given("slow", ((0.0, 1.0, 0.0, 0.0),))

    async def begin():
        stream = slow.stream("a", max_tokens=1000)
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(begin())
    assert slow.fed[-1] == "close"
    assert len(slow.fed) < 100


def test_a_task_that_is_cancelled_frees_its_caches_too():
    slow = Given("slow", ((0.0, 1.0, 0.0, 0.0),))

    async def begin():
        async def read():
            async for _ in slow.stream("a", max_tokens=100_000):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(begin())
    assert slow.fed[-1] == "close"


def test_a_decoder_goes_into_a_cascade():
    cascade = sprat.cascade(FRY, MIX, trust=sprat.signals.logprob(), at_least=1.1)
    assert cascade("12+7=").text == MIX("12+7=").text


def test_log_probabilities_may_be_declined():
    reply = MIX("12+7=", logprobs=False)
    assert (reply.text, reply.logprobs) == (MIX("12+7=").text, None)
    drawn = {"temperature": 1.0, "seed": 2}
    assert MIX("12+7=", logprobs=False, **drawn).text == MIX("12+7=", **drawn).text
    with pytest.raises(BadInput, match="not finite"):
        Given("broken", ((0.0, float("nan"), 0.0, 0.0),))("a", logprobs=False)


def test_a_stop_that_is_no_text_is_said():
    with pytest.raises(BadInput, match=r"stop is \[1\]"):
        BIG("a", stop=[1])
