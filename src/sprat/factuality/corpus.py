"""Passages that bear on a claim, from documents of one's own: by words (BM25) or by an encoder's vectors.

BM25 is Robertson and Zaragoza 2009 with the idf that is never negative (as Lucene has it). Passages are runs of at most
256 words of one document, as in FActScore (arXiv 2305.14251). Checked by a case computed by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import log
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from ..encoders.static import StaticEncoder
from ..errors import BadInput
from ..sentences import sentences
from ..words import words

LONGEST = 256


@dataclass(frozen=True)
class Passage:
    """A piece of a document: its text, the document's title, and how well it fits what was asked (0: unknown)."""

    text: str
    title: str = ""
    score: float = 0.0


@runtime_checkable
class Corpus(Protocol):
    """Whatever finds passages."""

    def passages(self, asked: str, k: int = 5, title: str = "") -> list[Passage]:
        """The `k` best for a claim, the best first; of the document of this title where there is one."""
        ...


def passages_of(text: str, title: str = "", longest: int = LONGEST) -> list[Passage]:
    """The text in runs of whole sentences of at most `longest` words; a longer sentence is cut."""
    found: list[list[str]] = []
    size = longest
    for sentence in sentences(text):
        pieces = sentence.split()
        for at in range(0, len(pieces), longest):
            part = pieces[at : at + longest]
            if size + len(part) > longest:
                found.append([])
                size = 0
            found[-1].append(" ".join(part))
            size += len(part)
    return [Passage(" ".join(run), title) for run in found]


@dataclass(frozen=True, repr=False)
class Bm25:
    """The passages by BM25 with `k1` and `b`; the words that are compared are in lower case."""

    kept: tuple[Passage, ...]
    k1: float = 1.2
    b: float = 0.75

    def passages(self, asked: str, k: int = 5, title: str = "") -> list[Passage]:
        """The `k` best passages with a score above 0; of this title where the corpus has it."""
        scores = np.zeros(len(self.kept))
        for word in dict.fromkeys(_terms(asked)):
            if word in self._postings:
                at, weight = self._postings[word]
                scores[at] += weight
        return _best(self.kept, scores, k, title)

    @cached_property
    def _postings(self) -> dict[str, tuple[Any, Any]]:
        """For each word, the passages that have it and what it adds to their score."""
        counts = [Counter(_terms(f"{p.title} {p.text}")) for p in self.kept]
        lengths = np.array([sum(c.values()) for c in counts], np.float64)
        mean = float(lengths.mean()) if len(lengths) else 1.0
        held: dict[str, list[tuple[int, int]]] = {}
        for i, count in enumerate(counts):
            for word, n in count.items():
                held.setdefault(word, []).append((i, n))
        out: dict[str, tuple[Any, Any]] = {}
        for word, places in held.items():
            at, n = (np.array(column) for column in zip(*places, strict=True))
            idf = log(1 + (len(counts) - len(at) + 0.5) / (len(at) + 0.5))
            out[word] = at, idf * n * (self.k1 + 1) / (n + self.k1 * (1 - self.b + self.b * lengths[at] / mean))
        return out


@dataclass(frozen=True, repr=False)
class Dense:
    """The passages by the cosine of an encoder's rows."""

    kept: tuple[Passage, ...]
    encoder: Any = field(default_factory=StaticEncoder)

    def passages(self, asked: str, k: int = 5, title: str = "") -> list[Passage]:
        """The `k` nearest passages; of this title where the corpus has it."""
        if not self.kept:
            return []
        return _best(self.kept, self._rows @ self.encoder.encode([asked])[0], k, title)

    @cached_property
    def _rows(self) -> Any:
        return self.encoder.encode([f"{p.title} {p.text}".strip() for p in self.kept])


def _terms(text: str) -> list[str]:
    return [w for w in words(text) if w[0].isalnum()]


def _best(kept: Sequence[Passage], scores: Any, k: int, title: str) -> list[Passage]:
    if k < 1:
        raise BadInput(f"At least one passage must be asked for, not {k}.")
    wanted = title.casefold().strip()
    own = [i for i, p in enumerate(kept) if wanted and p.title.casefold() == wanted]
    among = own or [i for i in range(len(kept)) if scores[i] > 0]
    order = sorted(among, key=lambda i: (-scores[i], i))[:k]
    return [replace(kept[i], score=float(scores[i])) for i in order]


def read_corpus(
    source: Path | str | Mapping[str, str] | Iterable[str], by: Literal["bm25", "dense"] = "bm25", encoder: Any = None
) -> Bm25 | Dense:
    """A corpus of texts, of texts by title, of a folder's .txt and .md files, or of a file's rows (text, title).

    Raises BadInput where there is none, or for another `by`.
    """
    if by not in ("bm25", "dense"):
        raise BadInput(f"A corpus is searched by bm25 or dense, not '{by}'.")
    kept = tuple(p for title, text in _documents(source) for p in passages_of(text, title))
    if not kept:
        raise BadInput("The corpus holds no text.", hint="Give a folder of .txt files, or rows with 'text'.")
    return Bm25(kept) if by == "bm25" else Dense(kept, encoder or StaticEncoder())


def _documents(source: Path | str | Mapping[str, str] | Iterable[str]) -> Iterator[tuple[str, str]]:
    if isinstance(source, Mapping):
        yield from source.items()
    elif not isinstance(source, (Path, str)):
        yield from (("", text) for text in source)
    elif (path := Path(source)).is_dir():
        for file in sorted(p for p in path.rglob("*") if p.suffix in (".txt", ".md") and p.is_file()):
            yield file.stem, file.read_text(encoding="utf-8", errors="replace")
    else:
        yield from _rows(path)


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    from ..reading.sources import open_source

    if path.suffix in (".txt", ".md") and path.is_file():
        yield path.stem, path.read_text(encoding="utf-8", errors="replace")
        return
    for number, row in open_source(path, False, lambda _line, _why: None).rows:
        text = next((row[name] for name in ("text", "document", "contents", "passage") if row.get(name)), None)
        if not isinstance(text, str):
            raise BadInput(f"{path}: row {number} has no 'text'.", hint="Each row needs 'text', and may have 'title'.")
        yield str(row.get("title") or ""), text
