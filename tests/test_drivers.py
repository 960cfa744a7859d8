"""The drivers: concurrency, cancellation, drafts, grouping, and what a wrong await says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from sprat.combine import cascade, fallback, vote
from sprat.core import Endpoint, Piece, Reply, Request, Signal, Technique, ask, together, watch
from sprat.drivers import batch, run
from sprat.endpoints import toy
from sprat.endpoints.toy import Toy
from sprat.errors import Unreachable, WrongAwait


@dataclass(frozen=True, repr=False)
class Does(Technique):
    """A technique that is the coroutine function it is given."""

    how: Callable[[Request], Any]
    use = "does"

    async def answer(self, request: Request) -> Any:
        return await self.how(request)


@dataclass(frozen=True, repr=False)
class Slow(Endpoint):
    """Answers when its event is set; says when it was asked, and when it was cancelled."""

    name: str
    log: list[str] = field(default_factory=list[str])
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer_async(self, request: Request) -> Reply:
        self.asked.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        return Reply(self.name, self.name, cost=1.0, seconds=1.0)


@dataclass(frozen=True, repr=False)
class Wire(Endpoint):
    """Streams `words` and then waits for ever, or ends; writes down what happened to it."""

    name: str
    words: tuple[str, ...]
    hangs: bool = False
    log: list[str] = field(default_factory=list[str])

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        self.log.append("whole")
        return [Reply("".join(self.words), self.name, cost=1.0, seconds=1.0) for _ in requests]

    async def pieces(self, request: Request) -> AsyncGenerator[Piece, None]:
        try:
            for word in self.words:
                self.log.append(word)
                yield Piece(word, (word,))
            if self.hangs:
                await asyncio.Event().wait()
            yield Piece(reply=Reply("".join(self.words), self.name, cost=1.0, seconds=1.0))
            self.log.append("ended")
        finally:
            self.log.append("closed")


def broken(name: str = "broken") -> Toy:
    def fail(_: Request) -> str:
        raise Unreachable("No connection.")

    return toy(name, fail)


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
    import threading

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
        return Does(lambda r: _accepted(r, Wire("w", ("a", "b"))))("hi").text

    assert asyncio.run(notebook()) == "ab"


async def _accepted(request: Request, model: Any) -> Reply:
    draft = watch(model, request)
    await draft.next()
    return await draft.accept()


# Drafts.


def test_nothing_is_emitted_before_it_is_accepted() -> None:
    async def answer(request: Request) -> Any:
        draft = watch(first, request)
        await draft.next()
        await draft.stop()
        return await ask(toy("b", "second"), request)

    async def texts() -> list[str]:
        return [p.text async for p in Does(answer).stream("hi") if p.text]

    first = Wire("first", ("never ", "seen"))
    assert asyncio.run(texts()) == ["second"]
    assert first.log == ["never ", "closed"]


@dataclass(frozen=True, repr=False)
class Accepts(Technique):
    model: Any
    use = "accepts"

    async def answer(self, request: Request) -> Any:
        draft = watch(self.model, request)
        await draft.next()
        return draft.accept()


def test_an_accepted_draft_streams_what_was_held_and_then_the_rest() -> None:
    async def texts() -> list[str]:
        return [p.text async for p in cascade(Accepts(Wire("w", ("a", "b", "c")))).stream("hi") if p.text]

    assert asyncio.run(texts()) == ["a", "b", "c"]


def test_a_draft_accepted_and_thrown_away_is_not_streamed() -> None:
    async def answer(request: Request) -> Reply:
        await _accepted(request, Wire("w", ("not ", "this")))
        return Reply("this")

    async def texts() -> str:
        return "".join([p.text async for p in Does(answer).stream("hi")])

    assert asyncio.run(texts()) == "this"


@pytest.mark.parametrize("end", ["stop", "leave"])
def test_a_draft_that_is_given_up_stays_in_the_tree_with_unknown_cost(end: str) -> None:
    async def answer(request: Request) -> Reply:
        draft = watch(wire, request, "a look")
        await draft.next()
        if end == "stop":
            await draft.stop()
        return Reply("mine")

    wire = Wire("w", ("a", "b"))
    reply = run(Does(answer), Request.of("hi"))
    assert [(a.text, a.cancelled, a.cost, a.because) for a in reply.asks] == [("a", True, None, "a look")]
    assert wire.log == ["a", "closed"]


def test_a_draft_that_was_never_looked_at_is_never_asked() -> None:
    async def answer(request: Request) -> Reply:
        await watch(toy("a", "x", cost=8.0), request).stop()
        return Reply("mine")

    assert run(Does(answer), Request.of("hi")).asks == ()


@pytest.mark.parametrize("option", [{"tools": [{}]}, {"response_format": {"type": "json_object"}}, {"n": 2}])
def test_tools_json_and_choices_are_never_watched(option: dict[str, Any]) -> None:
    wire = Wire("w", ("{", "}"))
    assert run(Accepts(wire), Request.of("hi", **option)).text == "{}"
    assert wire.log == ["whole"]


def test_a_piece_without_text_does_not_end_a_draft() -> None:
    async def answer(request: Request) -> Reply:
        draft = watch(Wire("w", ("a", "", "b")), request)
        seen = ""
        while piece := await draft.next():
            seen += piece.text
        return Reply(seen)

    assert run(Does(answer), Request.of("hi")).text == "ab"


def test_a_draft_whose_stream_breaks_is_in_the_tree_as_failed() -> None:
    async def answer(request: Request) -> Reply:
        try:
            await watch(broken(), request).next()
        except Unreachable:
            return await ask(toy("b", "y", cost=1.0), request)
        raise AssertionError

    assert [a.error for a in run(Does(answer), Request.of("hi")).asks] == ["No connection.", ""]


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


@dataclass(frozen=True, repr=False)
class Never(Signal):
    use = "never"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        return 0.0


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


@dataclass(frozen=True, repr=False)
class Counts(Endpoint):
    name: str
    says: str
    sizes: list[int] = field(default_factory=list[int])

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        self.sizes.append(len(requests))
        return [Reply(self.says, self.name, cost=0.0, seconds=0.0) for _ in requests]


def test_a_batch_asks_each_endpoint_once_per_step() -> None:
    a, b = Counts("a", "x"), Counts("b", "y")
    batch(cascade(vote(a, b, n=2, enough=False), b, trust=Never(), at_least=0.5), [Request.of(t) for t in "abc"])
    assert (a.sizes, b.sizes) == ([6], [6, 3])


def test_nested_draws_are_different_draws() -> None:
    seen: list[int] = []
    m = toy("m", lambda r: seen.append(r.sample) or "x")
    vote(vote(m, n=3, enough=False), n=2, enough=False)("hi")
    assert sorted(seen) == [0, 1, 2, 3, 4, 5]
