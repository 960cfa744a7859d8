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


@pytest.fixture(scope="module")
def priced(up: MockServer) -> Iterator[Running]:
    small, large = (
        sprat.openai(name, up.url, "mock", price=sprat.Price(p, p), logprobs=True)
        for name, p in (("small", 1.0), ("large", 9.0))
    )
    with Running(sprat.cascade(small, large, trust=sprat.signals.logprob(), at_least=0.5)) as made:
        yield made


def test_a_model_that_a_maximum_cost_chose_was_not_pinned(priced: Running) -> None:
    _, headers, said = priced.post(CHAT, {**ASKED, "sprat": {"max_cost": 1e-4, "card": True}})
    assert (headers["x-sprat-model"], headers["x-sprat-decision"]) == ("small", "max_cost")
    flip = next(f for f in said["sprat"]["flip"] if "max_cost" in f.get("override", {}))
    assert f"sprat.max_cost from {flip['override']['max_cost']:.3g} → auto" in said["sprat"]["drawing"]
    again = priced.post(CHAT, {**ASKED, "sprat": {"max_cost": flip["override"]["max_cost"]}})
    assert again[1]["x-sprat-decision"].startswith("cascade")


def test_where_nothing_keeps_a_maximum_cost_the_cheapest_model_is_named(priced: Running) -> None:
    said = priced.post(CHAT, {**ASKED, "sprat": {"max_cost": 1e-9}})[2]["error"]["message"]
    assert "the cheapest model, 'small', may take up to $" in said


def test_the_neighbours_of_a_later_turn_are_said_to_be_its_openings() -> None:
    from sprat.gateway.cards.card_text import drawn

    row = {"similarity": 0.5, "id": "a", "scores": {}, "fitted": False, "source": "study"}
    card = {"asks": {"model": "m"}, "neighbours": [row], "later_turn": True}
    assert "nearest logged, of the conversation's opening" in drawn(card)


def test_a_key_that_is_not_in_the_environment_is_warned_of(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sprat.cli import main

    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    text = '[way]\nmodel = "m"\n[models.m]\nurl = "http://127.0.0.1:9/v1"\nkey_env = "NO_SUCH_KEY"\n'
    (tmp_path / "serve.toml").write_text(text)
    assert main(["serve", str(tmp_path / "serve.toml"), "--check"]) == 0
    assert "Warning: NO_SUCH_KEY is not set, so 'm' is asked without a key." in capsys.readouterr().err


def test_a_server_of_all_addresses_is_reached_by_its_name() -> None:
    import socket

    from sprat.cli.serve import _reached_by  # pyright: ignore[reportPrivateUsage]

    assert [_reached_by(host) for host in ("0.0.0.0", "::", "127.0.0.1", "::1")] == [
        socket.gethostname(),
        socket.gethostname(),
        "127.0.0.1",
        "[::1]",
    ]


def test_one_token_and_several_are_one_reason() -> None:
    from sprat.gateway.dashboard.failures import escalation

    def reason(because: str) -> Any:
        asks = [{"model": "small", "cancelled": True}, {"model": "large", "because": because}]
        return escalation({"asks": {"by": "watchful", "asks": asks}}, {"small", "large"})

    assert reason("logprob 0.3 < 0.5 after 1 token") == reason("logprob 0.2 < 0.5 after 12 tokens")
