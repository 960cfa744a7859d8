"""The prompt's length alone, easy-looking end first: the baseline to beat where nothing else transfers.

Trust is the share of fit prompts that were longer (or shorter, where the large model's gain falls with length).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..core import Reply, Request
from ..data import Floats, Lessons
from .embedded import Ahead, fitted, pair

_POINTS = 201


@dataclass(frozen=True, repr=False, eq=False)
class Length(Ahead):
    """`lengths` (characters, rising) at evenly spaced `shares` of the fit prompts; `longer_is_harder` from the fit."""

    lengths: Floats | None = None
    shares: Floats | None = None
    longer_is_harder: bool = True
    use = "length"
    learnt: ClassVar[str] = "lengths"

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """The share of fit prompts that look harder, (n,); raises BadInput before fit."""
        fitted(self)
        assert self.lengths is not None
        assert self.shares is not None
        below = np.interp([len(r.text) for r in requests], self.lengths, self.shares)
        return 1.0 - below if self.longer_is_harder else below

    def fit(self, lessons: Lessons) -> Length:
        """The signal with the fit prompts' lengths and the sign of their correlation with the gain."""
        rows = pair(lessons, self.use)
        lengths = np.array([len(t) for t in rows.texts], np.float64)
        points = np.unique(np.quantile(lengths, np.linspace(0, 1, _POINTS)))
        ordered = np.sort(lengths)
        before, after = np.searchsorted(ordered, points), np.searchsorted(ordered, points, side="right")
        ranks = np.searchsorted(ordered, lengths) + np.searchsorted(ordered, lengths, side="right")
        gain = rows.large - rows.small
        harder = float((ranks - ranks.mean()) @ (gain - gain.mean())) >= 0
        shares = (before + after) / (2.0 * len(lengths))
        return replace(self, lengths=points, shares=shares, longer_is_harder=harder)


def length() -> Length:
    """The prompt's length as a signal."""
    return Length()
