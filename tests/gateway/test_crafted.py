"""Requests crafted to force the dear model are named, never refused; ordinary ones hardly ever."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from promised import TOY, Short
from running import Running
from stored import wait_for

from sprat.cli import main
from sprat.core import Request
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import load
from sprat.gateway.steering.crafted import FAR, Crafted, Share, best_of_parts
from sprat.gateway.steering.policy import Choice
from sprat.gateway.steering.ways import Way
from sprat.signals.surface import without_parts

CHAT = "/v1/chat/completions"
QUESTION = "What is two and two, my dear friend? Say it."
SUFFIX = " zq xv kj wp zq xv kj wp zq xv kj wp zq xv kj wp zq xv"


def test_a_text_is_cut_at_its_last_sentence_and_by_quarters_and_halves() -> None:
    assert without_parts("One two three. Four five six seven eight.") == [
        "One two three.",
        "One two three. Four five six",
        "three. Four five six seven eight.",
        "One two three. Four",
    ]
    assert without_parts("too short") == []


def test_a_key_at_the_certificates_share_is_named_at_most_once_in_a_thousand_times() -> None:
    rng, named = np.random.default_rng(1), 0
    for _ in range(300):
        share = Share()
        named += any(share.add(bool(dear), 0.2) for dear in rng.random(500) < 0.2 + FAR)
    assert named <= 3


def test_a_key_that_always_gets_the_dear_model_is_named_soon() -> None:
    share = Share()
    assert next(n for n in range(1, 100) if share.add(True, 0.2)) < 15


def test_at_a_setting_that_is_all_dear_nothing_is_shown_by_dear_answers() -> None:
    share = Share()
    assert not any(share.add(True, 1.0) for _ in range(1000))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "serve.toml"
    path.write_text(TOY.replace("explore = 0.3", "drop = 0.3").replace("at_least = [0.2]\n[p", "at_least = [0.4]\n[p"))
    return path


def test_the_trust_without_a_suffix_is_found(file: Path) -> None:
    route = load(file).models["auto"]
    text = QUESTION + SUFFIX
    best = best_of_parts(route, Request.of(text))
    assert best is not None
    assert best >= Short()(text[: len(text) // 2]) - 0.1 > Short()(text)


def test_what_looks_crafted_is_answered_and_named_in_card_log_and_metrics(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = Running(load(file))

    async def opening() -> Any:
        store = await Store.open(tmp_path / "sprat.db", linger=0.01)
        from sprat.gateway.access.keys import Keys

        return await Keys.open(store), store

    gateway.app.opening = opening
    with gateway, Store.read(tmp_path / "sprat.db", create=True) as store:
        plain = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}]}
        crafted = {"model": "auto", "messages": [{"role": "user", "content": QUESTION + SUFFIX}]}
        for body in (plain, crafted):
            status, headers, _ = gateway.post(CHAT, body)
            assert status == 200
        wait_for(lambda: any(e.crafted for e in store.exchanges()))
        rows = {e.model: e.crafted for e in store.exchanges()}
        assert rows["small"] == ""
        assert rows["large"].startswith("parts: without a part of it")
        facts = gateway.get(f"/sprat/decisions/{headers['x-sprat-id']}")[2]["facts"]
        assert facts["crafted"].startswith("parts:")
        assert 'sprat_crafted_requests_total{how="parts"} 1.0' in gateway.get("/metrics")[2]
    capsys.readouterr()
    assert main(["logs", "--crafted", "--store", str(tmp_path / "sprat.db")]) == 0
    said = capsys.readouterr().out
    assert headers["x-sprat-id"] in said
    assert "the small model would have been trusted" in said


def test_no_more_than_a_few_looks_are_taken_each_second() -> None:
    crafted = Crafted(0.1)
    assert sum(crafted._free() for _ in range(100)) <= 10  # pyright: ignore[reportPrivateUsage]


def test_a_reply_of_the_reference_alone_shows_nothing() -> None:
    model: Any = SimpleNamespace(name="large")
    way = Way("reference alone", model, large=1.0)
    crafted = Crafted(0.1)
    gateway: Any = SimpleNamespace()
    crafted.note(gateway, "x", "key", Request.of(QUESTION), Choice(way, model, ((way, 1.0),)), [])
    assert crafted.shares == {}
