"""`sprat logs evaluate`: another setting's cost and score from logged requests, or a refusal with what is needed."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from promised import FILE
from running import Running  # skips where a package of the gateway's is not there

from sprat.cli import main
from sprat.errors import BadInput
from sprat.gateway.ledger.exchange import Exchange
from sprat.gateway.ledger.store import Label, Store
from sprat.gateway.promise.evidence import Evidence
from sprat.gateway.served import Served, load
from sprat.gateway.steering.evaluating import alike, evaluated

del Running
COSTS = {"small": 0.001, "large": 0.01}
MIXTURE = {None: 0.1, 0.6: 0.1, 0.2: 0.8}  # by threshold; None: the reference alone


@pytest.fixture
def served(tmp_path: Path) -> Served:
    (tmp_path / "serve.toml").write_text(FILE.format(small='use = "toy"', large='use = "toy"'))
    return load(tmp_path / "serve.toml")


def log(n: int, mixture: Any = MIXTURE, seed: int = 0) -> tuple[list[Exchange], list[Label]]:
    """A log drawn as the policy draws: the small model is right with its trust, the large one nine times in ten."""
    rng = np.random.default_rng(seed)
    exchanges: list[Exchange] = []
    labels: list[Label] = []
    cuts = list(mixture)
    for i in range(n):
        trust, cut = rng.random(), cuts[rng.choice(len(cuts), p=list(mixture.values()))]
        small = sum(p for c, p in mixture.items() if c is not None and trust >= c)
        model = "small" if cut is not None and trust >= cut else "large"
        p = small if model == "small" else 1 - small
        name = "reference alone" if cut is None else f"at {cut}".replace("0.", ".")
        told: dict[str, Any] = {"asked": "auto", "cost": COSTS[model], "trusts": {"short": trust}, "setting": name}
        at = time.time() - 100
        exchanges.append(Exchange(f"x{i}", at, model=model, propensity=p, drawn="action", thread=f"t{i}", **told))
        labels.append(Label(f"x{i}", "human", float(rng.random() < (trust if model == "small" else 0.9)), at))
    return exchanges, labels


@pytest.mark.parametrize("policy", ["at .6", "2", "at_least=0.6"])
def test_another_setting_of_the_certificate_is_estimated_within_its_intervals(served: Served, policy: str) -> None:
    found = evaluated(served, policy, *log(4000), "cost").found
    truth = 0.4 * COSTS["small"] + 0.6 * COSTS["large"]
    assert {e.name for e in found.estimates} == {"snips", "doubly robust"}
    assert "IPS is not shown" in found.left_out  # what a request may cost at most is not known
    for estimate in found.estimates:
        assert estimate.low < truth < estimate.high
    assert found["doubly robust"].value == pytest.approx(truth, rel=0.05)


def test_scores_come_from_labels(served: Served) -> None:
    found = evaluated(served, "at .6", *log(6000), "score").found
    truth = 0.4 * 0.8 + 0.6 * 0.9
    assert found["doubly robust"].low < truth < found["doubly robust"].high


def failing(log: tuple[list[Exchange], list[Label]], every: int) -> tuple[list[Exchange], list[Label]]:
    """Every so many-th answer of the small model fails, and then has no label."""
    exchanges, labels = log
    small = [e.id for e in exchanges if e.model == "small"][::every]
    exchanges = [replace(e, status=502, cost=None) if e.id in small else e for e in exchanges]
    return exchanges, [label for label in labels if label.exchange not in small]


def test_a_failed_request_scores_nothing(served: Served) -> None:
    found = evaluated(served, "at .6", *failing(log(6000), 2), "score").found
    truth = 0.4 * 0.8 / 2 + 0.6 * 0.9
    assert found["doubly robust"].low < truth < found["doubly robust"].high


def test_failures_count_as_often_as_the_others_have_scores(served: Served) -> None:
    exchanges, labels = failing(log(12000), 2)
    told = evaluated(served, "at .6", exchanges, labels[::4], "score")
    truth = 0.4 * 0.8 / 2 + 0.6 * 0.9
    assert told.found["doubly robust"].low < truth < told.found["doubly robust"].high
    assert told.left_out["failed, beyond the share of requests with a score"] > 0


def test_no_cost_is_estimated_where_many_requests_failed(served: Served) -> None:
    told = evaluated(served, "at .6", *failing(log(2000), 10), "cost")
    assert not told.found.estimates
    assert "% of the requests failed" in told.found.refused
    assert evaluated(served, "at .6", *failing(log(2000), 200), "cost").found.estimates


def test_a_threshold_past_the_certificate_is_refused_and_exploring_is_said_not_to_help(served: Served) -> None:
    told = evaluated(served, "at_least=0.1", *log(2000), "cost")
    assert "covers only" in told.found.refused
    assert "no certified setting does" in told.needed


def test_without_exploration_another_setting_is_refused_and_what_is_needed_is_said(served: Served) -> None:
    told = evaluated(served, "at .6", *log(500, {0.2: 1.0}), "cost")
    assert told.found.refused
    assert told.needed.startswith("With explore = 0.3 under [promise], as in this file, about ")
    assert "times" not in told.found.refused  # one number is enough


def test_the_need_for_exploration_is_about_right(served: Served) -> None:
    told = evaluated(served, "at .6", *log(500, {0.2: 1.0}), "cost")
    n = int(told.needed.split("about ")[1].split(" ")[0].replace(",", ""))
    mixture = {None: 0.3 / 3, 0.6: 0.3 / 3, 0.2: 0.7 + 0.3 / 3}
    assert not evaluated(served, "at .6", *log(round(1.2 * n), mixture), "cost").found.refused


def test_where_settings_share_no_signal_a_row_tells_of_its_setting(served: Served, tmp_path: Path) -> None:
    text = (tmp_path / "serve.toml").read_text()
    other = text.replace('trust = [{part = "short"}], at_least = [0.6]', 'trust = [{use = "random"}], at_least = [0.6]')
    (tmp_path / "serve.toml").write_text(other)
    mixed = load(tmp_path / "serve.toml")
    rng, exchanges = np.random.default_rng(1), list[Exchange]()
    for i in range(3000):
        name = rng.choice(["reference alone", "at .6", "at .2"], p=[0.1, 0.1, 0.8])
        cost = {"reference alone": 0.01, "at .6": 0.006, "at .2": 0.003}[str(name)] * rng.uniform(0.5, 1.5)
        p = 0.8 if name == "at .2" else 0.1
        told: dict[str, Any] = {"asked": "auto", "cost": cost, "setting": str(name), "drawn": "setting"}
        exchanges.append(Exchange(f"x{i}", 0.0, model="large", propensity=p, thread=f"t{i}", **told))
    found = evaluated(mixed, "at .6", exchanges, [], "cost").found
    assert found["snips"].low < 0.006 < found["snips"].high
    with pytest.raises(BadInput, match=r"don.t share a signal(.|\n)*2 at .6"):
        evaluated(mixed, "at_least=0.4", exchanges, [], "cost")


def test_another_file_is_evaluated_where_it_decides_by_the_same_signal(served: Served, tmp_path: Path) -> None:
    text = (tmp_path / "serve.toml").read_text()
    (tmp_path / "safer.toml").write_text(text.replace("at_least = [0.2]\n[parts", "at_least = [0.6]\n[parts"))
    (tmp_path / "other.toml").write_text(text.replace('use = "promised:Short"', 'use = "random"'))
    found = evaluated(served, str(tmp_path / "safer.toml"), *log(2000), "cost").found
    assert found["snips"].value == pytest.approx(evaluated(served, "at .6", *log(2000), "cost").found["snips"].value)
    with pytest.raises(BadInput, match="another signal"):
        evaluated(served, str(tmp_path / "other.toml"), *log(100), "cost")


def test_rows_that_tell_nothing_are_left_out_and_counted(served: Served) -> None:
    exchanges, labels = log(300)
    more = [
        Exchange("a", 0.0, asked="small", model="small"),
        Exchange("b", 0.0, asked="auto", setting="at .2", status=429, cost=0.0),
        Exchange("d", 0.0, asked="auto", setting="at .2", status=499),
        Exchange("c", 0.0, asked="auto", setting="at .2", propensity=0.5, drawn="setting"),
    ]
    left = evaluated(served, "2", [*exchanges, *more], labels[:290], "score").left_out
    assert left == {
        "were not drawn by the policy": 1,
        "were refused before a model was asked": 1,
        "were left by their client": 1,
        "were drawn by other settings than the file's": 1,
        "have no known outcome": 10,
    }


def test_a_setting_that_is_not_there_is_named_with_those_that_are(served: Served) -> None:
    with pytest.raises(BadInput, match=r"2 at \.6; 3 at \.2"):
        evaluated(served, "at .7", *log(10), "cost")


def test_fitted_values_are_compared_number_by_number() -> None:
    assert alike((np.arange(3), "a"), (np.arange(3), "a"))
    assert not alike((np.arange(3), "a"), (np.arange(4), "a"))


def test_the_command_prints_estimates_and_exits_with_4_where_it_refuses(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(watched(tmp_path / "sprat.db", log(1500)[0], []))
    at = ["--store", str(tmp_path / "sprat.db")]
    assert main(["logs", "evaluate", "2", *at]) == 0
    assert "doubly robust" in capsys.readouterr().out
    assert main(["logs", "evaluate", "at_least=0.05", "--json", *at]) == 4
    assert "covers only" in json.loads(capsys.readouterr().out)["found"]["refused"]


async def watched(file: Path, exchanges: list[Exchange], pairs: list[Evidence]) -> None:
    store = await Store.open(file)
    for exchange in exchanges:
        store.put(exchange)
    for pair in pairs:
        store.note(pair)
    assert await store.close() == 0


def test_scores_of_the_watch_are_outcomes_too(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchanges, labels = log(1500)
    judged = {label.exchange: label.score for label in labels}
    told: dict[str, Any] = {"watch": "w", "kind": "pair", "reference": 1.0}
    pairs = [Evidence(f"p{e.id}", at=e.at, exchange=e.id, policy=judged[e.id], **told) for e in exchanges]
    asyncio.run(watched(tmp_path / "sprat.db", exchanges, pairs))
    assert main(["logs", "evaluate", "2", "--outcome", "score", "--json", "--store", str(tmp_path / "sprat.db")]) == 0
    found = json.loads(capsys.readouterr().out)["found"]
    assert found["rows"] == 1500
    assert {e["name"] for e in found["estimates"]} >= {"ips"}


def test_while_a_promise_is_broken_the_client_got_the_references_reply(tmp_path: Path) -> None:
    exchanges = [Exchange("safe", 1.0, setting="reference alone"), Exchange("own", 2.0, setting="at .2")]
    told: dict[str, Any] = {"watch": "w", "kind": "pair", "at": 1.0, "reference": 1.0, "policy": 0.25}
    asyncio.run(watched(tmp_path / "sprat.db", exchanges, [Evidence(e.id, exchange=e.id, **told) for e in exchanges]))
    with Store.read(tmp_path / "sprat.db") as store:
        assert {m.exchange: m.score for m in store.watched("reference alone")} == {"safe": 1.0, "own": 0.25}


def test_the_served_file_is_found_beside_the_store_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.read(str(tmp_path / "s.db"), create=True):
        pass
    monkeypatch.setenv("SPRAT_STORE", str(tmp_path / "s.db"))
    main(["logs", "evaluate", "1"])
    assert f"{tmp_path / 'serve.toml'} is not there" in capsys.readouterr().err
