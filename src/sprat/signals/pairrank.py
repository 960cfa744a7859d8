"""LLM-Blender's PairRanker: compare replies two by two, reading both at once, then rank by all the comparisons.

The paper (arXiv 2306.02561) fine-tunes DeBERTa on (prompt, reply, reply) and averages both orders; here a logistic
comparator reads features that change sign when the replies change places, so its score does too, by construction.
Besides differences it reads products of one reply's features with the other's, so a beats b beats c beats a can be
told. Checked against hand-computed comparison matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..answers import final_answer
from ..core import Model, Reply, Request, Signal, Texts, ask
from ..data import Lessons
from ..errors import BadInput, CannotDo
from .agreement import opinions
from .embedded import default_encoder
from .heads import Linear, fit_linear, sigmoid
from .learning import FEWEST, observe, unfitted
from .reply_features import NAMES, features

Floats = NDArray[np.float64]
How = Literal["max_logits", "bubble"]

# What is weighed against the same of the other reply: length, form, sums, hedges, and closeness to the prompt.
_CROSSED = (*(NAMES.index(n) for n in ("log tokens", "marked", "wrong sums", "hedges", "repeats itself")), len(NAMES))


def max_logits(wins: Floats) -> list[int]:
    """Places by the sum of a reply's scores against all others, best first; wins (n, n), positive where row wins."""
    total = (wins - wins.T).sum(axis=1)
    return sorted(range(len(wins)), key=lambda i: (-total[i], i))


def bubble(wins: Floats, k: int | None = None) -> list[int]:
    """Places by k passes of bubble sort (all unless given), best first: n - 1 comparisons find the best one."""
    order, n = list(range(len(wins))), len(wins)
    for done in range(n if k is None else min(k, n)):
        for i in range(n - 1, done, -1):
            later, earlier = order[i], order[i - 1]
            if wins[later, earlier] - wins[earlier, later] > 0:
                order[i - 1], order[i] = later, earlier
    return order


@dataclass(frozen=True, eq=False)
class _Read:
    """A reply as numbers: its own features and closeness to the prompt, its encoder row, and its answer."""

    own: Floats
    row: Floats
    answer: str


@dataclass(frozen=True, repr=False, eq=False)
class PairRank(Signal):
    """`head` compares two replies; `how` turns comparisons into an order; `models` are peers for a trust."""

    models: tuple[Any, ...] = ()
    encoder: Any = field(default=None, repr=False)
    how: How = "max_logits"
    head: Linear | None = field(default=None, repr=False)
    use = "pairrank"
    reads_reply = True

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The mean probability, in [0, 1], that the reply beats a peer's; asks the peers."""
        if self.head is None or reply is None:
            raise unfitted(self.use)
        if not self.models:
            raise CannotDo("pairrank without peers ranks replies; it can't judge one.", hint="Use pairrank(*peers).")
        heard = [r for r in await opinions(self.models, request) if r.ok]
        if not heard:
            return 0.5
        wins = await self.compare(request, [reply, *heard])
        return float(sigmoid(wins[0, 1:]).mean())

    async def order(self, request: Request, replies: Sequence[Reply]) -> list[int]:
        """The replies' places, best first; raises BadInput where it has not learned."""
        wins = await self.compare(request, replies)
        return max_logits(wins) if self.how == "max_logits" else bubble(wins)

    async def compare(self, request: Request, replies: Sequence[Reply]) -> Floats:
        """Scores (n, n): log-odds that the row's reply is better than the column's; the transpose is the negative."""
        if self.head is None:
            raise unfitted(self.use)
        read, n = await self._read(request, replies), len(replies)
        wins = np.zeros((n, n))
        if n > 1:
            i, j = np.triu_indices(n, 1)
            raw = self.head.raw(np.array([_pair(read[a], read[b]) for a, b in zip(i, j, strict=True)]))
            wins[i, j], wins[j, i] = raw, -raw
        return wins

    async def _read(self, request: Request, replies: Sequence[Reply]) -> list[_Read]:
        rows = await ask(self.encoder, Texts((request.text, *(r.text or "" for r in replies))))
        asked, said = rows[0].astype(np.float64), rows[1:].astype(np.float64)
        return [
            _Read(np.append(features(request, r), float(asked @ row)), row, final_answer(r))
            for r, row in zip(replies, said, strict=True)
        ]

    def fit(self, lessons: Lessons) -> PairRank:
        """Learn from every pair of models' replies whose scores differ; raises BadInput under 20 such pairs."""
        scored = [
            [
                (r, s)
                for m, s in zip(lessons.models, row, strict=True)
                if (r := lessons.replies[m][i]) and np.isfinite(s)
            ]
            for i, row in enumerate(lessons.scores)
        ]
        rows = [i for i, found in enumerate(scored) if len({s for _, s in found}) > 1]
        read = observe([self._read(lessons.requests[i], [r for r, _ in scored[i]]) for i in rows], lessons)
        pairs: list[Floats] = []
        better: list[float] = []
        for i, reads in zip(rows, read, strict=True):
            for a, b in combinations(range(len(reads)), 2):
                if scored[i][a][1] != scored[i][b][1]:
                    pairs.append(_pair(reads[a], reads[b]))
                    better.append(float(scored[i][a][1] > scored[i][b][1]))
        if len(pairs) < FEWEST:
            raise BadInput(f"pairrank learns from pairs of replies of different scores: {len(pairs)}, {FEWEST} needed.",
                           hint="Add rows, or models that differ more.")  # fmt: skip
        x = np.array(pairs)
        width = x.shape[1] - read[0][0].row.shape[0]
        blocks = [slice(width, x.shape[1])]
        return replace(self, head=fit_linear(x, np.array(better), lessons.seed, intercept=False, blocks=blocks))


def _pair(a: _Read, b: _Read) -> Floats:
    """Features of the ordered pair; those of (b, a) are the negative."""
    less, close = a.own - b.own, float(a.row @ b.row)
    one, other = a.own[list(_CROSSED)], b.own[list(_CROSSED)]
    crossed = (np.outer(one, other) - np.outer(other, one))[np.triu_indices(len(_CROSSED), 1)]
    return np.concatenate([less, close * less, float(a.answer == b.answer) * less, crossed, a.row - b.row])


def pairrank(*models: Model, encoder: Any = None, how: How = "max_logits") -> PairRank:
    """A pairwise ranker over this encoder's rows, the embedded encoder's unless given; raises BadInput for another
    `how`."""
    if how not in ("max_logits", "bubble"):
        raise BadInput(f"pairrank ranks by max_logits or bubble, not {how!r}.")
    return PairRank(tuple(models), default_encoder() if encoder is None else encoder, how)
