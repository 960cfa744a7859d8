"""What the watch over the promise counts, over HTTP: which requests are draws, who failed, what is watched at all."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stored import wait_for
from watched import Upstream, Watched, counted, written  # skips where a package of the gateway's is not there

from sprat.core import Request
from sprat.gateway.answering import Tap
from sprat.gateway.ledger import schema
from sprat.gateway.promise import evidence
from sprat.gateway.promise.evidence import Evidence
from sprat.gateway.promise.plan import Plan
from sprat.gateway.promise.watch import Drawn
from sprat.gateway.reload import exchange
from sprat.gateway.served import load
from sprat.gateway.wire.problem import Problem


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


LATER = [{"role": "assistant", "content": "4"}, {"role": "user", "content": "And 3 + 3?"}]


def test_later_turns_of_a_conversation_make_neither_pairs_nor_features(upstream: Upstream, tmp_path: Path) -> None:
    more = f"share = 1.0\ndrift_rate = 1e6\n[promise.features]\ncharacters = {list(range(40))}\n"
    with Watched(written(tmp_path, upstream.url, more), tmp_path / "s.db") as gateway:
        for turns in range(4):
            asked = [{"role": "user", "content": "What is 2 + 2?"}, *LATER * turns]
            assert gateway.post("/v1/chat/completions", {"model": "auto", "messages": asked})[0] == 200
        gateway.ask()
        counted(gateway, 2)
        wait_for(lambda: gateway.keeper.status()["requests"] == 2)


def test_of_a_thread_that_is_named_one_request_counts_whatever_it_says(upstream: Upstream, tmp_path: Path) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        for thread in ("a", "b", "a", "a"):
            gateway.ask(text=f"What is {thread}?", sprat={"thread": thread})
        gateway.keeper._threads.clear()  # as in another worker
        gateway.ask(text="And then?", sprat={"thread": "b"})
        gateway.ask()
        counted(gateway, 3)


def test_the_threads_that_are_remembered_are_bounded(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sprat.gateway.promise.keeper._THREADS", 3)
    with Watched(written(tmp_path, upstream.url), tmp_path / "s.db") as gateway:
        for thread in range(6):
            gateway.ask(sprat={"thread": f"t{thread}"})
        assert len(gateway.keeper._threads) == 3


SETTINGS = """
reference = "large"
setting = "small first"
[[promise.settings]]
name = "reference alone"
cost = 0.01
harm = 0.0
large = 1.0
way = {model = "large"}
[[promise.settings]]
name = "small first"
cost = 0.003
harm = 0.003
large = 0.2
"""


def broken(gateway: Watched) -> None:
    """Let pairs speak against the promise until it breaks."""
    now, keeper = time.time(), gateway.keeper
    told = {"reference": 1.0, "policy": 0.0, "propensity": keeper.promised.rate}
    rows = [Evidence(f"b{i}", keeper.identity, "pair", now + i * 1e-6, **told) for i in range(400)]
    with schema.writing(gateway.app.store.engine) as connection:
        evidence.insert(connection, rows)
    wait_for(lambda: keeper.state == "broken")


def test_while_broken_the_cheapest_certified_setting_is_shadowed_whatever_the_budget_calls_for(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.wrong = 1.0
    more = f'share = 1.0\nrestore_share = 1.0{SETTINGS}[budget]\nall = "1000/day"\n'
    with Watched(written(tmp_path, upstream.url, more), tmp_path / "s.db") as gateway:
        assert gateway.ask() == "large"  # so much money is there
        broken(gateway)
        gateway.ask(5)
        wait_for(lambda: gateway.keeper.status()["pairs"] == 5)
        assert gateway.keeper.status()["mean_loss"] == pytest.approx(0.95)
        assert [c["body"]["model"] for c in upstream.calls].count("mock") == 5


@pytest.mark.parametrize(
    ("old", "new"), [('model = "mock"\n', 'model = "another"\n'), ("at_least = [0.0]", "at_least = [0.9]")]
)
def test_other_models_or_thresholds_are_another_watch(upstream: Upstream, tmp_path: Path, old: str, new: str) -> None:
    file = written(tmp_path, upstream.url)
    with Watched(file, tmp_path / "s.db") as gateway:
        before = gateway.keeper.identity
        file.write_text(file.read_text().replace(old, new, 1))
        asyncio.run_coroutine_threadsafe(exchange(gateway.app, load(file)), gateway.loop).result(10)
        assert gateway.keeper.identity != before


def test_how_models_are_asked_and_paid_is_no_other_watch(upstream: Upstream, tmp_path: Path) -> None:
    file = written(tmp_path, upstream.url)
    before = load(file).answering
    file.write_text(file.read_text().replace('model = "mock"\n', 'model = "mock"\nretries = 1\n', 1))
    assert load(file).answering == before


def test_a_file_that_was_changed_since_its_certificate_is_not_said_to_hold(upstream: Upstream, tmp_path: Path) -> None:
    file = written(tmp_path, upstream.url, "share = 1.0")
    (tmp_path / "certificate.json").write_text(json.dumps({"served": "of another way"}))
    with Watched(file, tmp_path / "s.db") as gateway:
        gateway.ask(2)
        counted(gateway, 2)
        found = gateway.get("/sprat/promise")[2]
        assert found["state"] == "suspended"
        assert "not watched as certified: the file was changed" in found["sentence"]


def unretried(folder: Path, url: str, more: str = "share = 1.0") -> Path:
    file = written(folder, url, more)
    file.write_text(file.read_text().replace("price =", "retries = 0\nprice ="))
    return file


def test_a_policy_that_refuses_what_the_reference_answers_counts_as_wrong(upstream: Upstream, tmp_path: Path) -> None:
    with Watched(unretried(tmp_path, upstream.url), tmp_path / "s.db") as gateway:
        for i, fault in enumerate(({"status": 400, "said": "The context is too long."}, {"status": 429, "after": "7"})):
            upstream.faults += [fault, fault]  # of the small model, and of the large one in its place
            body = {"model": "auto", "messages": [{"role": "user", "content": "x"}]}
            assert gateway.post("/v1/chat/completions", body)[0] == fault["status"]
            counted(gateway, i + 1)
        assert gateway.keeper.status()["mean_loss"] == pytest.approx(0.95)


def test_a_request_that_both_refuse_makes_no_pair_and_is_counted(upstream: Upstream, tmp_path: Path) -> None:
    upstream.faults += [{"status": 400, "said": "No such option."}] * 3
    with Watched(unretried(tmp_path, upstream.url), tmp_path / "s.db") as gateway:
        gateway.post("/v1/chat/completions", {"model": "auto", "messages": [{"role": "user", "content": "x"}]})
        wait_for(lambda: gateway.keeper.status()["lost"] == 1)
        assert (gateway.keeper.status()["pairs"], gateway.keeper.busy) == (0, 0)


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("code", ["shutting_down", "internal_error", "store_failed", "upstream_key"])
def test_a_failure_of_the_gateways_own_is_not_the_policys(
    upstream: Upstream, tmp_path: Path, code: str, sent: bool
) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        keeper = gateway.keeper
        plan = Plan(time.time(), Request.of("x"), None, None, False, Drawn(True, 1.0), False)
        keeper.busy += 1
        keeper.settle(plan, "n", [], Tap(), Problem(503, "It failed.", code=code), sent)
        assert (keeper.busy, keeper.lost, keeper._tasks) == (0, int(sent), set())


class Noisy(Upstream):
    """Whoever is asked says something else each time."""

    def _says(self, body: dict[str, Any]) -> str:
        with self.lock:
            return str(self.random.random())


def test_while_broken_a_policy_that_asks_the_reference_is_compared_with_the_very_reply(tmp_path: Path) -> None:
    with Noisy() as noisy:
        file = written(tmp_path, noisy.url, 'share = 1.0\nrestore_share = 1.0\nreference = "large"', at_least=2.0)
        with Watched(file, tmp_path / "s.db") as gateway:
            broken(gateway)
            gateway.ask(5)
            counted(gateway, 5)
            assert gateway.keeper.status()["mean_loss"] == pytest.approx(-0.05)
            assert len(noisy.calls) == 5


def test_a_maximum_cost_that_gets_the_reference_says_that_the_promise_is_broken(
    upstream: Upstream, tmp_path: Path
) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        broken(gateway)
        body = {"model": "auto", "messages": [{"role": "user", "content": "x"}], "sprat": {"max_cost": 1.0}}
        _, headers, _ = gateway.post("/v1/chat/completions", body)
        assert (headers["x-sprat-model"], headers["x-sprat-promise"]) == ("large", "broken")


CACHED = "drift_rate = 1e6\n[promise.features]\nrandom = {values}\n[cache]\nany_temperature = true\n{more}"


def test_the_drift_test_counts_requests_that_the_cache_answers(upstream: Upstream, tmp_path: Path) -> None:
    more = CACHED.format(values=[i / 40 for i in range(40)], more="")
    with Watched(written(tmp_path, upstream.url, more, at_least=0.5), tmp_path / "s.db") as gateway:
        gateway.ask(5)
        wait_for(lambda: gateway.keeper.status()["requests"] == 5)
        assert gateway.keeper.status()["drift_watched"]


def test_with_a_semantic_cache_what_signals_read_is_not_watched_and_the_status_says_so(
    upstream: Upstream, tmp_path: Path
) -> None:
    more = CACHED.format(values=[i / 40 for i in range(40)], more="semantic = 0.9")
    with Watched(written(tmp_path, upstream.url, more, at_least=0.5), tmp_path / "s.db") as gateway:
        gateway.ask()
        found = gateway.get("/sprat/promise")[2]
        assert not found["drift_watched"]
        assert "not watched for drift: no signal reads those that the semantic cache answers" in found["sentence"]
