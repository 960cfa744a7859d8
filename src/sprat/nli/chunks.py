"""AlignScore- and MiniCheck-style checks: long chunks of the document against each claim, the best chunk counts.

Zha et al., arXiv 2305.16739: chunks of about 350 words at sentences' ends, the mean over the text's sentences of the
best chunk's probability. Tang et al., arXiv 2404.10774: chunks of at most 500 words, the best chunk for a claim, which
is judged whole. Both over any inference model: the papers' own are alignment models, so with another only the way of
asking is theirs. Checked by hand, with the rules for chunks of the authors' code (tests/nli/test_chunks.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BadInput
from .checks import Check, Laid, Span, joined, laid_out, sentences_of, whole
from .embedded import small
from .protocol import ENTAILMENT, Floats, Nli, Pair


def even_chunks(document: str, words: int = 350) -> list[Span]:
    """Chunks of as many sentences each: as many chunks as `words` fit, rounded down, and one more."""
    said = sentences_of(document)
    if not said:
        return []
    count = len(document.split()) // words + 1
    return joined(said, max(len(said) // count, 1))


def full_chunks(document: str, words: int = 500) -> list[Span]:
    """Chunks of whole sentences, at most `words` each; a longer sentence is a chunk of its own."""
    found: list[Span] = []
    held = 0
    for start, end in sentences_of(document):
        size = len(document[start:end].split())
        if found and held + size <= words:
            found[-1] = (found[-1][0], end)
            held += size
        else:
            found.append((start, end))
            held = size
    return found


@dataclass(frozen=True)
class AlignScore:
    """The mean over the text's sentences of the best chunk's probability of entailment."""

    nli: Nli
    words: int = 350

    @property
    def name(self) -> str:
        """The method, the size of a chunk, and the model."""
        return f"alignscore-{self.words}-{self.nli.name}"

    def check(self, pairs: Sequence[Pair]) -> list[Check]:
        """Each (document, text): score and support are the same, in [0, 1]."""
        asked = [(d, even_chunks(d, self.words), t, sentences_of(t)) for d, t in pairs]
        return [_checked(laid, np.mean) for laid in laid_out(self.nli, asked)]


@dataclass(frozen=True)
class MiniCheck:
    """The best chunk's probability of entailment for a claim; `split` takes each sentence as a claim, the least counts.

    The authors judge a text whole, advise to split it, and leave the joining open: the least is our choice, since a
    text is borne out where all of it is.
    """

    nli: Nli
    words: int = 500
    split: bool = True

    @property
    def name(self) -> str:
        """The method, the size of a chunk, and the model."""
        return f"minicheck-{self.words}{'' if self.split else '-whole'}-{self.nli.name}"

    def check(self, pairs: Sequence[Pair]) -> list[Check]:
        """Each (document, text): score and support are the same, in [0, 1]."""
        claims = sentences_of if self.split else whole
        asked = [(d, full_chunks(d, self.words), t, claims(t)) for d, t in pairs]
        return [_checked(laid, np.min) for laid in laid_out(self.nli, asked)]


def _checked(laid: Laid, over: Callable[[Floats], Any]) -> Check:
    """The best piece's probability of entailment for each claim, and `over` them."""
    if not laid.claims:
        return Check(float("nan"), float("nan"), ())
    entailed = laid.probabilities[:, :, ENTAILMENT]
    best = entailed.max(axis=0) if laid.pieces else np.zeros(len(laid.claims))
    score = float(over(best))
    return Check(score, score, laid.checks(best, entailed))


def alignscore(nli: Nli | None = None, *, words: int = 350) -> AlignScore:
    """AlignScore-style over a model (the embedded one unless given); BadInput for chunks without words."""
    if words < 1:
        raise BadInput(f"A chunk has at least one word; got {words}.")
    return AlignScore(nli or small(), words)


def minicheck(nli: Nli | None = None, *, words: int = 500, split: bool = True) -> MiniCheck:
    """MiniCheck-style over a model (the embedded one unless given); BadInput for chunks without words."""
    if words < 1:
        raise BadInput(f"A chunk has at least one word; got {words}.")
    return MiniCheck(nli or small(), words, split)
