"""The promise in the path of requests, over HTTP: shadowed, watched, broken, the reference alone, renewed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stored import wait_for
from watched import Upstream, Watched, counted, written  # skips where a package of the gateway's is not there

from sprat.cli import main
from sprat.gateway.reload import exchange
from sprat.gateway.served import load
from sprat.gateway.steering.policy import Policy


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def test_every_shadowed_request_becomes_a_pair(upstream: Upstream, tmp_path: Path) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        gateway.ask(20)
        counted(gateway, 20)
        assert gateway.keeper.status()["mean_loss"] == pytest.approx(-0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_whose_bytes_passed_is_compared_too(upstream: Upstream, tmp_path: Path, stream: bool) -> None:
    upstream.wrong = 1.0
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        asked: Any = [{"role": "user", "content": "2 + 2?"}]
        said = gateway.openai().chat.completions.create(model="auto", messages=asked, stream=stream)
        assert not stream or len(list(said)) > 1
        counted(gateway, 1)
        assert gateway.keeper.status()["mean_loss"] == pytest.approx(0.95)


def test_where_the_reference_wrote_the_reply_it_is_not_asked_again(upstream: Upstream, tmp_path: Path) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0", at_least=2.0), tmp_path / "s.db") as gateway:
        assert gateway.ask(5) == "large"
        counted(gateway, 5)
        assert len(upstream.calls) == 5


def test_a_pinned_model_and_several_samples_are_not_shadowed(upstream: Upstream, tmp_path: Path) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        gateway.ask(n=1, text="a", sprat={"model": "small"})
        gateway.openai().chat.completions.create(model="auto", messages=[{"role": "user", "content": "b"}], n=2)
        gateway.ask()
        counted(gateway, 1)
        assert [c["body"]["model"] for c in upstream.calls].count("mock-large") == 1


def test_when_it_breaks_the_reference_answers_within_about_a_second(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.wrong = 1.0
    with (
        caplog.at_level(logging.WARNING, "sprat.gateway"),
        Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway,
    ):
        assert gateway.ask() == "small"
        gateway.ask(40)
        wait_for(lambda: gateway.keeper.state == "broken", 3)
        assert gateway.ask() == "large"
        body = {"model": "auto", "messages": [{"role": "user", "content": "x"}], "sprat": {"card": True}}
        _, headers, said = gateway.post("/v1/chat/completions", body)
        assert headers["x-sprat-promise"] == "broken"
        assert said["sprat"]["facts"]["promise"] == "broken: the reference answers"
        assert gateway.get("/readyz")[0] == 200
        assert 'sprat_promise_state{state="broken"} 1' in gateway.get("/metrics")[2]
        assert gateway.get("/sprat/promise")[2]["state"] == "broken"
    assert "The promise is broken: the loss on shadowed requests" in caplog.text


def test_a_promise_that_holds_again_is_renewed_and_the_policy_answers(
    upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.wrong, store = 1.0, str(tmp_path / "s.db")
    with Watched(written(tmp_path, upstream.url, "share = 1.0\nrestore_share = 1.0"), store) as gateway:
        gateway.ask(40)
        wait_for(lambda: gateway.keeper.state == "broken")
        assert main(["promise", "status", "--store", store]) == 3
        assert main(["promise", "renew", "--store", store]) == 2
        assert "cannot be renewed yet" in capsys.readouterr().err
        upstream.wrong = 0.0
        gateway.ask(200)
        wait_for(lambda: gateway.keeper.status()["restorable"])
        assert gateway.ask() == "large"
        assert main(["promise", "renew", "--store", store]) == 0
        wait_for(lambda: gateway.keeper.state == "holding")
        assert gateway.ask() == "small"
        assert main(["promise", "status", "--store", store, "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["renewals"] == 1


def test_it_renews_itself_only_where_told_to(upstream: Upstream, tmp_path: Path) -> None:
    upstream.wrong = 1.0
    more = "share = 1.0\nrestore_share = 1.0\nrenew = true"
    with Watched(written(tmp_path, upstream.url, more), tmp_path / "s.db") as gateway:
        gateway.ask(40)
        wait_for(lambda: gateway.keeper.state == "broken")
        upstream.wrong = 0.0
        gateway.ask(200)
        wait_for(lambda: gateway.keeper.state == "holding")


def test_requests_that_change_break_it_too_and_it_says_what_has_moved(upstream: Upstream, tmp_path: Path) -> None:
    more = f"drift_rate = 1e6\n[promise.features]\ncharacters = {list(range(40))}\n"
    with Watched(written(tmp_path, upstream.url, more), tmp_path / "s.db") as gateway:
        gateway.ask(150, text="x" * 100)
        wait_for(lambda: gateway.keeper.state == "broken")
        assert "'characters' has moved" in gateway.keeper.status()["why"]


def test_broken_without_scores_says_that_nothing_restores_it_and_what_would(upstream: Upstream, tmp_path: Path) -> None:
    more = f"drift_rate = 1e6\n[promise.features]\ncharacters = {list(range(40))}\n"
    file = written(tmp_path, upstream.url, more)
    file.write_text(file.read_text().replace('measure = "agreement"', 'measure = "exact"'))
    with Watched(file, tmp_path / "s.db") as gateway:
        gateway.ask(150, text="x" * 100)
        wait_for(lambda: gateway.keeper.state == "broken")
        found = gateway.keeper.status()
    assert "nothing can show that it holds again" in found["sentence"]
    assert found["share"] == 0


def test_while_it_is_suspended_nothing_is_counted(upstream: Upstream, tmp_path: Path) -> None:
    store = str(tmp_path / "s.db")
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), store) as gateway:
        assert main(["promise", "suspend", "a load test", "--store", store]) == 0
        wait_for(lambda: gateway.keeper.state == "suspended")
        assert gateway.ask(5) == "small"
        assert "a load test" in gateway.keeper.status()["sentence"]
        assert main(["promise", "resume", "--store", store]) == 0
        wait_for(lambda: gateway.keeper.state == "holding")
        gateway.ask(3)
        counted(gateway, 3)


def test_what_watching_costs_is_in_the_ledger_under_its_own_name(
    upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "s.db")
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), store) as gateway:
        gateway.ask(4)
        counted(gateway, 4)
    assert main(["logs", "--store", store, "--key", "promise", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(e["model"], e["dialect"]) for e in told["exchanges"]] == [("large", "promise")] * 4
    assert told["watching"]["calls"] == 4
    assert told["watching"]["dollars"] == pytest.approx(sum(e["cost"] for e in told["exchanges"]))
    assert told["totals"]["saved"] == pytest.approx(-told["watching"]["dollars"])


def test_once_its_budget_is_spent_nothing_is_shadowed(upstream: Upstream, tmp_path: Path) -> None:
    with Watched(written(tmp_path, upstream.url, 'share = 1.0\nbudget = "0.000001/day"'), tmp_path / "s.db") as gateway:
        gateway.ask()
        counted(gateway, 1)
        gateway.ask(5)
        gateway.keeper.asking.poll(gateway.app.store.engine.connect())
        assert gateway.keeper.asking.status()["spent"] > 0.000001
    with Watched(tmp_path / "serve.toml", tmp_path / "s.db") as again:
        wait_for(lambda: again.keeper.asking.status()["spent"] > 0.000001)  # a restart does not forget
        again.ask(5)
    assert [c["body"]["model"] for c in upstream.calls].count("mock-large") == 1


def test_the_past_survives_a_restart(upstream: Upstream, tmp_path: Path) -> None:
    file = written(tmp_path, upstream.url, "share = 1.0")
    upstream.wrong = 1.0
    with Watched(file, tmp_path / "s.db") as gateway:
        gateway.ask(40)
        wait_for(lambda: gateway.keeper.state == "broken")
    with Watched(file, tmp_path / "s.db") as again:
        assert again.ask() == "large"


def test_another_promise_begins_a_new_watch_and_says_so(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        gateway.ask(3)
        counted(gateway, 3)
    with (
        caplog.at_level(logging.WARNING, "sprat.gateway"),
        Watched(written(tmp_path, upstream.url, "share = 0.5"), tmp_path / "s.db") as again,
    ):
        counted(again, 0)
    assert "a new watch begins" in caplog.text


def test_scores_from_targets_are_not_watched_and_the_status_says_what_to_do(upstream: Upstream, tmp_path: Path) -> None:
    file = written(tmp_path, upstream.url)
    file.write_text(file.read_text().replace('measure = "agreement"', 'measure = "exact"'))
    with Watched(file, tmp_path / "s.db") as gateway:
        gateway.ask(5)
        found = gateway.keeper.status()
        assert (found["watched"], found["state"]) == (False, "holding")
        assert found["sentence"].startswith("The loss is not watched")
    assert [c["body"]["model"] for c in upstream.calls] == ["mock"] * 5


def test_a_gateway_without_a_promise_says_that_none_is_watched(upstream: Upstream, tmp_path: Path) -> None:
    file = written(tmp_path, upstream.url)
    file.write_text(file.read_text().split("[promise]")[0])
    with Watched(file, tmp_path / "s.db") as gateway:
        gateway.ask()
        assert gateway.get("/sprat/promise")[0] == 404


def test_a_policy_that_fails_counts_as_wrong(upstream: Upstream, tmp_path: Path) -> None:
    file = written(tmp_path, upstream.url, "share = 1.0")
    file.write_text(file.read_text().replace("price =", "retries = 0\nprice ="))
    upstream.faults += [{"status": 500}] * 2  # of the small model, and of the large one in its place
    with Watched(file, tmp_path / "s.db") as gateway:
        body = {"model": "auto", "messages": [{"role": "user", "content": "x"}]}
        assert gateway.post("/v1/chat/completions", body)[0] >= 500
        counted(gateway, 1)
        assert gateway.keeper.status()["mean_loss"] == pytest.approx(0.95)


def test_a_reference_that_fails_makes_no_pair_and_is_counted(upstream: Upstream, tmp_path: Path) -> None:
    file = written(tmp_path, upstream.url, "share = 1.0")
    file.write_text(file.read_text().replace('model = "mock-large"', 'model = "no-such"'))
    with Watched(file, tmp_path / "s.db") as gateway:
        gateway.ask()
        wait_for(lambda: gateway.keeper.status()["lost"] == 1)
        gateway.ask()
        wait_for(lambda: gateway.keeper.status()["lost"] == 2)
        assert gateway.keeper.status()["pairs"] == 0


def test_a_maximum_cost_gets_the_reference_only_where_it_fits(upstream: Upstream, tmp_path: Path) -> None:
    upstream.wrong = 1.0
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        gateway.ask(40)
        wait_for(lambda: gateway.keeper.state == "broken")
        assert gateway.ask(sprat={"max_cost": 1.0}) == "large"
        # Some 100 bytes and 10 tokens: a thousandth of a dollar for the small model and ten for the large one.
        assert gateway.ask(sprat={"max_cost": 0.0005}, max_tokens=10) == "small"


def test_a_file_that_is_read_again_goes_on_with_the_same_watch_and_begins_another_for_another_promise(
    upstream: Upstream, tmp_path: Path
) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        gateway.ask(5)
        counted(gateway, 5)
        for more, left in (("share = 1.0\nat_once = 3", 6), ("share = 0.999999", 1)):
            served = load(written(tmp_path, upstream.url, more))
            asyncio.run_coroutine_threadsafe(exchange(gateway.app, served), gateway.loop).result(10)
            gateway.ask()
            counted(gateway, left)


def test_what_a_budget_has_answered_past_the_certified_settings_shows_as_suspended(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Watched(written(tmp_path, upstream.url, "share = 1.0"), tmp_path / "s.db") as gateway:
        monkeypatch.setattr(Policy, "suspended", "the budget calls for more.")
        found = gateway.get("/sprat/promise")[2]
        assert (found["state"], gateway.keeper.state) == ("suspended", "holding")
        assert found["sentence"] == "Suspended: the budget calls for more."
