"""Trust by who agrees: the mean score of earlier replies with the same group, pattern of agreement and length.

The learned form of agreement cascading (arXiv 2407.02348): which peer agrees matters, and whether the others agree on
something else. A cell with few rows leans on the pattern's mean over all groups, and that on the overall mean.
Checked against hand-computed shrunken means.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..answers import final_answer
from ..core import Model, Reply, Request, Signal
from ..data import Lessons
from ..errors import BadInput
from .agreement import Same, opinions
from .learning import Label, judged, observe, unfitted
from .reply_features import tokens_of

Floats = NDArray[np.float64]


def pattern(own: str, others: list[str]) -> int:
    """Bit i: the i-th other agrees; the highest bit: some other answer has more votes than this one."""
    bits = sum(1 << i for i, other in enumerate(others) if other and other == own)
    votes = Counter(o for o in others if o and o != own)
    mine = 1 + bits.bit_count() if own else 0
    return bits | (1 << len(others) if max(votes.values(), default=0) > mine else 0)


@dataclass(frozen=True, repr=False, eq=False)
class AgreementCells(Signal):
    """`cells` (groups + 1, patterns, 2): the last row is for unknown groups, the last axis for replies over `cut`."""

    models: tuple[Any, ...]
    label: Label = "score"
    prior: float = 20.0
    same: Same = final_answer
    groups: tuple[str, ...] = ()
    cut: float = 0.0
    cells: Floats | None = None
    use = "agreement_cells"
    reads_reply = True

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The cell's shrunken mean label, in [0, 1]; asks every peer. Raises BadInput where it has not learned."""
        if self.cells is None or reply is None:
            raise unfitted(self.use)
        seen = await self._pattern(request, reply)
        group = self.groups.index(request.group) if request.group in self.groups else len(self.groups)
        return float(self.cells[group, seen, int(tokens_of(reply) > self.cut)])

    async def _pattern(self, request: Request, reply: Reply) -> int:
        heard = await opinions(self.models, request)
        return pattern(self.same(reply), [self.same(r) if r.ok else "" for r in heard])

    def fit(self, lessons: Lessons) -> AgreementCells:
        """Learn the cells from the first model's replies; the peers' are taken from the lessons or asked."""
        requests, replies, y, _ = judged(self.use, lessons, self.label)
        seen = observe([self._pattern(q, r) for q, r in zip(requests, replies, strict=True)], lessons)
        groups = tuple(sorted({q.group for q in requests if q.group is not None}))
        length = np.array([tokens_of(r) for r in replies])
        cut = float(np.median(length))
        where = [groups.index(q.group) if q.group is not None else len(groups) for q in requests]
        shape = (len(groups) + 1, 2 << len(self.models), 2)
        place = np.ravel_multi_index((where, seen, (length > cut).astype(int)), shape)
        size = int(np.prod(shape))
        count = np.bincount(place, minlength=size).reshape(shape)
        total = np.bincount(place, y, minlength=size).reshape(shape)
        parent = (total.sum(axis=0) + self.prior * y.mean()) / (count.sum(axis=0) + self.prior)
        cells = (total + self.prior * parent) / (count + self.prior)
        cells[-1] = parent
        return replace(self, groups=groups, cut=cut, cells=cells)


def agreement_cells(
    *models: Model, label: Label = "score", prior: float = 20.0, same: Same = final_answer
) -> AgreementCells:
    """Learned agreement with these peers; raises BadInput for none, more than six, or a prior that is not above 0."""
    if not 1 <= len(models) <= 6 or prior <= 0:
        raise BadInput("agreement_cells needs one to six peers and a prior above 0 rows.")
    return AgreementCells(tuple(models), label, prior, same)
