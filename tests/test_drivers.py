"""The drivers: concurrency, cancellation, failures, grouping, and what a wrong await says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from doubles import Counts, Does, Never, Slow, Wire, accepted, broken
from sprat.combine import cascade, fallback, vote
from sprat.core import Reply, Request, ask, together, watch
from sprat.drivers import batch, run
from sprat.endpoints import toy
from sprat.errors import Unreachable, WrongAwait


async def stop_when_seen(model: Any, text: str) -> None:
    stream = model.stream("hi")
    async for piece in stream:
        if piece.text == text:
            break
    await stream.aclose()


# Concurrency and cancellation.


def test_asks_together_run_at_once() -> None:
    async def both() -> Reply:
        a, b = Slow("a"), Slow("b")
        task = asyncio.create_task(vote(a, b, enough=False).ask("hi"))
        await a.asked.wait()
        await b.asked.wait()  # b was asked although a has not answered
        b.go.set()
        a.go.set()
        return await task

    assert asyncio.run(both()).cost == 2.0


def test_local_endpoints_run_on_worker_threads() -> None:
    together_now = threading.Barrier(2, timeout=10)
    model = vote(*(toy(n, lambda _: str(together_now.wait() * 0)) for n in "ab"), enough=False)
    assert asyncio.run(model.ask("hi")).text == "0"


def test_what_is_cancelled_stays_in_the_tree_with_unknown_cost() -> None:
    async def first() -> tuple[Reply, list[str]]:
        fast, slow = Slow("fast"), Slow("slow")
        fast.go.set()
        either = Does(lambda r: _first(r, fast, slow))
        return await either.ask("hi"), slow.log

    reply, log = asyncio.run(first())
    assert [(a.model, a.cancelled, a.cost) for a in reply.asks] == [("fast", False, 1.0), ("slow", True, None)]
    assert (reply.cost, log) == (None, ["cancelled"])


async def _first(request: Request, *models: Any) -> Reply:
    replies = await together([ask(m, request) for m in models], until=lambda seen: True)
    return next(r for r in replies if r.ok)


def test_in_turn_what_is_not_needed_is_not_asked_and_costs_nothing() -> None:
    reply = run(Does(lambda r: _first(r, toy("a", "x", cost=1.0), toy("b", "y", cost=8.0))), Request.of("hi"))
    assert (reply.cost, len(reply.asks)) == (1.0, 1)


def test_until_never_sees_an_empty_list() -> None:
    async def answer(request: Request) -> Reply:
        replies = await together([ask(broken(), request), ask(toy("a", "x"), request)], until=lambda seen: seen[0].ok)
        return replies[1]

    assert run(Does(answer), Request.of("hi")).text == "x"


def test_cancelling_the_caller_cancels_every_call() -> None:
    async def cancel() -> list[str]:
        a, b = Slow("a"), Slow("b")
        task = asyncio.create_task(cascade(vote(a, b, enough=False)).ask("hi"))
        await b.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return a.log + b.log

    assert asyncio.run(cancel()) == ["cancelled", "cancelled"]


@pytest.mark.parametrize("wrap", [lambda m: m, cascade, lambda m: fallback(cascade(m))])
def test_closing_a_stream_closes_the_call_at_once(wrap: Callable[[Any], Any]) -> None:
    wire = Wire("w", ("a", "b", "c"))
    asyncio.run(stop_when_seen(wrap(wire), "b"))
    assert wire.log == ["a", "b", "closed"]


def test_cancelling_a_draft_closes_its_call() -> None:
    async def answer(request: Request) -> Reply:
        draft = watch(wire, request)
        while await draft.next():
            pass
        return Reply("never")

    async def cancel() -> None:
        task = asyncio.create_task(Does(answer).ask("hi"))
        while len(wire.log) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    wire = Wire("w", ("a", "b"), hangs=True)
    asyncio.run(cancel())
    assert wire.log == ["a", "b", "closed"]


def test_a_model_works_inside_a_running_loop() -> None:
    async def notebook() -> str | None:
        return Does(lambda r: accepted(r, Wire("w", ("a", "b"))))("hi").text

    assert asyncio.run(notebook()) == "ab"


# Failures.


def test_a_failed_ask_in_together_comes_back_with_its_error() -> None:
    reply = run(Does(lambda r: _second(r, broken(), toy("a", "x"))), Request.of("hi"))
    assert (reply.text, [a.error for a in reply.asks]) == ("No connection.", ["No connection.", ""])


async def _second(request: Request, *models: Any) -> Reply:
    replies = await together([ask(m, request) for m in models])
    return Reply(replies[0].error)


def test_when_all_fail_the_first_error_is_raised() -> None:
    with pytest.raises(Unreachable, match="No connection"):
        vote(broken("a"), broken("b"))("hi")


@pytest.mark.parametrize("drive", [lambda m: m("hi"), lambda m: asyncio.run(m.ask("hi"))])
def test_what_a_failed_technique_paid_stays_in_the_tree(drive: Callable[[Any], Reply]) -> None:
    failing = cascade(toy("a", "x", cost=8.0), broken(), trust=Never(), at_least=0.5)
    reply = drive(fallback(failing, toy("c", "z", cost=1.0)))
    assert reply.cost == 9.0
    assert [leaf.model for leaf in reply.leaves()] == ["a", "broken", "c"]


def test_in_a_batch_one_failure_leaves_the_others() -> None:
    half = toy("half", lambda r: (_ for _ in ()).throw(Unreachable("Gone.")) if r.text == "b" else "ok")
    assert [r.error or r.text for r in cascade(half).batch(["a", "b", "c"])] == ["ok", "Gone.", "ok"]


@dataclass
class Odd:
    def __await__(self) -> Any:
        return (yield self)


@pytest.mark.parametrize("drive", [lambda m: m("hi"), lambda m: asyncio.run(m.ask("hi"))])
def test_a_wrong_await_fails_at_that_await(drive: Callable[[Any], Reply]) -> None:
    async def answer(request: Request) -> Reply:
        try:
            await Odd()
        except WrongAwait as error:
            return Reply(str(error))
        raise AssertionError

    assert drive(Does(answer)).text == "does awaited Odd; a technique may await only ask, together and watch."


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda r: asyncio.sleep(0), "does awaited NoneType"),
        (lambda r: watch(toy("a"), r), "does awaited a draft; await its next"),
        (lambda r: ask("gpt", r), "needs a model or another endpoint; got 'gpt'"),
    ],
)
def test_a_wrong_await_is_named(wrong: Callable[[Request], Any], says: str) -> None:
    async def answer(request: Request) -> Any:
        return await wrong(request)

    with pytest.raises(WrongAwait, match=says):
        Does(answer)("hi")


def test_a_technique_that_returns_no_reply_says_so() -> None:
    with pytest.raises(WrongAwait, match="must return a Reply"):
        Does(lambda _: _nothing())("hi")


async def _nothing() -> None:
    return None


# Grouping.


def test_a_batch_asks_each_endpoint_once_per_step() -> None:
    a, b = Counts("a", "x"), Counts("b", "y")
    batch(cascade(vote(a, b, n=2, enough=False), b, trust=Never(), at_least=0.5), [Request.of(t) for t in "abc"])
    assert (a.sizes, b.sizes) == ([6], [6, 3])


def test_nested_draws_are_different_draws() -> None:
    seen: list[int] = []
    m = toy("m", lambda r: seen.append(r.sample) or "x")
    vote(vote(m, n=3, enough=False), n=2, enough=False)("hi")
    assert sorted(seen) == [0, 1, 2, 3, 4, 5]
