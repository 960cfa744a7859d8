"""Examples and datasets: a request with its target and the calls recorded for it.

Reading and writing files is in reading.py, other tools' logs in logs/, grading in measure/.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .core import Reply, Request
from .errors import BadInput, nearest

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded call: the model, what it replied, and the draw's number and sampling options."""

    model: str
    reply: Reply
    sample: int = 0
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A request with its target and its recorded calls; `unit` ties rows that are not independent."""

    id: str
    request: Request
    target: str | None = None
    calls: tuple[Call, ...] = ()
    unit: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def reply(self, model: str) -> Reply | None:
        """The model's recorded reply; a draw that says its sampling options is not it."""
        return next((c.reply for c in self.calls if c.model == model and c.sample == 0 and not c.options), None)


@dataclass(frozen=True, repr=False)
class Dataset:
    """Examples with the declared bounds of their scores, and what was understood while reading them."""

    examples: tuple[Example, ...]
    name: str = ""
    bounds: tuple[float, float] = (0.0, 1.0)
    quality: str = "score"
    notes: tuple[str, ...] = ()
    part_of: str = ""

    def __len__(self) -> int:
        return len(self.examples)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self):,} rows, {len(self.models)} models)"

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The models with recorded calls, in order of first appearance."""
        seen: dict[str, None] = {}
        for example in self.examples:
            for call in example.calls:
                seen.setdefault(call.model)
        return tuple(seen)

    @cached_property
    def hash(self) -> str:
        """A sha256 over ids, requests, targets and recorded replies: what a certificate is about.

        Neither the order of rows and calls nor the prices are in it, so that they can't be turned to get another seed.
        A part that says whose part it is (`part_of`) has the whole's.
        """
        if self.part_of:
            return self.part_of
        rows: list[bytes] = []
        for e in self.examples:
            row = [e.id, e.request.key, e.target, e.unit, e.request.group]
            row += [e.request.thread] if e.request.thread else []
            calls = sorted([c.model, c.sample, str(c.options), c.reply.text, c.reply.score] for c in e.calls)
            rows.append(json.dumps([row, calls], ensure_ascii=False, default=str).encode())
        digest = hashlib.sha256()
        for row in sorted(hashlib.sha256(r).digest() for r in rows):
            digest.update(row)
        return digest.hexdigest()

    @property
    def seed(self) -> int:
        """The seed of whatever is drawn on these data: a function of their hash."""
        return int(self.hash[:8], 16)

    @cached_property
    def units(self) -> NDArray[np.int64]:
        """The unit of each row (n,): rows that share one are split, resampled and bounded together.

        Rows are tied by a given unit, by their thread, and by one opening (messages up to the first user turn), so
        that the turns of a conversation and repeats of a prompt are never counted as independent.
        """
        return tied([_ties(e) for e in self.examples])

    def take(self, rows: Iterable[int] | NDArray[Any]) -> Dataset:
        """The dataset of these rows, in this order."""
        return replace(self, examples=tuple(self.examples[int(i)] for i in rows))

    @cached_property
    def unlabelled(self) -> Dataset:
        """The dataset without the rows' groups, as live requests come."""
        return replace(self, examples=tuple(replace(e, request=replace(e.request, group=None)) for e in self.examples))

    def of_models(self, models: Sequence[str]) -> Dataset:
        """The dataset with the calls of these models alone."""
        kept = frozenset(models)
        return replace(
            self, examples=tuple(replace(e, calls=tuple(c for c in e.calls if c.model in kept)) for e in self.examples)
        )

    def require(self, models: Sequence[str]) -> None:
        """Check that these models have recorded calls; raises BadInput that names the nearest."""
        for model in models:
            if model not in self.models:
                raise BadInput(f"The model '{model}' has no recorded calls in {self.name or 'these data'}.",
                               hint=nearest(model, self.models))  # fmt: skip

    def replies(self, model: str) -> list[Reply | None]:
        """The model's first reply for each row."""
        return [e.reply(model) for e in self.examples]

    def scores(self, models: Sequence[str]) -> Floats:
        """Scores (n, m) scaled to [0, 1] by the declared bounds; NaN where none is recorded."""
        low, high = self.bounds
        raw = [[_score(e.reply(m)) for m in models] for e in self.examples]
        return (np.array(raw, dtype=np.float64).reshape(len(self), len(models)) - low) / (high - low)

    def costs(self, models: Sequence[str]) -> Floats:
        """Dollars per call (n, m); NaN where unknown."""
        raw = [[_or_nan(r.cost if r else None) for m in models for r in [e.reply(m)]] for e in self.examples]
        return np.array(raw, dtype=np.float64).reshape(len(self), len(models))

    def seconds(self, models: Sequence[str]) -> Floats:
        """Seconds per call (n, m); NaN where unknown."""
        raw = [[_or_nan(r.seconds if r else None) for m in models for r in [e.reply(m)]] for e in self.examples]
        return np.array(raw, dtype=np.float64).reshape(len(self), len(models))


def _ties(example: Example) -> list[str]:
    """What ties a row to others; the empty thread stands alone, so only the very same messages tie it."""
    request = example.request
    opening = replace(request, thread=None, options={}, sample=0) if request.thread == "" else request.opening
    ties = ["opening " + replace(opening, thread=None, options={}, sample=0).key]
    ties += [f"thread {request.thread}"] if request.thread else []
    return ties + ([f"unit {example.unit}"] if example.unit else [])


def tied(rows: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Numbers (n,) such that rows with a word in common, directly or through others, have the same."""
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, words in enumerate(rows):
        for word in words:
            a, b = root(first.setdefault(word, i)), root(i)
            parent[max(a, b)] = min(a, b)
    _, numbers = np.unique([root(i) for i in range(len(rows))], return_inverse=True)
    return numbers.astype(np.int64)


def _score(reply: Reply | None) -> float:
    return float("nan") if reply is None or reply.score is None else float(reply.score)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


@dataclass(frozen=True)
class Lessons:
    """What a signal or a technique learns from: rows with the scores, costs and replies of several models.

    `models` go from the cheapest to the dearest; `scores` and `costs` are (n, m); `replies[model][row]` may be None.
    A recording (see replay.py) answers what a signal asks again while it learns.
    """

    requests: tuple[Request, ...]
    models: tuple[str, ...]
    scores: Floats
    costs: Floats
    replies: Mapping[str, tuple[Reply | None, ...]]
    seed: int = 0
    recording: Any = None

    @classmethod
    def of(cls, data: Dataset, models: Sequence[str], recording: Any = None, seed: int | None = None) -> Lessons:
        """The lessons in a dataset for these models, cheapest first; the seed is the data's own unless given."""
        data.require(models)
        return cls(
            tuple(e.request for e in data),
            tuple(models),
            data.scores(models),
            data.costs(models),
            {m: tuple(data.replies(m)) for m in models},
            data.seed if seed is None else seed,
            recording,
        )

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def texts(self) -> list[str]:
        """The prompts' text."""
        return [r.text for r in self.requests]

    @property
    def groups(self) -> list[str | None]:
        """The rows' groups."""
        return [r.group for r in self.requests]

    def of_models(self, models: Sequence[str]) -> Lessons:
        """The lessons about these models alone."""
        columns = [self.models.index(m) for m in models]
        return replace(self, models=tuple(models), scores=self.scores[:, columns], costs=self.costs[:, columns])

    def take(self, rows: Sequence[int] | NDArray[Any]) -> Lessons:
        """The lessons of these rows alone."""
        index = [int(i) for i in rows]
        return replace(
            self,
            requests=tuple(self.requests[i] for i in index),
            scores=self.scores[index],
            costs=self.costs[index],
            replies={m: tuple(r[i] for i in index) for m, r in self.replies.items()},
        )
