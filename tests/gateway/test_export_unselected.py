"""What is exported for a study does not depend on what the models replied: drawn requests, with every model's reply."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from stored import wait_for
from watched import Upstream, Watched, written  # skips where a package of the gateway's is not there

from sprat.data import Dataset
from sprat.errors import BadInput
from sprat.gateway.ledger.store import Store

PROMPTS = 30


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(wrong=0.5) as up:
        yield up


def exported(upstream: Upstream, folder: Path, share: float) -> Dataset:
    """The dataset of a route by chance, half of whose requests go to the large model."""
    more = f"share = {share}\n[gateway]\nstore_prompts = true\n"
    with Watched(written(folder, upstream.url, more, at_least=0.5), folder / "s.db") as gateway:
        for i in range(PROMPTS):
            gateway.ask(text=f"{i}: what is 2 + 2?")
        wait_for(lambda: gateway.keeper.busy == 0)
    with Store.read(str(folder / "s.db")) as store:
        return store.dataset()


def test_every_drawn_request_has_the_whole_reply_of_every_model(upstream: Upstream, tmp_path: Path) -> None:
    data = exported(upstream, tmp_path, 1.0)
    assert len(data) == PROMPTS
    assert all(sorted(c.model for c in e.calls) == ["large", "small"] for e in data)


def test_only_drawn_requests_are_exported_and_the_rest_is_counted(upstream: Upstream, tmp_path: Path) -> None:
    data = exported(upstream, tmp_path, 0.5)
    with sqlite3.connect(tmp_path / "s.db") as store:
        drawn = store.execute("select count(*) from sprat_evidence where kind = 'pair'").fetchone()[0]
    assert 0 < len(data) == drawn < PROMPTS
    assert f"{PROMPTS - drawn} requests were not drawn by chance" in data.notes[-1]


def test_each_call_has_its_own_cost(upstream: Upstream, tmp_path: Path) -> None:
    for example in exported(upstream, tmp_path, 1.0):
        for call in example.calls:
            usage, price = call.reply.usage, 1.0 if call.model == "small" else 10.0
            assert usage is not None
            tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0)
            assert call.reply.cost == pytest.approx(tokens * price / 1e6)


def test_where_nothing_was_drawn_the_export_says_what_would_be(upstream: Upstream, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not drawn by chance"):
        exported(upstream, tmp_path, 1e-9)


def test_a_request_that_named_its_model_is_exported(upstream: Upstream, tmp_path: Path) -> None:
    more = "share = 1e-9\n[gateway]\nstore_prompts = true\n"
    with Watched(written(tmp_path, upstream.url, more), tmp_path / "s.db") as gateway:
        asked = [{"role": "user", "content": "2 + 2?"}]
        for name in ("small", "large"):
            assert gateway.post("/v1/chat/completions", {"model": name, "messages": asked})[0] == 200
    with Store.read(str(tmp_path / "s.db")) as store:
        (example,) = store.dataset().examples
    assert sorted(c.model for c in example.calls) == ["large", "small"]
