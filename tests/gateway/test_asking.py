"""What the watch over the promise spends: counted once, whatever the clock says when it is committed."""

from __future__ import annotations

from typing import Any

from sprat.gateway.access.limits import Spent, span
from sprat.gateway.promise.asking import KEY, Asking

MIDNIGHT = 20_000 * 86_400.0


def test_calls_of_two_days_that_are_committed_together_are_no_longer_pending() -> None:
    nothing: Any = None
    asking = Asking(nothing, nothing, None)
    for _ in range(2):
        asking._charge(1.0)
    days = [span("day", MIDNIGHT - 1), span("day", MIDNIGHT + 1)]
    asking.committed({}, {(KEY, w): Spent(1.0, 1) for w in (*days, span("month", MIDNIGHT))})
    assert asking._pending == Spent()
