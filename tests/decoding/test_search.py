"""Chunk-level beam search over given logits, over the tiny models, and over models that give text alone."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import sprat
from decoding_doubles import Letters, given
from sprat.core import Endpoint, Reply, Request, Usage, content_text
from sprat.decoding.log_ratio import log_ratio
from sprat.decoding.search import search
from sprat.errors import BadInput, CannotDo, SpratError
from sprat.whitebox.scoring import logprobs

FRY, SPRAT = sprat.tiny("fry"), sprat.tiny("sprat")
PROMPTS = ["12+7=", "max 7 120 43:", "Mia likes tea. Bo likes rice. What does Bo like?"]
END = Letters(("a", "b", "e"), frozenset({2}))

# After a the pair likes a and b alike; after b it likes b; at the start (the prompt is "e") a a little more than b.
FAIR = given("fair", [0, 0, -2], [0, 0, -2], [0, 0, -9], letters=END)
LIKES = given("likes", [0, 0, 0], [0, 5, 0], [0.5, 0, 0], letters=END)
FLAT = given("flat", [0, 0, 0], letters=END)
STARTS = given("starts", [0, 0, -50], [0, 0, -50], [0, 0, -50], letters=END)


def found(model: Any, prompt: str = "e", **options: Any) -> Reply:
    return model(prompt, **{"max_tokens": 4, "seed": 1} | options)


def told(reply: Reply) -> dict[str, Any]:
    return reply.decoded.told["search"]


def test_short_chunks_are_greedy_for_the_reward_and_longer_ones_look_ahead() -> None:
    short = search(STARTS, tuned=LIKES, untuned=FLAT, beams=1, samples=40, chunk=1)
    long = search(STARTS, tuned=LIKES, untuned=FLAT, beams=1, samples=40, chunk=4)
    assert found(short).text[0] == "a"
    assert found(long).text == "bbbb"


def test_more_beams_look_ahead_too() -> None:
    assert found(search(STARTS, tuned=LIKES, untuned=FLAT, beams=3, samples=30, chunk=1)).text == "bbbb"


def test_the_score_is_the_sum_of_log_ratios_end_included() -> None:
    reply = found(search(FAIR, tuned=LIKES, untuned=FLAT, beams=2, samples=3, chunk=2))
    ids = [list(reply.decoded.ids)]
    sums = [logprobs(m, [Request.of("e")], ids)[0].sum() for m in (LIKES, FLAT)]
    assert told(reply)["score"] == pytest.approx(sums[0] - sums[1])


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_chunk_without_end_is_best_of_n(prompt: str) -> None:
    model = search(SPRAT, tuned=SPRAT, untuned=FRY, beams=2, samples=3, chunk=math.inf, temperature=1.5)
    best = model(prompt, seed=5)
    kept = told(best)["kept"]
    scores = log_ratio(SPRAT, FRY).scores([Request.of(prompt)] * 2, [text for text, _ in kept], [True] * 2)
    assert [s for _, s in kept] == pytest.approx(scores, abs=1e-3)
    assert told(best)["chunks"] == 1
    assert kept[0][0] == best.text


def test_one_beam_of_one_sample_is_plain_sampling() -> None:
    model = search(SPRAT, tuned=SPRAT, untuned=FRY, beams=1, samples=1, chunk=3, temperature=1.3, top_k=0)
    for prompt in PROMPTS:
        assert model(prompt, seed=3).text == SPRAT(prompt, seed=3, temperature=1.3).text


def test_many_at_once_say_what_each_says_alone() -> None:
    model = search(SPRAT, tuned=SPRAT, untuned=FRY, beams=2, samples=4, chunk=2, temperature=1.5)
    together = model.batch(PROMPTS * 4, seed=2)
    alone = [model(p, seed=2) for p in PROMPTS]
    assert [r.text for r in together] == [r.text for r in alone] * 4


def test_other_tokenizers_score_the_text_alike() -> None:
    other = Letters(("e", "b", "a"), frozenset({0}))
    likes = given("likes2", [0, 0, 0.5], [0, 5, 0], [0, 0, 0], letters=other)
    flat = given("flat2", [0, 0, 0], letters=other)
    same = found(search(FAIR, tuned=LIKES, untuned=FLAT, beams=2, samples=3, chunk=2))
    told_ = found(search(FAIR, tuned=likes, untuned=flat, beams=2, samples=3, chunk=2))
    assert told_.text == same.text
    assert told(told_)["score"] == pytest.approx(told(same)["score"])
    assert [part.model for part in told_.asks] == ["fair", "likes2", "flat2"]
    assert len(told_.explain().choices) == len(told_.decoded.ids)


def test_finished_beginnings_stay_candidates() -> None:
    ends = given("ends", [0, 0, 9], [0, 0, 9], [0, 0, 9], letters=END)
    likes_end = given("likes_end", [0, 0, 3], letters=END)
    assert found(search(ends, tuned=likes_end, untuned=FLAT, beams=2, samples=4, chunk=1)).text == ""


def test_the_pair_reads_each_token_once() -> None:
    likes = given("likes3", *LIKES.logits, letters=END)
    reply = found(search(STARTS, tuned=likes, untuned=FLAT, beams=2, samples=2, chunk=2))
    read = sum(len(block[0]) for block in likes.fed if isinstance(block, list))
    assert told(reply)["chunks"] == 2
    assert read <= 1 + 4  # the prompt once, then four tokens in blocks


def test_any_reward_will_do() -> None:
    model = search(FAIR, score=lambda request, text: text.count("b") - text.count("a"), beams=3, samples=8, chunk=1)
    assert found(model).text.startswith("bbb")


def test_a_stream_gives_what_all_kept_share_and_ends_alike() -> None:
    model = search(SPRAT, tuned=SPRAT, untuned=FRY, beams=2, samples=3, chunk=1, temperature=1.2)

    async def collect() -> list[Any]:
        return [p async for p in model.stream("reverse shark:", seed=4, max_tokens=12)]

    pieces = asyncio.run(collect())
    whole = model("reverse shark:", seed=4, max_tokens=12)
    assert "".join(p.text for p in pieces) == whole.text == pieces[-1].reply.text
    assert pieces[-1].reply.logprobs == whole.logprobs


def test_a_stop_string_ends_a_beginning() -> None:
    model = search(STARTS, tuned=LIKES, untuned=FLAT, beams=2, samples=20, chunk=2)
    assert found(model, stop="bb", max_tokens=8).text.count("bb") == 0


def test_top_logprobs_and_costs_are_those_of_the_large_model() -> None:
    reply = search(SPRAT, tuned=SPRAT, untuned=FRY, beams=2, samples=2, chunk=2)("12+7=", top_logprobs=2)
    assert all(len(top) == 2 for top in reply.top_logprobs)
    assert reply.asks[0].usage.output_tokens == told(reply)["generated"] >= reply.usage.output_tokens
    assert [part.model for part in reply.asks] == ["sprat", "fry"]
    assert reply.cost > SPRAT("12+7=").cost


def test_scores_that_are_not_finite_are_said() -> None:
    broken = given("broken", [math.nan, 0, 0], letters=END)
    with pytest.raises(BadInput, match="not finite"):
        found(search(broken, tuned=LIKES, untuned=FLAT))
    with pytest.raises(BadInput, match="not finite"):
        found(search(STARTS, tuned=broken, untuned=FLAT))


@pytest.mark.parametrize("wrong", [{}, {"beams": 0}, {"chunk": 0}, {"temperature": 0.0}, {"score": len}])
def test_what_makes_no_sense_is_said(wrong: dict[str, Any]) -> None:
    pair = {} if not wrong else {"tuned": LIKES, "untuned": FLAT}
    with pytest.raises(BadInput):
        search(FAIR, **pair, **wrong)


def test_a_pair_must_give_logits_and_a_signal_ask_nobody() -> None:
    with pytest.raises(CannotDo):
        search(FAIR, tuned=sprat.toy("t", "x"), untuned=FLAT)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CannotDo, match="cost would be lost"):
        search(FAIR, score=sprat.signals.automix(sprat.toy("judge", "yes")))


# Models that give text alone.


def remote(log: list[Request], length: int = 6) -> Any:
    """Goes on with "ab..." a token at a time: which letter follows is the sample's number's."""

    def answer(request: Request) -> Reply:
        log.append(request)
        begun = content_text(request.messages[-1]["content"]) if request.messages[-1]["role"] == "assistant" else ""
        n = min(request.options["max_tokens"], length - len(begun))
        drawn = np.random.default_rng([len(begun), request.sample]).choice(["a", "b"], n)
        finish = "stop" if len(begun) + n == length else "length"
        return Reply("".join(drawn), "far", finish=finish, usage=Usage(1, n), cost=1.0, seconds=0.0)

    return sprat.toy("far", answer)


def far_search(log: list[Request], **more: Any) -> Any:
    return search(remote(log), **{"tuned": LIKES, "untuned": FLAT, "beams": 2, "samples": 3, "chunk": 2} | more)


def test_a_remote_model_is_asked_for_chunks_and_each_ask_is_priced() -> None:
    log: list[Request] = []
    reply = far_search(log)("e")
    assert len(reply.text) == 6
    assert reply.raw["search"]["asks"] == len(log) == 18
    assert sum(leaf.cost for leaf in reply.leaves() if leaf.model == "far") == 18.0
    assert {r.options["max_tokens"] for r in log} == {2}
    assert len({r.sample for r in log}) == 18


def test_the_remote_winner_is_the_best_of_its_text() -> None:
    reply = far_search([])("e")
    score = log_ratio(LIKES, FLAT).scores([Request.of("e")], [reply.text], [True])[0]
    assert reply.score == pytest.approx(score)
    assert reply.score == max(s for _, s in reply.raw["search"]["kept"])
    assert reply.raw["rung"] == "chunks"


def test_remote_chunks_without_end_are_best_of_n() -> None:
    log: list[Request] = []
    reply = far_search(log, chunk=math.inf)("e")
    drawn = [remote([])(r).text for r in log]
    scores = log_ratio(LIKES, FLAT).scores([Request.of("e")] * 6, drawn, [True] * 6)
    assert reply.text == drawn[int(np.argmax(scores))]


@pytest.mark.parametrize(
    ("how", "option", "mark"),
    [("plain", None, None), ("continue_final_message", True, None), ("prefix", None, True)],
)
def test_how_a_server_goes_on_is_the_users_to_say(how: str, option: Any, mark: Any) -> None:
    log: list[Request] = []
    far_search(log, continued=how)("e")
    assert [m["role"] for m in log[-1].messages] == ["user", "assistant"]
    assert log[-1].options.get("continue_final_message") == option
    assert log[-1].messages[-1].get("prefix") == mark
    assert "continue_final_message" not in log[0].options


def test_a_function_may_say_how_to_go_on() -> None:
    log: list[Request] = []

    def whole(request: Request, text: str) -> Request:
        return request.asking(request.text + text)

    far_search(log, continued=whole)("e", max_tokens=4)
    assert log[-1].text[0] == "e"
    assert len(log[-1].text) == 3


@dataclass(frozen=True, repr=False)
class Raw(Endpoint):
    """A server that goes on with raw text, and writes down what it was sent."""

    name: str = "raw"
    at_once: int = 4
    defaults: dict[str, Any] = field(default_factory=dict[str, Any])
    sent: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def post(self, path: str, body: dict[str, Any]) -> Reply:
        self.sent.append({"path": path, **body})
        choice = {"text": "ab", "finish_reason": "length"}
        return Reply(None, "raw", usage=Usage(1, 2), cost=1.0, raw={"choices": [choice]})


def test_raw_completions_go_on_with_the_text() -> None:
    server = Raw()
    model = search(server, tuned=LIKES, untuned=FLAT, beams=1, samples=2, chunk=2, continued="completions")
    assert model("e", max_tokens=4, seed=7).text == "abab"
    assert {(call["path"], call["prompt"]) for call in server.sent} == {("completions", "e"), ("completions", "eab")}
    assert sorted(call["seed"] for call in server.sent) == [7, 8, 9, 10]
    with pytest.raises(CannotDo):
        far_search([], continued="completions")


def test_the_same_model_far_away_is_searched_alike() -> None:
    asked = sprat.toy("asked", lambda request: SPRAT(request))
    near = search(SPRAT, tuned=SPRAT, untuned=FRY, beams=1, samples=1, chunk=math.inf, top_k=0)
    far = search(asked, tuned=SPRAT, untuned=FRY, beams=1, samples=1, chunk=math.inf)
    for prompt in PROMPTS:
        assert far(prompt, seed=3, max_tokens=20).text == near(prompt, seed=3, max_tokens=20).text


def test_a_failed_sample_is_left_out_and_all_failed_is_an_error() -> None:
    calls: list[int] = []

    def flaky(request: Request) -> Reply:
        calls.append(1)
        if len(calls) % 2:
            raise SpratError("Down.")
        return Reply("ab", "far", finish="stop", cost=0.0)

    assert search(sprat.toy("flaky", flaky), tuned=LIKES, untuned=FLAT)("e").text == "ab"
    with pytest.raises(SpratError):
        search(sprat.toy("gone", lambda r: (_ for _ in ()).throw(SpratError("Down."))), tuned=LIKES, untuned=FLAT)("e")


def test_any_signal_or_function_scores_a_remote_model() -> None:
    log: list[Request] = []
    model = search(remote(log), score=lambda request, text: text.count("b"), beams=2, samples=4, chunk=1)
    assert model("e").text.count("b") >= 5
    judged = search(remote(log), score=sprat.signals.automix(sprat.toy("judge", "The answer is correct.", cost=1.0)))
    assert judged("e").cost > 12


def test_tools_are_refused() -> None:
    with pytest.raises(CannotDo):
        far_search([])("e", tools=[{"type": "function"}])
    with pytest.raises(BadInput):
        far_search([], continued="plainly")
