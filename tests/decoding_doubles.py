"""Leaves whose logits are given, over a handful of tokens: what a decoder computes from them is done by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sprat.core import Request, content_text
from sprat.errors import BadInput
from sprat.whitebox.decoder import Decoder, Leaf
from sprat.whitebox.pool import Pool
from sprat.whitebox.session import Integers, Session
from sprat.whitebox.vocabulary import Vocabulary

PAD = 99.0


@dataclass(frozen=True)
class Letters:
    """One token per letter; a prompt is every message's text, one after another."""

    tokens: tuple[str, ...] = ("a", "b", "c", "d")
    ends: frozenset[int] = frozenset()

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        return [i for message in messages for i in self.encode(content_text(message.get("content")))]

    def encode(self, text: str) -> list[int]:
        if not set(text) <= set(self.tokens):
            raise BadInput(f"'{text}' has letters that are not of {''.join(self.tokens)}.")
        return [self.tokens.index(letter) for letter in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join("" if i in self.ends else self.tokens[i] for i in ids)


@dataclass(frozen=True, repr=False)
class Given(Leaf):
    """Logits after each token: one row for every last token, or one row for all of them.

    `noise` adds numbers that depend on all that was read. `wide` is how many padded logits follow the last token.
    `fed` says what its sessions were fed, and what became of them.
    """

    name: str
    logits: tuple[tuple[float, ...], ...]
    letters: Letters = Letters()
    noise: float = 0.0
    wide: int = 0
    torch: bool = False
    most: int | None = None
    fed: list[Any] = field(default_factory=list[Any], compare=False)
    use = "given"

    @property
    def vocabulary(self) -> Vocabulary:
        return self.letters

    @property
    def positions(self) -> int | None:
        return self.most

    def open(self, batch: int) -> Session:
        self.fed.append(f"open {batch}")
        return Rows(self, batch)

    def after(self, read: Sequence[int]) -> np.ndarray[Any, Any]:
        """The logits after these ids, (tokens + wide,) float32."""
        row = np.array(self.logits[read[-1] if len(self.logits) > 1 else 0], np.float32)
        row += self.noise * np.random.default_rng([len(read), *read]).normal(size=len(row)).astype(np.float32)
        return np.append(row, np.full(self.wide, PAD, np.float32))


class Rows:
    """What rows have read, and nothing else: the logits are looked up."""

    def __init__(self, leaf: Given, batch: int) -> None:
        self.leaf, self.read = leaf, [list[int]() for _ in range(batch)]

    @property
    def lengths(self) -> Integers:
        return np.array([len(row) for row in self.read], np.int64)

    def feed(self, ids: Integers, counts: Integers | None = None, keep: int | None = None) -> Any:
        n = ids.shape[1]
        kept = n if keep is None else keep
        took = [n] * len(self.read) if counts is None else counts.tolist()
        out = np.full((len(self.read), kept, self.leaf.after([0]).size), np.nan, np.float32)
        self.leaf.fed.append([row[n - count :] for row, count in zip(ids.tolist(), took, strict=True)])
        for row, (read, count) in enumerate(zip(self.read, took, strict=True)):
            for column in range(n - count, n):
                read.append(int(ids[row, column]))
                if column >= n - kept:
                    out[row, column - n + kept] = self.leaf.after(read)
        if self.leaf.torch:
            import torch

            return torch.from_numpy(out)
        return out

    def rollback(self, n: Integers | int) -> None:
        self.leaf.fed.append(f"rollback {n}")
        for read, gone in zip(self.read, np.broadcast_to(n, len(self.read)).tolist(), strict=True):
            if gone > len(read):
                raise BadInput(f"Cannot forget {gone} of {len(read)}.")
            del read[len(read) - gone :]

    def select(self, rows: Integers | Sequence[int]) -> None:
        self.read = [list(self.read[row]) for row in np.asarray(rows).tolist()]

    def close(self) -> None:
        self.leaf.fed.append("close")


def given(name: str, *logits: Sequence[float], **more: Any) -> Given:
    """A leaf with these logits; its letters are a, b, c, ... unless said otherwise."""
    more.setdefault("letters", Letters(tuple("abcdefgh"[: len(logits[0])])))
    return Given(name, tuple(tuple(map(float, row)) for row in logits), **more)


def pool_of(*decoders: Decoder, prompts: Sequence[str] = ("a",)) -> Pool:
    """A pool over these prompts."""
    return Pool(decoders, [Request.of(prompt) for prompt in prompts])


def scores(decoder: Decoder, prompt: str = "a") -> Any:
    """A decoder's scores for the first written token, (tokens,), as the loop sees them."""
    return pool_of(decoder, prompts=[prompt]).scores(decoder)[0, -1]


def chances(decoder: Decoder, prompt: str = "a") -> np.ndarray[Any, Any]:
    """The distribution of the first written token at temperature 1."""
    seen = np.asarray(scores(decoder, prompt), np.float64)
    powers = np.exp(seen - seen.max())
    return powers / powers.sum()


def terms(decoder: Decoder, prompt: str = "a") -> list[tuple[Decoder, np.ndarray[Any, Any]]]:
    """The decoder's split of those scores."""
    step = pool_of(decoder, prompts=[prompt]).look()
    return [(part, np.asarray(added)[0, -1]) for part, added in decoder.terms(step)]
