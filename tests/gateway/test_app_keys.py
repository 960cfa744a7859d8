"""Virtual keys at the gateway's door: who may ask what, how much, and who may see a decision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from running import SORT, Running

import sprat
from sprat.gateway.access import keys
from sprat.gateway.access.limits import Budget
from sprat.gateway.ledger.store import Store

CHAT = "/v1/chat/completions"
ASKED = {"model": "auto", "messages": SORT, "max_tokens": 10}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, str]]]:
    file = tmp_path_factory.mktemp("keys") / "sprat.db"
    secrets: dict[str, str] = {}
    kinds: dict[str, dict[str, Any]] = {
        "free": {},
        "poor": {"budget": Budget(1e-7, "day")},
        "slow": {"rate": 1},
        "narrow": {"models": ("mackerel",)},
    }
    with Store.read(file, create=True) as made:
        for name, told in kinds.items():
            secrets[name] = keys.create(made.engine, name, **told)[1]
    running = Running(sprat.tiny("sprat"))

    async def opening() -> Any:
        store = await Store.open(file)
        return await keys.Keys.open(store), store

    running.app.opening, running.app.open_keys = opening, False
    with running:
        yield running, secrets


def post(served: tuple[Running, dict[str, str]], name: str, **more: Any) -> Any:
    return served[0].post(CHAT, {**ASKED, **more}, authorization=f"Bearer {served[1][name]}")


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer sk-sprat-wrong"}, {"x_api_key": "ключ".encode().decode("latin-1")}]
)
def test_without_a_known_key_nothing_is_answered(served: Any, headers: Any) -> None:
    assert served[0].post(CHAT, ASKED, **headers)[0] == 401
    assert served[0].get("/v1/models", **headers)[0] == 401


def test_a_key_may_come_in_either_dialects_header(served: Any) -> None:
    assert post(served, "free")[0] == 200
    assert served[0].post(CHAT, ASKED, x_api_key=served[1]["free"])[0] == 200


def test_a_budget_is_not_passed(served: Any) -> None:
    status, _, said = post(served, "poor")
    assert (status, said["error"]["code"]) == (429, "insufficient_quota")


def test_a_rate_is_kept(served: Any) -> None:
    assert post(served, "slow")[0] == 200
    status, headers, said = post(served, "slow")
    assert (status, said["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(headers["retry-after"]) > 30


def test_a_key_asks_only_its_models(served: Any) -> None:
    assert post(served, "narrow")[0] == 403
    assert post(served, "narrow", model="sprat", sprat={"model": "sprat"})[0] == 403


def test_a_decision_is_shown_to_its_own_key_alone(served: Any) -> None:
    number = post(served, "free")[1]["x-sprat-id"]
    own, other = (f"Bearer {served[1][n]}" for n in ("free", "narrow"))
    assert served[0].get(f"/sprat/decisions/{number}", authorization=own)[0] == 200
    assert served[0].get(f"/sprat/decisions/{number}", authorization=other)[0] == 404
    assert served[0].get(f"/sprat/decisions/{number}")[0] == 401


def test_health_and_metrics_need_no_key(served: Any) -> None:
    assert [served[0].get(p)[0] for p in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
