"""A text held against a document, sentence by sentence: what every checker gives back, and how its pairs are asked.

All pairs of all documents and texts go to the inference model in one call, each once: models batch what they are given
together, and peers that loop document by document leave that undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ..errors import BadInput
from ..sentences import spans
from .protocol import Floats, Nli, Pair
from .words import split

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SentenceCheck:
    """A sentence of the text, where it stands, its support in [0, 1], and the place in the document closest to it.

    `evidence` is None where the document has nothing to compare with.
    """

    text: str
    start: int
    end: int
    support: float
    evidence: Span | None
    evidence_text: str = ""


@dataclass(frozen=True)
class Check:
    """A text against its document: the method's own `score`, `support` in [0, 1], and each sentence's.

    Score and support are NaN where the text says nothing; 0 support where the document does.
    """

    score: float
    support: float
    sentences: tuple[SentenceCheck, ...]

    def unsupported(self, at_least: float = 0.5) -> list[SentenceCheck]:
        """The sentences whose support is below `at_least`, the least supported first."""
        return sorted((s for s in self.sentences if s.support < at_least), key=lambda s: s.support)


@runtime_checkable
class Checker(Protocol):
    """Whatever holds texts against documents; frozen."""

    @property
    def name(self) -> str:
        """Which method over which model this is."""
        ...

    def check(self, pairs: Sequence[Pair]) -> list[Check]:
        """The check of every (document, text), in order."""
        ...


def supports(claims: Sequence[str], document: str, checker: Checker) -> Floats:
    """The support (n,), in [0, 1], of each claim by the document; a claim without words has NaN."""
    return np.array([c.support for c in checker.check([(document, claim) for claim in claims])])


@dataclass(frozen=True)
class Laid:
    """One pair laid out: pieces of the document, pieces of the text, and the probabilities (m, n, 3) between them."""

    document: str
    text: str
    pieces: tuple[Span, ...]
    claims: tuple[Span, ...]
    probabilities: Floats

    def checks(self, support: Floats, nearest: Floats) -> tuple[SentenceCheck, ...]:
        """Each claim with its support (n,); `nearest` (m, n) says which piece came closest.

        Of a piece of several sentences the evidence is the one that has most of the claim's words.
        """
        out: list[SentenceCheck] = []
        for j, (start, end) in enumerate(self.claims):
            place = self.pieces[int(nearest[:, j].argmax())] if self.pieces else None
            place = place and _closest(self.document, place, self.text[start:end])
            told = self.document[slice(*place)] if place else ""
            out.append(SentenceCheck(self.text[start:end], start, end, float(support[j]), place, told))
        return tuple(out)


def _closest(document: str, place: Span, claim: str) -> Span:
    inside = [(place[0] + a, place[0] + b) for a, b in spans(document[slice(*place)])]
    if len(inside) < 2:
        return place
    said = {w for w, _ in split(claim)}
    return max(inside, key=lambda at: len(said & {w for w, _ in split(document[slice(*at)])}))


def laid_out(nli: Nli, pairs: Sequence[tuple[str, Sequence[Span], str, Sequence[Span]]]) -> list[Laid]:
    """The probabilities between every piece and every claim of each (document, pieces, text, claims), in one call."""
    wanted: dict[Pair, int] = {}
    for document, pieces, text, claims in pairs:
        for start, end in pieces:
            for begin, stop in claims:
                wanted.setdefault((document[start:end], text[begin:stop]), len(wanted))
    found = nli.probabilities(list(wanted)) if wanted else np.zeros((0, 3))
    if found.shape != (len(wanted), 3):
        raise BadInput(f"'{nli.name}' gave {found.shape} for {len(wanted):,} pairs, not (n, 3).")
    out: list[Laid] = []
    for document, pieces, text, claims in pairs:
        places = [[wanted[document[a:b], text[c:d]] for c, d in claims] for a, b in pieces]
        shape = (len(pieces), len(claims))
        taken = found[np.array(places, np.int64).reshape(shape)] if pieces and claims else np.zeros((*shape, 3))
        out.append(Laid(document, text, tuple(pieces), tuple(claims), taken))
    return out


def whole(text: str) -> list[Span]:
    """The text as one piece, without the space around it; none where it is empty."""
    start = len(text) - len(text.lstrip())
    return [(start, start + len(text.strip()))] if text.strip() else []


def joined(found: Sequence[Span], size: int) -> list[Span]:
    """Runs of `size` spans that follow each other, as one span each."""
    return [(found[i][0], found[min(i + size, len(found)) - 1][1]) for i in range(0, len(found), size)]


def sentences_of(text: str) -> list[Span]:
    """The text's sentences; one that has no letter or digit says nothing, and is left out."""
    return [(a, b) for a, b in spans(text) if any(c.isalnum() for c in text[a:b])]
