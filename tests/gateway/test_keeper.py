"""The promise in the path of requests, over HTTP: shadowed, watched, broken, the reference alone, renewed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stored import wait_for
from watched import Upstream, Watched, written  # skips where a package of the gateway's is not there


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def pairs(gateway: Watched) -> int:
    return gateway.keeper.status()["pairs"]


def test_every_shadowed_request_becomes_a_pair(upstream: Upstream, tmp_path: Path) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        gateway.ask(20)
        wait_for(lambda: pairs(gateway) == 20)
        assert gateway.keeper.status()["mean_loss"] == pytest.approx(-0.05)
        assert gateway.keeper.state == "holding"


def test_when_it_breaks_the_reference_answers_within_about_a_second(upstream: Upstream, tmp_path: Path) -> None:
    upstream.wrong = 1.0
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        assert gateway.ask() == "small"
        gateway.ask(60)
        wait_for(lambda: gateway.keeper.state == "broken", 3)
        assert gateway.ask() == "large"
        status, headers, said = gateway.get("/sprat/promise")
        assert (status, said["state"]) == (200, "broken")
