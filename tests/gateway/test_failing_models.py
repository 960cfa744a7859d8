"""A certified way whose small model fails: the reference answers instead, still under the certificate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import HELLO, Running
from watched import Upstream, Watched, counted, written  # skips where a package of the gateway's is not there

import sprat
from mock_server import MockServer
from sprat.prices import Price
from sprat.signals import logprob

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "auto", "messages": HELLO}


@pytest.fixture(scope="module")
def up() -> Iterator[MockServer]:
    with MockServer(lambda body: "from the " + body["model"]) as made:
        yield made


def leaf(up: MockServer, name: str, **told: Any) -> Any:
    return sprat.openai(name, up.url, f"mock-{name}", retries=0, timeout=5.0, price=Price(1.0, 1.0), **told)


@pytest.fixture(scope="module", params=["route", "cascade", "watchful"])
def gateway(request: Any, up: MockServer) -> Iterator[Running]:
    small, large = leaf(up, "small", logprobs=True), leaf(up, "large")
    trust = sprat.signals.random() if request.param == "route" else logprob(first=3)
    way = getattr(sprat, request.param)(small, large, trust=trust, at_least=0.0001)
    with Running(way, breaker=False) as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 400}, {"reset": True}])
def test_the_reference_answers_for_a_small_model_that_fails(
    gateway: Running, up: MockServer, fault: Any, stream: bool
) -> None:
    up.faults.append(fault)
    status, headers, said = gateway.post(CHAT, {**ASKED, "stream": stream})
    assert (status, headers["x-sprat-model"]) == (200, "large")
    assert "large" in str(said)
    card = gateway.kept[-1].card
    assert card["facts"]["escalation"].startswith("small failed: ")
    assert [a["model"] for a in card["asks"]["asks"] if a.get("error")] == ["small"]


def test_where_both_fail_the_card_has_what_was_asked(gateway: Running, up: MockServer) -> None:
    up.faults += [{"status": 500}, {"status": 500}]
    status, headers, _ = gateway.post(CHAT, ASKED)
    assert status == 502
    asked = gateway.kept[-1].card["asks"]["asks"]
    assert [a["model"] for a in asked if a.get("error")] == ["small", "large"]
    assert "x-sprat-quality" not in headers
    assert "x-sprat-certificate" not in headers


def test_a_draft_that_breaks_off_while_it_is_held_is_replaced(up: MockServer) -> None:
    small, large = leaf(up, "small", logprobs=True), leaf(up, "large")
    with Running(sprat.watchful(small, large, trust=logprob(first=9), at_least=0.5), breaker=False) as made:
        up.faults.append({"half": 3})
        _, _, said = made.post(CHAT, {**ASKED, "stream": True})
        assert "small" not in said
        assert made.kept[-1].model == "large"
        assert made.kept[-1].trusts == {}  # what its beginning might have come to is no finding


def test_the_watch_counts_it_as_the_references_own_reply(tmp_path: Path) -> None:
    with Upstream() as upstream:
        watched = Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db")
        with watched:
            upstream.faults += [{"status": 400}]
            assert watched.ask() == "large"
            counted(watched, 1)
        assert [c["body"]["model"] for c in upstream.calls] == ["mock-large"]  # no shadow; a fault is no call
