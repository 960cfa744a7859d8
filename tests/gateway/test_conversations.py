"""A conversation behind a cascade stays with the model that answered it, as the gateway itself remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from running import Running  # skips where a package of the gateway's is not there

import sprat
from sprat.core import Reply, Request, Signal
from sprat.gateway.access.keys import Keys
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import of
from sprat.signals import logprob

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, repr=False)
class NotHard(Signal):
    """Trusts whatever does not answer "hard"."""

    use = "not_hard"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        return float(request.text != "hard")


def cascade() -> Any:
    return sprat.cascade(sprat.toy("small", "yes"), sprat.toy("large", "no"), trust=NotHard(), at_least=0.5)


@pytest.fixture
def gateway() -> Iterator[Running]:
    with Running(cascade()) as made:
        yield made


def turn(*texts: str) -> list[dict[str, str]]:
    return [{"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(texts)]


def writer(gateway: Running, *texts: str, **sprat: Any) -> str:
    """Who answers the last of these turns."""
    more = {"sprat": sprat} if sprat else {}
    status, headers, said = gateway.post(CHAT, {"model": "auto", "messages": turn(*texts), **more})
    assert status == 200, said
    return headers["x-sprat-model"]


def test_a_later_turn_stays_with_the_model_that_answered(gateway: Running) -> None:
    assert [writer(gateway, "a"), writer(gateway, "a", "yes", "b")] == ["small", "small"]
    assert writer(gateway, "a", "yes", "b", "yes", "c") == "small"
    assert gateway.kept[-1].card["asks"]["asks"][0]["because"] == "the thread was answered by small"


def test_so_it_does_behind_a_way_that_watches(gateway: Running) -> None:
    small = sprat.toy("small", "yes", trusted=-0.1)
    with Running(sprat.watchful(small, sprat.toy("large", "no"), trust=logprob(first=2), at_least=0.5)) as made:
        assert [writer(made, "a"), writer(made, "a", "yes", "b")] == ["small", "small"]


def test_one_that_went_to_the_large_model_stays_there(gateway: Running) -> None:
    assert [writer(gateway, "hard"), writer(gateway, "hard", "no", "b")] == ["large", "large"]


def test_a_conversation_that_was_never_seen_goes_to_the_large_model(gateway: Running) -> None:
    assert writer(gateway, "elsewhere", "yes", "b") == "large"


def test_a_thread_is_known_by_its_id(gateway: Running) -> None:
    writer(gateway, "a", thread="t1")
    assert writer(gateway, "a, edited", "yes, edited", "b", thread="t1") == "small"
    assert writer(gateway, "a, edited", "yes, edited", "b", thread="t2") == "large"


@pytest.mark.parametrize("thread", [None, "t1"])
def test_it_is_known_from_the_store_after_a_restart_and_to_its_key_alone(tmp_path: Path, thread: str | None) -> None:
    told: dict[str, Any] = {"thread": thread} if thread else {}

    def running() -> Running:
        made = Running(of(cascade()))

        async def opening() -> tuple[Keys, Store]:
            store = await Store.open(tmp_path / "s.db")
            return await Keys.open(store), store

        made.app.opening = opening
        return made

    with running() as first:
        assert writer(first, "a", **told) == "small"
    with running() as second:
        assert writer(second, "a", "yes", "b", **told) == "small"
    with Store.read(tmp_path / "s.db") as store:
        exchange = store.exchanges()[-1]
        assert store.writer_of("", exchange.thread) == "small"
        assert store.writer_of("another", exchange.thread) is None
