"""Budgets in the path of requests: a controller for each key's and one for all, right across processes.

Checked against: real HTTP, restarts and two processes (tests/gateway/test_spending.py), simulated days through the
served path (`benchmarks/gateway_budget.py`).

What was spent is in the store, where every process adds to it; each looks about once a second, and counts beside it
what it has booked itself and not yet committed. Each process moves its own price of a dollar, by the costs of its own
requests as they come and by those of the others at each look, so that all stay close; the newest is kept in the store
for the next start. Between two looks several processes may together pass a budget by what they let through in that
second. A cost that stays unknown (a client that left, an upstream that did not say) is booked here as the most that it
could have been.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...errors import BadInput, nearest
from ..access.limits import Budget as Allowance
from ..access.limits import Per, Spent, span
from ..asgi import respond
from ..ledger import schema
from ..ledger.records import Charges, charge
from ..ledger.writer import read_spend
from ..wire.problem import Problem, dumped
from .budget import Budget, Setting
from .ways import Way

if TYPE_CHECKING:
    from ..app import Call, Gateway

ALL = "*"
STATE = "budget:"
_KEEP = 2.0  # seconds between two writings of a controller's state


@dataclass(frozen=True)
class Rules:
    """The [budget] table: dollars for all, how far spend may run ahead of the pace (a part of the budget), and whether
    settings that are not certified may run once the cheapest certified one is not enough.

    `expected` is the number of requests a window to reckon with before any was counted.
    """

    all: Allowance | None = None
    burst: float = 1.0
    allow_uncertified: bool = False
    expected: float = 1000.0

    @classmethod
    def of(cls, table: Mapping[str, Any], where: str) -> Rules:
        """Read the table; BadInput says what is wrong."""
        at, known = f"{where}, [budget]", {"all": str, "burst": float, "allow_uncertified": bool, "expected": float}
        for name, value in table.items():
            if name not in known:
                raise BadInput(f"{at}: '{name}' is not known.", hint=nearest(name, known))
            kind = known[name]
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise BadInput(f"{at}: {name} is {value!r}.", hint=f"Needed: {_NEEDED[name]}.")
        told: dict[str, Any] = {**table}
        if "all" in told:
            told["all"] = Allowance.of(told["all"])
        made = cls(**told)
        if not 0 < made.burst <= 1 or not 0 < made.expected < float("inf"):
            name = "burst" if not 0 < made.burst <= 1 else "expected"
            raise BadInput(f"{at}: {name} is {getattr(made, name)}.", hint=f"Needed: {_NEEDED[name]}.")
        return made


_NEEDED = {
    "all": 'dollars per day or month, such as "50/day"',
    "burst": "a part of the budget, above 0 and at most 1",
    "allow_uncertified": "true or false",
    "expected": "a number of requests above 0",
}


@dataclass
class Scope:
    """One budget under control: whose it is (by id and by name), what it allows, and its controller."""

    ident: str
    name: str
    allowance: Allowance
    budget: Budget
    seen: int = 0  # the look at the store that was last taken over


class Spending:
    """The budgets of a gateway, as one process keeps them. `clock` gives seconds since 1970 and monotonic ones."""

    def __init__(self, rules: Rules, ways: Sequence[Way]) -> None:
        self.rules, self.ways = rules, tuple(ways)
        self.clock: Callable[[], tuple[float, float]] = lambda: (time.time(), time.monotonic())
        self.scopes: dict[str, Scope] = {}
        self.store: Any = None
        self._states: dict[str, Mapping[str, Any]] = {}
        self._known: Charges = {}
        self._pending: Charges = {}
        self._looks, self._kept_at = 0, 0.0
        self._lock = threading.Lock()
        self.moves = len(self.ways) > 1 and all(way.cost is not None for way in self.ways)
        if rules.all is not None:
            self._scope(ALL, "all", rules.all)

    # In the path of requests.

    def of(self, key: Any) -> list[Scope]:
        """The budgets that a key's requests come under: its own first, then that for all."""
        own = getattr(key, "budget", None)
        # Where nothing can be moved, the key's own hard cap (keys.py) is all there is to it.
        found = [self._scope(key.id, key.name, own)] if own is not None and (self.moves or self.rules.burst < 1) else []
        return [*found, self.scopes[ALL]] if ALL in self.scopes else found

    def way(self, key: Any) -> tuple[Way, str] | None:
        """The setting that the key's budgets call for, and whose budget decided; None where none does."""
        if not self.moves:
            return None
        found: tuple[int, str] | None = None
        for scope in self.of(key):
            chosen = scope.budget.choose(*self._now(scope)).setting.name
            place = next(i for i, way in enumerate(self.ways) if way.name == chosen)
            if found is None or place > found[0]:
                found = place, _whose(scope)
        return None if found is None else (self.ways[found[0]], found[1])

    def reserve(self, key: Any, at_most: float | None) -> float:
        """Sets aside what a request may cost at most (None: unknown, as 0) in each of its budgets; Problem 429."""
        most, held = at_most or 0.0, list[Scope]()
        for scope in self.of(key):
            admission = scope.budget.reserve(most, *self._now(scope))
            if not admission.ok:
                for other in held:
                    other.budget.release(most)
                said = f"{_whose(scope)}: {admission.why}"
                raise Problem(429, said[0].upper() + said[1:], code="insufficient_quota", after=admission.retry_after)
            held.append(scope)
        return most

    def release(self, key: Any, reserved: float) -> None:
        """Lets go of what was set aside for a request that another limit stopped."""
        for scope in self.of(key):
            scope.budget.release(reserved)

    def settle(self, key: Any, reserved: float, cost: float | None, at: float, at_most: float | None = None) -> None:
        """Books what an admitted request cost; `at` is its Exchange's time.

        `cost` None is unknown, but `at_most` so much (None: as much as was set aside).
        """
        if not (scopes := self.of(key)):
            return
        times = [self._now(scope) for scope in scopes]  # before this one is booked, or it would be taken over too
        one = charge(cost, reserved if at_most is None else at_most)
        with self._lock:
            for name in (ALL, getattr(key, "id", "")):
                for per in ("day", "month"):
                    place = (name, span(per, at))
                    self._pending[place] = self._pending.get(place, Spent()).plus(one)
        for scope, now in zip(scopes, times, strict=True):
            scope.budget.settle(reserved, max(one.counted, 0.0), *now)

    # Shown.

    def rows(self, key: Any = None, everyone: bool = False) -> list[dict[str, Any]]:
        """How budgets stand, JSON-ready: the key's own and that for all, or `everyone`'s that asked since the start."""
        shown = list(self.scopes.values()) if everyone else self.of(key)
        return [self._row(scope) for scope in shown]

    def _row(self, scope: Scope) -> dict[str, Any]:
        budget = scope.budget
        choice = budget.choose(*self._now(scope))
        paid = self._paid(scope)
        return {
            "scope": scope.name,
            "budget": scope.allowance.dollars,
            "per": scope.allowance.per,
            "spent": max(budget.spent - paid.at_most, 0.0),
            "unknown": paid.unknown,
            "at_most": paid.at_most,
            "set_aside": budget.pending,
            "forecast": choice.forecast,
            "elapsed": budget.share,
            "requests": budget.requests,
            "setting": choice.setting.name if self.moves else None,
            "certified": choice.certified,
            "price": choice.price,
        }

    # Kept, and shared with other processes.

    def attach(self, store: Any) -> None:
        """Go on from what a store holds, and follow it; blocks."""
        table = schema.settings
        with store.engine.connect() as connection:
            rows = connection.execute(sa.select(table).where(table.c.name.startswith(STATE))).mappings()
            self._states = {row["name"].removeprefix(STATE): json.loads(row["value"]) for row in rows}
            for scope in self.scopes.values():
                self._restore(scope)
            self.poll(connection)
        self.store = store
        store.attach(self)

    def follow(self, before: Spending) -> None:
        """Take the place of the budgets that were served before: what they have spent, set aside and learnt goes on."""
        # The same tables under the same lock: a commit that is just being told to the one before counts here too.
        self._lock = before._lock
        with before._lock:
            self._known, self._pending = before._known, before._pending
        self.clock, self._looks = before.clock, before._looks
        for ident, old in before.scopes.items():
            self._states[ident] = {"per": old.allowance.per, "state": old.budget.state()}
            if ident == ALL and ALL not in self.scopes:
                continue
            new = self.scopes[ALL] if ident == ALL else self._scope(ident, old.name, old.allowance)
            self._restore(new)
            new.budget.pending = old.budget.pending
        store, before.store, before.scopes = before.store, None, {}
        if store is not None:
            self.store = store
            store.replace(before, self)

    def leave(self) -> None:
        """Follow the store no longer."""
        if self.store is not None:
            self.store.detach(self)

    def committed(self, totals: Charges, added: Charges) -> None:
        """What the writer has committed is known, and no longer pending."""
        with self._lock:
            for (key, window), spent in added.items():
                for place in ((key, window), (ALL, window)):
                    self._known[place] = self._known.get(place, Spent()).plus(spent)
                    if (left := self._pending.get(place)) is not None:
                        self._pending[place] = left.less(spent)

    def poll(self, connection: Connection) -> None:
        """Read what all processes have spent, and keep the controllers' state."""
        table, scopes = schema.spend, dict(self.scopes)
        if not scopes:
            return
        spans = {self._span(scope) for scope in scopes.values()}
        known = read_spend(connection, {name for name in scopes if name != ALL}, spans)
        c, total = table.c, sa.func.sum
        sums = total(c.dollars), total(c.calls), total(c.unknown), total(c.at_most)
        asked = sa.select(table.c.span, *sums).where(table.c.span.in_(spans)).group_by(table.c.span)
        for window, dollars, calls, unknown, at_most in connection.execute(asked):
            known[ALL, window] = Spent(float(dollars), int(calls), int(unknown), float(at_most))
        with self._lock:
            self._known = known
            self._pending = {place: spent for place, spent in self._pending.items() if any(spent)}
            self._looks += 1
        if self.store is not None and time.monotonic() - self._kept_at > _KEEP:
            self.keep()

    def keep(self) -> None:
        """Keep the controllers' state in the store; one that can't be written now is written at the next look."""
        self._kept_at = time.monotonic()
        for name, scope in dict(self.scopes).items():
            if not scope.budget.requests:
                continue
            shown = {"name": scope.name, "budget": scope.allowance.dollars, "per": scope.allowance.per}
            told = {**shown, "setting": self._setting(scope), "at": time.time(), "state": scope.budget.state()}
            with suppress(BadInput):
                self.store.keep(STATE + name, json.dumps(told))

    def _setting(self, scope: Scope) -> dict[str, Any] | None:
        if not self.moves:
            return None
        setting = scope.budget.setting
        return {"name": setting.name, "certified": setting.certified}

    def _scope(self, ident: str, name: str, allowance: Allowance) -> Scope:
        found = self.scopes.get(ident)
        if found is None or found.allowance != allowance:
            found = self.scopes[ident] = Scope(ident, name, allowance, self._controller(allowance))
            self._restore(found)
        return found

    def _controller(self, allowance: Allowance) -> Budget:
        rules = self.rules
        if self.moves:
            settings = [Setting(w.name, w.cost or 0.0, w.harm, w.certified) for w in self.ways]
        else:
            settings = [Setting("", 0.0)]
        more: dict[str, Any] = {"expected": rules.expected, "burst": rules.burst}
        return Budget(settings, allowance.dollars, allowance.per, allow_uncertified=rules.allow_uncertified, **more)

    def _restore(self, scope: Scope) -> None:
        told = self._states.get(scope.ident, {})
        if told.get("per") == scope.allowance.per and isinstance(told.get("state"), dict):
            with suppress(BadInput):
                scope.budget.restore(told["state"])

    def _now(self, scope: Scope) -> tuple[float, float]:
        """The time, once what other processes have booked was taken over."""
        now = self.clock()
        if scope.seen != self._looks and self.store is not None:
            scope.seen = self._looks
            scope.budget.choose(*now)  # so that the window is the present one
            spent = self._paid(scope)
            scope.budget.learn(spent.counted, spent.calls, *now)
        return now

    def _paid(self, scope: Scope) -> Spent:
        """What all processes together have booked in the present window, as far as this one has heard."""
        place = (scope.ident, self._span(scope))
        with self._lock:
            return self._known.get(place, Spent()).plus(self._pending.get(place, Spent()))

    def _span(self, scope: Scope) -> str:
        per: Per = scope.allowance.per
        return span(per, scope.budget.start or self.clock()[0])


def _whose(scope: Scope) -> str:
    return "the budget for all" if scope.ident == ALL else f"the budget of the key '{scope.name}'"


async def budgets(gateway: Gateway, call: Call) -> None:
    """How the key's own budget and that for all stand, for whoever holds a key."""
    gateway.admit(call)
    spending = gateway.policy.spending
    rows = spending.rows(call.key) if spending is not None else []
    await respond(call.send, 200, dumped({"budgets": rows}))


def kept(store: Any, now: float) -> list[dict[str, Any]]:
    """How every budget stood when a gateway last kept it, with what was spent since; reads the store, blocks."""
    table = schema.settings
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(table).where(table.c.name.startswith(STATE))).mappings()
        states = {str(row["name"]).removeprefix(STATE): json.loads(row["value"]) for row in rows}
        spans = {span(per, now) for per in ("day", "month")}
        spent = read_spend(connection, None, spans)
    shown: list[dict[str, Any]] = []
    for ident, told in states.items():
        window = span(told["per"], now)
        paid = Spent()
        for (key, at), one in spent.items():
            paid = paid.plus(one) if at == window and ident in (ALL, key) else paid
        setting = told["setting"] or {}
        row = {"scope": told["name"], "budget": told["budget"], "per": told["per"], "spent": paid.dollars}
        row |= {"unknown": paid.unknown, "at_most": paid.at_most}
        row |= {"setting": setting.get("name"), "certified": setting.get("certified")}
        shown.append({**row, "price": told["state"]["price"], "kept": told["at"]})
    return sorted(shown, key=lambda row: (row["scope"] != "all", row["scope"]))
