"""Texts to hashed n-grams, as DSIR (arXiv 2302.03169) reads them: lower case, NLTK's WordPunct tokens, n-grams joined
by a space, each to a bucket by a hash.

`sha256` gives the buckets of the authors' package (data-selection 1.0.3), n-gram by n-gram; `fast` hashes only words
one by one, and mixes their 64-bit hashes for all n-grams at once, so its buckets are others but as evenly filled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b, sha256
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

HASHES = ("sha256", "fast")
_TOKENS = re.compile(r"\w+|[^\w\s]+")
_REMEMBERED = 1_000_000  # n-grams whose bucket is kept at hand, about 170 MB at most
_ODD, _MIX, _AGAIN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Features:
    """Documents' n-grams: the buckets of all, document after document; how many n-grams and tokens each has."""

    buckets: NDArray[Any]
    ngrams: NDArray[np.int64]
    tokens: NDArray[np.int64]


def tokens(text: str) -> list[str]:
    """WordPunct tokens of the text in lower case: runs of letters and digits, runs of other marks."""
    return _TOKENS.findall(text.lower())


class _Buckets(dict[str, int]):
    """The bucket of each n-gram: its SHA-256, read as a number, modulo how many there are."""

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self.buckets = buckets

    def __missing__(self, ngram: str) -> int:
        digest = sha256(ngram.encode("utf-8", "surrogatepass")).digest()
        found = self[ngram] = int.from_bytes(digest, "big") % self.buckets
        return found


class _Hashes(dict[str, int]):
    """A 64-bit hash of each word."""

    def __missing__(self, word: str) -> int:
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        found = self[word] = int.from_bytes(digest, "big")
        return found


class Hasher:
    """Texts to the buckets of their n-grams of 1 to `n` words; what it has hashed it remembers, to a bound."""

    def __init__(self, hash: str, buckets: int, n: int) -> None:
        self.buckets, self.n = buckets, n
        self.type = np.uint16 if buckets <= 1 << 16 else np.uint32
        self.known: _Buckets | _Hashes = _Buckets(buckets) if hash == "sha256" else _Hashes()

    def __call__(self, texts: Sequence[str]) -> Features:
        """The texts' features."""
        if len(self.known) > _REMEMBERED:
            self.known.clear()
        found = [tokens(text) for text in texts]
        lengths = np.fromiter(map(len, found), np.int64, len(found))
        ngrams = sum(np.maximum(lengths - i, 0) for i in range(self.n)) + np.zeros(len(found), np.int64)
        one_by_one = isinstance(self.known, _Buckets)
        buckets = self._hashed(found, int(ngrams.sum())) if one_by_one else self._mixed(found, lengths)
        return Features(buckets, ngrams, lengths)

    def _hashed(self, found: list[list[str]], count: int) -> NDArray[Any]:
        bucket = self.known.__getitem__
        out = list[int]()
        for words in found:
            out += map(bucket, words)
            for i in range(2, self.n + 1):
                out += map(bucket, map(" ".join, zip(*(words[j:] for j in range(i)), strict=False)))
        return np.fromiter(out, self.type, count)

    def _mixed(self, found: list[list[str]], lengths: NDArray[np.int64]) -> NDArray[Any]:
        count = int(lengths.sum())
        words = np.fromiter(map(self.known.__getitem__, chain.from_iterable(found)), np.uint64, count)
        left = np.repeat(np.cumsum(lengths), lengths) - np.arange(count)  # words from here to the document's end
        grams = np.zeros((count, self.n), self.type)
        inside = np.zeros((count, self.n), np.bool_)
        mixed = words
        for i in range(self.n):
            if i:
                mixed = _mix(mixed[:-1], words[i:])
            # The upper half of the hash, scaled to the number of buckets.
            grams[: len(mixed), i] = ((mixed >> np.uint64(32)) * np.uint64(self.buckets)) >> np.uint64(32)
            inside[:, i] = left > i
        return grams[inside]


def _mix(before: NDArray[np.uint64], word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hash of an n-gram from that of all but its last word and the word's: splitmix64's finaliser on the two."""
    z = before * _ODD + word
    z = (z ^ (z >> np.uint64(30))) * _MIX
    z = (z ^ (z >> np.uint64(27))) * _AGAIN
    return z ^ (z >> np.uint64(31))


@cache
def hasher(hash: str, buckets: int, n: int) -> Hasher:
    """The process's one hasher of this kind, so that what it remembers is used."""
    return Hasher(hash, buckets, n)
