"""Trust by several signals together: a head learns how far each is to be believed, beside the reply's own features.

Stacked generalisation (Wolpert 1992; with folds as the super learner, van der Laan 2007), as a signal sprat's own. A
signal that learns gives the head what it says of rows that it was not fitted on, so that its optimism is not believed;
then it is fitted on all. Checked against its laws: what only remembers gets no weight, two halves of a truth get the
truth's weights, and what several parts ask alike is asked once. benchmarks/study_with_doubt.py has what it is worth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Ask, Can, Reply, Request, Signal, Together, together
from ..data import Lessons
from ..errors import BadInput, SpratError
from ..shape import name_of
from ..splits import folds
from .calibrators import logit
from .heads import Head, Kind, fit_head
from .learning import FEWEST, Label, judged, observe, unfitted
from .reply_features import NAMES, features

Floats = NDArray[np.float64]
FOLDS = 5
EDGE = 0.01  # a trust of 0 or 1 counts as this far from it: agreement of two peers is no certainty


@dataclass(frozen=True, repr=False, eq=False)
class Stacked(Signal):
    """`head` reads the log-odds of the trust of each of the `parts`, and the reply's features and group if `reads`."""

    parts: tuple[Any, ...]
    kind: Kind = "logistic"
    label: Label = "score"
    reads: bool = True
    groups: tuple[str, ...] = ()
    head: Head | None = field(default=None, repr=False)
    use = "stacked"

    @property
    def needs(self) -> Can:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the most demanding part needs."""
        return max(p.needs for p in self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        """What each input of the head is, in its order."""
        return (*(p.use for p in self.parts), *((*NAMES, *self.groups) if self.reads else ()))

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The predicted label, in [0, 1]; what several parts ask alike is asked once. BadInput before fit."""
        if self.head is None or reply is None:
            raise unfitted(self.use)
        told = logit(np.array(await _trusts(self.parts, request, reply)), EDGE)
        return float(self.head.predict(np.concatenate([told, self._read(request, reply)])[None])[0])

    def _read(self, request: Request, reply: Reply) -> Floats:
        if not self.reads:
            return np.zeros(0)
        return np.append(features(request, reply), [float(request.group == g) for g in self.groups])

    def fit(self, lessons: Lessons) -> Stacked:
        """Learn the parts and the head; rows with one opening stay in one fold. BadInput under 20 scored replies."""
        requests, replies, y, at = judged(self.use, lessons, self.label)
        rows = lessons.take(at)
        learners = [i for i, p in enumerate(self.parts) if hasattr(p, "fit")]
        fixed = tuple(p for i, p in enumerate(self.parts) if i not in learners)
        trust = np.full((len(y), len(self.parts)), np.nan)
        own = [i for i in range(len(self.parts)) if i not in learners]
        if own:
            told = observe([_trusts(fixed, q, r) for q, r in zip(requests, replies, strict=True)], rows)
            trust[:, own] = np.array(told)
        if learners:
            units = np.unique([q.affinity for q in requests], return_inverse=True)[1]
            for held in folds(units, FOLDS, lessons.seed):
                rest = rows.take(np.setdiff1d(np.arange(len(y)), held).astype(np.int64))
                parts = tuple(self.parts[i].fit(rest) for i in learners)
                told = observe([_trusts(parts, requests[i], replies[i]) for i in held.tolist()], rows)
                trust[held[:, None], np.array(learners)] = np.array(told)
        counts = Counter(q.group for q in requests if q.group is not None)
        groups = tuple(g for g, n in sorted(counts.items()) if n >= FEWEST) if self.reads else ()
        made = replace(self, groups=groups)
        read = np.array([made._read(q, r) for q, r in zip(requests, replies, strict=True)])
        head = fit_head(self.kind, np.hstack([logit(trust, EDGE), read]), y, lessons.seed)
        return replace(made, parts=tuple(p.fit(lessons) if hasattr(p, "fit") else p for p in self.parts), head=head)


async def _trusts(parts: tuple[Any, ...], request: Request, reply: Reply) -> list[float]:
    once = _Once()
    return [await once.through(p.trust(request, reply)) for p in parts]


class _Once:
    """Runs coroutines that ask; a request that a model has answered for one of them is answered so for the next."""

    def __init__(self) -> None:
        self.told: dict[tuple[int, str], Reply] = {}

    async def through(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        send: Any = None
        error: SpratError | None = None
        try:
            while True:
                try:
                    effect = coroutine.throw(error) if error else coroutine.send(send)
                except StopIteration as stop:
                    return stop.value
                send, error = None, None
                try:
                    send = await self._answer(effect)
                except SpratError as caught:
                    error = caught
        finally:
            coroutine.close()

    async def _answer(self, effect: Any) -> Any:
        if isinstance(effect, Ask) and isinstance(effect.request, Request):
            if (key := _key(effect)) not in self.told:
                self.told[key] = await effect
            return self.told[key]
        # Where a predicate may end the asking early, who gets an answer is not fixed.
        if (
            isinstance(effect, Together)
            and effect.until is None
            and all(isinstance(a.request, Request) for a in effect.asks)
        ):
            return await self._together(effect)
        return await effect

    async def _together(self, effect: Together) -> list[Reply]:
        new = [a for a in effect.asks if _key(a) not in self.told]
        if len(new) == len(effect.asks):
            heard = await effect
        else:
            try:
                heard = await together(new) if new else []
            except SpratError as error:  # all the new ones failed, not all that were asked for
                heard = [Reply(None, name_of(a.model), error=str(error)) for a in new]
        self.told.update((_key(a), r) for a, r in zip(new, heard, strict=True))
        return [self.told[_key(a)] for a in effect.asks]


def _key(asked: Ask) -> tuple[int, str]:
    return id(asked.model), asked.request.key


def stacked(*parts: Signal, kind: Kind = "logistic", label: Label = "score", reads: bool = True) -> Stacked:
    """Several signals as one, learnt; `reads`: the reply's own features beside them. BadInput for no signal."""
    if not parts:
        raise BadInput("stacked needs at least one signal.")
    return Stacked(tuple(parts), kind, label, reads)
