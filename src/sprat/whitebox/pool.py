"""The sessions of several decoders over the same written tokens: each leaf is fed once, and only when it is looked at.

Tokens count from the end of the prompts, which may differ from leaf to leaf: place 0 is the first written token, and
the logits *for* place j come after the prompt and j written tokens. All rows of a pool have written equally many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Request
from ..errors import BadInput
from .arrays import as_floats, host, is_torch, join, like
from .session import Integers, Session
from .vocabulary import common_size

if TYPE_CHECKING:
    from .decoder import Decoder, Leaf


class Pool:
    """What decoders share while they write: the tokens so far, and one session per leaf.

    `size` is how many ids all leaves share; `room` (batch,) how many tokens each row may still write after its prompt.
    `told` are the rows' jobs' own (Job.told). Raises CannotDo for unequal vocabularies, BadInput for a prompt that a
    leaf can't read.
    """

    def __init__(
        self, decoders: Sequence[Decoder], requests: Sequence[Request], told: Sequence[dict[str, Any]] | None = None
    ) -> None:
        self.requests = list(requests)
        self.told = list(told) if told is not None else [{} for _ in requests]
        self.leaves: list[Leaf] = []
        for decoder in decoders:
            for leaf in decoder.leaves:
                if leaf not in self.leaves:
                    self.leaves.append(leaf)
        self.size = common_size(self.leaves)
        self.prompts = [[leaf.prompt(request) for request in requests] for leaf in self.leaves]
        self.written: list[Integers] = []
        self.settled = 0  # the first place whose logits may still be asked for
        self.tracks = [Track(self, leaf, prompts) for leaf, prompts in zip(self.leaves, self.prompts, strict=True)]
        self.home: Any = None

    @property
    def fed(self) -> dict[str, int]:
        """Tokens that each leaf that was asked had to write, the one that follows its prompt too."""
        return {track.leaf.name: track.fed + 1 for track in self.tracks if track.session is not None}

    @property
    def room(self) -> Integers:
        """How many tokens each row may write in all, (batch,): the last one need not be read again."""
        limits = np.full(len(self.prompts[0]), np.iinfo(np.int64).max)
        for leaf, prompts in zip(self.leaves, self.prompts, strict=True):
            if leaf.positions is not None:
                limits = np.minimum(limits, [leaf.positions - len(prompt) + 1 for prompt in prompts])
        return limits

    def prompt_of(self, leaf: Leaf) -> list[list[int]]:
        """The ids of the prompts as this leaf reads them."""
        return self.prompts[self.leaves.index(leaf)]

    def write(self, ids: Integers) -> None:
        """Write ids (batch, n); nothing is fed until somebody looks."""
        self.written.extend(ids.T.astype(np.int64))

    def settle(self) -> None:
        """What is written stays: logits for earlier places may be forgotten."""
        self.settled = len(self.written)

    def rollback(self, n: int) -> None:
        """Take back the last n written tokens of every row."""
        if not 0 <= n <= len(self.written):
            raise BadInput(f"Cannot take back {n} tokens of {len(self.written)}.")
        if n:
            del self.written[-n:]
            self.settled = min(self.settled, len(self.written))
            for track in self.tracks:
                track.shorten(len(self.written))

    def select(self, rows: Integers) -> None:
        """Keep these rows, in this order; a row may be named more than once."""
        self.written = [column[rows] for column in self.written]
        self.prompts = [[prompts[row] for row in rows.tolist()] for prompts in self.prompts]
        self.requests, self.told = ([of[row] for row in rows.tolist()] for of in (self.requests, self.told))
        for track, prompts in zip(self.tracks, self.prompts, strict=True):
            track.select(rows, prompts)

    def scores(self, decoder: Decoder, count: int = 1) -> Any:
        """A decoder's log-scores for the last `count` places, the next token's included: (batch, count, size).

        They are log-probabilities up to a constant per place.
        """
        return self.look(count).of(decoder)

    def look(self, count: int = 1) -> Step:
        """The parts' logits at the last `count` places."""
        return Step(self, count)

    def track(self, leaf: Leaf) -> Track:
        """The session of a leaf; equal leaves share one."""
        return self.tracks[self.leaves.index(leaf)]

    def at_home(self, x: Any) -> Any:
        """The array where the first one was: parts may differ in library and device, not what is computed with them."""
        if self.home is None:
            self.home = x[:0]
        if is_torch(self.home):
            return x.to(self.home.device) if is_torch(x) else like(x, self.home)
        return host(x)

    def close(self) -> None:
        """Free every cache."""
        for track in self.tracks:
            track.close()


class Step:
    """What a combination sees: the log-scores of its parts at some places, each computed once.

    `places` (count,) are the places of the columns: how many tokens were written before each.
    """

    def __init__(self, pool: Pool, count: int) -> None:
        last = len(pool.written)
        self.pool, self.places = pool, np.arange(last - count + 1, last + 1)
        self.seen: dict[int, tuple[Decoder, Any]] = {}

    def of(self, part: Decoder) -> Any:
        """The part's log-scores, (batch, count, size)."""
        if id(part) not in self.seen:
            # The part is held beside its scores, so that its id can't be used again.
            self.seen[id(part)] = (part, self._leaf(part) if part.is_leaf else part.scores(self))  # pyright: ignore[reportArgumentType]
        return self.seen[id(part)][1]

    def _leaf(self, leaf: Leaf) -> Any:
        logits = self.pool.track(leaf).logits(int(self.places[0]), int(self.places[-1]))
        if logits.shape[-1] < self.pool.size:
            raise BadInput(
                f"'{leaf.name}' gives {logits.shape[-1]} logits, its vocabulary has {self.pool.size} tokens.",
                hint="Model and tokenizer do not belong together.",
            )
        return self.pool.at_home(as_floats(logits[..., : self.pool.size]))


class Track:
    """One leaf's session, and its logits for the places that may still be asked for."""

    def __init__(self, pool: Pool, leaf: Leaf, prompts: list[list[int]]) -> None:
        self.pool, self.leaf, self.prompts = pool, leaf, prompts
        for prompt in prompts:
            if leaf.positions is not None and len(prompt) > leaf.positions:
                raise BadInput(
                    f"A prompt has {len(prompt)} tokens; {leaf.name} reads at most {leaf.positions}.",
                    hint="Shorten it.",
                )
        self.session: Session | None = None
        self.fed = 0  # written tokens that the session has read
        self.blocks: list[tuple[int, Any]] = []  # (first place, logits), one after another

    def logits(self, first: int, last: int) -> Any:
        """Logits for the places first..last, (batch, last - first + 1, the model's width); feeds what is missing."""
        if self.session is None:
            begun = [len(prompt) for prompt in self.prompts]
            self.session = self.leaf.opened(self.pool.requests, self.pool.told, begun)
            # What is written already is read with the prompts, in one pass.
            texts = [[*prompt, *new] for prompt, new in zip(self.prompts, self._written(last), strict=True)]
            counts = np.array([len(text) for text in texts])
            ids = np.zeros((len(counts), int(counts.max())), np.int64)
            for row, text in zip(ids, texts, strict=True):
                row[ids.shape[1] - len(text) :] = text
            even = bool((counts == counts[0]).all())
            start = min(first, self.pool.settled)
            self.blocks = [(start, self.session.feed(ids, None if even else counts, keep=last - start + 1))]
            self.fed = last
        self.blocks = [(at, block) for at, block in self.blocks if at + block.shape[1] > self.pool.settled]
        if last > self.fed:
            new = self.pool.written[self.fed : last]
            missing = new[0][:, None] if len(new) == 1 else np.stack(new, axis=1)
            # Places before the first that may be asked for are read, but their logits are not wanted.
            start = max(self.fed + 1, min(first, self.pool.settled))
            self.blocks.append((start, self.session.feed(missing, keep=last - start + 1)))
            self.fed = last
        parts = [
            block[:, max(0, first - at) : last + 1 - at]
            for at, block in self.blocks
            if at <= last and at + block.shape[1] > first
        ]
        return join(parts)

    def _written(self, last: int) -> list[list[int]]:
        """The first `last` written tokens of every row."""
        return np.stack(self.pool.written[:last], axis=1).tolist() if last else [[] for _ in self.prompts]

    def shorten(self, written: int) -> None:
        """Forget what was read past the first `written` tokens."""
        if self.fed > written and self.session is not None:
            self.session.rollback(self.fed - written)
            self.fed = written
            self.blocks = [(at, block[:, : written + 1 - at]) for at, block in self.blocks if at <= written]

    def select(self, rows: Integers, prompts: list[list[int]]) -> None:
        """Keep these rows."""
        self.prompts = prompts
        if self.session is not None:
            self.session.select(rows)
            self.blocks = [(at, block[rows if not is_torch(block) else like(rows, block)]) for at, block in self.blocks]

    def close(self) -> None:
        """Free the session."""
        if self.session is not None:
            self.session.close()
            self.session = None
