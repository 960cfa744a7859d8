"""Decoders: models that give the scores of every next token, so that several of them can share each token.

A leaf has weights; everything else is a pure function of its parts' scores, hence a decoder again: `a + 0.7 * (b - c)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from ..core import Can, Endpoint, Model, Piece, Reply, Request, Usage
from ..errors import BadInput
from ..prices import Price, cost
from .session import Session
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from .loop import Job, Written
    from .pool import Step
    from .weighted import Weighted


class Decoder(Model):
    """A model that writes token by token, from scores that others may combine."""

    is_leaf = False
    token_by_token = True  # whether its text is drawn from `scores`, one token after another

    @property
    def can(self) -> Can:
        """Logits of every token."""
        return Can.LOGITS

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The decoders that this one is made of; the first is its base."""
        return ()

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every leaf below, each once, the base's first."""
        found: list[Leaf] = []
        for part in self.parts:
            found += [leaf for leaf in part.leaves if leaf not in found]
        return tuple(found)

    @property
    def paid(self) -> tuple[Leaf, ...]:
        """The leaves that work for a reply: those above, and any that only help to write it."""
        return self.leaves

    @property
    def base(self) -> Leaf:
        """The leaf whose prompt and vocabulary the reply is written in."""
        return self.leaves[0]

    @property
    def price(self) -> Price | None:
        """What its parts cost together, each reading and writing all; None where a part's price is unknown."""
        known = [leaf.price for leaf in self.leaves if leaf.price is not None]
        if len(known) < len(self.leaves):
            return None
        return Price(sum(p.input for p in known), sum(p.output for p in known), per_call=sum(p.per_call for p in known))

    @property
    def formula(self) -> str:
        """What is computed at each token, as one would write it."""
        return f"{getattr(self, 'use', type(self).__name__.lower())}({', '.join(p.formula for p in self.parts)})"

    def named(self, name: str) -> Self:
        """The same decoder under a name of its own: what replies, logs and TOML files call it."""
        return replace(self, name=name)  # pyright: ignore[reportArgumentType, reportCallIssue, reportUnknownVariableType]

    def scores(self, step: Step) -> Any:
        """Log-probabilities up to a constant, (batch, count, vocabulary), from the parts' scores: `step.of(part)`."""
        raise NotImplementedError

    @property
    def linear(self) -> tuple[tuple[Decoder, float], ...] | None:
        """The parts and their weights, where the scores are that sum up to a constant and a mask; else None."""
        return None

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """The same scores as a sum: each part with what it adds, up to a constant per place; for `explain`."""
        return [(self, step.of(self))]

    def write(self, jobs: Sequence[Job]) -> Iterator[Written]:
        """Write every job's reply, yielding tokens as they are decided; a job's `stopped` flag is read per token.

        Ways of writing (search, choose, speculate) override it; as a part of another decoder only their `scores` count.
        """
        from .loop import plain

        return plain(self, jobs)

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """The replies, like rows in batches; an element may be the error of that request."""
        from .writing import answer_many

        return answer_many(self, requests)

    async def pieces(self, request: Request) -> AsyncGenerator[Piece]:
        """The reply token by token, written on a worker thread; closing the stream frees the caches."""
        from .writing import streamed

        steps, turn = streamed(self, request), Lock()

        def step() -> Piece | None:
            with turn:
                return next(steps, None)

        def close() -> None:
            with turn:  # a step that is under way when the stream is cancelled ends first
                steps.close()

        try:
            while (piece := await asyncio.to_thread(step)) is not None:
                yield piece
        finally:
            await asyncio.to_thread(close)

    def __add__(self, other: Decoder) -> Weighted:
        return _weighted((self, other), (1.0, 1.0))

    def __sub__(self, other: Decoder) -> Weighted:
        return _weighted((self, other), (1.0, -1.0))

    def __mul__(self, weight: float) -> Weighted:
        if isinstance(weight, Decoder):
            raise BadInput(
                "A decoder is multiplied by a number.", hint="A product of two policies is their sum: a + b."
            )
        return _weighted((self,), (float(weight),))

    __rmul__ = __mul__

    def __neg__(self) -> Weighted:
        return self * -1.0


def _weighted(parts: tuple[Decoder, ...], weights: tuple[float, ...]) -> Weighted:
    from .weighted import weighted

    return weighted(*parts, weights=weights)


class WayOfWriting(Decoder):
    """A decoder that writes what another one scores in a way of its own: `write`. A subclass gives `written_with`."""

    token_by_token = False

    @property
    def written_with(self) -> Decoder:
        """The decoder whose scores these are."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The decoder that it writes with."""
        return (self.written_with,)

    @property
    def linear(self) -> tuple[tuple[Decoder, float], ...]:
        """The decoder that it writes with."""
        return ((self.written_with, 1.0),)

    def scores(self, step: Step) -> Any:
        """Those of the decoder that it writes with."""
        return step.of(self.written_with)

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """Those of the decoder that it writes with."""
        return self.written_with.terms(step)


class Leaf(Decoder, Endpoint):
    """A decoder with weights of its own. A subclass has `name`, and gives a vocabulary and sessions."""

    is_leaf = True
    price: Price | None = None  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
    max_tokens: int = 256

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens."""
        raise NotImplementedError

    @property
    def positions(self) -> int | None:
        """How many tokens it reads at most; None says: no limit is known."""
        return None

    @property
    def at_once(self) -> int:
        """How many rows may share one session."""
        return 32

    @property
    def fingerprint(self) -> int:
        """A number of its weights that goes into the seed of a draw; 0 where none is at hand."""
        return 0

    @property
    def parameters(self) -> int | None:
        """How many numbers its weights are; None where that is not known."""
        return None

    def open(self, batch: int) -> Session:
        """An empty session of `batch` rows."""
        raise NotImplementedError

    def opened(
        self, requests: Sequence[Request], told: Sequence[dict[str, Any]], begun: Sequence[int] | None = None
    ) -> Session:
        """An empty session for these requests; a remote leaf leaves in `told`, one per row, what its calls took.

        `begun` says how many of a row's ids are its prompt: what comes after them was written.
        """
        return self.open(len(requests))

    def prompt(self, request: Request) -> list[int]:
        """The ids that it reads before it writes; BadInput for what it can't read."""
        return self.vocabulary.prompt(request.messages)

    def spent(self, request: Request, pieces: Sequence[Piece]) -> tuple[Usage | None, float | None, float | None]:
        """What it read and wrote, and what that cost, where it was stopped after these pieces."""
        usage = Usage(len(self.prompt(request)), sum(len(p.tokens) for p in pieces))
        return usage, cost(self.price, usage), None

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Itself."""
        return (self,)

    @property
    def formula(self) -> str:
        """Its name."""
        return self.name


class SameWeights(Leaf):
    """A leaf over another's weights, `model`, which it reads requests for in a way of its own: `prompt`."""

    model: Any

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's."""
        return self.model.vocabulary

    @property
    def positions(self) -> int | None:
        """The model's."""
        return self.model.positions

    @property
    def at_once(self) -> int:
        """The model's."""
        return self.model.at_once

    @property
    def fingerprint(self) -> int:
        """The model's."""
        return self.model.fingerprint

    @property
    def parameters(self) -> int | None:
        """The model's."""
        return self.model.parameters

    def open(self, batch: int) -> Session:
        """A session of its own over the model's weights."""
        return self.model.open(batch)
