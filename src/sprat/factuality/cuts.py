"""Where a rung of a ladder of checks stops, and from which doubt on it says "unsupported". Checked by hand."""

from __future__ import annotations

import numpy as np

from .checks import Floats


def thresholds(doubts: Floats, unsupported: Floats, at_risk: float) -> tuple[float, float, float]:
    """Where to stop as supported and as unsupported (-1 and 2: nowhere), and the cut of the best balanced accuracy."""
    order = np.argsort(doubts, kind="stable")
    s, y = doubts[order], unsupported[order]
    n = np.arange(1, len(s) + 1)
    last = np.append(s[1:] > s[:-1], True)  # equal doubts stop together
    up, down = np.cumsum(y), np.cumsum((1 - y)[::-1])
    first = np.append(True, s[1:] > s[:-1])[::-1]
    below = np.flatnonzero(((up + 1) / (n + 1) <= at_risk) & last)
    above = np.flatnonzero(((down + 1) / (n + 1) <= at_risk) & first)
    cut = best_cut(s, y)
    low = float(s[below[-1]]) if len(below) else -1.0
    high = float(s[::-1][above[-1]]) if len(above) else 2.0
    return float(min(low, at_risk, np.nextafter(cut, -1.0))), float(max(high, 1 - at_risk, cut)), cut


def best_cut(doubts: Floats, unsupported: Floats) -> float:
    """The doubt from which on "unsupported" has the best balanced accuracy on these rows."""
    levels = np.unique(doubts)
    right = np.array([(doubts[unsupported == 1] >= c).mean() + (doubts[unsupported == 0] < c).mean() for c in levels])
    return float(levels[int(right.argmax())])
