"""What clients are told: of upstreams' errors, of methods, of keys, and of what a key may ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import HELLO, Running  # skips where a package of the gateway's is not there

import sprat
from mock_server import MockServer
from sprat.gateway.access import keys
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import of

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "auto", "messages": HELLO, "max_tokens": 10}


@pytest.fixture(scope="module")
def up() -> Iterator[MockServer]:
    with MockServer(lambda body: "yes") as made:
        yield made


def leaf(up: MockServer, name: str) -> Any:
    return sprat.openai(name, up.url, "mock", retries=0, timeout=5.0)


@pytest.fixture(scope="module")
def plain(up: MockServer) -> Iterator[Running]:
    with Running(leaf(up, "m"), breaker=False) as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 500])
def test_what_looks_like_a_key_in_an_upstreams_words_is_struck(
    plain: Running, up: MockServer, status: int, stream: bool
) -> None:
    up.faults.append({"status": status, "said": "Incorrect key sk-proj-abcdefgh12345678."})
    _, _, said = plain.post(CHAT, {**ASKED, "stream": stream})
    assert "Incorrect key ***" in str(said)


def test_so_it_is_on_the_card(up: MockServer) -> None:
    with Running(sprat.fallback(leaf(up, "a"), leaf(up, "b")), breaker=False) as made:
        up.faults.append({"status": 500, "said": "Incorrect key sk-proj-abcdefgh12345678."})
        _, _, said = made.post(CHAT, {**ASKED, "sprat": {"card": True}})
        assert "a failed: its server failed (HTTP 500)." in said["sprat"]["drawing"]
        assert "sk-proj" not in str(said)


def test_an_upstreams_400_keeps_its_code(plain: Running, up: MockServer) -> None:
    up.faults.append({"status": 400, "said": "Too long.", "code": "context_length_exceeded"})
    assert plain.post(CHAT, ASKED)[2]["error"]["code"] == "context_length_exceeded"


def test_a_call_that_was_refused_cost_nothing(plain: Running, up: MockServer) -> None:
    up.faults.append({"status": 400, "said": "Too long."})
    plain.post(CHAT, ASKED)
    assert plain.kept[-1].cost == 0.0


def test_a_method_that_an_address_does_not_take_is_answered_with_those_that_it_does(plain: Running) -> None:
    status, headers, _ = plain.get(CHAT)
    assert (status, headers["allow"]) == (405, "POST")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, str]]]:
    file = tmp_path_factory.mktemp("told") / "sprat.db"
    with Store.read(file, create=True) as made:
        kinds: dict[str, dict[str, Any]] = {"narrow": {"models": ("auto", "a")}, "over": {"expires": 1.0}}
        secrets = {name: keys.create(made.engine, name, **told)[1] for name, told in kinds.items()}
    running = Running(of(sprat.fallback(sprat.toy("a", "yes"), sprat.toy("b", "no"))))

    async def opening() -> Any:
        store = await Store.open(file)
        return await keys.Keys.open(store), store

    running.app.opening, running.app.open_keys = opening, False
    with running:
        yield running, secrets


def test_the_models_are_those_that_the_key_may_ask(keyed: tuple[Running, dict[str, str]]) -> None:
    running, secrets = keyed
    _, _, said = running.get("/v1/models", authorization=f"Bearer {secrets['narrow']}")
    assert [row["id"] for row in said["data"]] == ["auto", "a"]
    assert running.get("/v1/models/b", authorization=f"Bearer {secrets['narrow']}")[0] == 404


def test_an_expired_key_is_told_so(keyed: tuple[Running, dict[str, str]]) -> None:
    running, secrets = keyed
    status, _, said = running.post(CHAT, ASKED, authorization=f"Bearer {secrets['over']}")
    assert (status, said["error"]["message"]) == (401, "This key has expired.")


def test_keys_are_made_for_models_that_the_served_file_has(tmp_path: Path, capsys: Any) -> None:
    from sprat.cli import main

    (tmp_path / "serve.toml").write_text('[way]\nmodel = "m"\n[models.m]\nuse = "toy"\n')
    told = ["keys", "create", "--name", "k", "--store", str(tmp_path / "sprat.db"), "--models"]
    assert main([*told, "auto,n"]) == 2
    assert "serve.toml has no model 'n'" in capsys.readouterr().err
    assert main([*told, "auto,m"]) == 0
