"""Counts what a hardware counter counted, over its wraps; a reset or an impossible jump makes the sum unknown."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

# More than any one package or board draws. What counts more than this in the time between two looks was reset, or
# wrapped more than once: then the sum can't be known.
MOST_WATTS = 2000.0
_LAG = 0.25  # seconds of energy that a counter may bring in late: NVML's is renewed every 20 to 100 ms


class Counter(Protocol):
    """A counter of joules since some moment; `wraps_at` says where it begins anew, None where it does not."""

    @property
    def name(self) -> str:
        """What is counted, such as package-0."""
        ...

    @property
    def wraps_at(self) -> float | None:
        """The joules at which it begins at 0 again."""
        ...

    def read(self) -> float:
        """Joules; OSError where it can't be read."""
        ...


class Tally:
    """The joules that a counter has counted since this was made, looked at by `advance` at least once a wrap."""

    def __init__(self, counter: Counter, clock: Callable[[], float] = time.monotonic) -> None:
        self.counter, self.clock = counter, clock
        self.joules, self.lost = 0.0, ""
        self.last, self.at = self._read()

    def _read(self) -> tuple[float, float]:
        try:
            return self.counter.read(), self.clock()
        except OSError as error:
            self.lost = self.lost or f"{self.counter.name} can't be read: {error.strerror or error}"
            return 0.0, self.clock()

    def advance(self) -> None:
        """Look at the counter and add what it counted; what can't be told is said in `lost`."""
        if self.lost:
            return
        now, at = self._read()
        if self.lost:
            return
        grown = now - self.last
        if grown < 0 and self.counter.wraps_at is not None:
            grown += self.counter.wraps_at
        if grown < 0:
            self.lost = f"{self.counter.name} went back from {self.last:.1f} to {now:.1f} J: it was reset"
        elif grown > MOST_WATTS * (at - self.at + _LAG):
            self.lost = (
                f"{self.counter.name} counted {grown:.0f} J in {at - self.at:.1f} s: it was reset, or wrapped unseen"
            )
        self.joules, self.last, self.at = self.joules + grown, now, at

    @property
    def look_within(self) -> float | None:
        """Seconds within which it must be looked at so that no wrap is missed; None: no need."""
        return None if self.counter.wraps_at is None else self.counter.wraps_at / MOST_WATTS / 2
