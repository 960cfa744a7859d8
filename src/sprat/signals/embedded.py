"""What the routers share: rows from the encoder, judged together; their neighbours; and which lessons can be used.

There is one formula, for many requests; one request is many of one. Nearest neighbours are an endpoint, so that the
drivers group what is asked one by one, too: one matrix product, not many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core import Ask, Reply, Request, Signal, Texts, ask
from ..data import Floats, Lessons
from ..errors import BadInput

Rows = NDArray[np.float32]
_BLOCK = 256
_Gain = TypeVar("_Gain", float, Floats)


@lru_cache(maxsize=1)
def default_encoder() -> Any:
    """The embedded encoder: one object, so that all routers' asks go to it together."""
    from ..encoders.static import StaticEncoder

    return StaticEncoder()


class Ahead(Signal):
    """A signal that reads requests before anything is answered, many at once: trust() is trusts() of one."""

    reads_reply: ClassVar[bool] = False

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The ease of the request in [0, 1]; raises BadInput before fit."""
        return float((await self.trusts((request,), (reply,)))[0])

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """The ease (n,) of each request in [0, 1]; raises BadInput before fit."""
        raise NotImplementedError


class Embedded(Ahead):
    """A router that reads the encoder's rows of the prompts; `learnt` names the field that is None until fit."""

    learnt: ClassVar[str] = "weights"
    encoder: Any

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """The ease (n,) of each request in [0, 1], from one ask of the encoder; raises BadInput before fit."""
        fitted(self)
        if not requests:
            return np.zeros(0)
        # np.clip takes longer than a whole judgement of one request.
        return np.minimum(1.0, np.maximum(0.0, await self.judge(await self.read(requests), requests)))

    async def read(self, requests: Sequence[Request]) -> Rows:
        """The encoder's rows (n, d) of the prompts; raises BadInput before fit."""
        fitted(self)
        return await ask(self.encoder, Texts(tuple(r.text for r in requests)))

    async def judge(self, rows: Rows, requests: Sequence[Request]) -> Floats:
        """The ease (n,), from the encoder's rows (n, d) of the requests."""
        raise NotImplementedError


async def trusts_of(signal: Any, requests: Sequence[Request], replies: Sequence[Reply | None]) -> Floats:
    """A signal's trust (n,) in one go where it has `trusts`, else one after another."""
    if hasattr(signal, "trusts"):
        return await signal.trusts(requests, replies)
    return np.array([await signal.trust(q, r) for q, r in zip(requests, replies, strict=True)], np.float64)


def fitted(router: Any) -> None:
    """Check that a router has learnt; raises BadInput that says to fit it."""
    if getattr(router, router.learnt) is None:
        raise BadInput(f"The router '{router.use}' has not been fitted.", hint="Use router.fit(lessons) first.")


class Pair(NamedTuple):
    """The rows on which both the first and the last model were scored: their places, prompts and scores."""

    at: NDArray[np.int64]
    texts: list[str]
    small: Floats
    large: Floats


def pair(lessons: Lessons, by: str) -> Pair:
    """What there is to learn about the cheapest and the dearest model; raises BadInput where there is nothing."""
    if len(lessons.models) < 2:
        raise BadInput(f"{by} learns from the scores of two models; got {len(lessons.models)}.")
    small, large = lessons.scores[:, 0], lessons.scores[:, -1]
    at = np.flatnonzero(np.isfinite(small) & np.isfinite(large))
    if not len(at):
        raise BadInput(f"{by} needs rows on which '{lessons.models[0]}' and '{lessons.models[-1]}' are both scored.")
    return Pair(at, [lessons.requests[int(i)].text for i in at], small[at], large[at])


def table(lessons: Lessons, by: str, whole: bool) -> tuple[NDArray[np.int64], list[str], Floats]:
    """Places, prompts and scores (k, m) of the rows with some score, or with all of them (`whole`)."""
    known = np.isfinite(lessons.scores)
    at = np.flatnonzero(known.all(axis=1) if whole else known.any(axis=1))
    if not len(at) or not known[at].any(axis=0).all():
        raise BadInput(f"{by} needs rows scored by every model; of {', '.join(lessons.models)} some have none.")
    return at, [lessons.requests[int(i)].text for i in at], lessons.scores[at]


def ease(gain: _Gain) -> _Gain:
    """The trust that stands for a predicted gain, large less small, in [-1, 1]: (1 - gain) / 2."""
    return 0.5 * (1.0 - gain)


class Near(NamedTuple):
    """The nearest rows' places (n, k), nearest first, and their cosines (n, k)."""

    at: NDArray[np.int64]
    cosine: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Nearest:
    """The k nearest of the kept unit rows; asked with rows (n, d), it answers Near, in no order where not `ordered`."""

    rows: Rows
    k: int
    name: str = "nearest"
    ordered: bool = True
    offline: ClassVar[bool] = True

    def answer_many(self, asked: Sequence[Rows]) -> list[Near]:
        """The nearest of each asker's rows; a tie goes to the earlier."""
        rows = asked[0] if len(asked) == 1 else np.concatenate(asked)
        blocks = [self._nearest(rows[at : at + _BLOCK]) for at in range(0, len(rows), _BLOCK)] or [self._nearest(rows)]
        found = blocks[0] if len(blocks) == 1 else Near(*map(np.concatenate, zip(*blocks, strict=True)))
        return [found] if len(asked) == 1 else [Near(found.at[part], found.cosine[part]) for part in parts_of(asked)]

    def _nearest(self, rows: Rows) -> Near:
        return self.among(away(self.rows, rows))

    def among(self, away: Rows) -> Near:
        """The nearest where the negative cosines (n, kept) are known: `away` of the kept rows and the asked ones."""
        (n, kept), line = away.shape, np.arange(len(away))[:, None]
        k = min(self.k, kept)
        if k == 1:
            part = away.argmin(axis=1)[:, None]
            return Near(part, -away[line, part])
        # np.argpartition takes twice as long, and does not say which of equal rows it leaves out.
        within = np.flatnonzero(away <= np.partition(away, k - 1, axis=1)[:, k - 1 : k])
        if len(within) != n * k:  # equal rows at the border
            part = np.argsort(away, axis=1, kind="stable")[:, :k]
        else:
            part = within.reshape(n, k) - kept * line
            if self.ordered:
                part = part[line, np.argsort(away[line, part], axis=1, kind="stable")]
        return Near(part, -away[line, part])

    def of(self, rows: Rows) -> Ask:
        """Await the nearest of these rows (n, d)."""
        return ask(self, rows)


def away(kept: Rows, rows: Rows) -> Rows:
    """The negative cosines (n, kept) of rows (n, d) and the kept ones."""
    # This way round the product packs the few rows, not the many: 120 us less for 2 to 30 rows against 1,000.
    return np.negative((kept @ rows.T).T, order="C")


def parts_of(asked: Sequence[Rows]) -> list[slice]:
    """Where each asker's rows lie among all of them, one asker's after another's."""
    ends = np.cumsum([len(rows) for rows in asked]).tolist()
    return [slice(end - len(rows), end) for rows, end in zip(asked, ends, strict=True)]
