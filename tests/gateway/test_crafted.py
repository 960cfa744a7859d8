"""Requests crafted to force the dear model are named, never refused; ordinary ones hardly ever."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from promised import TOY
from running import Running
from stored import wait_for

from sprat.cli import main
from sprat.core import Request
from sprat.errors import BadInput
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import load
from sprat.gateway.steering.crafted import FAR, Crafted, Share, turning
from sprat.gateway.steering.policy import Choice
from sprat.gateway.steering.ways import Way
from sprat.signals.ordinary import Ordinary

CHAT = "/v1/chat/completions"
QUESTION = "What is two and two, my dear friend? Say it."
SUFFIX = " zq xv kj wp zq xv kj wp zq xv kj wp zq xv kj wp zq xv"
ORDINARY = Ordinary.of([[f"{QUESTION} {n}"] for n in range(9)])
KNOWN = f"[promise.ordinary]\nknown = {ORDINARY.known.tolist()}\nbits = {list(ORDINARY.bits)}\n"


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


def written(folder: Path, told: str = KNOWN, level: str = "crafted = 2.0") -> Path:
    """A serve.toml whose [way] needs a trust of .4, with what ordinary prompts read like and the [way]'s level."""
    text = TOY.replace("explore = 0.3\n", "").replace("at_least = [0.2]\n[p", "at_least = [0.4]\n[p")
    path = folder / "serve.toml"
    path.write_text(text.replace("large = 0.2\n", f"large = 0.2\n{level}\n") + told)
    return path


def test_the_part_that_turned_a_request_is_found_by_hand(tmp_path: Path) -> None:
    route = load(written(tmp_path)).models["auto"]
    turned = turning(ORDINARY, route, Request.of(QUESTION + SUFFIX), 2.0)
    assert turned is not None
    part, trust = turned
    assert str(part) == "words 14 to 31 of 31"
    assert trust == pytest.approx(1 - len(QUESTION) / 100)
    follows, _, unknown = ORDINARY.bits
    # 13 words that follow one another, then 18 that no ordinary prompt holds.
    assert part.contrast == pytest.approx((unknown - follows) * (13 * 18 / 31) ** 0.5)
    assert turning(ORDINARY, route, Request.of(QUESTION + SUFFIX), part.contrast) is None


def test_a_part_that_stands_out_but_did_not_turn_the_request_is_not_one(tmp_path: Path) -> None:
    route = load(written(tmp_path)).models["auto"]
    long = " ".join([QUESTION] * 4)  # dear by itself
    assert turning(ORDINARY, route, Request.of(long + SUFFIX), 2.0) is None


def test_a_request_that_is_all_unlike_ordinary_ones_has_no_part_that_stands_out(tmp_path: Path) -> None:
    route = load(written(tmp_path)).models["auto"]
    assert turning(ORDINARY, route, Request.of(SUFFIX * 2), 2.0) is None


@pytest.mark.parametrize(("told", "level"), [("", "crafted = 2.0"), (KNOWN, ""), ("", "")])
def test_a_file_without_the_table_or_the_level_still_serves_and_names_nothing(
    tmp_path: Path, told: str, level: str
) -> None:
    with Running(load(written(tmp_path, told, level))) as gateway:
        body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION + SUFFIX}]}
        assert gateway.post(CHAT, body)[0] == 200
        assert gateway.app.policy.crafted._tasks == set()  # pyright: ignore[reportPrivateUsage]


def test_a_file_that_still_says_drop_serves(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace("[promise]\n", "[promise]\ndrop = 0.3\n"))
    assert load(path).ordinary is not None


WRONG = {
    "too large": "known = [1, 256]\nbits = [1, 2, 3]",
    "empty": "known = []\nbits = [1, 2, 3]",
    "no words": "bits = [1, 2, 3]",
    "two kinds": "known = [1]\nbits = [1, 2]",
    "no number": "known = [1]\nbits = 'x'",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_table_that_cant_be_read_is_said(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(BadInput, match="ordinary can't be read"):
        load(written(tmp_path, f"[promise.ordinary]\n{wrong}\n"))


def test_what_looks_crafted_is_answered_and_named_in_card_log_and_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Running(load(written(tmp_path)))

    async def opening() -> Any:
        store = await Store.open(tmp_path / "sprat.db", linger=0.01)
        from sprat.gateway.access.keys import Keys

        return await Keys.open(store), store

    gateway.app.opening = opening
    with gateway, Store.read(tmp_path / "sprat.db", create=True) as store:
        asked = (QUESTION, " ".join([QUESTION] * 4), QUESTION + SUFFIX)  # cheap, dear by itself, crafted
        numbers: list[str] = []
        for content in asked:
            body = {"model": "auto", "messages": [{"role": "user", "content": content}]}
            status, headers, _ = gateway.post(CHAT, body)
            assert status == 200
            numbers.append(headers["x-sprat-id"])
        wait_for(lambda: any(e.crafted for e in store.exchanges()))
        rows = {e.id: (e.model, e.crafted) for e in store.exchanges()}
        assert [rows[n][0] for n in numbers] == ["small", "large", "large"]
        assert [bool(rows[n][1]) for n in numbers] == [False, False, True]
        assert rows[numbers[2]][1].startswith("part: without words 14 to 31 of 31")
        facts = [gateway.get(f"/sprat/decisions/{n}")[2]["facts"].get("crafted", "") for n in numbers]
        assert facts == ["", "", rows[numbers[2]][1]]
        said = [r.getMessage() for r in caplog.records if "looks crafted" in r.getMessage()]
        assert len(said) == 1
        assert numbers[2] in said[0]
        assert "zq" not in said[0]  # no prompt in a log
        assert 'sprat_crafted_requests_total{how="part"} 1.0' in gateway.get("/metrics")[2]
    capsys.readouterr()
    assert main(["logs", "--crafted", "--store", str(tmp_path / "sprat.db")]) == 0
    said_there = capsys.readouterr().out
    assert numbers[2] in said_there
    assert numbers[0] not in said_there
    assert numbers[1] not in said_there


def test_no_more_than_a_few_looks_are_taken_each_second() -> None:
    crafted = Crafted(ORDINARY)
    assert sum(crafted._free() for _ in range(100)) <= 10  # pyright: ignore[reportPrivateUsage]


def test_a_reply_of_the_reference_alone_shows_nothing() -> None:
    model: Any = SimpleNamespace(name="large")
    way = Way("reference alone", model, large=1.0)
    crafted = Crafted(ORDINARY)
    gateway: Any = SimpleNamespace()
    crafted.note(gateway, "x", "key", Request.of(QUESTION), Choice(way, model, ((way, 1.0),)), [])
    assert crafted.shares == {}
