"""The logged requests that are most like one, and how each model did on them; looked up only when a card is read.

Likeness is the cosine of the embedded encoder's vectors. Nothing of this is done for a request whose card nobody reads:
then it takes about a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import Request
from ...encoders.static import StaticEncoder

NEAREST = 5
LONGEST = 4096  # characters of a request that are compared
_SOME = 300  # rows whose nearest others say how near is usual


def compared(request: Request) -> str:
    """What of a request is compared: its opening, from the beginning."""
    return request.opening.text[:LONGEST]


def stored(request: Mapping[str, Any] | None) -> str:
    """The same of a request as the store keeps it; "" where it does not."""
    messages = (request or {}).get("messages")
    return compared(Request.of(messages)) if messages else ""


@dataclass(frozen=True, eq=False)
class Logged:
    """Logged rows: their vectors (n, d), scores (n, models), ids, whether a signal was fitted on them, and texts.

    A score that is not known is NaN; `texts` is None where they were not kept; `source` is "study", or "log" for the
    gateway's own.
    """

    encoder: str
    rows: NDArray[np.float16]
    scores: NDArray[np.float32]
    ids: tuple[str, ...]
    fitted: NDArray[np.bool_]
    models: tuple[str, ...]
    texts: tuple[str, ...] | None = None
    source: str = "study"

    @classmethod
    def of(cls, table: Mapping[str, Any], models: tuple[str, ...]) -> Logged:
        """As `sprat study` wrote them; KeyError or ValueError where it did not."""
        rows, scores, ids = table["rows"], table["scores"], tuple(map(str, table["ids"]))
        if len(rows) != len(ids) or scores.shape != (len(rows), len(models)):
            raise ValueError("the neighbours' numbers differ")
        texts = tuple(map(str, table["texts"])) if "texts" in table else None
        return cls(str(table["encoder"]), rows, scores, ids, table["fitted"], models, texts)

    @cached_property
    def unit(self) -> NDArray[np.float32]:
        """The vectors, of length 1."""
        rows = self.rows.astype(np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)

    def nearest(self, text: str, k: int = NEAREST, texts: bool = False) -> list[dict[str, Any]]:
        """The k rows most like a text, likest first; empty where another encoder's vectors were kept."""
        encoder = StaticEncoder()
        if encoder.name != self.encoder or not len(self.rows):
            return []
        likeness = self.unit @ encoder.encode((text,))[0]
        return [self._told(int(i), float(likeness[i]), texts) for i in np.argsort(-likeness, kind="stable")[:k]]

    @cached_property
    def usual(self) -> float:
        """How alike its nearest other row is to nearly every row: 19 of 20 rows have one at least so near."""
        some = self.unit[:: max(1, len(self.unit) // _SOME)]
        likeness = some @ self.unit.T
        return float(np.quantile(np.sort(likeness, axis=1)[:, -2], 0.05)) if len(self.unit) > 20 else -1.0

    def unlike(self, text: str) -> dict[str, float] | None:
        """How near the nearest row is and how near it usually is; None where that is not nearer."""
        found = self.nearest(text, 1)
        if not found or found[0]["similarity"] >= self.usual:
            return None
        return {"nearest": found[0]["similarity"], "usual": round(self.usual, 4)}

    def _told(self, place: int, likeness: float, texts: bool) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": self.ids[place],
            "similarity": round(likeness, 4),
            "scores": {m: round(float(s), 6) for m, s in zip(self.models, self.scores[place], strict=True) if s == s},
            "fitted": bool(self.fitted[place]),
            "source": self.source,
        }
        return row | ({"text": self.texts[place]} if texts and self.texts is not None else {})


def nearest(among: Iterable[Logged | None], text: str, texts: bool, k: int = NEAREST) -> list[dict[str, Any]]:
    """The k rows most like a text among several logs, likest first."""
    found = [row for logged in among if logged is not None for row in logged.nearest(text, k, texts)]
    return sorted(found, key=lambda row: -row["similarity"])[:k]
