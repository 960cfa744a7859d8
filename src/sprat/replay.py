"""Answers from recorded calls: offline, free and exact; what is missing is said, never guessed.

The key of a call is (model, canonical request, sample). A recorded call that does not say its sampling options answers
whatever sampling options are asked for; one that says them answers only these.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .core import SAMPLING, Can, Endpoint, Piece, Reply, Request, Usage
from .data import Call, Dataset, Example
from .drivers import batch
from .drivers.concurrent import pieces
from .errors import BadInput, CannotDo, NotRecorded, SpratError
from .shape import leaves, name_of


def _rates(used: list[tuple[int, int, float]]) -> tuple[float, float] | None:
    table = np.array(used, dtype=np.float64).reshape(-1, 3)
    if np.linalg.matrix_rank(table[:, :2]) < 2:
        return None
    found = np.linalg.lstsq(table[:, :2], table[:, 2])[0]
    exact = np.allclose(table[:, :2] @ found, table[:, 2], rtol=1e-6, atol=0) and (found >= 0).all()
    return (float(found[0]), float(found[1])) if exact else None


def _unsampled(request: Request) -> Request:
    return replace(request, options={k: v for k, v in request.options.items() if k not in SAMPLING})


@dataclass(frozen=True)
class Recording:
    """The recorded calls of a dataset, found by model, canonical request and sample."""

    data: Dataset

    @cached_property
    def _calls(self) -> dict[tuple[str, str], Reply]:
        calls: dict[tuple[str, str], Reply] = {}
        for example in self.data:
            for call in example.calls:
                request = example.request.drawn(call.sample, **(call.options or {}))
                said = SAMPLING & request.options.keys()
                calls.setdefault((call.model, request.key if said else "any " + request.key), call.reply)
        return calls

    def index(self) -> int:
        """Index the calls now rather than at the first question; says how many there are."""
        return len(self._calls)

    def reply(self, model: str, request: Request) -> Reply:
        """The recorded reply; raises NotRecorded."""
        found = self._calls.get((model, request.key)) or self._calls.get((model, "any " + _unsampled(request).key))
        if found is None:
            draw = f" (draw {request.sample})" if request.sample else ""
            raise NotRecorded(
                f"No call of '{model}' is recorded for the request '{request.text[:60]}'{draw}.",
                hint="A technique that changes the prompt or draws more samples needs live calls: see `sprat collect`.",
            )
        return found

    @cached_property
    def _rates(self) -> dict[str, tuple[float, float] | None]:
        return {}

    def rates(self, model: str) -> tuple[float, float] | None:
        """Dollars per token read and written, where the model's recorded costs are exactly that; else None."""
        if model not in self._rates:
            replies = [c.reply for e in self.data for c in e.calls if c.model == model]
            used = [(u.input_tokens, u.output_tokens, r.cost) for r in replies if (u := r.usage) is not None]
            self._rates[model] = _rates([(i, o, c) for i, o, c in used if None not in (i, o, c)])  # pyright: ignore[reportArgumentType]
        return self._rates[model]

    def swap(self, endpoint: Any) -> Any:
        """What stands for an endpoint in a replay: its recording; an offline helper stays itself."""
        if hasattr(endpoint, "encode") or getattr(endpoint, "offline", False):
            return endpoint
        return Recorded(name_of(endpoint), self)


@dataclass(frozen=True, repr=False)
class Recorded(Endpoint):
    """A model known only by its recorded calls."""

    name: str
    recording: Recording | None = None
    use = "recorded"
    recorded = True

    @property
    def can(self) -> Can:
        """LOGPROBS where the recording holds them."""
        data = self.recording.data if self.recording else ()
        first = next((r for e in data if (r := e.reply(self.name))), None)
        return Can.LOGPROBS if first is None or first.logprobs is not None else Can.TEXT

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """The recorded replies; what is not recorded comes back as NotRecorded."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Reply | Exception:
        if self.recording is None:
            return NotRecorded(
                f"'{self.name}' is known by name alone.", hint="Give its url, or replay it from a recording."
            )
        try:
            return self.recording.reply(self.name, request)
        except SpratError as error:
            return error

    async def pieces(self, request: Request) -> AsyncGenerator[Piece, None]:
        """The recorded reply token by token; raises CannotDo without token log-probabilities."""
        reply = self._answer(request)
        if isinstance(reply, Exception):
            raise reply
        if reply.logprobs is None:
            raise CannotDo(
                f"'{self.name}' has no recorded token log-probabilities, so its draft can't be watched in a replay.",
                hint="Record with logprobs, or replay a technique that reads whole replies.",
            )
        # Where only the numbers were recorded, the text comes with the last of them.
        tokens = reply.tokens or (*("",) * (len(reply.logprobs) - 1), reply.text or "")
        for token, logprob in zip(tokens, reply.logprobs, strict=True):
            yield Piece(token, (token,), (logprob,))
        yield Piece(reply=reply)

    def spent(self, request: Request, pieces: Sequence[Piece]) -> tuple[Usage | None, float | None, float | None]:
        """What it read and wrote until it was stopped; in full where costs are not so much per token, since more is
        safe. How long that took is not recorded: the seconds are the whole call's."""
        reply = self._answer(request)
        if isinstance(reply, Exception):
            return None, None, None
        rates = self.recording.rates(self.name) if self.recording else None
        usage = reply.usage
        if rates is None or usage is None or usage.input_tokens is None or usage.output_tokens is None:
            return usage, reply.cost, reply.seconds
        wrote = min(usage.output_tokens, sum(len(p.logprobs) for p in pieces))
        usage = Usage(usage.input_tokens, wrote)
        return usage, usage.input_tokens * rates[0] + wrote * rates[1], reply.seconds  # pyright: ignore[reportOptionalOperand]


def replay(model: Any, data: Dataset, *, at_once: bool = False) -> list[Reply]:
    """Answer every row of the dataset from its recorded calls; a row that can't be comes back with `error` set.

    `at_once` counts time and cancelled calls as the concurrent driver would; else every ask is in turn.
    """
    recording = Recording(data)
    return batch(model, [e.request for e in data], recording.swap, at_once)


@dataclass(frozen=True)
class Coverage:
    """How much of a dataset a model can be replayed on; `missing` counts the first live call each other row needs."""

    rows: int
    answered: int
    missing: dict[str, int]


def coverage(model: Any, data: Dataset) -> Coverage:
    """How many rows the recorded calls answer, and which models' calls are missing for the others."""
    replies = replay(model, data)
    missing: dict[str, int] = {}
    for reply in replies:
        if reply.error:
            lacking = next((leaf.model for leaf in reply.leaves() if leaf.error), "") or "?"
            missing[lacking] = missing.get(lacking, 0) + 1
    return Coverage(len(data), sum(r.ok for r in replies), missing)


def record(model: Any, data: Dataset, *, at_once: bool = False) -> tuple[Dataset, list[Reply]]:
    """Run a model live on every row; give the dataset with the calls recorded, and the replies.

    A row's calls are those that asked its own request: what was asked with another prompt, and what was stopped while
    it was written, is not recorded, and a replay says so.
    """
    replies: list[Reply] = []
    examples: list[Example] = []
    for example in data:
        captured: list[Call] = []
        spies = {id(e): _Spy(e, example.request, captured) for e in leaves(model)}
        reply = batch(model, [example.request], lambda e, s=spies: s.get(id(e), e), at_once)[0]
        replies.append(reply)
        examples.append(replace(example, calls=(*example.calls, *captured)))
    return replace(data, examples=tuple(examples)), replies


@dataclass(frozen=True, repr=False)
class _Spy(Endpoint):
    endpoint: Any
    row: Request
    captured: list[Call]

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return name_of(self.endpoint)

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        answers = list(self.endpoint.answer_many(requests))
        for request, answer in zip(requests, answers, strict=True):
            self._keep(request, answer)
        return answers

    async def pieces(self, request: Request) -> AsyncGenerator[Piece, None]:
        async for piece in pieces(self.endpoint, request):
            self._keep(request, piece.reply)
            yield piece

    def _keep(self, request: Request, answer: Any) -> None:
        said = {k: v for k, v in request.options.items() if k in SAMPLING}
        if isinstance(answer, Reply) and request.key == self.row.drawn(request.sample, **said).key:
            self.captured.append(Call(self.name, answer, request.sample, said or None))


def required(data: Dataset, models: Sequence[str]) -> None:
    """Check that there are rows, and calls of at least these models."""
    if not len(data):
        raise BadInput("The calls file holds no rows.", hint="Each line needs at least: prompt, model, reply.")
    data.require(models)
