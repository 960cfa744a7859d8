"""A controller that spends a budget evenly over a day or a month by moving along the certified settings.

Papers: dual mirror descent for allocation under a budget (arXiv 2011.10124). Checked against: the offline optimum in
hindsight on simulated days, traffic crafted to be dear, clocks that jump (`benchmarks/promise_watch.py`).

The settings go from the safest to the cheapest. Their lower hull in (cost, harm) gives rising prices: the i-th step
down is worth taking once a dollar is worth more than the harm that it saves a dollar for. The dual variable, the price
of a dollar, moves after each request by its cost less the pace: what is left of the budget over the requests expected
in what is left of the window. Up to the last step among certified settings, and no further: past it only with
`allow_uncertified`, and then the choice says that it is not certified.

The hard cap. A request is let through only if what it may cost at most still fits, beside all that is under way; so
what was spent never passes the budget as long as no request costs more than was reserved for it. With `burst` below 1
nor may it run ahead of the pace by more than that part of the budget, which bounds what a spell of requests crafted to
need the large model can take before anybody notices.

Time is passed in twice, as a calendar says it and as a monotonic clock does: a calendar that jumps by more than a
minute is not believed until it has said the same for ten, so that a window is not begun anew by a wrong clock. Windows
are UTC's, moved by `offset` seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import exp, isfinite, sqrt
from typing import Any, Literal

from sprat.errors import BadInput

Window = Literal["day", "month"]

JUMP, PATIENCE = 60.0, 600.0  # seconds: what is a jump of the calendar, how long until it is believed
EARLY = 0.02  # of the window: how long the expected number of requests outweighs those seen
NUMBERS = ("start", "end", "price", "spent", "recent", "booked", "expected")  # of the state
MARGIN = 0.02  # of the budget: the most that is kept so that the last requests, too, can be reserved for
RECENT = 0.05  # of the window: what the forecast calls the present rate


@dataclass(frozen=True)
class Setting:
    """One setting: its mean cost (dollars a request) and harm (mean score lost, any unit; None: by rank)."""

    name: str
    cost: float
    harm: float | None = None
    certified: bool = True


@dataclass(frozen=True)
class Choice:
    """The setting to run at, the price of a dollar that chose it, and the spend forecast for the window's end."""

    setting: Setting
    price: float
    forecast: float

    @property
    def certified(self) -> bool:
        """Whether the promise covers this choice; if not, it is suspended."""
        return self.setting.certified


@dataclass(frozen=True)
class Admission:
    """Whether a request fits under the cap; if not, why, and after how many seconds it may."""

    ok: bool
    why: str = ""
    retry_after: float = 0.0


class Clock:
    """The calendar's time, held against a monotonic clock; never steps back by more than a minute at once."""

    def __init__(self) -> None:
        self.calendar = self.monotonic = self.since = self.gap = 0.0
        self.started = self.doubted = False

    def read(self, calendar: float, monotonic: float) -> float:
        """Seconds since 1970 to believe, from what both clocks say."""
        expected = self.calendar + max(monotonic - self.monotonic, 0.0)
        gap = calendar - expected
        if self.started and abs(gap) >= JUMP:
            if not self.doubted or abs(gap - self.gap) >= JUMP:
                self.doubted, self.since, self.gap = True, monotonic, gap
            if monotonic - self.since < PATIENCE:
                self.calendar, self.monotonic = expected, max(monotonic, self.monotonic)
                return expected
        self.started, self.doubted = True, False
        self.calendar, self.monotonic = calendar, monotonic
        return calendar


def window_of(now: float, window: Window, offset: float = 0.0) -> tuple[float, float]:
    """The start and the end (seconds since 1970) of the day or month that a time lies in."""
    at = datetime.fromtimestamp(now + offset, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "day":
        start, end = at, at + timedelta(days=1)
    else:
        start = at.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    return start.timestamp() - offset, end.timestamp() - offset


class Budget:
    """The controller for one budget: `reserve` and `settle` around each request, `choose` for its setting."""

    def __init__(
        self,
        settings: Sequence[Setting],
        budget: float,
        window: Window = "day",
        *,
        expected: float = 1000,
        burst: float = 1.0,
        shape: Sequence[float] = (1.0,),
        offset: float = 0.0,
        allow_uncertified: bool = False,
    ) -> None:
        """`expected` requests a window before any was counted; `shape` weighs equal parts of the window by traffic."""
        if not (isfinite(budget) and budget > 0 and expected > 0 and 0 < burst <= 1):
            raise BadInput(f"A budget and the requests expected must be positive, burst in (0, 1], not {burst}.")
        if window not in ("day", "month") or not shape or min(shape) < 0 or sum(shape) <= 0:
            raise BadInput("A window is a 'day' or a 'month', and its shape weighs its parts by numbers from 0 on.")
        self.settings, self.prices = _steps(settings, allow_uncertified)
        self.window: Window = window
        self.budget, self.expected, self.burst = budget, float(expected), burst
        self.shape, self.offset = tuple(w / sum(shape) for w in shape), offset
        self.clock, self.start, self.end = Clock(), 0.0, 0.0
        self.price = self.spent = self.margin = self.pending = self.recent = self.share = self.booked = 0.0
        self.requests = 0

    def elapsed(self, now: float) -> float:
        """The part of the window's traffic that is expected by a time, in [0, 1]."""
        place = min(max((now - self.start) / (self.end - self.start), 0.0), 1.0) * len(self.shape)
        whole = min(int(place), len(self.shape) - 1)
        return min(sum(self.shape[:whole]) + (place - whole) * self.shape[whole], 1.0)

    def reserve(self, at_most: float, calendar: float, monotonic: float) -> Admission:
        """Sets aside what a request may cost at most; if refused, nothing is set aside."""
        if not (isfinite(at_most) and at_most >= 0):
            raise BadInput(f"What a request may cost at most must be a number from 0 on, not {at_most}.")
        now = self._turn(calendar, monotonic)
        self.margin = max(self.margin, min(at_most, MARGIN * self.budget))
        free = self.budget * min(self.share + self.burst, 1.0) - self.spent - self.pending
        if at_most <= free:
            self.pending += at_most
            return Admission(True)
        if at_most > self.budget - self.spent - self.pending:
            why = f"Of this {self.window}'s ${self.budget:.6g}, ${self.spent:.6g} are spent"
            why = f"{why} and ${self.pending:.6g} set aside; this request may need ${at_most:.6g}."
            return Admission(False, why, max(self.end - now, 1.0))
        why = f"Spend (${self.spent:.6g}) is ahead of the pace of this {self.window}'s ${self.budget:.6g}."
        wanted = (self.spent + self.pending + at_most) / self.budget - self.burst
        return Admission(False, why, max(self._when(wanted) - now, 1.0))

    def settle(self, reserved: float, cost: float, calendar: float, monotonic: float) -> None:
        """Books what a request really cost in place of what was reserved for it, and moves the price of a dollar."""
        if not (isfinite(cost) and cost >= 0):
            raise BadInput(f"A cost must be a number from 0 on, not {cost}.")
        self._turn(calendar, monotonic)
        self.release(reserved)
        self._book(cost, 1)

    def release(self, reserved: float) -> None:
        """Lets go of what was set aside for a request that did not go ahead."""
        self.pending = max(self.pending - reserved, 0.0)

    def learn(self, spent: float, requests: int, calendar: float, monotonic: float) -> None:
        """Takes over what all processes together have booked in this window; what is new moves the price as here.

        What came before anything was known here (a start without a state) moves nothing.
        """
        self._turn(calendar, monotonic)
        cost, others = max(spent - self.spent, 0.0), requests - self.requests
        if not self.requests or others <= 0:
            self.spent, self.requests = self.spent + cost, max(requests, self.requests)
        else:
            self._book(cost, others)

    def _book(self, cost: float, n: int) -> None:
        self.spent += cost
        self.requests += n
        self.recent = self.recent * exp(-max(self.share - self.booked, 0.0) / RECENT) + cost
        self.booked = self.share
        total = (self.requests + self.expected * EARLY) / (self.share + EARLY)
        pace = max(self.budget - self.margin - self.spent, 0.0) / max(total * (1 - self.share), 1.0)
        if self.prices:
            largest = 1.2 * self.prices[-1]
            step = largest * min(max(2 / sqrt(total), 0.002), 0.1) / max(self.settings[0].cost, 1e-300)
            dear = self.settings[0].cost
            moved = min(max(cost / n - pace, -dear), 3 * dear)  # one cannot swing it
            self.price = min(max(self.price + n * step * moved, 0.0), largest)

    def choose(self, calendar: float, monotonic: float) -> Choice:
        """The setting for the next request: certified, unless uncertified ones were allowed and are needed."""
        self._turn(calendar, monotonic)
        return Choice(self.setting, self.price, self.forecast)

    @property
    def setting(self) -> Setting:
        """The setting that the present price of a dollar calls for."""
        return self.settings[bisect_right(self.prices, self.price)]

    @property
    def forecast(self) -> float:
        """What will be spent by the window's end if requests and costs go on as in the last twentieth of it."""
        known = RECENT * (1 - exp(-(self.share + 0.001) / RECENT))
        return self.spent + self.recent / known * (1 - self.share)

    def _turn(self, calendar: float, monotonic: float) -> float:
        """The time to believe; begins a new window where one has begun."""
        now = self.clock.read(calendar, monotonic)
        if now >= self.end:
            if self.requests:
                self.expected = float(self.requests)
            self.start, self.end = window_of(now, self.window, self.offset)
            self.spent, self.recent, self.booked, self.requests = 0.0, 0.0, 0.0, 0
        self.share = max(self.elapsed(now), 0.0)
        return now

    def _when(self, share: float) -> float:
        """The time at which a share of the traffic is expected to have passed."""
        low, high = self.start, self.end
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.elapsed(middle) < share else (low, middle)
        return high

    def state(self) -> dict[str, Any]:
        """What was spent and learnt, ready for JSON; the settings and the budget are the configuration's."""
        names = (*NUMBERS, "requests")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state`, after a restart; what was under way then is not counted. Raises BadInput."""
        try:
            values = {n: float(state[n]) for n in NUMBERS}
            self.requests = int(state["requests"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"This is not the state of a budget: {error!r}.") from error
        for name, value in values.items():
            setattr(self, name, value)


def _steps(settings: Sequence[Setting], allow_uncertified: bool) -> tuple[list[Setting], list[float]]:
    """The settings on the lower hull, safest first, and the price of a dollar at which each next one is taken."""
    if not settings or not settings[0].certified:
        raise BadInput("A budget needs at least one certified setting, the safest first.")
    rank = [s.certified for s in settings]
    if rank != sorted(rank, reverse=True) or any(not (isfinite(s.cost) and s.cost >= 0) for s in settings):
        raise BadInput("Settings go from the safest to the cheapest, uncertified ones last, with costs from 0 on.")
    kept: list[Setting] = []
    prices: list[float] = []
    for place, setting in enumerate(settings):
        if not setting.certified and not allow_uncertified:
            break
        if kept and setting.cost >= kept[-1].cost:
            continue
        price = 0.0
        while kept:
            price = _price(kept[-1], setting, place)
            if not prices or price > prices[-1]:
                break
            if not setting.certified and kept[-1].certified:  # uncertified only once no certified step is left
                price = 1.1 * prices[-1]
                break
            kept.pop()
            prices.pop()
        if kept:
            prices.append(price)
        kept.append(setting)
    return kept, prices


def _price(safer: Setting, cheaper: Setting, place: int) -> float:
    """The harm for each dollar saved by a step down; by rank where it is not known."""
    if safer.harm is None or cheaper.harm is None:
        return float(place)
    return max(cheaper.harm - safer.harm, 1e-12) / (safer.cost - cheaper.cost)
