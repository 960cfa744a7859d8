"""Asks what only the watch over the promise wants to know, and counts what that costs: the key `promise` pays.

It is in the ledger, in spend and in the metrics like any other call, as what watching costs: without it nobody would
have asked, so it counts against what is saved.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from ...core import Reply, Request
from ...errors import SpratError
from ...shape import leaves
from ..access.limits import Budget, Spent, span
from ..answering import Tap, answers
from ..asgi import fresh
from ..ledger.exchange import Exchange
from ..ledger.records import Charges
from ..ledger.store import Store
from ..ledger.study_rows import SHADOW, WATCHING, WHOLE, kept
from ..ledger.writer import read_spend
from ..served import AUTO
from .pairs import one_writer

if TYPE_CHECKING:
    from ..app import Gateway

KEY = WATCHING


class Asking:
    """What one worker asks for the watch, and what all workers spent on it."""

    def __init__(self, gateway: Gateway, store: Store, budget: Budget | None) -> None:
        self.gateway, self.store, self.budget = gateway, store, budget
        self._known: Charges = {}
        self._pending = Spent()
        self._lock = threading.Lock()

    @property
    def free(self) -> bool:
        """Whether the budget allows another call now."""
        return self.budget is None or self.spent(time.time()) < self.budget.dollars

    async def ask(self, model: Any, request: Request, number: str, why: str, tap: Tap) -> Reply:
        """A reply that only the watch wants; it is logged and charged like any other."""
        at, began = time.time(), time.perf_counter()
        reply: Reply | None = None
        error, cost = "", None
        try:
            _, (reply,) = await answers(model, request, 1, tap)
            cost = reply.cost
            return reply
        except SpratError as raised:
            error, cost = str(raised), None if getattr(raised, "billable", False) else raised.spent
            raise
        finally:
            usage = reply.usage if reply else None
            stored = self.gateway.served.settings.store_prompts and reply is not None
            self._charge(cost)
            exchange = Exchange(
                number,
                at,
                KEY,
                KEY,
                getattr(model, "name", AUTO),
                reply.model if reply else "",
                why,
                request.affinity,
                request.key,
                usage.input_tokens if usage else None,
                usage.output_tokens if usage else None,
                cost,
                0.0,  # without the watch nobody would have asked: it counts against what is saved
                time.perf_counter() - began,
                status=502 if error else 200,
                error=error,
                request={"messages": list(request.messages), "options": dict(request.options)} if stored else None,
                reply=kept([reply], [reply]) if stored and reply else None,
            )
            self.gateway.metrics.note(exchange)
            self.store.put(exchange)

    async def shadow(self, model: Any, request: Request, number: str, of: str, tap: Tap) -> Reply:
        """What the other side says to the request of an exchange; raises SpratError."""
        return await self.ask(model, request, number, f"{SHADOW} of {of}", tap)

    async def complete(self, policy: Any, request: Request, of: str, seen: Sequence[Reply]) -> None:
        """Ask those of the policy's models whose whole replies were not `seen`, where prompts are stored.

        Only rows in which every model replied, whatever the others did, say how good each is: which models a policy
        asks depends on their replies. A model that fails, or a spent budget, leaves its row without it.
        """
        served = self.gateway.served
        if not served.settings.store_prompts or not one_writer(policy):
            return
        whole = {leaf.model for reply in seen for leaf in reply.leaves() if leaf.ok}
        for leaf in leaves(policy):
            if leaf.name in served.models and leaf.name not in whole and self.free:
                with suppress(SpratError):  # it is in the ledger
                    await self.ask(leaf, request, fresh(), f"{WHOLE} of {of}", Tap())

    def spent(self, at: float) -> float:
        """Dollars that watching took in this window of its budget (this month, where there is none).

        A call whose cost is unknown is taken to have cost what the others did on average.
        """
        known = self._known.get((KEY, span(self.budget.per if self.budget else "month", at)), Spent())
        paid = known.plus(self._pending)
        return paid.dollars * paid.calls / max(paid.calls - paid.unknown, 1)

    def status(self) -> dict[str, Any]:
        """What was spent, and of which budget, ready for JSON."""
        per = self.budget.per if self.budget else "month"
        return {"spent": self.spent(time.time()), "per": per, "budget": self.budget and str(self.budget)}

    def _charge(self, cost: float | None) -> None:
        with self._lock:
            self._pending = self._pending.plus(Spent(cost or 0.0, 1, int(cost is None)))

    def committed(self, totals: Charges, added: Charges) -> None:
        """Hear what the store has written; called in its writer's thread."""
        for place, spent in totals.items():
            if place[0] == KEY:
                self._known[place] = spent
        with self._lock:
            for (key, window), mine in added.items():
                if key == KEY and window.startswith("day"):  # two of them over midnight
                    self._pending = self._pending.plus(Spent(-mine.dollars, -mine.calls, -mine.unknown))

    def poll(self, connection: Connection) -> None:
        """Read what all workers spent on watching; called in the writer's thread."""
        now = time.time()
        self._known = read_spend(connection, {KEY}, {span("day", now), span("month", now)})
