"""One request for an answer: read in its dialect, answered whole or as a stream, and put into the ledger."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

from ..core import Reply
from ..errors import Garbled
from ..shape import name_of
from .answering import Tap
from .app import Call, Gateway, log
from .asgi import EVENTS, JSON, Gone, Headers, Watch, fresh, read, read_body, respond
from .caching.source import Source, source_of, spelled
from .cards.card import short
from .cards.decided import alone_of, card_of, covering, foreseen_of
from .cards.foreseen import Foreseen
from .cards.min_quality import chosen
from .cards.neighbours import compared
from .conversations import stays
from .ledger.exchange import Exchange
from .ledger.study_rows import kept
from .promise.plan import Plan
from .served import AUTO, hold_of, passes, reference_cost, secrets_of
from .steering.policy import Choice
from .telemetry.tracing import Trace
from .wire.asked import Asked, Dialect
from .wire.completions import Completions
from .wire.problem import UNTOLD, Problem, dumped, problem_of
from .wire.struck import struck

_LEFT = 499


class Talk:
    """What is known of one request while it is answered."""

    def __init__(self, gateway: Gateway, call: Call, dialect: Dialect) -> None:
        self.gateway, self.call, self.dialect = gateway, call, dialect
        self.number = fresh()
        self.asked: Asked | None = None
        self.model: Any = None
        self.name = self.way = ""
        self.tap = Tap()
        # What is served may be exchanged while this is answered: it ends with what it began with.
        self.served, self.keeper, self.policy = gateway.served, gateway.keeper, gateway.policy
        self.watch = Watch(call.receive)
        self.foreseen: Foreseen | None = None
        self.source: Source | None = None
        self.replies: list[Reply] = []
        self.problem: Problem | None = None
        self.failed: Reply | None = None  # what was asked for a reply that did not come
        self.first: float | None = None
        self.facts: dict[
            str, str
        ] = {}  # what else decided (a setting, a cache, a broken promise), in words, for the card
        self.plan: Plan | None = None  # of the watch over the promise
        self.promise = self.keeper.state if self.keeper is not None else "holding"
        self.broken = False  # the promise, when it was chosen who answers
        self.choice: Choice | None = None
        self.trace: Trace | None = None
        self.heard: list[bytes] = []  # what passed as bytes, where replies are stored
        self.begun = self.logged = self.sent = False

    async def run(self) -> None:
        """Answer; whatever happens, the client and the ledger are told."""
        gateway, call = self.gateway, self.call
        gateway.admit(call)
        self.trace = gateway.traced(call)
        gateway.working += 1
        try:
            limit = gateway.served.settings.body_limit
            given = await read_body(call.headers, call.receive, limit)
            body = await read(given)
            asked = self.asked = self.dialect.read(body)
            if asked.request.continues and stays(self.served.deciding):
                key = getattr(call.key, "id", "")
                asked.request = await gateway.conversations.known(asked.request, key, gateway.store)
            self.name, self.model, request = chosen(self.served, asked)
            if self.name == AUTO and asked.overrides.min_quality is None:
                self._choose(asked, request, asked.overrides.max_cost is None)
            self.way = name_of(self.model)
            call.text = compared(asked.request)
            # Bytes pass only in the dialect that upstreams speak, and where no card is to be put among them.
            through = self.dialect.name == "chat" and not asked.overrides.card
            self.tap = Tap(asked.stream, through, asked.usage)
            if isinstance(self.dialect, Completions):
                self._complete(asked)
            # Whoever may ask `auto` may get any of its models, whatever bound chose it.
            gateway.allow(call, asked.overrides.model or asked.model, lambda: hold_of(self.model, request, asked.n))
            source = self.source = source_of(self, request, asked.n)
            self.sent = True
            with self.watch:
                await (self._stream if asked.stream else self._whole)(asked, source)
        except asyncio.CancelledError:
            if not self._cut():
                raise
            if self.problem is not None and self.problem.status != _LEFT and not self.begun:
                await self._acknowledge(self.asked)
                await gateway.complain(call, self.problem)
        except Gone:  # before the request was whole
            self.problem = Problem(_LEFT, "The client left.")
        except Exception as error:
            self._fails(error)
            if not self.begun:
                call.failed(error)
            if self.problem is not None and self.problem.code in UNTOLD:
                log.error("Request %s failed: %s", self.number, type(error).__name__, exc_info=error)
            if not self.begun and self.problem is not None:
                await self._acknowledge(self.asked)
                await gateway.complain(call, self.problem, self._headers())
        finally:
            gateway.working -= 1
            if self.keeper is not None and self.plan is not None:
                new = self.sent and not self.cached
                replies = self.replies if new else []
                self.keeper.settle(self.plan, self.number, replies, self.tap, self.problem, new)
            if self.trace is not None:
                self._traced(self.trace)
            if self.asked is not None and not self.logged:
                try:
                    gateway.finished(call, self._exchange(self.asked))
                except Exception as error:  # the reply is out: it must not end in another
                    log.error("Request %s was not logged: %s", self.number, type(error).__name__, exc_info=error)
            if self.asked is not None and self.choice is not None and self.replies and not self.cached:
                key = getattr(call.key, "id", "")
                gateway.policy.crafted.note(gateway, self.number, key, self.asked.request, self.choice, self.tap.trusts)

    def _traced(self, trace: Trace) -> None:
        problem, asked = self.problem, self.asked
        status, said = (problem.status, problem.message) if problem else (200, "")
        cached = self.source.said.partition(";")[0] if self.source else ""
        try:
            bare = Exchange(self.number, self.call.at, self.dialect.name, status=status, error=said)
            done = bare if asked is None else self._exchange(asked)
            if self.gateway.tracing is not None:
                self.gateway.tracing.end(trace, done, self.replies, self.model, cached, self.tap.streaming)
        except Exception as error:  # the reply is out: it must not end in another
            log.error("Request %s has no spans: %s", self.number, type(error).__name__, exc_info=error)

    def _choose(self, asked: Asked, request: Any, free: bool) -> None:
        """Which setting answers; a request with a maximum cost, for which the [way] was found good, gets that."""
        keeper, policy = self.keeper, self.policy
        self.broken = self.promise == "broken"
        if free:
            choice = self.choice = policy.choose(self.call.key, request, self.call.at)
            self.model = choice.model
            # What an uncertified setting does is no evidence of what was promised; broken, none answers.
            if keeper is not None and (choice.certified or keeper.state == "broken"):
                plan = self.plan = keeper.plan(asked, request, choice, self.call.at)
                if plan.broken:
                    self.promise, self.broken = "broken", True
                    self.choice = policy.choose(self.call.key, request, self.call.at, keeper)
                self.model, self.facts = plan.model, {**self.facts, **plan.facts}
        else:
            self.choice = policy.plain
            if keeper is not None:
                self.model, facts = keeper.within(asked, request, self.model)
                self.facts |= facts
                if self.broken and self.model is keeper.reference:
                    self.choice = policy.safe
        self.facts |= self.choice.facts

    def _complete(self, asked: Asked) -> None:
        """Text completions pass where the upstream completes text; elsewhere the prompt is a question."""
        if passes(self.model) and self.model.continues == "completions" and not asked.overrides.card:
            self.tap.through, self.tap.route = True, ("completions", asked.echo["body"])
        elif isinstance(self.dialect, Completions):
            self.dialect.needs(asked)

    @property
    def cached(self) -> bool:
        """Whether no model was asked for this: a kept reply was given, or another request's call was shared."""
        return self.source is not None and self.source.given

    async def _whole(self, asked: Asked, source: Source) -> None:
        body = await source.whole()
        self._told(source)
        self._hear(body)
        if body is None:
            made = self.dialect.write(asked, self.replies, self.number, int(self.call.at))
            if asked.overrides.card:
                made["sprat"] = card_of(self, full=True)
            body = dumped(made)
        self.first = time.perf_counter() - self.call.began
        await self._acknowledge(asked)
        self.begun = True
        await respond(self.call.send, 200, body, [JSON, *self._headers()])

    def _hear(self, data: Any) -> None:
        for ear in (self.plan, self.trace):
            if ear is not None:
                ear.hear(data)
        if isinstance(data, bytes) and self.gateway.served.settings.store_prompts:
            self.heard.append(data)

    def _told(self, source: Source) -> None:
        self.replies = source.replies
        if source.fact:
            self.facts["cache"] = source.fact

    async def _stream(self, asked: Asked, source: Source) -> None:
        send = self.call.send
        writer = self.dialect.stream(asked, self.number, int(self.call.at))
        passed = False
        try:
            async with aclosing(source.pieces()) as pieces:
                async for piece in pieces:
                    if piece.reply is not None:
                        self._told(source)
                        break
                    writer.model = self.tap.model
                    passed = isinstance(piece.raw, bytes)
                    self._hear(piece.raw)
                    data: bytes = piece.raw if isinstance(piece.raw, bytes) else writer.piece(piece)
                    if data:
                        if not self.begun:
                            await self._begin()
                        await send({"type": "http.response.body", "body": data, "more_body": True})
            shown = card_of(self, full=True) if asked.overrides.card else None
            writer.model = self.tap.model
            end = b"" if passed else writer.end(self.replies, shown)
        except (Exception, asyncio.CancelledError) as error:
            if not self.begun or (isinstance(error, asyncio.CancelledError) and (self.watch.gone or not self._cut())):
                raise
            if isinstance(error, Exception):
                self._fails(error)
            assert self.problem is not None
            end = writer.error(self.problem)
        if not self.begun:
            await self._begin()
        await self._acknowledge(asked)
        await send({"type": "http.response.body", "body": end})

    def _fails(self, error: Exception) -> None:
        self.problem, self.failed = problem_of(error), getattr(error, "tree", None)
        self.problem.message = struck(self.problem.message, secrets_of(self.served))

    def _cut(self) -> bool:
        """Whether a cancellation is the client's leaving or the end of draining; if so it is taken back."""
        task = asyncio.current_task()
        if task is None or not (self.watch.gone or self.gateway.draining):
            return False
        task.uncancel()
        left = Problem(_LEFT, "The client left.")
        ended = Problem(503, "The gateway was shut down before the reply was whole.", code="shutting_down", after=5.0)
        self.problem = left if self.watch.gone else ended
        return True

    async def _begin(self) -> None:
        self.begun = True
        self.first = time.perf_counter() - self.call.began
        start = {"type": "http.response.start", "status": 200, "headers": [*EVENTS, *self._headers()]}
        await self.call.send(start)

    def _headers(self) -> Headers:
        found: Headers = [(b"x-sprat-id", self.number.encode())]
        writer = self.tap.model or (self.replies[0].model if self.replies else "")
        if writer:
            found.append((b"x-sprat-model", writer.encode("ascii", "replace")))
        if self.model is not None:
            reply = self.replies[0] if self.replies else self.failed
            found.append((b"x-sprat-decision", short(self.model, reply, self.tap.trusts, alone_of(self)).encode()))
        if writer and self.problem is None:
            told = (b"x-sprat-quality", foreseen_of(self, writer).header), (b"x-sprat-certificate", covering(self))
            found += [(name, line.encode()) for name, line in told if line]
        if self.broken:
            found.append((b"x-sprat-promise", b"broken"))
        if self.source is not None and self.source.said:
            found.append((b"x-sprat-cache", self.source.said.encode()))
        if self.choice is not None and not self.choice.certified:
            found.append((b"x-sprat-promise", b"suspended"))
        dollars = self._cost() if self.replies else None
        if dollars is not None:
            found.append((b"x-sprat-cost", f"{dollars:.9g}".encode()))
        return found

    def _cost(self) -> float | None:
        costs = [r.cost for r in self.replies]
        return None if any(c is None for c in costs) or not costs else sum(c for c in costs if c is not None)

    async def _acknowledge(self, asked: Asked | None) -> None:
        """Where the store is durable, a reply or an error does not end before its record is committed."""
        if asked is not None and self.gateway.durable:
            exchange, self.logged = self._exchange(asked), True
            await self.gateway.committed(self.call, exchange)

    def _said(self) -> list[Reply]:
        """The replies, with their words where these passed as bytes."""
        try:
            return spelled(self.replies, self.heard, self.tap.streaming)
        except Garbled:
            return self.replies

    def _exchange(self, asked: Asked) -> Exchange:
        usages = [r.usage for r in self.replies]
        known = bool(usages) and all(usages)
        request, problem = asked.request, self.problem
        stored = self.gateway.served.settings.store_prompts
        choice = self.choice
        # Unknown once a model was asked, unless somebody else pays for that.
        dollars = self._cost() if self.replies or (self.sent and not (self.source and self.source.free)) else 0.0
        dollars = self.call.paid if dollars is None and self.call.unsent else dollars
        at_most = self.call.at_most(dollars)
        dollars = 0.0 if at_most == 0 else dollars  # it was refused, hence not billed
        told = struck(problem.detail or problem.message, secrets_of(self.served)) if problem else ""
        propensity, drawn = choice.propensity(self.tap.trusts) if choice else (None, "")
        return Exchange(
            self.number,
            self.call.at,
            self.dialect.name,
            getattr(self.call.key, "id", ""),
            asked.model[:200],
            self.tap.model or (self.replies[0].model if self.replies else ""),
            self.way,
            request.affinity,
            request.key,
            _sum(u.input_tokens for u in usages if u) if known else None,
            _sum(u.output_tokens for u in usages if u) if known else None,
            dollars,
            reference_cost(self.gateway.served.reference, self.replies),
            time.perf_counter() - self.call.began,
            self.first,
            problem.status if problem else 200,
            told,
            asked.stream,
            propensity,
            dict(self.tap.trusts),
            card_of(self) if self.replies or self.failed else {},
            {"messages": list(request.messages), "options": dict(request.options)} if stored else None,
            # What was given again is no new call: the next study is to learn from what models did.
            kept(self.replies, self._said()) if stored and self.replies and not self.cached else None,
            choice.setting if choice else "",
            drawn,
            at_most=at_most,
        )


def _sum(values: Any) -> int | None:
    found = list(values)
    return None if any(v is None for v in found) else sum(found)
