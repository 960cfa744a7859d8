"""A leaf that remembers the logits after every text it has read: for tests that read the same few texts many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core import Request
from ..errors import CannotDo
from ..whitebox.arrays import join
from ..whitebox.decoder import Leaf
from ..whitebox.session import Integers, Session
from ..whitebox.vocabulary import Vocabulary


@dataclass(frozen=True, repr=False)
class Remembered(Leaf):
    """The leaf, one row at a time; a text that was read before costs a look-up."""

    leaf: Leaf
    known: dict[tuple[int, ...], Any] = field(default_factory=dict[tuple[int, ...], Any], compare=False)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The leaf's."""
        return self.leaf.name

    @property
    def vocabulary(self) -> Vocabulary:
        """The leaf's."""
        return self.leaf.vocabulary

    @property
    def positions(self) -> int | None:
        """The leaf's."""
        return self.leaf.positions

    @property
    def fingerprint(self) -> int:
        """The leaf's."""
        return self.leaf.fingerprint

    @property
    def parameters(self) -> int | None:
        """The leaf's."""
        return self.leaf.parameters

    def prompt(self, request: Request) -> list[int]:
        """The leaf's."""
        return self.leaf.prompt(request)

    def open(self, batch: int) -> Session:
        """A session of one row."""
        if batch != 1:
            raise CannotDo("A remembered model reads one row at a time.")
        return _Row(self)

    def after(self, read: tuple[int, ...], n: int) -> list[Any]:
        """The logits after each of the last n tokens, (1, 1, vocabulary) each."""
        ends = range(len(read) - n + 1, len(read) + 1)
        if not all(read[:end] in self.known for end in ends):
            session = self.leaf.open(1)
            logits = session.feed(np.array([read]), keep=n)
            for i, end in enumerate(ends):
                self.known.setdefault(read[:end], logits[:, i : i + 1])
            session.close()
        return [self.known[read[:end]] for end in ends]


class _Row:
    def __init__(self, leaf: Remembered) -> None:
        self.leaf = leaf
        self.read: tuple[int, ...] = ()

    @property
    def lengths(self) -> Integers:
        return np.array([len(self.read)])

    def feed(self, ids: Integers, counts: Integers | None = None, keep: int | None = None) -> Any:
        new = ids[0].tolist() if counts is None else ids[0, -int(counts[0]) :].tolist()
        self.read = (*self.read, *new)
        return join(self.leaf.after(self.read, len(new) if keep is None else keep))

    def rollback(self, n: Integers | int) -> None:
        self.read = self.read[: len(self.read) - int(np.max(n))]

    def select(self, rows: Integers | Sequence[int]) -> None:
        if list(rows) != [0]:
            raise CannotDo("A remembered model reads one row at a time.")

    def close(self) -> None:
        pass


def remembered(leaf: Leaf, memory: dict[Leaf, Leaf]) -> Leaf:
    """The leaf's double in this memory, so that equal leaves share one."""
    return memory.setdefault(leaf, Remembered(leaf))
