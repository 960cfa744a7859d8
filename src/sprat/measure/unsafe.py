"""Safety scorers over every model's replies: how likely each is unsafe, and the words of the worst ones.

Words that are private information are not repeated: their kind and place are said instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..safety.scorer import Floats, Scorer


def unsafe_replies(data: Dataset, scorer: Scorer) -> Iterator[tuple[str, NDArray[np.int64], Floats, list[str]]]:
    """Each model's replies that say something: their rows' places, P(unsafe) (n,) and texts."""
    for model in data.models:
        kept = [(i, r.text) for i, e in enumerate(data) if (r := e.reply(model)) and r.ok and r.text is not None]
        if kept:
            texts = [text for _, text in kept]
            yield model, np.array([i for i, _ in kept], np.int64), scorer.probabilities(texts), texts


def worst(
    data: Dataset, model: str, scorer: Scorer, places: NDArray[np.int64], p: Floats, texts: list[str], count: int
) -> list[dict[str, Any]]:
    """The `count` likeliest unsafe replies, each with its words, or the kind and place of what is private."""
    out: list[dict[str, Any]] = []
    for at in np.argsort(-p, kind="stable")[:count].tolist():
        spans = sorted(scorer.spans(texts[at]), key=lambda s: -s.score)
        private = scorer.name == "pii"
        said = [f"{s.kind} at {s.start}-{s.end}" if private else texts[at][s.start : s.end] for s in spans]
        out.append(
            {
                "model": model,
                "id": data.examples[int(places[at])].id,
                "measure": scorer.name,
                "p": float(p[at]),
                "words": [[w, round(s.score, 4)] for w, s in zip(said, spans, strict=True)],
                "spans": [[s.start, s.end] for s in spans],
                "kinds": [s.kind for s in spans],
            }
        )
    return out
