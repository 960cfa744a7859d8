"""How far recorded replies are borne out by the documents that they are about: SummaC, AlignScore, MiniCheck by row.

The checkers are sprat.nli's. Checked against them (tests/measure/test_consistency.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset, Example
from ..errors import BadInput
from ..nli.checks import Check
from ..nli.naming import CHECKERS, checker
from ..nli.protocol import Nli

_NAMES = ("document", "source", "context", "passage", "article")


def documents(data: Dataset, where: str | None = None) -> tuple[list[str | None], str]:
    """Each row's document (None: it has none), and a note on where it was found; BadInput where no row has one.

    `where` is prompt, target, or a name in the rows' `meta`; unless given, the first of document, source, context,
    passage and article that a row's meta holds, else the prompt.
    """
    found = where or next((n for n in _NAMES if any(n in e.meta for e in data)), "prompt")
    out = [_document(e, found) for e in data]
    if not any(out):
        raise BadInput(f"No row has a document under '{found}'.", hint="Say where: --document prompt, target, ...")
    return out, f"Held against each row's {found}."


def _document(example: Example, where: str) -> str | None:
    if where == "prompt":
        return example.request.text or None
    told = example.target if where == "target" else example.meta.get(where)
    return None if told is None or not str(told).strip() else str(told)


def consistencies(
    data: Dataset, how: str, nli: str | Nli = "small", where: str | None = None
) -> Iterator[tuple[str, NDArray[np.int64], list[Check]]]:
    """Each model's replies that have a text and a document: their places, and their checks."""
    held, _ = documents(data, where)
    method = checker(how, nli)
    for model in data.models:
        replies = [(i, r.text or "") for i, e in enumerate(data) if (r := e.reply(model)) and r.ok and held[i]]
        if replies:
            checks = method.check([(held[i] or "", text) for i, text in replies])
            yield model, np.array([i for i, _ in replies], np.int64), checks


def least(
    data: Dataset, model: str, places: Sequence[int], checks: Sequence[Check], count: int
) -> list[dict[str, Any]]:
    """The `count` replies of least support, each with its unsupported sentences, where they stand, and the evidence."""
    known = sorted((c.support, i) for i, c in enumerate(checks) if np.isfinite(c.support))
    return [
        {
            "model": model,
            "id": data.examples[places[i]].id,
            "support": round(support, 4),
            "unsupported": [
                {"text": s.text, "span": [s.start, s.end], "support": round(s.support, 4), "evidence": s.evidence_text}
                for s in checks[i].unsupported()
            ],
        }
        for support, i in known[:count]
    ]


__all__ = ["CHECKERS", "consistencies", "documents", "least"]
