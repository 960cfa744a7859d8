"""Where drafts come from: another decoder, the text itself, or a text that is expected (arXiv 2304.04487).

Prompt lookup continues the longest n-gram that was seen before, as transformers does (n-grams of up to 2 tokens, 10
tokens drafted), but at its latest occurrence rather than its first. Checked by hand in tests/decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..errors import BadInput
from ..whitebox.decoder import Decoder
from ..whitebox.pool import Pool
from ..whitebox.sampling import Sampling, adjusted, draw, probabilities
from .acceptance import Uniforms, padded


@dataclass(eq=False)
class Text:
    """The reply in the making, as drafters see it: the prompt's ids, what is written, and how it is sampled."""

    read: list[int]
    written: list[int]
    sampling: Sampling
    uniforms: Uniforms
    ends: frozenset[int]
    size: int


class Drafter(Protocol):
    """A draft at work on one reply."""

    def propose(self, k: int) -> tuple[list[int], list[Any] | None]:
        """Up to k tokens to come, with the chances (vocabulary,) that each was drawn from; None: not drawn at all."""
        ...

    def learn(self, ids: Sequence[int]) -> None:
        """What was written since the last call: the tokens that stood, and the target's own."""
        ...

    def close(self) -> None:
        """Free the caches."""
        ...


class Draft(Protocol):
    """A recipe for drafters; `first` is the length that is tried first, `longest` the longest that may pay."""

    @property
    def first(self) -> int:
        """Tokens of the first drafts."""
        ...

    @property
    def longest(self) -> int:
        """Tokens of the longest draft."""
        ...

    @property
    def formula(self) -> str:
        """As one would write it."""
        ...

    def begin(self, text: Text) -> Drafter:
        """A drafter for a reply that is about to begin."""
        ...


class Guesses:
    """Drafts of a decoder with the target's vocabulary, drawn as the target draws.

    In the target's own pool a leaf that both have is fed once; a pool apart serves a decoder of another width.
    """

    def __init__(self, draft: Decoder, text: Text, pool: Pool, apart: bool) -> None:
        self.draft, self.text, self.pool, self.apart = draft, text, pool, apart
        self.room = room(pool, draft)
        self.ahead = 0
        known = tuple((i, bias) for i, bias in text.sampling.logit_bias if i < pool.size)
        self.sampling = replace(text.sampling, logit_bias=known) if apart else text.sampling

    def propose(self, k: int) -> tuple[list[int], list[Any] | None]:
        """Up to k tokens; drafting ends with an end token, and where the draft can read no more."""
        pool, text, sampling = self.pool, self.text, self.sampling
        ids: list[int] = []
        chances: list[Any] = []
        for _ in range(min(k, self.room - len(pool.written))):
            scores = pool.scores(self.draft)[:, 0]
            if sampling.looks_back or sampling.logit_bias:
                scores = adjusted(scores, sampling, [text.read], [[*text.written, *ids]])
            if sampling.greedy:
                token = int(scores[..., : text.size].argmax(-1)[0])
            else:
                drawn = padded(probabilities(scores, sampling)[0], text.size)
                chances.append(drawn)
                token = int(draw(drawn[None], text.uniforms.use(1))[0])
            ids.append(token)
            pool.write(np.array([[token]]))
            if token in text.ends:
                break
        self.ahead = len(ids)
        return ids, chances or None

    def learn(self, ids: Sequence[int]) -> None:
        """A pool apart is brought to what was written; a shared one is the target's to keep."""
        if self.apart and max(ids) >= self.pool.size:
            self.room = 0  # a token that the draft does not have: it can't read on
        if self.apart and self.room:
            self.pool.rollback(max(0, self.ahead - (len(ids) - 1)))
            self.pool.write(np.array([ids[min(self.ahead, len(ids) - 1) :]]))
            self.pool.settle()
        self.ahead = 0

    def close(self) -> None:
        """Free the pool apart."""
        if self.apart:
            self.pool.close()


def room(pool: Pool, decoder: Decoder) -> int:
    """How many tokens the decoder's own leaves allow to be written after the prompt."""
    limits = [
        leaf.positions - len(pool.prompt_of(leaf)[0]) + 1 for leaf in decoder.leaves if leaf.positions is not None
    ]
    return min(limits, default=2**62)


@dataclass(frozen=True)
class Lookup:
    """What followed the longest n-gram at the end of prompt and reply, where that was seen before."""

    largest: int = 2
    tokens: int = 10
    use = "lookup"

    def __post_init__(self) -> None:
        if self.largest < 1 or self.tokens < 1:
            raise BadInput(f"largest is {self.largest} and tokens {self.tokens}.", hint="Needed: both >= 1.")

    @property
    def first(self) -> int:
        """As many as may be drafted."""
        return self.tokens

    @property
    def longest(self) -> int:
        """As many as may be drafted."""
        return self.tokens

    @property
    def formula(self) -> str:
        """lookup()."""
        return "lookup()"

    def begin(self, text: Text) -> Drafter:
        """An index over the prompt."""
        return _Looking(self, text.read)


class _Looking:
    def __init__(self, lookup: Lookup, read: Sequence[int]) -> None:
        self.largest = lookup.largest
        self.ids: list[int] = []
        self.after: dict[tuple[int, ...], int] = {}  # an n-gram's latest occurrence that something follows: where
        self.learn(read)

    def propose(self, k: int) -> tuple[list[int], list[Any] | None]:
        ids = self.ids
        for n in range(min(self.largest, len(ids)), 0, -1):
            at = self.after.get(tuple(ids[-n:]))
            if at is not None:
                found = ids[at : at + k]
                while len(found) < k:  # the match runs into the end of the text: it repeats itself
                    found += found[: k - len(found)]
                return found, None
        return [], None

    def learn(self, ids: Sequence[int]) -> None:
        for token in ids:
            end = len(self.ids)
            for n in range(1, min(self.largest, end) + 1):
                self.after[tuple(self.ids[end - n :])] = end
            self.ids.append(token)

    def close(self) -> None:
        pass


def lookup(largest: int = 2, tokens: int = 10) -> Lookup:
    """Prompt lookup: drafts that copy what followed the longest n-gram (at most `largest` tokens) seen before.

    It costs no model. Where replies repeat their prompt (summaries, edits, code) it pays. BadInput for numbers below 1.
    """
    return Lookup(largest, tokens)


@dataclass(frozen=True)
class Copied:
    """A text that the reply is expected to be, as the target's ids, such as the answer that a corrector reads.

    Drafts copy it from where the reply is. After a divergence it goes on behind the nearest place, from there on, that
    holds what was written last: one token that is left out, or `anchor` tokens after anything else.
    """

    ids: tuple[int, ...]
    anchor: int = 3
    reach: int = 8

    @property
    def first(self) -> int:
        """All of it, in blocks of at most 64."""
        return min(64, max(1, len(self.ids)))

    @property
    def longest(self) -> int:
        """As `first`."""
        return self.first

    @property
    def formula(self) -> str:
        """copied()."""
        return "copied()"

    def begin(self, text: Text) -> Drafter:
        """Starts with the copy's first token."""
        return _Copying(self)


class _Copying:
    def __init__(self, copied: Copied) -> None:
        self.copied, self.ids = copied, list(copied.ids)
        self.at: int | None = 0  # what comes next, None while the reply goes its own way
        self.left = 0  # where it was left
        self.last: list[int] = []

    def propose(self, k: int) -> tuple[list[int], list[Any] | None]:
        return ([] if self.at is None else self.ids[self.at : self.at + k]), None

    def learn(self, ids: Sequence[int]) -> None:
        for token in ids:
            self.last = [*self.last, token][-self.copied.anchor :]
            if self.at is not None and self.at < len(self.ids) and self.ids[self.at] == token:
                self.at += 1
                continue
            if self.at is not None:
                self.left, self.at = self.at, None
                near = self.ids[self.left + 1 : self.left + 1 + self.copied.reach]
                if token in near:
                    self.at = self.left + 2 + near.index(token)
                    continue
            self.at = self._found()

    def _found(self) -> int | None:
        """Behind the place nearest to where the copy was left that holds what was written last."""
        n = len(self.last)
        if n < self.copied.anchor:
            return None
        ends = range(max(n, self.left - self.copied.reach), len(self.ids) + 1)
        found = [end for end in ends if self.ids[end - n : end] == self.last]
        return min(found, key=lambda end: abs(end - self.left), default=None)

    def close(self) -> None:
        pass
