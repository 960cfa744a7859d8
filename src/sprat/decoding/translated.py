"""Drafts of a decoder with another vocabulary: its text, written in the target's tokens.

The draft's ids are kept in step with the reply's text; what it writes ahead is encoded by the target's tokenizer, and
only tokens that more text can't change are proposed (the last is held back). They are proposals without chances, so
the target draws its own tokens and compares: exact, also when sampling, whatever the tokenizers do. Checked by tests
in tests/decoding/test_speculate_drafts.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import SpratError
from ..whitebox.decoder import Decoder
from ..whitebox.pool import Pool
from ..whitebox.sampling import Sampling, choose
from ..whitebox.vocabulary import Vocabulary
from .acceptance import Uniforms
from .drafts import Text, room

BROKEN = "\ufffd"
SEEN = 8  # written tokens before the draft that the target's tokenizer sees, so that seams are as in running text


class Translated:
    """A decoder with another vocabulary at work on one reply; it is greedy or draws as the reply does."""

    def __init__(self, draft: Decoder, target: Vocabulary, text: Text, pool: Pool, draws: np.random.Generator) -> None:
        self.draft, self.text, self.pool = draft, text, pool
        self.mine, self.theirs = draft.base.vocabulary, target
        self.uniforms = Uniforms(draws)
        # Penalties and biases name the target's ids.
        self.sampling = Sampling(*(getattr(text.sampling, name) for name in ("temperature", "top_k", "top_p", "min_p")))
        self.ids: list[int] = []  # the draft's own ids of the reply's text
        self.reply: list[int] = []
        self.said = ""
        self.room = room(pool, draft)

    def propose(self, k: int) -> tuple[list[int], list[Any] | None]:
        """Up to k of the target's tokens that the draft's next text makes."""
        try:
            if not self._in_step():
                return [], None
            ahead, ended = self._write(k + 1)
        except SpratError:  # text that one of the two can't write
            return [], None
        return self._as_target(ahead, ended)[:k], None

    def learn(self, ids: Sequence[int]) -> None:
        """The reply's text grows."""
        self.reply += ids
        said = self.theirs.decode(self.reply)
        self.said = said.rstrip(BROKEN)

    def close(self) -> None:
        """Free the draft's pool."""
        self.pool.close()

    def _in_step(self) -> bool:
        """Bring the draft's ids to the reply's text: what fits stays, the rest is encoded; False where it can't be."""
        kept = len(self.ids)
        while kept and not self.said.startswith(self.mine.decode(self.ids[:kept])):
            kept -= 1
        rest = self.said[len(self.mine.decode(self.ids[:kept])) :]
        new = [*self.ids[:kept], *(self.mine.encode(rest) if rest else ())]
        if self.mine.decode(new) != self.said:
            new = self.mine.encode(self.said)
            if self.mine.decode(new) != self.said:
                return False
        same = next((i for i, (a, b) in enumerate(zip(new, self.ids, strict=False)) if a != b), min(len(new), kept))
        self.pool.rollback(len(self.pool.written) - min(same, len(self.pool.written)))
        if len(new) > same:
            self.pool.write(np.array([new[same:]]))
        self.pool.settle()
        self.ids = new
        return True

    def _write(self, k: int) -> tuple[str, bool]:
        """The text of up to k tokens more, and whether the draft has ended."""
        before, ends, ended = self.mine.decode(self.ids), self.mine.ends, False
        for _ in range(min(k, self.room - len(self.pool.written))):
            scores = self.pool.scores(self.draft)[:, 0]
            uniforms = None if self.sampling.greedy else self.uniforms.use(1)
            token = int(choose(scores, self.sampling, uniforms)[0])
            if ended := token in ends:
                break
            self.ids.append(token)
            self.pool.write(np.array([[token]]))
        return self.mine.decode(self.ids)[len(before) :].rstrip(BROKEN), ended

    def _as_target(self, ahead: str, ended: bool) -> list[int]:
        """The target's ids of text to come, without the last one unless the draft has ended."""
        seen = self.theirs.decode(self.reply[-SEEN:])
        start = self.theirs.encode(seen) if seen else []
        ids = self.theirs.encode(seen + ahead) if seen + ahead else []
        if ids[: len(start)] != start:  # a token would reach over the seam
            start, ids = [], self.theirs.encode(ahead)
        ids = ids[len(start) :]
        return [*ids, min(self.text.ends)] if ended and self.text.ends else ids[:-1]
