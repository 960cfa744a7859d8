"""Labelled requests of the gateway's own log as neighbours."""

from __future__ import annotations

from typing import Any

import pytest
from foretold import served
from running import Running

from sprat.gateway.cards.labelled import read
from sprat.gateway.ledger.store import Label

ASKED = "0.5 which planet is the largest"


class Marked(Running):
    """A gateway whose exchanges were all marked."""

    def __init__(self, way: Any, *marks: tuple[str, float]) -> None:
        super().__init__(way)
        self.marks = marks

    def labels(self) -> list[Label]:
        return [Label(e.id, source, score, 0.0) for e in self.kept for source, score in self.marks]

    def exchanges(self, limit: int, prompts: bool) -> list[Any]:
        assert prompts
        return self.kept[::-1][:limit]

    def twice(self) -> Any:
        """The second card of two alike requests."""
        body = {"model": "auto", "messages": [{"role": "user", "content": ASKED}]}
        first, second = (self.post("/v1/chat/completions", body)[1]["x-sprat-id"] for _ in range(2))
        return first, self.get(f"/sprat/decisions/{second}")[2]


def test_a_labelled_request_is_a_neighbour_of_the_next_like_it() -> None:
    with Marked(served(store_prompts=True), ("human", 1.0)) as gateway:
        first, card = gateway.twice()
    row = next(r for r in card["neighbours"] if r["id"] == first)
    assert (row["scores"], row["source"], row["similarity"]) == ({"large": 1.0}, "log", pytest.approx(1, abs=1e-3))
    assert "text" not in row
    assert f"{first} (own log): large right" in card["drawing"]


def test_a_persons_mark_counts_before_a_judges() -> None:
    with Marked(served(store_prompts=True), ("judge:m", 1.0), ("human", 0.0), ("judge:n", 1.0)) as gateway:
        first, card = gateway.twice()
    assert next(r for r in card["neighbours"] if r["id"] == first)["scores"] == {"large": 0.0}


def test_where_no_prompts_are_stored_nothing_of_the_log_is_shown() -> None:
    with Marked(served(), ("human", 1.0)) as gateway:
        assert {r["source"] for r in gateway.twice()[1]["neighbours"]} == {"study"}


def test_no_key_sees_what_another_asked() -> None:
    from dataclasses import replace

    with Marked(served(store_prompts=True), ("human", 1.0)) as gateway:
        gateway.twice()
        gateway.kept = [replace(e, key=name) for e, name in zip(gateway.kept, ("a", "b"), strict=True)]
        found = read(gateway)
        assert {key: logged.ids for key, logged in found.items()} == {e.key: (e.id,) for e in gateway.kept}
