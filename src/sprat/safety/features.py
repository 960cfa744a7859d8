"""Words and pieces of words as hashed features: what the embedded linear scorers read; none can be read back.

A word gives its own hash, those of its pieces of 3 to 5 characters (with its edges marked, so that a changed letter
leaves most of them), and that of it with the word before. Hashing is feature hashing (arXiv 0902.2206) without signs.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

# Invisible characters inside a word are part of it, and are dropped when it is read.
_INVISIBLE = "\u00ad\u200b-\u200f\u2060\ufeff"
_WORD = re.compile(rf"https?://\S+|@\w+|&\#?\w+;|(?:[^\W_]|['’{_INVISIBLE}])+|[^\w\s]|_+")
_DROPPED = re.compile(rf"[{_INVISIBLE}]")
_RUN = re.compile(r"(.)\1{2,}")
_LONGEST = 40  # characters of a word that are looked at
PIECES = (3, 4, 5)


class Words(NamedTuple):
    """The places (start, end) of a text's words, their features' buckets, and the first feature of each, (n + 1,)."""

    places: list[tuple[int, int]]
    buckets: NDArray[np.int64]
    firsts: NDArray[np.int64]


def plain(word: str) -> str:
    """A word as it is read: lower case, compatible forms as one, runs of a letter cut to two; names, links as such."""
    if word.startswith(("http://", "https://")):
        return "<link>"
    if word.startswith("@") and len(word) > 1:
        return "<name>"
    if word.startswith("&") and len(word) > 1:
        return "<sign>"
    return _RUN.sub(r"\1\1", unicodedata.normalize("NFKC", _DROPPED.sub("", word)).casefold())[:_LONGEST]


@lru_cache(maxsize=1 << 15)
def _hashes(said: str) -> tuple[int, ...]:
    coded = said.encode("utf-8", "surrogatepass")
    found = [crc32(coded, 1)]
    if len(said) > 1 and not said.startswith("<"):
        edged = f"^{said}$"
        for n in PIECES:
            found += [crc32(edged[i : i + n].encode("utf-8", "surrogatepass"), n) for i in range(len(edged) - n + 1)]
    return tuple(found)


def words(text: str, buckets: int) -> Words:
    """The text's words and their features in [0, buckets)."""
    places = list[tuple[int, int]]()
    flat, firsts = list[int](), [0]
    before = ""
    for match in _WORD.finditer(text):
        said = plain(match.group())
        if not said:
            continue
        flat += _hashes(said)
        flat.append(crc32(f"{before} {said}".encode("utf-8", "surrogatepass"), 2))
        places.append(match.span())
        firsts.append(len(flat))
        before = said
    return Words(places, np.array(flat, np.int64) % buckets, np.array(firsts, np.int64))


def windows(n: int, width: int) -> list[tuple[int, int]]:
    """Windows [first, last) of `width` words that overlap by half and cover n words; one, even empty, if n <= width."""
    if n <= width:
        return [(0, n)]
    starts = [*range(0, n - width, max(1, width // 2)), n - width]
    return [(s, s + width) for s in starts]
