"""What signals that learn share: the rows they judge, their labels, and the asks they make while learning."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core import Can, Endpoint, Reply, Request
from ..data import Lessons
from ..drivers import drive_many
from ..errors import BadInput
from ..shape import name_of

Floats = NDArray[np.float64]
Label = Literal["score", "no worse", "gain"]
FEWEST = 20


def labels(lessons: Lessons, label: Label) -> Floats:
    """How good the first model's reply was, in [0, 1], (n,); NaN where a score is missing.

    "score" is its own score; "no worse" is 1 where it reaches the last model's; "gain" is (1 + its score - the last
    model's) / 2, so that one half breaks even.
    """
    small, large = lessons.scores[:, 0], lessons.scores[:, -1]
    if label == "score":
        return small
    if label == "no worse":
        return np.where(np.isnan(small + large), np.nan, (small >= large).astype(np.float64))
    if label == "gain":
        return (1 + small - large) / 2
    raise BadInput(f"There is no label '{label}'.", hint="Choose score, no worse or gain.")


def judged(use: str, lessons: Lessons, label: Label) -> tuple[list[Request], list[Reply], Floats, NDArray[np.int64]]:
    """The requests, the first model's replies, their labels, and these rows' places; raises BadInput under 20."""
    y = labels(lessons, label)
    replies = lessons.replies[lessons.models[0]]
    rows = [i for i, r in enumerate(replies) if r is not None and r.ok and np.isfinite(y[i])]
    if len(rows) < FEWEST:
        raise BadInput(
            f"{use} learns from replies with scores: {len(rows)} rows have both, {FEWEST} are needed.",
            hint="Add rows, or grade the replies first.",
        )
    kept = [r for i in rows if (r := replies[i]) is not None]
    return [lessons.requests[i] for i in rows], kept, y[rows], np.array(rows)


def unfitted(use: str) -> BadInput:
    """What a signal says that has not learned yet."""
    return BadInput(f"{use} has not learned yet.", hint=f"Use {use}(...).fit(lessons), or let `sprat study` fit it.")


def observe(coroutines: Sequence[Coroutine[Any, Any, Any]], lessons: Lessons) -> list[Any]:
    """The values of coroutines that ask while a signal learns, stepped together.

    With a recording, asks are answered from it alone; without, from the lessons' own replies, and what these do not
    hold is asked live.
    """
    if lessons.recording is not None:
        return drive_many(coroutines, lessons.recording.swap)
    told = {
        name: {q.key: r for q, r in zip(lessons.requests, replies, strict=True) if r is not None}
        for name, replies in lessons.replies.items()
    }

    def swap(endpoint: Any) -> Any:
        known = told.get(name_of(endpoint))
        return endpoint if known is None or hasattr(endpoint, "encode") else _Told(endpoint, known)

    return drive_many(coroutines, swap)


@dataclass(frozen=True, repr=False, eq=False)
class _Told(Endpoint):
    """An endpoint of which some replies are known already."""

    endpoint: Any
    known: dict[str, Reply]
    use = "told"

    @property
    def can(self) -> Can:
        return self.endpoint.can

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return name_of(self.endpoint)

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        live = [r for r in requests if r.key not in self.known]
        asked = iter(self.endpoint.answer_many(live) if live else ())
        return [self.known[r.key] if r.key in self.known else next(asked) for r in requests]
