"""Laws: whoever drives a composition, the answer and its cost are the same."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from trees import REQUESTS, by_hand, models

from sprat.core import Reply, Request
from sprat.data import Dataset, Example
from sprat.drivers import batch, run
from sprat.errors import SpratError
from sprat.replay import record, replay

WHOLE = ("returned", "awaited", "refused")  # a draft that is stopped costs what is not known


def outcome(reply: Reply) -> Any:
    return (reply.text, reply.model, reply.cost, reply.usage)


def tried(model: Any, request: Request) -> Any:
    try:
        return outcome(run(model, request))
    except SpratError as error:
        return str(error)


def batched(model: Any, request: Request) -> Any:
    reply = batch(model, [request])[0]
    return reply.error or outcome(reply)


async def concurrent(model: Any, request: Request) -> Any:
    try:
        return outcome(await model.ask(request))
    except SpratError as error:
        return str(error)


async def streamed(model: Any, request: Request) -> tuple[str, Reply | None, str]:
    text, last = "", None
    try:
        async for piece in model.stream(request):
            text, last = text + piece.text, piece.reply
    except SpratError as error:
        return text, None, str(error)
    return text, last, ""


@given(models(), REQUESTS)
def test_batch_is_run(model: Any, request: Request) -> None:
    assert batched(model, request) == tried(model, request)


@given(models(), REQUESTS)
def test_a_batch_of_many_is_each_alone(model: Any, request: Request) -> None:
    others = [request, Request.of("b"), request.asking("a1")]
    assert [r.error or outcome(r) for r in batch(model, others)] == [tried(model, r) for r in others]


@given(models(until=False), REQUESTS)
def test_arun_is_run(model: Any, request: Request) -> None:
    assert asyncio.run(concurrent(model, request)) == tried(model, request)


@given(models(), REQUESTS)
def test_everything_streams_the_text_that_it_returns(model: Any, request: Request) -> None:
    text, reply, error = asyncio.run(streamed(model, request))
    assert error or (reply is not None and text == (reply.text or ""))


@given(models(until=False), REQUESTS)
def test_stream_is_run(model: Any, request: Request) -> None:
    _, reply, error = asyncio.run(streamed(model, request))
    assert (error or (reply and outcome(reply))) == tried(model, request)


@given(models(peeks=WHOLE), REQUESTS)
def test_run_is_the_coroutine_driven_by_hand(model: Any, request: Request) -> None:
    paid: list[float | None] = []
    try:
        text = by_hand(model, request, paid).text
        found: Any = (text, None if None in paid else sum(c for c in paid if c is not None))
    except SpratError as error:
        found = str(error)
    ran = tried(model, request)
    assert found == (ran if isinstance(ran, str) else ran[0::2])


@given(models(live=False, peeks=WHOLE), REQUESTS)
def test_a_replay_of_a_recorded_run_is_the_run(model: Any, request: Request) -> None:
    recorded, replies = record(model, Dataset((Example("1", request),)))
    assert replies == [run(model, request)]
    assert replay(model, recorded) == replies


@given(models(live=False, until=False, peeks=WHOLE), REQUESTS)
def test_a_replay_at_once_costs_what_arun_costs(model: Any, request: Request) -> None:
    recorded, _ = record(model, Dataset((Example("1", request),)))
    reply = replay(model, recorded, at_once=True)[0]
    assert outcome(reply) == asyncio.run(concurrent(model, request))
