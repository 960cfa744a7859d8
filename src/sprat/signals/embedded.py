"""What the routers share: a row from the encoder, judged; the neighbours of a row; and which lessons can be used.

Nearest neighbours are an endpoint, so that the drivers ask for many requests at once: one matrix product, not many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core import Ask, Reply, Request, Signal, Texts, ask
from ..data import Floats, Lessons
from ..errors import BadInput

Rows = NDArray[np.float32]
_BLOCK = 256


@lru_cache(maxsize=1)
def default_encoder() -> Any:
    """The embedded encoder: one object, so that all routers' asks go to it together."""
    from ..encoders.static import StaticEncoder

    return StaticEncoder()


class Embedded(Signal):
    """A router that reads the encoder's row of the prompt; `learnt` names the field that is None until fit."""

    reads_reply: ClassVar[bool] = False
    learnt: ClassVar[str] = "weights"
    encoder: Any

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The ease of the request in [0, 1]; raises BadInput before fit."""
        return float(min(1.0, max(0.0, await self.judge(await self.row(request), request))))

    async def row(self, request: Request) -> Rows:
        """The encoder's row (d,) of the prompt; raises BadInput before fit."""
        fitted(self)
        return (await ask(self.encoder, Texts((request.text,))))[0]

    async def judge(self, row: Rows, request: Request) -> float:
        """The ease, from the encoder's row."""
        raise NotImplementedError


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


def ease(gain: float) -> float:
    """The trust that stands for a predicted gain, large less small, in [-1, 1]: (1 - gain) / 2."""
    return 0.5 * (1.0 - float(gain))


class Near(NamedTuple):
    """The nearest rows' places, nearest first, and their cosines."""

    at: NDArray[np.int64]
    cosine: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Nearest:
    """The k nearest of the kept unit rows (n, d); asked with a row (d,), it answers Near."""

    rows: Rows
    k: int
    name: str = "nearest"
    offline: ClassVar[bool] = True

    def answer_many(self, rows: Sequence[Rows]) -> list[Near]:
        """The nearest of each row; a tie goes to the earlier."""
        k, found = min(self.k, len(self.rows)), list[Near]()
        for at in range(0, len(rows), _BLOCK):
            cosines = np.stack(rows[at : at + _BLOCK]) @ self.rows.T
            part = (
                np.argpartition(-cosines, k - 1, axis=1)[:, :k]
                if k < len(self.rows)
                else np.tile(np.arange(k), (len(cosines), 1))
            )
            near = np.take_along_axis(cosines, part, axis=1)
            order = np.lexsort((part, -near))
            part, near = np.take_along_axis(part, order, axis=1), np.take_along_axis(near, order, axis=1)
            found += [Near(p, c) for p, c in zip(part, near, strict=True)]
        return found

    def of(self, row: Rows) -> Ask:
        """Await the nearest rows of this one."""
        return ask(self, row)
