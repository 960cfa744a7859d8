"""The gateway as an ASGI application: who may ask, which dialect, and what is answered at every address.

On the hot path there is no framework: a request goes key, limits, dialect, model, reply, ledger (`talk.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..endpoints import http
from ..endpoints.attempts import gate
from ..errors import EndpointError, RateLimited, Refused, SpratError
from ..shape import leaves
from .access.limits import Hold, Refusal
from .asgi import JSON, Gone, Headers, Receive, Scope, Send, respond
from .bounds import foreign
from .caching.cached import Cached
from .cards.labelled import Labelled
from .conversations import Conversations
from .ledger.exchange import Exchange
from .reload import Reloading
from .served import Served
from .steering.policy import policy_of
from .telemetry.metrics import Metrics
from .telemetry.tracing import Trace, Tracing
from .upstreams.breaker import Breakers
from .wire.problem import Problem, anthropic_error, dumped, openai_error, problem_of

if TYPE_CHECKING:
    from .promise.keeper import Keeper

log = logging.getLogger("sprat.gateway")
_REFUSED = {
    "model": "model_not_allowed",
    "rate": "rate_limit_exceeded",
    "tokens": "rate_limit_exceeded",
    "budget": "insufficient_quota",
    "unpriced": "price_unknown",
}
_CUT = 2.0  # seconds


class Key(Protocol):
    """Whoever asks."""

    @property
    def id(self) -> str:
        """What the ledger calls it."""
        ...


class Keys(Protocol):
    """Who may ask (see access/keys.py)."""

    def check(self, secret: str, now: float) -> Any:
        """The key of a secret, None where it is not known."""
        ...

    def expired(self, secret: str, now: float) -> bool:
        """Whether the secret is that of a key that has expired."""
        ...

    def refusal(self, key: Any, now: float, model: str = "", hold: Hold = ...) -> Refusal | None:
        """Why a request does not go ahead; None: it does, and is charged once."""
        ...

    def charge(
        self, key_id: str, dollars: float | None, now: float, tokens: int = 0, hold: Hold = ..., at_most: Any = None
    ) -> None:
        """Count what a request took, or what it took at most."""
        ...


class Store(Protocol):
    """Where finished requests go (see ledger/store.py)."""

    def put(self, exchange: Exchange) -> Any:
        """Take one in, without waiting."""
        ...

    async def record(self, exchange: Exchange) -> Any:
        """Take one in, and wait for its commit where the store is durable."""
        ...

    async def close(self) -> Any:
        """Write what is left."""
        ...


Handler = Callable[["Gateway", "Call"], Awaitable[None]]


class Call:
    """One HTTP request: its address, headers and key."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.began, self.at = time.perf_counter(), time.time()
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.key: Any = None
        self.text = ""  # what a card's neighbours are found by; in memory alone
        self.hold: Hold | None = None  # what the key was admitted with; None: it was not
        self.paid: float | None = None  # dollars, by an upstream's error that says that no more was billed
        self.unsent = False  # nothing was sent to the upstream that failed, so that `paid` is what it cost
        self.refused = False  # the upstream said no before it wrote anything
        self.reserved: float | None = None  # dollars that budgets set aside for it; None: it was not admitted

    def failed(self, error: Exception) -> None:
        """Take in what an upstream's error says of the cost."""
        if isinstance(error, EndpointError) and not error.billable:
            self.paid, self.unsent = error.spent, not error.sent
            self.refused = isinstance(error, (Refused, RateLimited))

    def at_most(self, cost: float | None) -> float | None:
        """Dollars that an unknown cost was at most: what was held for it; None where that, too, is unknown."""
        if cost is not None or self.hold is None:
            return None
        return self.hold.dollars if self.paid is None else self.paid

    @property
    def anthropic(self) -> bool:
        """Whether the client speaks Anthropic's protocol."""
        return self.path.startswith("/v1/messages") or b"anthropic-version" in self.headers


class Gateway:
    """The application. Without `keys` anyone who reaches it may ask: for a loopback address alone.

    Of several workers each has its number, and they have a folder in common (see workers.py).
    """

    def __init__(
        self,
        served: Served,
        keys: Keys | None = None,
        store: Store | None = None,
        folder: Path | None = None,
        worker: int = 0,
    ) -> None:
        from .routes import ROUTES

        self.served, self.keys, self.store, self.folder = served, keys, store, folder
        self.keeper: Keeper | None = None  # of the file's promise, where it makes one
        self.opening: Callable[[], Awaitable[tuple[Keys, Store]]] | None = None
        self.policy = policy_of(served)
        self.metrics = Metrics(served.models, folder, worker)
        self.cards: OrderedDict[str, tuple[str, Mapping[str, Any], str]] = OrderedDict()
        self.cached = Cached()
        self.conversations = Conversations()
        self.breakers = Breakers(served.settings.rule)
        self.tracing: Tracing | None = None
        self.reloading: Reloading | None = None  # of the file, where what is served came from one
        self.labelled = Labelled()
        self._priced: dict[str, tuple[Any, ...]] = {}
        self.gauging: asyncio.Task[None] | None = None
        self.working = 0
        self.draining = False
        self.open_keys = keys is None
        self.dashboard: Any = None  # made when it is first looked at (see dashboard/addresses.py)
        self.routes: Mapping[str, Mapping[str, Handler]] = ROUTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        call = Call(scope, receive, send)
        gate.set(self.breakers)
        try:
            await self._answered(call)
        except Gone:
            return
        except Exception as error:
            if not isinstance(error, Problem):
                log.error("A request to %s failed: %s", call.path, type(error).__name__, exc_info=error)
            await self.complain(call, problem_of(error))

    async def _answered(self, call: Call) -> None:
        methods, path = self.routes.get(call.path), call.path
        if methods is None:
            # What follows may hold slashes too: a model is often called org/name.
            start = next((r for r in self.routes if r.endswith("/") and path.startswith(r) and path != r), "")
            methods = self.routes.get(start)
            if methods is None:
                raise Problem(404, f"There is nothing at {path[:200]}.", code="not_found")
        handler = methods.get(call.scope["method"])
        if handler is None:
            problem = Problem(405, f"{path} takes {' or '.join(methods)}.", code="method_not_allowed")
            problem.allow = ", ".join(methods)
            raise problem
        if sum(len(k) + len(v) for k, v in call.scope["headers"]) > self.served.settings.header_limit:
            raise Problem(431, "The headers are too long.", code="headers_too_large")
        await handler(self, call)

    def admit(self, call: Call) -> None:
        """Find the call's key and whether it may go on; Problem 401, 429 or 503."""
        if self.draining:
            raise Problem(503, "The gateway is shutting down.", code="shutting_down", after=5.0)
        secret = _secret(call.headers)
        if self.keys is not None:
            call.key = self.keys.check(secret, call.at) if secret else None
        if call.key is None:
            if not self.open_keys or secret.startswith("sk-sprat-"):  # one of ours that does not hold
                expired = secret and self.keys is not None and self.keys.expired(secret, call.at)
                said = "This key has expired." if expired else "This key is not known."
                said = said if secret else "A key is needed: Authorization: Bearer KEY."
                raise Problem(401, said, code="invalid_api_key")
            if foreign(call.headers):
                raise Problem(
                    401, "A web page needs a key, and so does another name than localhost's.", code="invalid_api_key"
                )
        if self.working >= self.served.settings.at_once:
            raise Problem(429, "Too many requests are being answered.", code="overloaded", after=1.0)

    def traced(self, call: Call) -> Trace | None:
        """Begin or go on with the call's trace, which its upstreams hear of; None where no spans are made."""
        if self.tracing is None:
            return None
        trace = self.tracing.begin(call)
        http.announced.set(trace.announce)
        return trace

    def allow(self, call: Call, model: str, hold: Callable[[], Hold]) -> None:
        """Let the key ask this model within its budget and rates; Problem 403 or 429 where it may not."""
        key = call.key if self.keys is not None else None
        capped = key is not None and (key.budget is not None or key.priced_only or key.tokens is not None)
        spending = self.policy.spending
        held = hold() if capped or (spending is not None and spending.of(key)) else Hold()
        reserved = spending.reserve(key, held.dollars) if spending is not None else 0.0
        if self.keys is not None and key is not None:
            refused = self.keys.refusal(key, call.at, model, held)
            if refused is not None:
                if spending is not None:
                    spending.release(key, reserved)
                raise Problem(refused.status, refused.said, code=_REFUSED[refused.kind], after=refused.retry_after)
        call.hold, call.reserved = held, reserved

    def finished(self, call: Call, exchange: Exchange) -> None:
        """Count and charge a finished request, and store it."""
        self._charge(call, exchange)
        if self.store is not None:
            self.store.put(exchange)
        self._note(call, exchange)

    @property
    def durable(self) -> bool:
        """Whether a reply's end waits until its record is committed."""
        return self.store is not None and self.served.settings.durable

    async def committed(self, call: Call, exchange: Exchange) -> None:
        """As `finished`, but back once the record is committed."""
        assert self.store is not None
        # Charged first: what the writer commits is taken off what was charged and not committed yet.
        self._charge(call, exchange)
        try:
            await self.store.record(exchange)
        finally:
            self._note(call, exchange)

    def _charge(self, call: Call, exchange: Exchange) -> None:
        if self.keys is not None and call.key is not None and call.hold is not None:
            tokens = (exchange.input_tokens or 0) + (exchange.output_tokens or 0)
            self.keys.charge(call.key.id, exchange.cost, exchange.at, tokens, call.hold, exchange.at_most)
        if self.policy.spending is not None and call.reserved is not None:
            self.policy.spending.settle(call.key, call.reserved, exchange.cost, exchange.at, exchange.at_most)

    def _note(self, call: Call, exchange: Exchange) -> None:
        self.metrics.note(exchange)
        self.conversations.note(exchange)
        if exchange.card:
            self.cards[exchange.id] = (exchange.key, exchange.card, call.text)
            if len(self.cards) > self.served.settings.decisions:
                self.cards.popitem(last=False)

    def priced(self, name: str, model: Any) -> tuple[Any, ...]:
        """The endpoints within a model that have a price, or could."""
        found = self._priced.get(name)
        if found is None:
            found = self._priced[name] = tuple(m for m in leaves(model) if hasattr(m, "price"))
        return found

    def forget(self) -> None:
        """Something else is served: what was worked out of the models before no longer holds."""
        self._priced.clear()

    async def complain(self, call: Call, problem: Problem, headers: Headers | None = None) -> None:
        """Answer with an error in the call's dialect."""
        body = (anthropic_error if call.anthropic else openai_error)(problem)
        with suppress(RuntimeError):  # an answer had begun: it is cut off
            await respond(call.send, problem.status, dumped(body), [JSON, *problem.headers, *(headers or ())])

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    if self.opening is not None:
                        self.keys, self.store = await self.opening()
                        await asyncio.to_thread(self.policy.attach, self.store)
                    if self.served.otel is not None:
                        self.tracing = Tracing(self.served.otel, self.served.settings.store_prompts)
                    if self.served.promised is not None:
                        from .promise.keeper import Keeper

                        self.keeper = await Keeper.open(self)
                    if self.served.path is not None:
                        self.reloading = Reloading(self, self.served.path)
                        self.reloading.start()
                    self.gauging = asyncio.get_running_loop().create_task(self._gauge())
                except SpratError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _gauge(self) -> None:
        """Once a second say for the other workers what is going on in this one."""
        while True:
            self.gauge()
            await asyncio.sleep(1.0)

    def gauge(self) -> None:
        """Let the metrics know what is going on just now."""
        self.metrics.working.set(self.working)
        self.metrics.store(getattr(self.store, "health", None))
        self.metrics.cache(self.cached.status())
        self.metrics.upstreams(self.breakers.status())

    async def close(self) -> None:
        """Close the store once it has written what it holds; requests that were cut have a moment to say so."""
        self.draining = True
        if self.reloading is not None:
            await self.reloading.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CUT):
                while self.working:
                    await asyncio.sleep(0.01)
        if self.gauging is not None:
            self.gauging.cancel()
        if self.keeper is not None:
            await self.keeper.close()
        await asyncio.to_thread(self.policy.close)
        if self.store is not None:
            await self.store.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close, min(10.0, self.served.settings.drain))


def _secret(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"authorization", b"")
    if given[:7].lower() == b"bearer ":
        return given[7:].strip().decode("latin-1")
    return headers.get(b"x-api-key", b"").strip().decode("latin-1")
