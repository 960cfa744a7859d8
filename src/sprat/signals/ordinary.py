"""Which part of a prompt reads least like ordinary prompts: mostly what was pasted in to force a router's hand.

Perplexity against adversarial suffixes is arXiv 2308.14132 and 2309.00614, "Rerouting LLM Routers" (arXiv 2501.01818)
has the attack. The model of ordinary text here is as light as can be: a word is of one of three kinds (it follows the
one before it in ordinary prompts; it is known, but not after that one; it is not known, or says the one before it
again), and its surprise is -log2 of how often ordinary words are of its kind. The part is found as circular binary
segmentation does (Olshen et al., 2004): of all stretches of words the one whose mean surprise stands out furthest.

Checked against a case by hand, and attacks found by search on recorded prompts (`benchmarks/gateway_crafted.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SHARED = 3  # prompts that have to hold a word, or a pair, for it to be known
LONGEST = 50_000  # characters that are looked at: of a longer prompt its beginning and its end, half of each
FEWEST = 4  # words that a part, and what is left, have at least
_WORD = re.compile(r"\w{1,16}|[^\w\s]{1,8}")
_GRID = 96  # places where a part may begin or end, at most
_SPARSE = 16  # bits of the table for each that is set


class Part(NamedTuple):
    """A stretch of words, how far it stands out (bits, times the root of its words), and the text without it."""

    first: int
    last: int
    words: int
    contrast: float
    rest: str

    def __str__(self) -> str:
        return f"words {self.first + 1} to {self.last} of {self.words}"


@dataclass(frozen=True, eq=False)
class Ordinary:
    """What ordinary prompts read like: the `known` words and pairs, hashed into bits, and each kind's surprise in bits.

    Known is only what at least `SHARED` prompts hold, so what one or two of them say leaves no trace.
    """

    known: NDArray[np.uint8]
    bits: tuple[float, float, float]

    @classmethod
    def of(cls, prompts: Iterable[Sequence[str]]) -> Ordinary:
        """Learn from the texts of prompts; those that belong together (a thread, a template) count as one."""
        read = [[_hashes(_WORD.findall(text[:LONGEST])) for text in texts] for texts in prompts]
        counts: Counter[int] = Counter()
        for hashes in read:
            counts.update({h for words, pairs in hashes for h in (*words, *pairs)})
        seen = np.ones(3)
        for words, pairs in (h for hashes in read for h in hashes):
            # A prompt's own words are as if it had not been counted, since those of a later one won't have been.
            word, pair = (np.array([counts[h] > SHARED for h in of], bool) for of in (words, pairs))
            seen += np.bincount(_kinds(word, pair, np.array(pairs, np.int64)), minlength=3)
        kept = np.array([h for h, n in counts.items() if n >= SHARED and h != _AGAIN], np.int64)
        table = np.zeros(1 << max(14, (_SPARSE * len(kept)).bit_length()), bool)
        table[kept % len(table)] = True
        follows, known, unknown = (float(b) for b in -np.log2(seen / seen.sum()))
        return cls(np.packbits(table), (follows, known, unknown))

    def surprises(self, words: Sequence[str]) -> Floats:
        """The surprise of each word, in bits."""
        hashes = [np.array(h, np.int64).reshape(-1) for h in _hashes(words)]
        places = [h % (8 * len(self.known)) for h in hashes]
        word, pair = ((self.known[at >> 3] >> (7 - (at & 7)) & 1).astype(bool) for at in places)
        return np.array(self.bits)[_kinds(word, pair, hashes[1])]

    def parts(self, text: str) -> list[Part]:
        """The parts of a text that stand out furthest: of those at its end, at its beginning, and anywhere.

        Empty where it has fewer than eight words.
        """
        text = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} {text[-LONGEST // 2 :]}"
        found = list(_WORD.finditer(text))
        n = len(found)
        if n < 2 * FEWEST:
            return []
        sums = np.concatenate([np.zeros(1), np.cumsum(self.surprises([m.group() for m in found]))])
        places = np.unique(np.linspace(0, n, min(n, _GRID) + 1).astype(np.int64))
        starts, ends = (places[i] for i in np.triu_indices(len(places), 1))
        fits = (ends - starts >= FEWEST) & (n - (ends - starts) >= FEWEST)
        starts, ends = starts[fits], ends[fits]
        contrasts = contrast(sums, starts, ends)
        made: dict[tuple[int, int], Part] = {}
        for where in (ends == n, starts == 0, np.ones(len(ends), bool)):
            if where.any():
                at = np.flatnonzero(where)[int(contrasts[where].argmax())]
                first, last = int(starts[at]), int(ends[at])
                rest = text[: found[first].start()] + (text[found[last].start() :] if last < n else "")
                made[first, last] = Part(first, last, n, float(contrasts[at]), rest.rstrip())
        return list(made.values())


def contrast(sums: Floats, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Floats:
    """How far the mean of words [start, end) is above that of the others, times the root of a b / (a + b).

    These are the counts of both; `sums` are the running sums of the words' surprises, from 0 on.
    """
    n, inside = len(sums) - 1, (ends - starts).astype(np.float64)
    held = sums[ends] - sums[starts]
    outside = n - inside
    return (held / inside - (sums[-1] - held) / outside) * np.sqrt(inside * outside / n)


_AGAIN = -1  # in a pair's place: a word that says the one before it again


def _hashes(words: Sequence[str]) -> tuple[list[int], list[int]]:
    """Of each word, and of each with the one before it; a word that is said again is `_AGAIN`."""
    coded = [w.lower().encode("utf-8", "surrogatepass") for w in words]
    pairs = pairwise([b"", *coded])
    return [crc32(w) for w in coded], [_AGAIN if a == b else crc32(a + b" " + b) for a, b in pairs]


def _kinds(word: NDArray[np.bool_], pair: NDArray[np.bool_], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 where the pair is known, 1 where the word alone is, 2 where neither is or the word is said again."""
    return np.where((pairs == _AGAIN) | ~(pair | word), 2, np.where(pair, 0, 1))
