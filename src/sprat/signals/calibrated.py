"""Turn a signal's trust into a probability that the reply is right, by a calibration map learnt on other rows.

Platt, temperature (arXiv 1706.04599), beta, isotonic, or reconfidencing by groups (arXiv 2402.04957) on the features of
reply_features.py. Checked against its law: the trust is the map of the inner trust, in a cascade as in `watchful`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ..core import Can, Piece, Reply, Request, Signal
from ..data import Floats, Lessons
from ..errors import BadInput, CannotDo, nearest
from .calibrators import CALIBRATORS
from .embedded import trusts_of
from .learning import Label, judged, observe, unfitted
from .reconfidence import Reconfidence
from .reply_features import NAMES, features
from .running import Running, Runs

By = Literal["platt", "temperature", "beta", "isotonic", "reconfidence"]


@dataclass(frozen=True, repr=False, eq=False)
class Calibrated(Signal):
    """`map` turns the trust of `signal` into the chance that the reply is good, by the `label` that it learnt."""

    signal: Any
    by: By = "isotonic"
    label: Label = "score"
    map: Any = field(default=None, repr=False)
    use = "calibrated"

    @property
    def needs(self) -> Can:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the inner signal needs."""
        return self.signal.needs

    @property
    def reads_reply(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the inner signal does."""
        return self.signal.reads_reply

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The probability, in [0, 1]; what the inner signal asks is paid for. Raises BadInput before fit."""
        if self.map is None:
            raise unfitted(self.use)
        return float(self._mapped(np.array([await self.signal.trust(request, reply)]), (request,), (reply,))[0])

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """The probabilities (n,), in one go where the inner signal can; raises BadInput before fit."""
        if self.map is None:
            raise unfitted(self.use)
        told = replies or [None] * len(requests)
        return self._mapped(await trusts_of(self.signal, requests, told), requests, told)

    def _mapped(self, trust: Floats, requests: Sequence[Request], replies: Sequence[Reply | None]) -> Floats:
        if self.by == "reconfidence":
            return self.map.predict(trust, _seen(requests, replies, self.signal.reads_reply))
        return self.map.predict(trust)

    def running(self, request: Request) -> Running:
        """The inner running form through the map; CannotDo where there is none, or the map reads the reply too."""
        if self.map is None:
            raise unfitted(self.use)
        if self.by == "reconfidence" or not isinstance(self.signal, Runs):
            raise CannotDo(f"{self!r} reads whole replies alone.", hint="Use it in a cascade.")
        return _Mapped(self.signal.running(request), self.map)

    def fit(self, lessons: Lessons) -> Calibrated:
        """Learn the map; where the inner signal learns too, it does so on one half of the rows, the map on the other.

        Raises BadInput under 20 rows that have a reply and a score.
        """
        inner, rest = self.signal, lessons
        if hasattr(inner, "fit"):
            first, second = _halves(lessons)
            inner, rest = inner.fit(lessons.take(first)), lessons.take(second)
        requests, replies, y, _ = judged(self.use, rest, self.label)
        trust = np.array(observe([inner.trust(q, r) for q, r in zip(requests, replies, strict=True)], rest))
        return replace(self, signal=inner, map=fit_map(self.by, trust, y, requests, replies, inner.reads_reply))


def fit_map(
    by: str, trust: Floats, y: Floats, requests: Sequence[Request], replies: Sequence[Reply | None], reads: bool = True
) -> Any:
    """The map of this kind from trusts to outcomes (n,); `reads` says whether it may look at replies too."""
    if by == "reconfidence":
        return Reconfidence().fit(trust, y, _seen(requests, replies, reads), NAMES)
    if by not in CALIBRATORS:
        raise BadInput(f"There is no calibration '{by}'.", hint=nearest(by, [*CALIBRATORS, "reconfidence"]))
    return CALIBRATORS[by]().fit(trust, y)


def _seen(requests: Sequence[Request], replies: Sequence[Reply | None], reads: bool) -> Floats:
    """The features (n, len(NAMES)): of the prompt alone where the signal judges before there is a reply."""
    silent = Reply("")
    told = [r if reads and r is not None else silent for r in replies]
    return np.array([features(q, r) for q, r in zip(requests, told, strict=True)]).reshape(len(requests), len(NAMES))


def _halves(lessons: Lessons) -> tuple[list[int], list[int]]:
    """Two halves of the rows; those of one thread or opening stay together."""
    threads = [q.affinity for q in lessons.requests]
    order = np.random.default_rng([lessons.seed, 11]).permutation(sorted(set(threads))).tolist()
    first = set(order[: (len(order) + 1) // 2])
    inside = [i for i, t in enumerate(threads) if t in first]
    return inside, [i for i, t in enumerate(threads) if t not in first]


class _Mapped:
    """A running trust through a map that only rises or only falls."""

    def __init__(self, inner: Running, map: Any) -> None:
        self.inner, self.map, self.beside = inner, map, inner.beside

    def wants(self) -> int:
        return self.inner.wants()

    def take(self, which: int, piece: Piece | None) -> None:
        self.inner.take(which, piece)

    def within(self) -> tuple[float, float]:
        low, high = sorted(self.map.predict(np.array(self.inner.within())).tolist())
        return low, high


def calibrated(signal: Signal, by: By = "isotonic", label: Label = "score") -> Calibrated:
    """A signal whose trust is a probability once fitted; `by` is platt, temperature, beta, isotonic or reconfidence."""
    if by not in (*CALIBRATORS, "reconfidence"):
        raise BadInput(f"There is no calibration '{by}'.", hint=nearest(by, [*CALIBRATORS, "reconfidence"]))
    return Calibrated(signal, by, label)
