"""Trust by several signals together: a head learns how far each is to be believed, beside the reply's own features.

Stacked generalisation (Wolpert 1992; with folds as the super learner, van der Laan 2007), as a signal sprat's own. A
signal that learns gives the head what it says of rows that it was not fitted on, so that its optimism is not believed;
then it is fitted on all. `answer_features` gives the head its features, not its opinion. Checked against its laws: what
only remembers gets no weight, two halves of a truth get the truth's weights, and what several parts ask alike is asked
once. benchmarks/study_with_doubt.py has what it is worth.
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
from .answer_features import AnswerFeatures
from .calibrators import logit
from .heads import Head, Kind, fit_head
from .learning import FEWEST, Label, judged, observe, unfitted

Floats = NDArray[np.float64]
FOLDS = 5
EDGE = 0.01  # a trust of 0 or 1 counts as this far from it: agreement of two peers is no certainty


@dataclass(frozen=True, repr=False, eq=False)
class Stacked(Signal):
    """`head` reads the log-odds of each part's trust; of `answer_features` the features, and then the groups."""

    parts: tuple[Any, ...]
    kind: Kind = "logistic"
    label: Label = "score"
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
        each = [p.names if isinstance(p, AnswerFeatures) else (p.use,) for p in self.parts]
        return (*(n for names in each for n in names), *self.groups)

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The predicted label, in [0, 1]; what several parts ask alike is asked once. BadInput before fit."""
        if self.head is None or reply is None:
            raise unfitted(self.use)
        told = await _inputs(self.parts, request, reply)
        row = np.concatenate([*told, [float(request.group == g) for g in self.groups]])
        return float(self.head.predict(row[None])[0])

    def fit(self, lessons: Lessons) -> Stacked:
        """Learn the parts and the head; rows with one opening stay in one fold. BadInput under 20 scored replies."""
        requests, replies, y, at = judged(self.use, lessons, self.label)
        rows = lessons.take(at)
        learners = [i for i, p in enumerate(self.parts) if hasattr(p, "fit") and not isinstance(p, AnswerFeatures)]
        columns: list[list[Floats]] = [[np.zeros(0)] * len(y) for _ in self.parts]

        def learn(which: list[int], parts: tuple[Any, ...], held: list[int]) -> None:
            told = observe([_inputs(parts, requests[i], replies[i]) for i in held], rows)
            for row, inputs in zip(held, told, strict=True):
                for part, values in zip(which, inputs, strict=True):
                    columns[part][row] = values

        if rest := [i for i in range(len(self.parts)) if i not in learners]:
            learn(rest, tuple(self.parts[i] for i in rest), list(range(len(y))))
        if learners:
            units = np.unique([q.affinity for q in requests], return_inverse=True)[1]
            for held in folds(units, FOLDS, lessons.seed):
                others = rows.take(np.setdiff1d(np.arange(len(y)), held).astype(np.int64))
                learn(learners, tuple(self.parts[i].fit(others) for i in learners), held.tolist())
        counts = Counter(q.group for q in requests if q.group is not None)
        reads = any(isinstance(p, AnswerFeatures) for p in self.parts)
        groups = tuple(g for g, n in sorted(counts.items()) if n >= FEWEST) if reads else ()
        of_group = np.array([[q.group == g for g in groups] for q in requests], np.float64).reshape(len(y), len(groups))
        head = fit_head(self.kind, np.hstack([*(np.array(c) for c in columns), of_group]), y, lessons.seed)
        parts = tuple(p.fit(lessons) if i in learners else p for i, p in enumerate(self.parts))
        return replace(self, parts=parts, groups=groups, head=head)


async def _inputs(parts: tuple[Any, ...], request: Request, reply: Reply) -> list[Floats]:
    """What each part tells the head: its features, or the log-odds of its trust alone."""
    once = _Once()
    told: list[Floats] = []
    for part in parts:
        if isinstance(part, AnswerFeatures):
            told.append(await once.through(part.read(request, reply)))
        else:
            told.append(logit([await once.through(part.trust(request, reply))], EDGE))
    return told


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


def stacked(*parts: Signal, kind: Kind = "logistic", label: Label = "score") -> Stacked:
    """Several signals as one, learnt; with `answer_features()` among them it reads the reply too. BadInput for none."""
    if not parts:
        raise BadInput("stacked needs at least one signal.")
    return Stacked(tuple(parts), kind, label)
