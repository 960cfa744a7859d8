"""Pairs that wait for a person's marks, shown blind: the two replies in a random order, without who wrote which."""

from __future__ import annotations

from typing import Any

from ...errors import BadInput
from ..ledger.store import Store
from ..promise import evidence

AT_ONCE = 20


class Marks:
    """The marking page's reads and its one write; all block."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def waiting(self) -> dict[str, Any]:
        """The oldest pairs that wait, and how many there are in all; of each the question and the replies alone."""
        found, total = evidence.waiting(self.store.engine, AT_ONCE)
        pairs = [{"id": p.id, "at": p.at, "question": p.question, "replies": list(p.replies)} for p in found]
        return {"pairs": pairs, "waiting": total}

    def mark(self, pair: str, scores: str, at: float) -> None:
        """Give a pair's replies scores, such as "1,0", in the order shown; empty: can't be judged. Raises BadInput."""
        try:
            given = [float(s) for s in scores.split(",")] if scores else None
        except ValueError:
            raise BadInput(f"These are no scores: '{scores[:40]}'.", hint="Needed: 0 to 1, a comma between.") from None
        evidence.mark(self.store.engine, pair, given, at)
