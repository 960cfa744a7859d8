"""SummaC: is a summary consistent with its document, sentence against sentence, by an inference model?

Laban et al., arXiv 2111.09525. Every sentence of the summary (hypothesis) meets every sentence of the document
(premise). Zero-shot: the best entailment of each column, less its worst contradiction, and the mean over the summary.
Conv (summac_conv.py) learns instead from the histogram of each column. Checked by hand, with the order of operations
of the authors' code (tests/nli/test_summac.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import BadInput
from .checks import Check, Laid, Span, laid_out, sentences_of, whole
from .embedded import small
from .protocol import CONTRADICTION, ENTAILMENT, Floats, Nli, Pair

Granularity = Literal["sentence", "two_sentences", "paragraph", "document", "mixed"]
Against = Literal["apart", "together", "none"]
Over = Literal["mean", "min", "max"]
_SHORT = 10  # characters: shorter pieces of a document are left out, as in the authors' code
_PIECES = 100


def pieces_of(document: str, granularity: Granularity) -> list[Span]:
    """The document's pieces, at most 100, as in the authors' code; short ones go unless all are short."""
    said = sentences_of(document)
    if granularity == "document":
        return whole(document)
    if granularity == "two_sentences":
        said = [(said[i][0], said[min(i + 1, len(said) - 1)][1]) for i in range(len(said))]
    elif granularity == "paragraph":
        said = _paragraphs(document)
    elif granularity == "mixed":
        said = [*said, *_paragraphs(document)]
    return ([(a, b) for a, b in said if b - a > _SHORT] or said)[:_PIECES]


def _paragraphs(text: str) -> list[Span]:
    between = re.compile(r"\n\n" if "\n\n" in text else r"\n")
    edges = [0, *(x for m in between.finditer(text) for x in m.span()), len(text)]
    found = [(a + s, a + e) for a, b in zip(edges[::2], edges[1::2], strict=True) for s, e in whole(text[a:b])]
    return [(a, b) for a, b in found if any(c.isalnum() for c in text[a:b])]


_OVER: dict[str, Callable[[Floats], float]] = {
    "mean": lambda v: float(v.mean()), "min": lambda v: float(v.min()), "max": lambda v: float(v.max()),
}  # fmt: skip


@dataclass(frozen=True)
class SummaC:
    """Zero-shot. `granularity` is the document's; `over` joins the summary's sentences.

    `against` says how contradiction counts: "apart", the best entailment less the worst contradiction, wherever each
    stands (the authors' code); "together", the best of entailment less contradiction, of one sentence; or "none".
    """

    nli: Nli
    granularity: Granularity = "sentence"
    against: Against = "apart"
    over: Over = "mean"

    @property
    def name(self) -> str:
        """The method, what is not its default, and the model."""
        told = [self.granularity if self.granularity != "sentence" else "", self.against, self.over]
        return f"summac-zs-{'-'.join(t for t in told if t)}-{self.nli.name}"

    def check(self, pairs: Sequence[Pair]) -> list[Check]:
        """Each (document, summary): the score in [-1, 1] ([0, 1] without contradiction), and support in [0, 1]."""
        asked = [(d, pieces_of(d, self.granularity), s, sentences_of(s)) for d, s in pairs]
        return [self._one(laid) for laid in laid_out(self.nli, asked)]

    def _one(self, laid: Laid) -> Check:
        if not laid.claims:
            return Check(float("nan"), float("nan"), ())
        scores = self.columns(laid)
        score = _OVER[self.over](scores)
        support = scores if self.against == "none" else (scores + 1) / 2
        if not laid.pieces:
            support = np.zeros(len(laid.claims))
        nearest = laid.probabilities[:, :, ENTAILMENT]
        return Check(score, _OVER[self.over](support), laid.checks(support, nearest))

    def columns(self, laid: Laid) -> Floats:
        """The score of each sentence of the summary, (n,)."""
        if not laid.pieces:
            return np.full(len(laid.claims), 0.0 if self.against == "none" else -1.0)
        entailed, contradicted = laid.probabilities[:, :, ENTAILMENT], laid.probabilities[:, :, CONTRADICTION]
        if self.against == "together":
            return (entailed - contradicted).max(axis=0)
        best = entailed.max(axis=0)
        return best if self.against == "none" else best - contradicted.max(axis=0)


def summac(
    nli: Nli | None = None,
    *,
    granularity: Granularity = "sentence",
    against: Against = "apart",
    over: Over = "mean",
) -> SummaC:
    """SummaC zero-shot over a model (the embedded one unless given); BadInput for a choice that there is not."""
    if granularity not in ("sentence", "two_sentences", "paragraph", "document", "mixed"):
        raise BadInput(f"There is no granularity '{granularity}'.", hint="sentence, two_sentences, paragraph, ...")
    if against not in ("apart", "together", "none") or over not in _OVER:
        raise BadInput("summac counts contradiction apart, together or none, and joins by mean, min or max.")
    return SummaC(nli or small(), granularity, against, over)
