"""Where an answer comes from: the model is asked, or a kept reply is given, or a call that is under way is shared."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ...core import Piece, Reply, Request
from ...endpoints import OpenAI
from ...endpoints.http import UNREADABLE
from ...endpoints.openai_wire import Building
from ...endpoints.server_events import ServerEvents
from ...errors import Garbled
from ..answering import Tap, answers, streamed
from ..served import passes
from .cache import Cache, Entry, bypass, key_of, read, steady
from .flight import Flight
from .semantic import Near, question_of

if TYPE_CHECKING:
    from ..talk import Talk


class Source:
    """The model is asked; `replies` are there at the end.

    `said` is the cache's part in a word, `fact` in a sentence; `given`: no model was asked for this; `free`: it failed,
    and somebody else pays for what was asked.
    """

    said = fact = ""
    given = free = False

    def __init__(self, model: Any, request: Request, n: int, tap: Tap) -> None:
        self.model, self.request, self.n, self.tap = model, request, n, tap
        self.replies: list[Reply] = []

    async def whole(self) -> bytes | None:
        """The upstream's own body where it may pass."""
        body, self.replies = await answers(self.model, self.request, self.n, self.tap)
        return body

    async def pieces(self) -> AsyncGenerator[Piece]:
        """The pieces of a stream; the last one carries the (first) reply."""
        if not self.tap.streaming:
            body = await self.whole()
            if body is not None:
                yield Piece(raw=body)
            yield Piece(reply=self.replies[0])
        elif self.n > 1 and not (self.tap.through and passes(self.model)):
            # Several samples are drawn whole; then they are written as one stream would have been.
            _, self.replies = await answers(self.model, self.request, self.n, Tap())
            self.tap.model = self.replies[0].model
            yield Piece(reply=self.replies[0])
        else:
            async with aclosing(streamed(self.model, self.request, self.tap)) as source:
                async for piece in source:
                    if piece.reply is not None:
                        self.replies = [piece.reply]
                    yield piece


class CachedSource(Source):
    """A kept reply where there is one, else a call that all share who ask the same meanwhile."""

    def __init__(self, talk: Talk, request: Request, n: int, cache: Cache, anew: bool) -> None:
        super().__init__(talk.model, request, n, talk.tap)
        self.cache, self.flights, self.anew = cache, talk.gateway.cached.flights, anew
        self.semantic, self.metrics = talk.gateway.cached.semantic, talk.gateway.metrics
        self.near: Near | None = None
        self.mark = cache.mark(talk.model)
        owner = "shared" if cache.settings.shared else f"key {getattr(talk.call.key, 'id', '')}"
        self.key = key_of(request, talk.model, self.mark, owner)
        self.question = question_of(request, owner, self.mark, n) if self.semantic else None
        self.row: Any = None

    async def whole(self) -> bytes | None:
        """The body where it passes; else `replies` are to be written."""
        body = None
        async with aclosing(self.pieces()) as source:
            async for piece in source:
                body = piece.raw if isinstance(piece.raw, bytes) else body
        return body

    async def pieces(self) -> AsyncGenerator[Piece]:
        """The pieces of a stream, or of a whole reply."""
        entry = None if self.anew or not self.cache.settings.exact else self.cache.get(self.key)
        if entry is None and self.semantic is not None and self.question is not None:
            self.near, self.row = await self.semantic.near(*self.question)
        if entry is not None:
            self._give(entry, read(entry), "hit")
            self.tap.kept = entry.trusts
        elif self.near is not None and self.near.given and self.semantic is not None and not self.anew:
            self._give(self.near.entry, self.near.replies, f"semantic; cosine={self.near.cosine:.3f}")
            known = self.semantic.evidence
            self.fact += f"; cosine {self.near.cosine:.3f}; {known.sentence()}"
            self.said += f"; false-hits={known.false}/{known.verified}; interval={known.interval[0]:.4f}-"
            self.said += f"{known.interval[1]:.4f}"
        if self.given:
            if self.tap.streaming and len(self.replies) == 1 and (piece := _piece(self.replies[0])):
                yield piece
            yield Piece(reply=self.replies[0])
            return
        async with aclosing(self._asked()) as source:
            async for piece in source:
                yield piece

    def _give(self, entry: Entry, replies: list[Reply], said: str) -> None:
        self.given, self.said, self.replies = True, said, replies
        self.tap.model = replies[0].model
        self.cache.hits += 1
        self.cache.saved += entry.cost or 0.0
        self.metrics.cached(said.partition(";")[0], entry.cost or 0.0)
        spared = "an unknown cost" if entry.cost is None else f"${entry.cost:.3g}"
        self.fact = f"{said.partition(';')[0]}: {replies[0].because} by {self.tap.model}; {spared} saved"

    async def _asked(self) -> AsyncGenerator[Piece]:
        mode = (self.tap.streaming, self.tap.through, self.tap.through and self.tap.usage)
        flight = None if self.anew else self.flights.get(self.key)
        joined = flight is not None and flight.open
        if flight is None or not joined:
            own = Source(self.model, self.request, self.n, self.tap)
            flight = self.flights[self.key] = Flight(own, mode, self._landed, self.cache.most // 8)
            flight.task.add_done_callback(lambda _, gone=flight: self._gone(gone))
        self.said, self.given = "shared" if joined else "miss", joined
        live = not joined or (self.tap.streaming and flight.mode == mode)
        try:
            async with aclosing(flight.pieces(self, live)) as source:
                async for piece in source:
                    if joined:
                        self.tap.model = flight.source.tap.model
                    if piece.reply is None:
                        yield piece
        except BaseException:
            self.free = flight.payer is not self if flight.ended else bool(flight.aboard)
            raise
        if not live and not flight.replies:  # too long to be given whole to others
            own = Source(self.model, self.request, self.n, self.tap)
            self.said, self.given = "miss", False
            async with aclosing(own.pieces()) as source:
                async for piece in source:
                    self.replies = own.replies
                    yield piece
            return
        self._arrived(flight, joined)
        if not live and self.tap.streaming and len(self.replies) == 1 and (piece := _piece(self.replies[0])):
            yield piece
        yield Piece(reply=self.replies[0])

    def _arrived(self, flight: Flight, joined: bool) -> None:
        """Take over the replies: as they are for who pays, without cost for the others."""
        if flight.payer is self:
            self.replies = flight.source.replies if not joined else (flight.replies or flight.source.replies)
            self.said, self.given = "miss", False
            if joined:  # the one who had asked has left
                self.tap.trusts[:] = flight.source.tap.trusts
                costs = zip(self.replies, flight.source.replies, strict=False)
                self.replies = [replace(r, cost=paid.cost, asks=paid.asks, by=paid.by) for r, paid in costs]
        else:
            self.cache.shared += 1
            self.tap.kept = tuple(flight.source.tap.trusts)
            because = "shared with an equal request that was under way"
            self.fact = f"shared: {because}"
            found = flight.replies or flight.source.replies
            self.replies = [replace(r, cost=0.0, asks=(), by="cache", because=because) for r in found]
        self.tap.model = self.tap.model or self.replies[0].model
        self.metrics.cached(self.said)
        if not self.given:
            self.cache.misses += 1
            self._learn(flight.replies)

    def _learn(self, replies: list[Reply]) -> None:
        """Verify the semantic hit that might have been given, and make this reply findable by its prompt."""
        if self.semantic is None or self.question is None or not replies or self.cache.get(self.key) is None:
            return
        if self.near is not None:
            self.fact = f"asked although another prompt is close (cosine {self.near.cosine:.3f}), to verify that"
            self.semantic.verify(self.request, self.near, replies)
        self.semantic.add(self.question[0], self.key, self.question[1], self.row)

    def _landed(self, source: Source, raw: list[bytes]) -> list[Reply]:
        """The replies in no dialect's words, kept where they are sound; called once, when all has come."""
        try:
            replies = spelled(source.replies, raw, source.tap.streaming)
        except Garbled:
            return []
        self.cache.put(self.key, self.mark, replies, source.tap.trusts)
        return replies

    def _gone(self, flight: Flight) -> None:
        if self.flights.get(self.key) is flight:
            del self.flights[self.key]


def source_of(talk: Talk, request: Request, n: int) -> Source:
    """Where the answer to a request is to come from."""
    cache, asked = talk.gateway.cached.of(talk.gateway.served, talk.gateway.store), talk.asked
    if cache is None or asked is None or talk.tap.route is not None:
        return Source(talk.model, request, n, talk.tap)
    past = bypass(asked.overrides.cache, talk.call.headers)
    if not (cache.settings.exact or cache.settings.semantic) or past == "off":
        return Source(talk.model, request, n, talk.tap)
    if not steady(request, talk.model, n, cache.settings):
        return Source(talk.model, request, n, talk.tap)
    return CachedSource(talk, request, n, cache, past == "refresh")


def spelled(replies: list[Reply], raw: list[bytes], streaming: bool) -> list[Reply]:
    """Replies with what their bytes say, where bytes passed; raises Garbled where these can't be read."""
    if not raw:
        return replies
    first = replies[0]
    bodies = _from_events(raw) if streaming else _from_body(raw[-1])
    made: list[Reply] = []
    for i, body in enumerate(bodies):
        said = OpenAI(first.model)._reply(body, 0.0)  # pyright: ignore[reportPrivateUsage]
        # The count of tokens is one for all choices; it stays with the first.
        paid = (
            first if i == 0 else replace(first, cost=0.0, usage=first.usage and replace(first.usage, output_tokens=0))
        )
        made.append(replace(said, usage=paid.usage, cost=paid.cost, seconds=paid.seconds))
    return made


def _from_body(raw: bytes) -> list[dict[str, Any]]:
    try:
        body = json.loads(raw)
        return [{**body, "choices": [c]} for c in body["choices"]]
    except UNREADABLE as error:
        raise Garbled("The upstream's answer can't be read.") from error


def _from_events(raw: list[bytes]) -> list[dict[str, Any]]:
    reader = ServerEvents()
    made: dict[int, Building] = {}
    try:
        for _, data in [e for chunk in raw for e in reader.feed(chunk)]:
            if data.strip() == "[DONE]":
                break
            chunk = json.loads(data)
            for choice in chunk.get("choices") or ():
                one = made.setdefault(int(choice.get("index", 0)), Building())
                one.add({**chunk, "choices": [{**choice, "index": 0}]})
    except UNREADABLE as error:
        raise Garbled("The upstream's stream can't be read.") from error
    if not made or any(b.choice["finish_reason"] is None for b in made.values()):
        raise Garbled("The upstream's stream did not end.")
    return [made[i].whole() for i in sorted(made)]


def _piece(reply: Reply) -> Piece | None:
    """A whole message as one piece, with the fields that only its upstream knows; None where it has none."""
    choices: Any = (reply.raw or {}).get("choices")
    message: Any = choices[0].get("message") if choices else None
    if not isinstance(message, dict) or not isinstance(message.get("content") or "", str):  # pyright: ignore[reportUnknownMemberType]
        return None
    delta = dict(cast("dict[str, Any]", message))
    if delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": i, **call} for i, call in enumerate(delta["tool_calls"])]
    one = {"index": 0, "delta": delta, "logprobs": choices[0].get("logprobs")}
    return Piece(reply.text or "", reply.tokens or (), reply.logprobs or (), raw={"choices": [one]})
