"""Which draws mean the same, and the clusters that this makes.

Semantic entropy's clustering (arXiv 2302.09664; Farquhar, Nature 2024): a draw joins the first cluster whose first
member it is equivalent to, and stays there. The authors' code lets a later cluster take it away again, so that the
result depends on the order; that is kept as `reassigning`, by name, to reproduce it. Checked by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..answers import final_answer
from ..core import Reply
from ..encoders.static import StaticEncoder
from ..nli.naming import resolved
from ..nli.protocol import Nli

Matrix = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
Rule = Literal["strict", "lax", "either"]


@dataclass(frozen=True)
class Draws:
    """What is compared: a question and its draws."""

    question: str
    texts: tuple[str, ...]


@runtime_checkable
class Equivalence(Protocol):
    """Says which draws mean the same, many questions at a time."""

    def same(self, asked: Sequence[Draws]) -> list[Matrix]:
        """For each question (n, n): does draw i mean what draw j means; the diagonal is True."""
        ...

    def likeness(self, asked: Sequence[Draws]) -> list[Floats]:
        """For each question (n, n): how alike draws i and j are, in [0, 1], symmetric; the diagonal is 1."""
        ...


@dataclass(frozen=True)
class Exact:
    """The same final answer (a letter, a number, else the text without case and spacing); empty is like nothing."""

    def same(self, asked: Sequence[Draws]) -> list[Matrix]:
        """Equal where the settled answers are equal."""
        return [_equal([final_answer(Reply(t)) for t in d.texts]) for d in asked]

    def likeness(self, asked: Sequence[Draws]) -> list[Floats]:
        """0 or 1."""
        return [m.astype(np.float64) for m in self.same(asked)]


def _equal(settled: list[str]) -> Matrix:
    found = np.array([[bool(a) and a == b for b in settled] for a in settled])
    np.fill_diagonal(found, True)
    return found


@dataclass(frozen=True)
class Alike:
    """A cosine of at least `at_least`, or (with `containment`) the words of one standing in the other, in order.

    The question is left out: in front of both it makes all draws alike.
    """

    encoder: Any = field(default_factory=StaticEncoder)
    at_least: float = 0.8
    containment: bool = True

    def same(self, asked: Sequence[Draws]) -> list[Matrix]:
        """By the cosine and the words; an empty draw is like nothing."""
        out: list[Matrix] = []
        for draws, cosine in zip(asked, self._cosines(asked), strict=True):
            found = cosine >= self.at_least
            if self.containment:
                words = [_padded(t) for t in draws.texts]
                found |= np.array([[bool(a and b) and (a in b or b in a) for b in words] for a in words])
            empty = np.array([not t.strip() for t in draws.texts])
            found[empty] = found[:, empty] = False
            np.fill_diagonal(found, True)
            out.append(found)
        return out

    def likeness(self, asked: Sequence[Draws]) -> list[Floats]:
        """The cosine, cut to [0, 1]."""
        out: list[Floats] = []
        for draws, cosine in zip(asked, self._cosines(asked), strict=True):
            found = np.clip(cosine, 0.0, 1.0)
            empty = np.array([not t.strip() for t in draws.texts])
            found[empty] = found[:, empty] = 0.0
            np.fill_diagonal(found, 1.0)
            out.append((found + found.T) / 2)
        return out

    def _cosines(self, asked: Sequence[Draws]) -> list[Floats]:
        places = {text: i for i, text in enumerate(dict.fromkeys(t for d in asked for t in d.texts))}
        rows = np.asarray(self.encoder.encode(list(places)), np.float64)
        return [rows[at] @ rows[at].T for at in ([places[t] for t in d.texts] for d in asked)]


def _padded(text: str) -> str:
    """The words between spaces, so that only whole words are found in it; "" without words."""
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    return f" {' '.join(words)} " if words else ""


@dataclass(frozen=True)
class Entailment:
    """By a natural language inference model, each way round, the question in front where `with_question`.

    Rules: "strict" asks for entailment both ways (the paper's text, lm-polygraph); "lax" for no contradiction and not
    neutral both ways (the authors' code by default); "either" for entailment one way (uqlm).
    """

    nli: str | Nli = "small"
    rule: Rule = "strict"
    with_question: bool = True

    def same(self, asked: Sequence[Draws]) -> list[Matrix]:
        """By the rule, on the likeliest label of each pair; equal texts are not asked about."""
        return [self.same_of(found) for found in self.judged(asked)]

    def likeness(self, asked: Sequence[Draws]) -> list[Floats]:
        """The mean of the probabilities of entailment each way round."""
        return [self.likeness_of(found) for found in self.judged(asked)]

    def same_of(self, found: Floats) -> Matrix:
        """The rule on one question's probabilities (n, n, 3)."""
        label = found.argmax(axis=2)
        back = label.T
        if self.rule == "strict":
            same = (label == 0) & (back == 0)
        elif self.rule == "either":
            same = (label == 0) | (back == 0)
        else:
            same = (label != 2) & (back != 2) & ~((label == 1) & (back == 1))
        np.fill_diagonal(same, True)
        return same

    def likeness_of(self, found: Floats) -> Floats:
        """The likeness in one question's probabilities (n, n, 3)."""
        return (found[:, :, 0] + found[:, :, 0].T) / 2

    def judged(self, asked: Sequence[Draws]) -> list[Floats]:
        """For each question the probabilities (n, n, 3) of the classes, draw i the premise and j the hypothesis."""
        wanted: dict[tuple[str, str], int] = {}
        said = [[f"{d.question} {t}" if self.with_question else t for t in d.texts] for d in asked]
        for texts in said:
            for a in texts:
                for b in texts:
                    if a != b:
                        wanted.setdefault((a, b), len(wanted))
        answered = np.asarray(resolved(self.nli).probabilities(list(wanted)), np.float64).reshape(-1, 3)
        certain = np.array([1.0, 0.0, 0.0])
        return [
            np.array([[certain if a == b else answered[wanted[a, b]] for b in texts] for a in texts]) for texts in said
        ]


@dataclass(frozen=True)
class Comparing:
    """An equivalence as an endpoint, asked with Draws: what many signals ask is compared in one go."""

    equivalence: Any
    what: Literal["same", "likeness"] = "same"
    name: str = "equivalence"
    offline: ClassVar[bool] = True

    def answer_many(self, asked: Sequence[Draws]) -> list[Any]:
        """A matrix (n, n) for each."""
        return list(getattr(self.equivalence, self.what)(asked))


@lru_cache(maxsize=64)
def comparing(equivalence: Any, what: Literal["same", "likeness"] = "same") -> Comparing:
    """The one endpoint of an equivalence."""
    return Comparing(equivalence, what)


def cluster(same: Matrix) -> Ids:
    """The cluster of each draw (n,), numbered as they appear."""
    ids, first = np.full(len(same), -1, np.int64), list[int]()
    for i in range(len(same)):
        for number, member in enumerate(first):
            if same[member, i]:
                ids[i] = number
                break
        else:
            ids[i] = len(first)
            first.append(i)
    return ids


def reassigning(same: Matrix) -> Ids:
    """The clusters as the authors' code makes them: a draw goes to the last cluster whose first member it is like.

    Clusters that lost all their members leave a gap in the numbers there; here they are numbered anew.
    """
    ids = np.full(len(same), -1, np.int64)
    number = 0
    for i in range(len(same)):
        if ids[i] == -1:
            ids[i] = number
            ids[i + 1 :][same[i, i + 1 :]] = number
            number += 1
    return np.unique(ids, return_inverse=True)[1].astype(np.int64)
