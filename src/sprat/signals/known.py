"""A router that is trusted only where it has been: trust 0 for a request unlike those it was fitted on.

A request whose group is given must be of a fitted group; one without a group, or where none was fitted, must be at
least as near to a fit prompt as all but 5 % of the fit prompts are to another. It is sprat's own. Checked by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..core import Reply, Request, Signal, Texts, ask
from ..data import Floats, Lessons
from ..errors import BadInput
from .embedded import Ahead, Nearest, Rows, default_encoder, fitted, trusts_of

_SAMPLE = 2000


@dataclass(frozen=True, repr=False, eq=False)
class Known(Ahead):
    """`signal` where the request is known, else 0; `floor` is the least cosine to the nearest fit prompt (n, d)."""

    signal: Any
    encoder: Any = field(default_factory=default_encoder)
    outside: float = 0.05
    groups: tuple[str, ...] = ()
    rows: Rows | None = None
    floor: float = 0.0
    use = "known_groups"
    learnt: ClassVar[str] = "rows"

    @cached_property
    def _nearest(self) -> Nearest:
        assert self.rows is not None
        return Nearest(self.rows, 1, self.use)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.groups)

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """The inner trust, or 0 for a request unlike the fit rows, (n,); raises BadInput before fit."""
        fitted(self)
        known = np.array([r.group in self._known for r in requests], bool)
        loose = [i for i, r in enumerate(requests) if r.group is None or not self.groups]
        if loose:
            rows = await ask(self.encoder, Texts(tuple(requests[i].text for i in loose)))
            known[loose] = (await self._nearest.of(rows)).cosine[:, 0].astype(np.float64) >= self.floor
        found = np.zeros(len(requests))
        if known.any():
            some = np.flatnonzero(known).tolist()
            said = [replies[i] if replies else None for i in some]
            found[known] = await trusts_of(self.signal, [requests[i] for i in some], said)
        return found

    def fit(self, lessons: Lessons) -> Known:
        """The wrapper with its signal fitted (where it can be), and what the fit rows look like."""
        if not len(lessons):
            raise BadInput("known_groups needs rows to know; there are none.")
        rows = self.encoder.encode(lessons.texts)
        drawn = np.random.default_rng([lessons.seed, 3]).permutation(len(rows))[:_SAMPLE]
        (near,) = Nearest(rows, 2).answer_many([rows[drawn]])
        floor = float(np.quantile(near.cosine[:, -1], self.outside))
        groups = tuple(sorted({g for g in lessons.groups if g is not None}))
        inner = self.signal.fit(lessons) if hasattr(self.signal, "fit") else self.signal
        return replace(self, signal=inner, groups=groups, rows=rows, floor=floor)


def known_groups(signal: Signal, encoder: Any = None, outside: float = 0.05) -> Known:
    """`signal`, but 0 for a request unlike its fit rows; `outside` is the share of these that may look unlike."""
    return Known(signal, encoder or getattr(signal, "encoder", None) or default_encoder(), outside)
