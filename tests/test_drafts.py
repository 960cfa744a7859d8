"""Drafts: looking at a reply while it is written; nothing that was emitted is ever taken back."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from doubles import Accepts, Does, Wire, accepted, broken
from sprat.combine import cascade
from sprat.core import Piece, Reply, Request, ask, watch
from sprat.drivers import run
from sprat.endpoints import toy
from sprat.errors import Unreachable


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


def test_ctrl_c_in_a_synchronous_call_closes_what_is_upstream() -> None:
    closed = threading.Event()

    class Hangs(Wire):
        async def pieces(self, request: Request) -> AsyncGenerator[Piece, None]:
            try:
                yield Piece("a", ("a",))
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                await asyncio.Event().wait()
            finally:
                closed.set()

    with pytest.raises(KeyboardInterrupt):
        cascade(Accepts(Hangs("w", ())))("hi")
    assert closed.wait(5)


def test_an_accepted_draft_streams_what_was_held_and_then_the_rest() -> None:
    async def texts() -> list[str]:
        return [p.text async for p in cascade(Accepts(Wire("w", ("a", "b", "c")))).stream("hi") if p.text]

    assert asyncio.run(texts()) == ["a", "b", "c"]


def test_a_draft_accepted_and_thrown_away_is_not_streamed() -> None:
    async def answer(request: Request) -> Reply:
        await accepted(request, Wire("w", ("not ", "this")))
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
