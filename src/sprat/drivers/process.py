"""Turns a model and a request into a generator that yields only what an endpoint must do.

A technique's asks, its tree, cost and seconds are kept here, so that every driver counts alike. What is yielded:
`Leaf` (one payload for one endpoint), `Fork` (processes that may run at once) and `Look` (at a draft).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from itertools import accumulate
from operator import attrgetter
from typing import Any

from ..core import Ask, Draft, Look, Piece, Reply, Request, Texts, Together, Usage
from ..errors import SpratError, WrongAwait
from ..shape import name_of


class Tail(IntEnum):
    """Whether a reply is the root's own, so that it may stream; KEPT: what was streamed is wanted if it breaks off."""

    NO = 0
    STREAMS = 1
    KEPT = 2


@dataclass(slots=True, eq=False)
class Leaf:
    """One payload for one endpoint; `tail` says whether its reply is the root's own, so that it may stream."""

    endpoint: Any
    payload: Any
    tail: Tail


@dataclass(slots=True, eq=False)
class Fork:
    """Processes that may run at once; answered by (outcomes, elapsed seconds)."""

    processes: list[Process]
    names: list[str]
    until: Callable[[list[Reply]], bool] | None


@dataclass(slots=True, eq=False)
class Done:
    """What a process comes to: the value that its asker gets, and its node in the tree.

    A process never raises a SpratError: the error is the value, and the node holds what was asked before it.
    """

    value: Any
    node: Reply

    @property
    def error(self) -> SpratError | None:
        """The error, where the process failed."""
        return self.value if isinstance(self.value, SpratError) else None


_PLACES = {f.name: i for i, f in enumerate(fields(Reply))}
_values = attrgetter(*_PLACES)


def changed(reply: Reply, **values: Any) -> Reply:
    """The reply with other values, as dataclasses.replace makes it, which takes twice as long."""
    row = list(_values(reply))
    for name, value in values.items():
        row[_PLACES[name]] = value
    return Reply(*row)


Effect = Leaf | Fork | Look
Process = Generator[Effect, Any, Done]


def process(model: Any, payload: Any, because: str = "", tail: Tail = Tail.NO) -> Process:
    """Everything that answering `payload` by `model` takes."""
    if hasattr(model, "answer"):
        return (yield from _technique(model.answer(_request(payload)), name_of(model), because, tail))
    try:
        if isinstance(model, str) or not hasattr(model, "encode" if isinstance(payload, Texts) else "answer_many"):
            needed = "an encoder to ask for Texts" if isinstance(payload, Texts) else "a model or another endpoint"
            raise WrongAwait(f"ask() needs {needed}; got {model!r}.")
        done = yield Leaf(model, _request(payload), tail)
    except SpratError as error:
        return Done(error, failed(name_of(model), error, because))
    node = changed(done.node, because=because) if because else done.node
    return Done(node if done.value is done.node else done.value, node)


def _request(payload: Any) -> Any:
    return Request.of(payload) if isinstance(payload, (str, list, tuple)) else payload  # pyright: ignore[reportUnknownArgumentType]


def _technique(coroutine: Coroutine[Any, Any, Any], name: str, because: str, tail: Tail) -> Process:
    frame = _Frame(name, tail)
    try:
        result = yield from frame.through(coroutine)
        if isinstance(result, (Ask, Look)):
            result = yield from frame.answer(result, tail)
        if not isinstance(result, Reply):
            raise WrongAwait(f"{name} must return a Reply, an ask or draft.accept(); it returned {result!r}.")
        yield from frame.leave()
    except SpratError as error:
        return Done(error, (yield from frame.broken(error, because)))
    node = frame.node(result, because)
    return Done(node, node)


class _Frame:
    """One technique at work: what it asked so far and how long that took."""

    def __init__(self, name: str, tail: Tail = Tail.NO) -> None:
        self.name, self.tail, self.asks, self.seconds = name, tail, list[Reply](), 0.0
        self.timed = True
        self.drafts: list[Draft] = []

    def through(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run a coroutine to its end, answering what it awaits; a failed ask is thrown back at that await."""
        send: Any = None
        error: SpratError | None = None
        try:
            while True:
                try:
                    effect = coroutine.throw(error) if error else coroutine.send(send)
                except StopIteration as stop:
                    return stop.value
                send, error = None, None
                try:
                    send = yield from self.answer(effect)
                except SpratError as caught:
                    error = caught
        finally:
            coroutine.close()

    def answer(self, effect: Any, tail: Tail = Tail.NO) -> Generator[Any, Any, Any]:
        if isinstance(effect, Ask):
            tail = self.tail if effect.streams else tail
            tail = Tail.KEPT if effect.keeps and tail else tail
            done = yield from process(effect.model, effect.request, effect.because, tail)
            self.add(done.node)
            if done.error:
                raise done.error
            return done.value
        if isinstance(effect, Together):
            return (yield from self._together(effect))
        if isinstance(effect, Look):
            return (yield from self._look(effect, self.tail if effect.streams else tail))
        if isinstance(effect, Draft):
            raise WrongAwait(f"{self.name} awaited a draft; await its next(), accept() or stop().")
        raise WrongAwait(
            f"{self.name} awaited {type(effect).__name__}; a technique may await only ask, together and watch."
        )

    def _together(self, effect: Together) -> Generator[Any, Any, list[Reply]]:
        if not effect.asks:
            return []
        processes = [process(a.model, a.request, a.because) for a in effect.asks]
        outcomes, elapsed = yield Fork(processes, [name_of(a.model) for a in effect.asks], effect.until)
        replies: list[Any] = []
        for one, outcome in zip(effect.asks, outcomes, strict=True):
            if isinstance(outcome, Done):
                replies.append(outcome.node if outcome.error else outcome.value)
                self.add(outcome.node, counted=False)
            elif isinstance(outcome, Reply):  # cancelled: in the tree when it had begun
                replies.append(replace(outcome, because=one.because))
                self.add(replies[-1], counted=False)
            else:
                replies.append(Reply(None, name_of(one.model), cancelled=True, cost=0.0))
        self._clock(elapsed)
        errors = [o.error for o in outcomes if isinstance(o, Done) and o.error]
        if len(errors) == len(outcomes):
            raise errors[0]
        return replies

    def _look(self, look: Look, tail: Tail) -> Generator[Any, Any, Any]:
        draft = look.draft
        if draft.closed:
            return draft.reply if look.what == "accept" else None
        begun = draft.source is not None or draft.reply is not None
        if not begun and look.what == "stop":
            draft.closed = True  # nothing was asked
            return None
        whole = hasattr(draft.model, "answer") or draft.request.whole
        if look.what == "begin" and (begun or whole):
            return None  # what is seen only whole is asked for when it is looked at
        if not begun:
            self.drafts.append(draft)
        if whole:
            if draft.reply is None:  # a technique's, a tool's or a JSON reply is seen only whole
                done = yield from process(draft.model, draft.request, draft.because, tail)
                if done.error:
                    self._close(draft, done.node)
                    raise done.error
                draft.reply = done.node
                if look.what == "next":
                    return Piece(done.node.text or "", done.node.tokens or (), done.node.logprobs or ())
            elif look.what == "next":
                return None
        else:
            try:
                seen = yield replace(look, tail=tail)
            except SpratError as error:
                node = failed(name_of(draft.model), error, draft.because)
                self._close(draft, replace(node, cost=None) if draft.held else node)
                raise
            if look.what in ("begin", "next"):
                return seen
        written: Any = draft.reply  # the source gave it, or what was written until it was stopped
        node: Reply = replace(written, because=draft.because) if draft.because else written
        self._close(draft, node)
        return node if look.what == "accept" else None

    def _close(self, draft: Draft, node: Reply) -> None:
        draft.closed = True
        self.add(node)

    def leave(self) -> Generator[Any, Any, None]:
        """Stop what is still being written: a draft that was neither accepted nor stopped."""
        for draft in self.drafts:
            if not draft.closed:
                with suppress(SpratError):  # it failed while it was stopped: its node says so
                    yield from self._look(draft.stop(), Tail.NO)

    def broken(self, error: SpratError, because: str) -> Generator[Any, Any, Reply]:
        """The node of a technique that failed: what it asked before is there, with its cost."""
        yield from self.leave()
        return self.node(Reply(None, error=str(error)), because)

    def add(self, node: Reply, counted: bool = True) -> None:
        self.asks.append(node)
        if counted:
            self._clock(node.seconds)

    def _clock(self, seconds: float | None) -> None:
        self.timed = self.timed and seconds is not None
        self.seconds += seconds or 0.0

    def node(self, result: Reply, because: str) -> Reply:
        costs = [a.cost for a in self.asks]
        usages = [a.usage for a in self.asks if not (a.usage is None and a.cost == 0)]
        known = [u for u in usages if u is not None]
        usage = None if len(known) < len(usages) or not usages else _sum(known)
        return changed(
            result,
            asks=tuple(self.asks),
            cost=None if None in costs else float(sum(c for c in costs if c is not None)),
            seconds=self.seconds if self.timed else None,
            usage=usage,
            by=self.name,
            because=because,
        )


def _sum(usages: list[Usage]) -> Usage:
    return usages[0] if len(usages) == 1 else sum(usages, Usage(0, 0))


def failed(name: str, error: SpratError, because: str = "") -> Reply:
    """The node of a call that failed."""
    # A call that was turned away was not answered, hence not billed; one that broke off after it began may have been.
    cost = None if getattr(error, "billable", False) else error.spent
    return Reply(None, name, error=str(error), because=because, cost=cost, seconds=None)


def bare(coroutine: Coroutine[Any, Any, Any]) -> Process:
    """The process of a coroutine that is not a technique: a signal's trust, say."""
    frame = _Frame("signal")
    try:
        value = yield from frame.through(coroutine)
        yield from frame.leave()
    except SpratError as error:
        return Done(error, (yield from frame.broken(error, "")))
    return Done(value, frame.node(Reply(None), ""))


def answer_all(endpoint: Any, payloads: list[Any]) -> list[Any]:
    """Let one endpoint answer many payloads: each comes to Done or a SpratError."""
    began = time.perf_counter()
    if hasattr(endpoint, "encode"):
        return _encode(endpoint, payloads)
    try:
        values = values_of(endpoint, payloads)
    except SpratError as error:
        values = [error] * len(payloads)
    # Work shared by many is charged by the part: what one request alone would roughly have waited.
    elapsed = (time.perf_counter() - began) / max(1, len(payloads))
    return [v if isinstance(v, SpratError) else done(endpoint, v, elapsed) for v in values]


def values_of(endpoint: Any, payloads: list[Any]) -> list[Any]:
    """What one endpoint answers to many payloads, without nodes; an element may be an error. Raises SpratError."""
    if not hasattr(endpoint, "encode"):
        return list(endpoint.answer_many(payloads))
    vectors = endpoint.encode([text for payload in payloads for text in payload.texts])
    ends = list(accumulate(len(payload.texts) for payload in payloads))
    return [vectors[end - len(payload.texts) : end] for payload, end in zip(payloads, ends, strict=True)]


def _encode(encoder: Any, payloads: list[Texts]) -> list[Any]:
    began = time.perf_counter()
    values = values_of(encoder, payloads)
    elapsed, total = time.perf_counter() - began, max(1, sum(map(len, values)))
    # The work is shared: each is charged its part of the batch's time.
    return [done(encoder, value, elapsed * len(value) / total) for value in values]


def done(endpoint: Any, value: Any, elapsed: float) -> Done:
    """What an endpoint answered, with its node; `elapsed` seconds where it does not say. Raises what is an error."""
    if isinstance(value, Reply):
        node = (
            value
            if value.seconds is not None or getattr(endpoint, "recorded", False)
            else changed(value, seconds=elapsed)
        )
        return Done(node, node)
    if isinstance(value, Exception):
        raise value
    return Done(value, Reply(None, name_of(endpoint), cost=0.0, seconds=elapsed))
