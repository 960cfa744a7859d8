"""BERTScore as a grader of recorded replies and as a scikit-learn scorer (arXiv 1904.09675; see sprat.similarity).

Checked by hand (tests/measure/test_bertscore.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Reply
from ..data import Dataset, Example
from ..errors import BadInput
from ..similarity.scores import Baseline, BertScores, bertscore
from ..similarity.token_vectors import TokenEncoder
from .grade import each, targets

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scored:
    """BERTScores of one model's replies; `rows` are the examples' places, as many as the scores."""

    model: str
    rows: NDArray[np.int64]
    texts: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    scores: BertScores


def score_replies(
    data: Dataset,
    encoder: str | TokenEncoder = "static",
    *,
    layer: int | None = None,
    device: str = "cpu",
    idf: bool = False,
    rescale: Baseline | None = None,
) -> list[Scored]:
    """Every model's replies against their targets, the best of several; rows without either are left out.

    An answered call without text counts, as an empty text. Raises BadInput where no row has a target.
    """
    out: list[Scored] = []
    for model in data.models:
        kept = [(i, e, r) for i, e in enumerate(data) if (r := e.reply(model)) and r.ok and e.target is not None]
        if not kept:
            continue
        texts = [r.text or "" for _, _, r in kept]
        given = [targets(e) for _, e, _ in kept]
        scores = bertscore(texts, given, encoder, layer=layer, device=device, idf=idf, rescale=rescale)
        rows = np.array([i for i, _, _ in kept], np.int64)
        out.append(Scored(model, rows, tuple(texts), tuple(tuple(g) for g in given), scores))
    if not out:
        raise BadInput(
            "BERTScore compares replies with targets, and no row of these data has both.",
            hint="Name the column of the targets, such as --columns target=reference.",
        )
    return out


@dataclass(frozen=True)
class ByBertScore:
    """Grades by BERTScore's precision, recall or f against the target, cut to [0, 1]."""

    what: str = "f"
    encoder: str | TokenEncoder = "static"
    layer: int | None = None

    @property
    def name(self) -> str:
        """The measure and the encoder."""
        named = self.encoder if isinstance(self.encoder, str) else self.encoder.name
        return f"BERTScore {self.what} ({named})"

    def graded(self, data: Dataset) -> Dataset:
        """The dataset with scores in [0, 1]; BadInput where no row has a target."""
        found = {e.id: targets(e) for e in data if e.target is not None}
        told = [(e.id, c.reply.text or "") for e in data for c in e.calls if c.reply.ok and e.id in found]
        if not told:
            raise BadInput("BERTScore compares replies with targets, and these data have none.",
                           hint="Name their column: --columns target=COLUMN.")  # fmt: skip
        scores = bertscore([t for _, t in told], [found[i] for i, _ in told], self.encoder, layer=self.layer)
        known = dict(zip(told, np.clip(scores.of(self.what), 0, 1).tolist(), strict=True))

        def one(example: Example, reply: Reply) -> Reply:
            return replace(reply, score=known.get((example.id, reply.text or "")) if reply.ok else None)

        notes = (f"Graded by {self.name}: likeness to the target, not correctness.",)
        quality = f"{self.name}, likeness to the target"
        return replace(each(data, one), bounds=(0.0, 1.0), quality=quality, notes=(*data.notes, *notes))


@dataclass(frozen=True)
class BertScorer:
    """A scikit-learn scorer: called with an estimator that predicts texts, X, and the references y."""

    what: str = "f"
    encoder: str | TokenEncoder = "static"
    layer: int | None = None
    rescale: Baseline | None = None

    def __call__(self, estimator: Any, X: Any, y: Sequence[Any]) -> float:
        """The mean BERTScore of what the estimator predicts."""
        texts = [str(t) for t in estimator.predict(X)]
        return float(self.scores(texts, y).mean())

    def scores(self, texts: Sequence[str], references: Sequence[Any]) -> Floats:
        """The score (n,) of each text."""
        given: list[Any] = [r if isinstance(r, (list, tuple)) else str(r) for r in references]
        return bertscore(texts, given, self.encoder, layer=self.layer, rescale=self.rescale).of(self.what)
