"""Names requests that look crafted to force the dear model; nothing is ever refused for it.

Checked against: suffixes found by search against the route, and recorded traffic (`benchmarks/gateway_budget.py`).

What such requests can take is bounded by the budgets alone (budget.py). Two tests say that they come. A prompt went to
the dear model, would not have gone there without some part of it, and that part reads unlike the rest, by what ordinary
prompts read like, further than in all but .5 % of the calibration rows that the setting sent on: the conformal level
`crafted` of [[promise.settings]] (signals/ordinary.py, study/unusual.py). And a key whose share of dear answers is far
above the certificate's: an e-process (a mixture of bets that the share is above it plus 15 points) that passes 1,000
names the request at which it does, and begins anew; where the share is not above, that has a chance of 1/1,000 a time.

The first test sees what is pasted in and is no ordinary text: nonsense, random characters, a word said over and over.
It does not see a part of ordinary sentences; that shows in its key's share alone. Trust is read anew for at most three
texts, so that is done after the reply, on another thread, at most a few times a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from ...combine import Route
from ...core import Request
from ...drivers import drive
from ...errors import SpratError
from ...signals.ordinary import Ordinary, Part
from ..ledger import schema
from ..witness import Witness
from .ways import Way, asked

if TYPE_CHECKING:
    from ..app import Gateway
    from .policy import Choice

log = logging.getLogger("sprat.gateway")
FAR, GOAL = 0.15, math.log(1000)
BETS = (0.05, 0.1, 0.2, 0.4, 0.8)  # of the largest bet that can't lose everything
_A_SECOND = 5
_KEYS = 10_000
PART, SHARE = "part", "share"
Trusts = Sequence[tuple[str, float]]
_SAID = {
    PART: "without {0}, unlike the rest by {1:.3g} (ordinary: up to {2:.3g}), its trust is {3:.3g} instead of {4:.3g}",
    SHARE: "this key's requests go to the dear model far more often than the certificate's",
}


class Share:
    """An e-process against "this key's share of dear answers is at most the certificate's plus `FAR`"."""

    __slots__ = ("logs",)

    def __init__(self) -> None:
        self.logs = [0.0] * len(BETS)

    def add(self, dear: bool, share: float) -> bool:
        """Count an answer at a setting whose share of dear ones is known; whether the evidence passes the goal."""
        null = min(share + FAR, 1.0)
        if null >= 1:
            return False
        gain = (1.0 if dear else 0.0) - null
        self.logs = [logs + math.log1p(bet / null * gain) for logs, bet in zip(self.logs, BETS, strict=True)]
        peak = max(self.logs)
        if peak + math.log(sum(math.exp(x - peak) for x in self.logs) / len(BETS)) < GOAL:
            return False
        self.logs = [0.0] * len(BETS)
        return True


class Crafted:
    """Looks at what went to the dear model; without `ordinary` prompts to compare with, only at a key's share of it."""

    def __init__(self, ordinary: Ordinary | None = None) -> None:
        self.ordinary = ordinary
        self.shares: dict[str, Share] = {}
        self._second, self._in_second = 0, 0
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, gateway: Gateway, number: str, key: str, request: Request, choice: Choice, trusts: Trusts) -> None:
        """Look at an answered request, after its reply."""
        route = choice.way.model
        trust = next((value for name, value in trusts if name == choice.signal), None)
        if not isinstance(route, Route) or trust is None:
            return
        dear = asked(route, trust) is route.models[-1]
        if dear and self.ordinary is not None and choice.way.crafted is not None and self._free():
            self._later(self._look(gateway, number, self.ordinary, choice.way, request.opening, trust))
        if choice.way.large is None or not key:
            return
        if len(self.shares) > _KEYS:
            self.shares.clear()
        if self.shares.setdefault(key, Share()).add(dear, choice.way.large):
            self._later(self._named(gateway, number, SHARE, _SAID[SHARE]))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _free(self) -> bool:
        now = int(time.monotonic())
        self._in_second = self._in_second + 1 if now == self._second else 1
        self._second = now
        return self._in_second <= _A_SECOND

    async def _look(
        self, gateway: Gateway, number: str, ordinary: Ordinary, way: Way, opening: Request, trust: float
    ) -> None:
        level = way.crafted or 0.0
        try:
            turned = await asyncio.to_thread(turning, ordinary, way.model, opening, level)
        except SpratError as error:
            log.warning("The parts of a request could not be looked at: %s", error)
            return
        if turned is not None:
            part, without = turned
            await self._named(gateway, number, PART, _SAID[PART].format(part, part.contrast, level, without, trust))

    async def _named(self, gateway: Gateway, number: str, how: str, said: str) -> None:
        said = f"{how}: {said}"
        log.warning("Request %s looks crafted to force the dear model; %s.", number, said)
        gateway.metrics.crafted.labels(how).inc()
        kept = gateway.cards.get(number)
        if kept is not None:
            facts: Any = {**(kept[1].get("facts") or {}), "crafted": said}
            gateway.cards[number] = (kept[0], {**kept[1], "facts": facts}, *kept[2:])
        store: Any = gateway.store
        if hasattr(store, "flush"):
            try:
                await store.flush()
                await asyncio.to_thread(mark, store, number, said)
            except DBAPIError as error:
                log.warning("What looked crafted could not be written: %s", schema.cause(error))


def turning(ordinary: Ordinary, route: Route, opening: Request, level: float) -> tuple[Part, float] | None:
    """The part that stands out furthest, beyond `level`, without which a cheaper model answers; and the trust then."""
    signal: Any = route.trust[0]
    signal = signal.signal if isinstance(signal, Witness) else signal
    for part in sorted(ordinary.parts(opening.text), key=lambda part: -part.contrast):
        if part.contrast <= level:
            return None
        trust = drive(signal.trust(opening.asking(part.rest)))
        if asked(route, trust) is not route.models[-1]:
            return part, float(trust)
    return None


def mark(store: Any, number: str, said: str) -> None:
    """Write what looked crafted to the exchange's row; blocks."""
    table = schema.exchanges
    with schema.writing(store.engine) as connection:
        connection.execute(sa.update(table).where(table.c.id == number).values(crafted=said))
