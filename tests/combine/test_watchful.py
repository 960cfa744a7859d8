"""watchful and the signals that it reads while a reply is written: decisions by hand."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from doubles import Wire, broken
from sprat import signals
from sprat.combine import watchful
from sprat.core import Piece, Reply, Request
from sprat.drivers import arun, stream
from sprat.endpoints.toy import toy
from sprat.errors import BadInput, CannotDo
from sprat.signals import logprob, lowest, opening, opening_agreement

LARGE = toy("large", "from the large one", cost=10.0, trusted=-0.1)
Q = Request.of("q")


def drafting(*logprobs: float) -> Any:
    """A model whose reply has these log-probabilities, a word each."""
    words = tuple(f"w{i} " for i in range(len(logprobs)))
    return toy("small", lambda _: Reply("".join(words), "small", words, tuple(logprobs), cost=1.0), trusted=0.0)


def bounds(signal: Any, *texts: str, request: Request = Q) -> list[tuple[float, float]]:
    """The bounds after each piece of a reply, the last at its end."""
    running = signal.running(request)
    found: list[tuple[float, float]] = []
    for piece in [*map(Piece, texts), None]:
        running.take(0, piece)
        found.append(running.within())
    return found


def test_a_doubted_draft_stops_before_its_last_token_and_stays_in_the_tree() -> None:
    reply = watchful(drafting(-9.0, -0.1, -0.1, -0.1), LARGE, trust=logprob(first=4), at_least=0.4)("q")
    stopped = reply.leaves()[0]
    assert (stopped.cancelled, stopped.text, reply.model) == (True, "w0 ", "large")
    # The best that four tokens can come to after one of -9 is exp(-9 / 4) = 0.105.
    assert reply.leaves()[1].because == "logprob at most 0.105 < 0.4 after 1 token"


def test_a_later_confident_token_does_not_redeem_what_the_mean_of_k_cannot() -> None:
    # The whole reply's mean is -.5, above the threshold's log of -.6; the first two tokens' is -1: stopped.
    assert (
        watchful(drafting(-2.0, 0, 0, 0), LARGE, trust=logprob(first=2), at_least=math.exp(-0.6))("q").model == "large"
    )
    assert logprob()("q", Reply("x", logprobs=(-2.0, 0.0, 0.0, 0.0))) > math.exp(-0.6)


@pytest.mark.parametrize("at_least", [0.05, 0.8])
def test_it_streams_the_text_that_it_returns(at_least: float) -> None:
    model = watchful(drafting(-0.5, -0.5, -0.5), LARGE, trust=logprob(first=2), at_least=at_least)

    async def text() -> str:
        return "".join([p.text async for p in stream(model, Q)])

    assert asyncio.run(text()) == model("q").text


def test_a_signal_that_reads_whole_replies_can_not_be_watched() -> None:
    with pytest.raises(CannotDo, match="while a reply is written"):
        watchful(drafting(-1.0), LARGE, trust=signals.agreement(LARGE))


def test_log_probabilities_are_needed_when_it_is_built() -> None:
    with pytest.raises(CannotDo, match="logprobs"):
        watchful(toy("text", "hello"), LARGE)


def test_a_models_form_can_be_watched_without_log_probabilities() -> None:
    text = toy("text", "I'm sorry, I can't help with that.")
    assert watchful(text, LARGE, trust=opening())("q").model == "large"


@pytest.mark.parametrize("options", [{"tools": [{"type": "function"}]}, {"response_format": {"type": "json_object"}}])
def test_with_tools_or_json_the_reply_is_read_whole_and_judged_as_in_a_cascade(options: dict[str, Any]) -> None:
    kept = watchful(drafting(-0.1, -0.1), LARGE, trust=logprob(first=2), at_least=0.5)("q", **options)
    doubted = watchful(drafting(-9.0, -9.0), LARGE, trust=logprob(first=2), at_least=0.5)("q", **options)
    assert (kept.model, doubted.model) == ("small", "large")
    assert [leaf.cancelled for leaf in doubted.leaves()] == [False, False]


def test_a_tool_call_that_has_no_log_probabilities_goes_to_the_next_model() -> None:
    calls = toy("small", lambda _: Reply(None, "small", tool_calls=({"id": "1"},), cost=1.0), trusted=0.0)
    reply = watchful(calls, LARGE, trust=logprob(first=2))("q", tools=[{"type": "function"}])
    assert (reply.model, reply.leaves()[1].because) == ("large", "logprob can't judge it")


# opening


def test_a_reply_may_begin_with_one_of_several_texts() -> None:
    rule = opening(begins=("the answer is", "answer:"), never=())
    assert bounds(rule, " The", " Answer", " is 4")[:3] == [(0, 1), (0, 1), (1, 1)]
    assert bounds(rule, "The", " best")[1] == (0, 0)


def test_a_reply_that_ends_before_its_beginning_is_whole_is_not_trusted() -> None:
    assert bounds(opening(begins=("answer:",), never=()), "Answ")[-1] == (0, 0)


@pytest.mark.parametrize("text", ["I'm sorry, but", "I\u2019m sorry, but", "As an AI model", "  Perhaps it is"])
def test_refusals_and_hedges_are_doubted_as_soon_as_they_are_said(text: str) -> None:
    assert bounds(opening(), text)[0] == (0, 0)


def test_what_can_not_become_a_refusal_any_more_is_trusted_at_once() -> None:
    assert bounds(opening(), "I", "'m", " sure") == [(0, 1), (0, 1), (1, 1), (1, 1)]


def test_json_is_a_beginning() -> None:
    rule = opening(begins=("{", "["))
    assert bounds(rule, "\n", "{")[1] == (1, 1)
    assert bounds(rule, "Sure")[0] == (0, 0)


def test_the_share_of_letters_in_the_prompts_script_can_be_bounded() -> None:
    # Ten characters are read. After two Latin and one Cyrillic letter between 2/10 and 9/10 can be Latin.
    found = bounds(opening(script="same", never=(), first=10), "ab\u0434", request=Request.of("Say it."))
    assert found == [(pytest.approx(0.2), pytest.approx(0.9)), (pytest.approx(2 / 3), pytest.approx(2 / 3))]


def test_a_pattern_is_looked_for_once_its_characters_are_there() -> None:
    rule = opening(pattern=r"\d+ is", never=(), first=6)
    assert bounds(rule, "17", " is ", "it")[:2] == [(0, 1), (1, 1)]
    assert bounds(rule, "It is 17")[0] == (0, 0)


def test_what_is_no_pattern_or_script_is_said() -> None:
    with pytest.raises(BadInput, match="no regular expression"):
        opening(pattern="(")
    with pytest.raises(BadInput, match="knows no script"):
        opening(script="klingon")


# opening_agreement


def test_the_share_of_words_from_the_start_is_counted() -> None:
    rule = opening_agreement(LARGE, words=4)
    # "it is" of four words; a number's form and the marks do not count.
    assert rule.agree("It is 4 in all, yes", "it is four in all, yes") == 2 / 4
    assert rule.agree("1,200. is right here", "1200 is right here") == 1


def test_short_replies_agree_where_they_settle_on_the_same_answer() -> None:
    assert opening_agreement(LARGE).agree("The answer is 4.", "#### 4") == 1
    assert opening_agreement(LARGE).agree("", "") == 0


def test_both_are_watched_only_as_far_as_it_takes() -> None:
    small = Wire("small", ("one ", "two ", "three ", "four "), hangs=True)
    peer = Wire("peer", ("one ", "2 ", "drei "), hangs=True)
    # With its third word a reply can't end within two any more: then half is the most.
    reply = asyncio.run(arun(watchful(small, LARGE, trust=opening_agreement(peer, words=2), at_least=0.75), Q))
    assert reply.model == "large"
    assert small.log == ["one ", "two ", "three ", "closed"]
    assert peer.log[-1] == "closed"


def test_the_drafts_are_asked_for_at_once() -> None:
    entered: list[str] = []

    class Meets(Wire):
        async def pieces(self, request: Request) -> Any:
            entered.append(self.name)
            while len(entered) < 2:  # neither would ever begin, were they asked in turn
                await asyncio.sleep(0)
            async for piece in super().pieces(request):
                yield piece

    small, peer = Meets("small", ("yes",)), Meets("peer", ("yes",))
    model = watchful(small, LARGE, trust=opening_agreement(peer), at_least=0.75)

    async def within() -> Reply:
        async with asyncio.timeout(5):
            return await arun(model, Q)

    assert asyncio.run(within()).text == "yes"


def test_a_second_opinion_that_fails_agrees_with_nothing() -> None:
    model = watchful(toy("small", "yes"), LARGE, trust=opening_agreement(broken()), at_least=0.5)
    assert model("q").model == "large"


def test_a_draft_that_was_begun_and_never_looked_at_is_closed() -> None:
    peer = Wire("peer", ("a ",), hangs=True)
    refuses = toy("small", "I cannot say")
    model = watchful(refuses, LARGE, trust=lowest(opening(), opening_agreement(peer)))
    assert asyncio.run(arun(model, Q)).model == "large"
    assert peer.log in ([], ["a ", "closed"])
