"""Labelled requests of the gateway's own log as neighbours: what happened here counts beside what the study saw.

Only where prompts are stored, and only among the requests of the same key, so that no key learns what another asked.
They are read again when a card is read, at most every ten minutes, in a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ...encoders.static import StaticEncoder
from ...errors import SpratError
from ..ledger.exchange import Exchange
from .neighbours import Logged, stored

EVERY = 600.0  # seconds
_LOOKED, _MOST, _SHOWN = 5000, 2000, 500  # newest exchanges read, rows kept, and characters of a text


class Labelled:
    """The labelled exchanges by key, as of the last look."""

    def __init__(self) -> None:
        self.by_key: Mapping[str, Logged] = {}
        self.looked = float("-inf")

    def of(self, key: str) -> Logged | None:
        """Those of a key, as far as they were read."""
        return self.by_key.get(key)

    async def refreshed(self, store: Any, prompts: bool, key: str) -> Logged | None:
        """Those of a key, read again where that is due; what can't be read stays as it was."""
        now = time.monotonic()
        if prompts and now - self.looked >= EVERY and hasattr(store, "labels"):
            self.looked = now
            with suppress(SpratError):
                self.by_key = await asyncio.to_thread(read, store)
        return self.of(key) if prompts else None


def read(store: Any) -> dict[str, Logged]:
    """The newest labelled exchanges with a stored prompt, by key; a person's mark counts before a judge's."""
    scores: dict[str, dict[str, list[float]]] = {}
    for label in store.labels():
        who = "human" if label.source == "human" else "judge"
        scores.setdefault(label.exchange, {}).setdefault(who, []).append(float(label.score))
    if not scores:
        return {}
    rows = [e for e in store.exchanges(limit=_LOOKED, prompts=True) if e.id in scores and e.model and stored(e.request)]
    by_key: dict[str, list[Exchange]] = {}
    for row in rows[:_MOST]:
        by_key.setdefault(row.key, []).append(row)
    return {key: _logged(kept, scores) for key, kept in by_key.items()}


def _logged(rows: Sequence[Exchange], scores: Mapping[str, Mapping[str, list[float]]]) -> Logged:
    models = tuple(dict.fromkeys(r.model for r in rows))
    found = np.full((len(rows), len(models)), np.nan, np.float32)
    for i, row in enumerate(rows):
        marks = scores[row.id]
        found[i, models.index(row.model)] = np.mean(marks.get("human") or marks["judge"])
    texts, encoder = [stored(r.request) for r in rows], StaticEncoder()
    return Logged(
        encoder.name,
        encoder.encode(texts).astype(np.float16),
        found,
        tuple(r.id for r in rows),
        np.zeros(len(rows), np.bool_),
        models,
        tuple(t[:_SHOWN] for t in texts),
        "log",
    )
