"""The rungs that need no model: which words of a claim the document has, and how like its tokens the others are.

Token by token as BERTScore's precision (arXiv 1904.09675). Checked by hand; measured in benchmarks/summedits.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from ..core import ask
from ..sentences import sentences
from ..similarity.alignment import align
from ..similarity.token_vectors import StaticTokens, Tokens
from ..words import stem
from .checks import Check, Floats, Looking, Spent, here
from .facts import Fact, content_words

_NOT = frozenset(
    ["not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "cannot", "unable", "failed"]
)


@dataclass(frozen=True)
class _Read:
    """A document, read once: its words, stems, pairs of words, and the stems of each sentence."""

    words: frozenset[str]
    stems: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    each: tuple[frozenset[str], ...]
    negated: tuple[bool, ...]


@dataclass(frozen=True)
class Unigram:
    """Which of the claim's words, numbers, names and pairs of words stand in the document; no model at all."""

    name: ClassVar[str] = "unigram"
    names: ClassVar[tuple[str, ...]] = (
        "words found", "stems found", "log words missing", "log stems missing", "a number missing", "numbers missing",
        "names missing", "pairs of words found", "words in one sentence", "negations", "nearest sentence negates",
        "negation differs", "log words", "has numbers",
    )  # fmt: skip

    async def read(self, checks: Sequence[Check]) -> tuple[Floats, list[Spent]]:
        """The numbers; costs nothing but time here."""
        return await ask(here(self), Looking(tuple(checks)))

    def features(self, checks: Sequence[Check]) -> Floats:
        """The numbers (n, 14)."""
        return np.array([_by_words(c.claim, _document(c.document)) for c in checks]).reshape(-1, len(self.names))


def missing(check: Check) -> list[tuple[int, int]]:
    """The places of the claim's telling words whose stem the document does not have."""
    there = _document(check.document).stems
    return [m.span() for m in content_words(check.claim) if stem(m[0], light=True) not in there]


@lru_cache(maxsize=256)
def _document(text: str) -> _Read:
    low = [m[0].lower() for m in _words(text)]
    split = [[m[0].lower() for m in _words(s)] for s in sentences(text)]
    return _Read(
        frozenset(low),
        frozenset(stem(w, light=True) for w in low),
        frozenset(pairwise(low)),
        tuple(frozenset(stem(w, light=True) for w in s) for s in split),
        tuple(any(_negates(w) for w in s) for s in split),
    )


_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")


def _words(text: str) -> list[re.Match[str]]:
    return list(_WORD.finditer(text))


def _negates(word: str) -> bool:
    return word in _NOT or word.endswith(("n't", "n’t"))


def _by_words(claim: str, document: _Read) -> list[float]:
    low = [m[0].lower() for m in _words(claim)]
    telling = list(content_words(claim))
    said = [m[0].lower() for m in telling] or [""]
    stems = {stem(w, light=True) for w in said}
    lost = [w for w in said if w not in document.words]
    unstemmed = [w for w in said if stem(w, light=True) not in document.stems]
    numbers = [w for w in said if any(c.isdigit() for c in w)]
    lacking = sum(w not in document.words for w in numbers)
    names = [m[0] for m in telling if m[0][0].isupper() and claim[: m.start()].rstrip()[-1:] not in ("", ".", "?", "!")]
    pairs = list(pairwise(low))
    shared = [len(stems & s) for s in document.each]
    nearest = int(np.argmax(shared)) if shared else -1
    negations = sum(_negates(w) for w in low)
    there = nearest >= 0 and document.negated[nearest]
    return [
        1 - len(lost) / len(said), 1 - len(unstemmed) / len(said), np.log1p(len(lost)), np.log1p(len(unstemmed)),
        lacking > 0, lacking, sum(stem(n, light=True) not in document.stems for n in names),
        sum(p in document.pairs for p in pairs) / max(1, len(pairs)), max(shared, default=0) / len(stems),
        negations, there, (negations > 0) != there, np.log1p(len(low)), bool(numbers),
    ]  # fmt: skip


@dataclass(frozen=True)
class Alignment:
    """How like its nearest token of the document each token of the claim is: BERTScore's precision, and its low end.

    Told apart for the words whose stem the document lacks: one that is like something there may only say it otherwise.
    """

    encoder: Any = field(default_factory=StaticTokens)
    name: ClassVar[str] = "alignment"
    names: ClassVar[tuple[str, ...]] = (
        "mean", "lowest", "mean of lowest 3", "share below .6", "spread", "missing words, mean",
        "missing words, lowest", "missing words below .5", "missing words from .5 on",
    )  # fmt: skip

    async def read(self, checks: Sequence[Check]) -> tuple[Floats, list[Spent]]:
        """The numbers; costs the reading of each text once."""
        return await ask(here(self), Looking(tuple(checks)))

    def features(self, checks: Sequence[Check]) -> Floats:
        """The numbers (n, 9); 0 where the claim or the document has no token."""
        texts = list(dict.fromkeys(t for c in checks for t in (c.document, c.claim)))
        tokens = dict(zip(texts, self.encoder.tokens(texts), strict=True))
        return np.array([self._one(c, tokens[c.claim], tokens[c.document]) for c in checks]).reshape(
            -1, len(self.names)
        )

    def _one(self, check: Check, claim: Tokens, document: Tokens) -> list[float]:
        if not claim.plain.any() or not document.plain.any():
            return [0.0] * len(self.names)
        best = (claim.vectors @ document.vectors.T).max(axis=1).astype(np.float64)
        low = np.sort(best[claim.plain])
        where = self.encoder.pieces(check.claim)
        lost = [
            float(np.mean(found)) if (found := [best[i] for i, (p, q) in enumerate(where) if p < b and a < q]) else 0.0
            for a, b in missing(check)
        ]
        weak = sum(c < 0.5 for c in lost)
        return [
            low.mean(), low[0], low[:3].mean(), (low < 0.6).mean(), low.std(), float(np.mean(lost)) if lost else 1.0,
            min(lost, default=1.0), weak, len(lost) - weak,
        ]  # fmt: skip


def places(check: Check, encoder: Any = None, below: float = 0.6) -> list[Fact]:
    """The parts of the claim that nothing in the document is like: words whose stem it lacks and tokens below a cosine.

    Neighbours are joined.
    """
    reader = encoder or StaticTokens()
    lost = set(missing(check))
    weak = align(check.claim, check.document, reader).spans(below) if check.document.strip() else []
    kept = sorted(s for s in lost if not weak or any(a < s[1] and s[0] < b for a, b in weak)) or sorted(lost)
    joined: list[list[int]] = []
    for a, b in kept:
        if joined and check.claim[joined[-1][1] : a].strip(" ") == "":
            joined[-1][1] = b
        else:
            joined.append([a, b])
    return [Fact(check.claim[a:b], a, b) for a, b in joined]
