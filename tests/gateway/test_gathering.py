"""What is quick is done for all the requests that wait for it in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("aiohttp")

import sprat
from sprat.core import Reply, Request, ask
from sprat.data import Lessons
from sprat.drivers import drive
from sprat.encoders import StaticEncoder
from sprat.errors import BadInput
from sprat.gateway.answering import Tap, answers
from sprat.gateway.gathering import Judge, gathered, judge_of
from sprat.gateway.witness import witnessed
from sprat.signals import ensemble_router, known_groups, ridge_gain
from sprat.signals.embedded import Ahead, default_encoder

WORDS = ["red", "blue", "seven", "eleven", "river", "stone", "letter", "number", "sum", "word", "cat", "fish", "spell"]


@dataclass(frozen=True, repr=False, eq=False)
class Words(Ahead):
    """Trusts short prompts, fails at "bad", and notes how many it judged at once."""

    goes: list[int] = field(default_factory=list[int])
    use = "words"

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Any:
        self.goes.append(len(requests))
        if any(r.text == "bad" for r in requests):
            raise BadInput("It is bad.")
        return np.array([1.0 / len(r.text.split()) for r in requests])


async def together(words: Words, *texts: str) -> list[Any]:
    judge = gathered(Judge(words))
    return await asyncio.gather(*(judge.answer_async(Request.of(t)) for t in texts), return_exceptions=True)


def test_requests_that_come_together_are_judged_in_one_go_and_each_hears_its_own() -> None:
    words = Words()
    assert asyncio.run(together(words, "a", "a b", "a b c d")) == [1.0, 0.5, 0.25]
    assert words.goes == [3]


def test_a_request_that_can_not_be_judged_fails_alone() -> None:
    one, bad, two = asyncio.run(together(Words(), "a", "bad", "a b"))
    assert (one, two) == (1.0, 0.5)
    assert isinstance(bad, BadInput)


def test_one_that_comes_a_pass_of_the_loop_later_is_judged_in_the_same_go() -> None:
    async def staggered() -> list[int]:
        words = Words()
        judge = gathered(Judge(words))
        first = asyncio.ensure_future(judge.answer_async(Request.of("a")))
        for _ in range(2):  # its task begins, and one pass in which none comes
            await asyncio.sleep(0)
        await asyncio.gather(first, judge.answer_async(Request.of("a b")))
        return words.goes

    assert asyncio.run(staggered()) == [2]


def test_one_alone_waits_for_a_few_passes_of_the_loop() -> None:
    async def passes() -> int:
        alone = asyncio.ensure_future(gathered(Judge(Words())).answer_async(Request.of("a")))
        for n in range(100):
            if alone.done():
                return n
            await asyncio.sleep(0)
        raise AssertionError

    assert asyncio.run(passes()) <= 6


def test_one_go_is_bounded() -> None:
    words = Words()
    asyncio.run(together(words, *["a"] * 70))
    assert words.goes == [32, 32, 6]


def test_who_has_left_is_not_waited_for() -> None:
    async def leave() -> Any:
        judge = gathered(Judge(Words()))
        gone = asyncio.ensure_future(judge.answer_async(Request.of("a")))
        await asyncio.sleep(0)
        gone.cancel()
        return await judge.answer_async(Request.of("a b"))

    assert asyncio.run(leave()) == 0.5


def test_the_routes_signal_is_one_ask_in_the_tree() -> None:
    way = witnessed(sprat.route(sprat.toy("small"), sprat.toy("large"), trust=Words(), at_least=0.4))
    _, (reply,) = asyncio.run(answers(way, Request.of("two words"), 1, Tap()))
    assert [a.model for a in reply.asks] == ["words", "small"]


def test_a_judged_trust_is_the_signals_own() -> None:
    plain = ridge_gain()
    weights = np.random.default_rng(0).normal(size=plain.encoder.dim).astype(np.float32)
    router = replace(plain, weights=weights)
    requests = [Request.of(t) for t in ("one", "another text", "one")]
    assert Judge(router).answer_many(requests) == pytest.approx([router(r) for r in requests], abs=1e-6)


@pytest.fixture(scope="module")
def studied() -> Any:
    """A route's signal as a study fits it by default."""
    draw = np.random.default_rng(0)
    texts = [f"{draw.choice(['add', 'spell', 'rhyme'])} {' '.join(draw.choice(WORDS, 5))}" for _ in range(80)]
    scores = (draw.random((80, 2)) < (0.5, 0.8)).astype(np.float64)
    asked = tuple(Request.of(t) for t in texts)
    return known_groups(ensemble_router()).fit(Lessons(asked, ("small", "large"), scores, np.ones((80, 2)), {}, seed=0))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=9))
def test_what_is_judged_among_others_has_the_studys_trust(studied: Any, texts: list[str]) -> None:
    asked = [Request.of(t) for t in texts]
    alone = [drive(studied.trusts([a]))[0] for a in asked]
    assert Judge(studied).answer_many(asked) == pytest.approx(alone, abs=1e-6)


def test_a_text_is_encoded_once_though_several_parts_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, repr=False, eq=False)
    class Twice(Ahead):
        async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Any:
            for _ in range(2):
                await ask(default_encoder(), sprat.core.Texts(tuple(r.text for r in requests)))
            return np.zeros(len(requests))

    read: list[str] = []
    encode = StaticEncoder.encode

    def noted(self: StaticEncoder, texts: Sequence[str]) -> Any:
        read.extend(texts)
        return encode(self, texts)

    monkeypatch.setattr(StaticEncoder, "encode", noted)
    Judge(Twice()).answer_many([Request.of("a"), Request.of("b"), Request.of("a")])
    assert read == ["a", "b"]


def test_a_signal_that_asks_a_model_is_driven_as_ever() -> None:
    @dataclass(frozen=True, repr=False, eq=False)
    class Asks(Words):
        model: Any = None

    assert judge_of(Asks(model=sprat.toy("judge"))) is None
