"""A model but the last that fails is not trusted: the next one answers, and the tree says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest

import sprat
from sprat.combine import cascade, route, watchful
from sprat.core import Can, Endpoint, Piece, Reply, Request, Signal
from sprat.errors import EndpointError, NotRecorded, Refused, ServerFailed, TimedOut, Unreachable
from sprat.signals import logprob

LARGE = sprat.toy("large", "from the large one")


@dataclass(frozen=True, repr=False)
class Ease(Signal):
    """Always this much trust."""

    value: float = 1.0
    use = "ease"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        return self.value


@dataclass(frozen=True, repr=False)
class Failing(Endpoint):
    """Writes so many tokens, then fails."""

    error: Exception
    tokens: int = 0
    name: str = "small"
    use = "failing"

    @property
    def can(self) -> Can:
        return Can.LOGPROBS

    def answer_many(self, requests: Any) -> list[Any]:
        return [self.error for _ in requests]

    async def pieces(self, request: Request) -> AsyncGenerator[Piece]:
        for _ in range(self.tokens):
            yield Piece("a ", ("a ",), (-0.1,))
        raise self.error


def ways(small: Any, first: int = 4) -> list[Any]:
    return [
        cascade(small, LARGE, trust=Ease(), at_least=0.5),
        route(small, LARGE, trust=Ease(), at_least=0.5),
        watchful(small, LARGE, trust=logprob(first=first), at_least=0.5),
    ]


async def streamed(model: Any) -> str:
    return "".join([piece.text async for piece in model.stream("q")])


@pytest.mark.parametrize("error", [ServerFailed("x", status=500), TimedOut("x"), Refused("x", status=400)])
@pytest.mark.parametrize("way", range(3))
def test_the_next_model_answers_for_one_that_fails(way: int, error: Exception) -> None:
    reply = ways(Failing(error))[way]("q")
    assert reply.model == "large"
    assert reply.asks[-1].because.startswith("small failed: ")
    assert reply.asks[0].error


@pytest.mark.parametrize("way", range(3))
def test_so_it_does_in_a_stream(way: int) -> None:
    assert asyncio.run(streamed(ways(Failing(Unreachable("x")))[way])) == "from the large one"


def test_a_draft_that_breaks_off_while_it_is_held_is_not_seen() -> None:
    assert asyncio.run(streamed(ways(Failing(Unreachable("x"), tokens=2))[2])) == "from the large one"


def test_a_reply_that_breaks_off_after_some_was_seen_is_not_gone_on_with() -> None:
    with pytest.raises(Unreachable):
        asyncio.run(streamed(ways(Failing(Unreachable("x"), tokens=2), first=1)[2]))


def test_a_signal_whose_endpoint_fails_trusts_nothing() -> None:
    @dataclass(frozen=True, repr=False)
    class Asking(Ease):
        async def trust(self, request: Request, reply: Reply | None = None) -> float:
            return float((await sprat.ask(Failing(TimedOut("x"), name="judge"), request)).text or 0)

    small = sprat.toy("small", "yes")
    for way in (cascade, route):
        reply = way(small, LARGE, trust=Asking(), at_least=0.5)("q")
        assert (reply.model, reply.asks[-1].because) == ("large", "ease failed: no answer in time")


@pytest.mark.parametrize("way", range(3))
def test_a_call_that_is_not_recorded_is_no_failure_of_a_model(way: int) -> None:
    with pytest.raises(NotRecorded):
        ways(Failing(NotRecorded("x")))[way]("q")


@pytest.mark.parametrize("way", range(3))
def test_where_the_last_fails_too_its_error_is_raised(way: int) -> None:
    small, large = Failing(TimedOut("small's")), Failing(ServerFailed("large's"), name="large")
    model = [
        cascade(small, large, trust=Ease(), at_least=0.5),
        route(small, large, trust=Ease(), at_least=0.5),
        watchful(small, large, trust=logprob(first=4), at_least=0.5),
    ][way]
    with pytest.raises(EndpointError, match="large's"):
        model("q")
