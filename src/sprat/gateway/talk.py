"""One request for an answer: read in its dialect, answered whole or as a stream, and put into the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from ..core import Reply
from ..shape import name_of
from .answering import Tap, answers, streamed
from .app import Call, Gateway, log
from .asgi import EVENTS, JSON, Headers, Watch, fresh, read_body, read_json, respond
from .card import card, completed, short
from .exchange import Exchange
from .foreseen import Foreseen, foreseen, uncovered
from .min_quality import chosen
from .neighbours import compared
from .served import AUTO, hold_of, passes, reference_cost
from .wire.asked import Asked, Dialect
from .wire.completions import Completions
from .wire.problem import Problem, dumped, problem_of

_LEFT = 499
_LARGE = 1 << 18  # bytes of a body above which it is not read on the event loop


class Talk:
    """What is known of one request while it is answered."""

    def __init__(self, gateway: Gateway, call: Call, dialect: Dialect) -> None:
        self.gateway, self.call, self.dialect = gateway, call, dialect
        self.number = fresh()
        self.asked: Asked | None = None
        self.model: Any = None
        self.name = self.way = ""
        self.tap = Tap()
        self.served = gateway.served
        self.foreseen: Foreseen | None = None
        self.replies: list[Reply] = []
        self.problem: Problem | None = None
        self.first: float | None = None
        self.facts: dict[
            str, str
        ] = {}  # what else decided (a setting, a cache, a broken promise), in words, for the card
        self.begun = self.logged = self.sent = False

    async def run(self) -> None:
        """Answer; whatever happens, the client and the ledger are told."""
        gateway, call = self.gateway, self.call
        gateway.admit(call)
        gateway.working += 1
        watch = Watch(call.receive)
        try:
            limit = gateway.served.settings.body_limit
            given = await read_body(call.headers, call.receive, limit)
            body = read_json(given) if len(given) < _LARGE else await asyncio.to_thread(read_json, given)
            asked = self.asked = self.dialect.read(body)
            self.name, self.model, request = chosen(self.served, asked)
            self.way = name_of(self.model)
            call.text = compared(asked.request)
            # Bytes pass only in the dialect that upstreams speak, and where no card is to be put among them.
            through = self.dialect.name == "chat" and not asked.overrides.card
            self.tap = Tap(asked.stream, through, asked.usage)
            if isinstance(self.dialect, Completions):
                self._complete(asked)
            gateway.allow(call, self.name, lambda: hold_of(self.model, request, asked.n))
            self.sent = True
            with watch:
                await (self._stream if asked.stream else self._whole)(asked, request)
        except asyncio.CancelledError:
            self.problem = Problem(_LEFT, "The client left.")
            task = asyncio.current_task()
            if not watch.gone or task is None:
                raise
            task.uncancel()
        except Exception as error:
            self.problem = problem_of(error)
            if self.problem.status == 500:
                log.error("Request %s failed: %s", self.number, type(error).__name__, exc_info=error)
            if not self.begun:
                await gateway.complain(call, self.problem, self._headers())
        finally:
            gateway.working -= 1
            if self.asked is not None and not self.logged:
                try:
                    gateway.finished(call, self._exchange(self.asked))
                except Exception as error:  # the reply is out: it must not end in another
                    log.error("Request %s was not logged: %s", self.number, type(error).__name__, exc_info=error)

    def _complete(self, asked: Asked) -> None:
        """Text completions pass where the upstream completes text; elsewhere the prompt is a question."""
        if passes(self.model) and self.model.continues == "completions" and not asked.overrides.card:
            self.tap.through, self.tap.route = True, ("completions", asked.echo["body"])
        elif isinstance(self.dialect, Completions):
            self.dialect.needs(asked)

    async def _whole(self, asked: Asked, request: Any) -> None:
        body, self.replies = await answers(self.model, request, asked.n, self.tap)
        if body is None:
            made = self.dialect.write(asked, self.replies, self.number, int(self.call.at))
            if asked.overrides.card:
                made["sprat"] = self._card(full=True)
            body = dumped(made)
        self.first = time.perf_counter() - self.call.began
        await self._acknowledge(asked)
        self.begun = True
        await respond(self.call.send, 200, body, [JSON, *self._headers()])

    async def _stream(self, asked: Asked, request: Any) -> None:
        send = self.call.send
        writer = self.dialect.stream(asked, self.number, int(self.call.at))
        passed = False
        try:
            if asked.n > 1 and not (self.tap.through and passes(self.model)):
                # Several samples are drawn whole; then they are written as one stream would have been.
                _, self.replies = await answers(self.model, request, asked.n, Tap())
                self.tap.model = self.replies[0].model
            else:
                async with aclosing(streamed(self.model, request, self.tap)) as source:
                    async for piece in source:
                        if piece.reply is not None:
                            self.replies = [piece.reply]
                            break
                        writer.model = self.tap.model
                        passed = isinstance(piece.raw, bytes)
                        data: bytes = piece.raw if isinstance(piece.raw, bytes) else writer.piece(piece)
                        if data:
                            if not self.begun:
                                await self._begin()
                            await send({"type": "http.response.body", "body": data, "more_body": True})
            shown = self._card(full=True) if asked.overrides.card else None
            writer.model = self.tap.model
            end = b"" if passed else writer.end(self.replies, shown)
        except Exception as error:
            if not self.begun:
                raise
            self.problem = problem_of(error)
            end = writer.error(self.problem)
        if not self.begun:
            await self._begin()
        await self._acknowledge(asked)
        await send({"type": "http.response.body", "body": end})

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
            reply = self.replies[0] if self.replies else None
            found.append((b"x-sprat-decision", short(self.model, reply, self.tap.trusts).encode()))
        if writer and (line := self._foreseen(writer).header):
            found.append((b"x-sprat-quality", line.encode()))
        dollars = self._cost() if self.replies else None
        if dollars is not None:
            found.append((b"x-sprat-cost", f"{dollars:.9g}".encode()))
        return found

    def _cost(self) -> float | None:
        costs = [r.cost for r in self.replies]
        return None if any(c is None for c in costs) or not costs else sum(c for c in costs if c is not None)

    def _foreseen(self, writer: str) -> Foreseen:
        """How good the reply is likely to be, found once it is known who writes it."""
        if self.foreseen is None and self.asked is not None:
            over, request = self.asked.overrides, self.asked.request
            self.foreseen = foreseen(
                self.served.evidence,
                "",
                self.model,
                writer,
                self.tap.trusts,
                continues=request.continues,
                samples=self.asked.n,
                least=over.min_quality,
            )
        return self.foreseen or Foreseen()

    def _uncovered(self, asked: Asked) -> str:
        pinned = asked.overrides.model or (asked.model if asked.model != AUTO else "")
        return uncovered(
            self.served.certificate,
            pinned="" if pinned == AUTO else pinned,
            least=asked.overrides.min_quality,
            cheaper=self.name != AUTO,
            continues=asked.request.continues,
            samples=asked.n,
        )

    def _card(self, full: bool = False) -> Mapping[str, Any]:
        reply, asked = self.replies[0], self.asked
        assert asked is not None, "a reply was asked for"
        made = card(
            self.number,
            self.name,
            self.gateway.priced(AUTO, self.served.models[AUTO]),
            reply,
            self.tap.trusts,
            self.model,
            self.facts,
            foreseen=self._foreseen(self.tap.model or reply.model),
            uncovered=self._uncovered(asked),
        )
        return completed(made, self.served, compared(asked.request), reply.tree()) if full else made

    async def _acknowledge(self, asked: Asked) -> None:
        """Where the store is durable, a reply does not end before its record is committed."""
        store = self.gateway.store
        if store is None or not self.gateway.served.settings.durable:
            return
        exchange = self._exchange(asked)
        await store.record(exchange)
        self.logged = True
        self.gateway.finished(self.call, exchange, stored=True)

    def _exchange(self, asked: Asked) -> Exchange:
        usages = [r.usage for r in self.replies]
        known = bool(usages) and all(usages)
        request, problem = asked.request, self.problem
        stored = self.gateway.served.settings.store_prompts
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
            self._cost() if self.replies or self.sent else 0.0,  # unknown once a model was asked
            reference_cost(self.gateway.served.models[AUTO], self.replies),
            time.perf_counter() - self.call.began,
            self.first,
            problem.status if problem else 200,
            problem.message if problem else "",
            asked.stream,
            None,
            dict(self.tap.trusts),
            self._card() if self.replies else {},
            {"messages": list(request.messages), "options": dict(request.options)} if stored else None,
            _kept(self.replies) if stored and self.replies else None,
        )


def _sum(values: Any) -> int | None:
    found = list(values)
    return None if any(v is None for v in found) else sum(found)


def _kept(replies: list[Reply]) -> dict[str, Any]:
    """What the store keeps of an answer: its text, and what each model that was asked said (see study_rows.py)."""
    asks = [
        {
            "model": leaf.model,
            "text": leaf.text,
            "cost": leaf.cost,
            "seconds": leaf.seconds,
            "usage": asdict(leaf.usage) if leaf.usage else None,
            **({"error": leaf.error} if leaf.error else {}),
            **({"cancelled": True} if leaf.cancelled else {}),
        }
        for leaf in replies[0].leaves()
    ]
    kept: dict[str, Any] = {"text": replies[0].text, "asks": asks}
    return kept | ({"texts": [r.text for r in replies]} if len(replies) > 1 else {})
