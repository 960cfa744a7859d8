"""The mean outcome of the request's group: a prior per category.

Trust is (1 - mean gain) / 2 of the group's fit rows, drawn to the mean of all by `prior` rows; a group that was not
seen, or none given, has trust 0. A baseline. Checked by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from ..core import Reply, Request
from ..data import Floats, Lessons
from .embedded import Ahead, ease, fitted, pair


@dataclass(frozen=True, repr=False, eq=False)
class Category(Ahead):
    """`gains` (g,), large less small, of the groups in `groups`."""

    prior: float = 10.0
    groups: tuple[str, ...] = ()
    gains: Floats | None = None
    use = "category"
    learnt: ClassVar[str] = "gains"

    @cached_property
    def _gain(self) -> dict[str, float]:
        assert self.gains is not None
        return dict(zip(self.groups, self.gains.tolist(), strict=True))

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """(1 - the group's mean gain) / 2, or 0 for an unknown group, (n,); raises BadInput before fit."""
        fitted(self)
        gains = [self._gain.get(r.group or "") for r in requests]
        return np.array([0.0 if g is None else ease(g) for g in gains], np.float64)

    def fit(self, lessons: Lessons) -> Category:
        """The signal with each group's mean gain; raises BadInput where no row is scored by both models."""
        rows = pair(lessons, self.use)
        gain = rows.large - rows.small
        cells: dict[str, list[float]] = {}
        for i, g in zip(rows.at, gain.tolist(), strict=True):
            if (group := lessons.requests[int(i)].group) is not None:
                cells.setdefault(group, []).append(g)
        drawn = self.prior * float(gain.mean())
        names = tuple(sorted(cells))
        means = [(sum(cells[n]) + drawn) / (len(cells[n]) + self.prior) for n in names]
        return replace(self, groups=names, gains=np.array(means, np.float64))


def category(prior: float = 10.0) -> Category:
    """The group's mean outcome, drawn to the overall mean by `prior` rows."""
    return Category(prior)
