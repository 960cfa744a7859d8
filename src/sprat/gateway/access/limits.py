"""What a key may spend and how fast: budgets by UTC day or month, token buckets on a monotonic clock, refusals.

A budget's window is a matter of the calendar, so it is read off the wall clock in UTC; a rate is a matter of elapsed
time, so a wall clock that jumps can't touch it. Checked against hand-driven clocks in tests/gateway/test_limits.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

from ...errors import BadInput

Per = Literal["day", "month"]


@dataclass(frozen=True, slots=True)
class Budget:
    """Dollars that are not passed in a UTC day or month."""

    dollars: float
    per: Per

    @classmethod
    def of(cls, text: str) -> Budget:
        """Read '50/month' or '2.50/day'; raises BadInput."""
        match = re.fullmatch(r"\s*\$?(\d+(?:\.\d+)?|\.\d+)\s*/\s*(day|month)\s*", text)
        if not match:
            raise BadInput(f"The budget is '{text}'; it needs dollars per day or month.", hint="Such as 50/month.")
        return cls(float(match[1]), "day" if match[2] == "day" else "month")

    def __str__(self) -> str:
        return f"${self.dollars:g}/{self.per}"


def per_minute(text: str, what: str) -> int:
    """Read '60/min'; raises BadInput."""
    match = re.fullmatch(r"\s*(\d{1,12})\s*/\s*min(?:ute)?\s*", text)
    if not match or int(match[1]) < 1:
        raise BadInput(f"The {what} is '{text}'; it needs a whole number per minute.", hint="Such as 60/min.")
    return int(match[1])


def span(per: Per, now: float) -> str:
    """The window that holds `now` (seconds since 1970): 'day 2026-11-20' or 'month 2026-11'."""
    return _spans(int(now // 86400))[per == "month"]


@lru_cache(maxsize=512)
def _spans(day: int) -> tuple[str, str]:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return f"day {at:%Y-%m-%d}", f"month {at:%Y-%m}"


def until_next(per: Per, now: float) -> float:
    """Seconds from `now` until its window ends."""
    if per == "day":
        return 86400 - now % 86400
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now)
    following = datetime(at.year + (at.month == 12), at.month % 12 + 1, 1, tzinfo=UTC)
    return (following - at).total_seconds()


class Spent(NamedTuple):
    """Dollars of the calls whose cost is known, all calls, those among them whose cost is unknown, and the dollars
    that these cost at most, as far as a price was known.
    """

    dollars: float = 0.0
    calls: int = 0
    unknown: int = 0
    at_most: float = 0.0

    @property
    def counted(self) -> float:
        """Dollars that count against a cap: an unknown cost counts as the most that it can have been."""
        return self.dollars + self.at_most

    def plus(self, other: Spent) -> Spent:
        """Both together."""
        dollars, at_most = self.dollars + other.dollars, self.at_most + other.at_most
        return Spent(dollars, self.calls + other.calls, self.unknown + other.unknown, at_most)

    def less(self, other: Spent) -> Spent:
        """Without the other, whose dollars may have been added up in another order: never below 0."""
        dollars, at_most = max(self.dollars - other.dollars, 0.0), max(self.at_most - other.at_most, 0.0)
        return Spent(dollars, max(self.calls - other.calls, 0), max(self.unknown - other.unknown, 0), at_most)


class Hold(NamedTuple):
    """What a request may take at most, held until it is charged; `dollars` None is unknown, never 0."""

    dollars: float | None = None
    tokens: int = 0


class Refusal(NamedTuple):
    """Why a request does not go ahead: an HTTP status, a word, a sentence, and seconds to wait where that helps."""

    status: int
    kind: Literal["model", "rate", "tokens", "budget", "unpriced"]
    said: str
    retry_after: float | None = None


class Bucket:
    """A token bucket: it holds a minute's worth, fills evenly, and may be overdrawn by what was not known before.

    So in one minute at most twice the rate passes, and in the long run the rate.
    """

    __slots__ = ("at", "level", "per_minute")

    def __init__(self, per_minute: float, now: float) -> None:
        self.per_minute, self.level, self.at = per_minute, per_minute, now

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` (or a full bucket, where it is more) may be taken; `now` is monotonic seconds."""
        if now > self.at:
            self.level = min(self.per_minute, self.level + (now - self.at) * self.per_minute / 60)
            self.at = now
        lacking = min(max(amount, 1.0), self.per_minute) - self.level
        return lacking * 60 / self.per_minute if lacking > 1e-9 else 0.0

    def take(self, amount: float) -> None:
        """Take (or, below 0, give back) an amount."""
        self.level = min(self.per_minute, self.level - amount)
