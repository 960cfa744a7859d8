"""A minimum quality asked for with a request: who answers, what is said, and what can't be kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from foretold import LARGE, SMALL, served, table
from running import Running

from sprat import vote
from sprat.gateway.cards.predicted import evidence_of
from sprat.gateway.served import of


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with Running(served()) as made:
        yield made


@pytest.fixture(scope="module")
def cascading() -> Iterator[Running]:
    with Running(served("cascade")) as made:
        yield made


def ask(gateway: Running, trust: Any, quality: float, model: str = "auto", **sprat: Any) -> Any:
    return gateway.openai().chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "user", "content": f"{trust} hello"}],
        max_tokens=10,
        extra_body={"sprat": {"min_quality": quality, **sprat}},
    )


def refused(gateway: Running, *asked: Any, **sprat: Any) -> str:
    with pytest.raises(openai.BadRequestError) as error:
        ask(gateway, *asked, **sprat)
    return str(error.value)


@pytest.mark.parametrize("way", ["gateway", "cascading"])
@pytest.mark.parametrize(
    ("trust", "quality", "writer"),
    [(0.5, 0.65, "small"), (0.5, 0.66, "large"), (0.8, 0.92, "small"), (0.1, 0.2, "small"), (0.95, 0.1, "large")],
)
def test_the_cheapest_model_whose_lower_bound_reaches_it_answers(
    way: str, trust: float, quality: float, writer: str, request: pytest.FixtureRequest
) -> None:
    assert ask(request.getfixturevalue(way), trust, quality).headers["x-sprat-model"] == writer


def test_what_was_asked_for_and_predicted_is_in_the_header(gateway: Running) -> None:
    said = ask(gateway, 0.5, 0.65).headers["x-sprat-quality"]
    assert said == "0.7; low=0.65; high=0.75; n=200; min=0.65; shown=yes"


def test_where_no_model_reaches_it_the_last_one_answers_and_it_is_not_shown(gateway: Running) -> None:
    found = ask(gateway, 0.5, 0.99, card=True)
    assert found.headers["x-sprat-model"] == "large"
    assert found.headers["x-sprat-quality"].endswith("min=0.99; shown=no")
    card = found.parse().sprat
    assert card["min_quality"] == {"asked": 0.99, "shown": False}
    assert "asked for at least 0.99: not shown" in card["drawing"]


def test_a_cascade_does_not_pay_for_a_model_that_can_never_reach_it(cascading: Running) -> None:
    asks = ask(cascading, 0.5, 0.93, card=True).parse().sprat["asks"]["asks"]
    assert [a["model"] for a in asks] == ["large"]


def test_a_cascade_pays_for_the_reply_that_it_judged(cascading: Running) -> None:
    asks = ask(cascading, 0.5, 0.9, card=True).parse().sprat["asks"]["asks"]
    assert [a["model"] for a in asks] == ["small", "large"]


def test_a_way_that_watches_drafts_judges_whole_replies_then() -> None:
    with Running(served("watchful")) as watching:
        assert ask(watching, 0.8, 0.92).headers["x-sprat-model"] == "small"


def test_a_later_turn_goes_to_the_last_model(gateway: Running) -> None:
    turns = [
        {"role": "user", "content": "0.8 a"},
        {"role": "assistant", "content": "s"},
        {"role": "user", "content": "b"},
    ]
    body = {"model": "auto", "messages": turns, "sprat": {"min_quality": 0.5}}
    found = gateway.post("/v1/chat/completions", body)[1]
    assert (found["x-sprat-model"], found["x-sprat-quality"]) == ("large", "unknown; min=0.5; shown=no")


def test_a_way_without_trusts_goes_by_the_rates_over_all_rows() -> None:
    alone = {**table(), "way": "vote", "ways": []}
    both = replace(of(vote(SMALL, LARGE)), evidence=evidence_of(alone, "serve.toml"))
    with Running(both) as voting:
        assert ask(voting, 0.5, 0.72).headers["x-sprat-model"] == "small"
        assert ask(voting, 0.5, 0.73).headers["x-sprat-model"] == "large"


def test_a_file_without_rates_refuses_it() -> None:
    with Running(replace(served(), evidence=None)) as old:
        assert "needs the rates of [card]" in refused(old, 0.5, 0.5)


def test_a_pinned_model_and_a_minimum_quality_contradict_each_other(gateway: Running) -> None:
    assert "ask for 'auto', or pin one" in refused(gateway, 0.5, 0.5, "small")
    assert "ask for 'auto', or pin one" in refused(gateway, 0.5, 0.5, model="large")


@pytest.mark.parametrize("quality", [0, 1.01, "high", True])
def test_a_minimum_quality_is_a_rate(gateway: Running, quality: Any) -> None:
    assert "takes a number above 0 and at most 1" in refused(gateway, 0.5, quality)


def test_both_bounds_are_kept_where_a_model_keeps_both(gateway: Running) -> None:
    assert ask(gateway, 0.8, 0.9, max_cost=0.01).headers["x-sprat-model"] == "small"


def test_that_both_bounds_can_not_be_kept_is_said(gateway: Running) -> None:
    said = refused(gateway, 0.5, 0.9, max_cost=0.01)
    assert "No model within the maximum cost is shown to reach the minimum quality" in said
    assert "0.70 [0.65, 0.75] < 0.9" in said


def test_a_cascade_within_a_maximum_cost_asks_nobody_before_it_refuses(cascading: Running) -> None:
    before = len(cascading.kept)
    assert "No model within the maximum cost" in refused(cascading, 0.8, 0.9, max_cost=0.01)
    assert [e.cost for e in cascading.kept[before:]] == [0.0]


@pytest.mark.parametrize("bound", [{"max_cost": 0.01}, {"min_quality": 0.9}])
def test_a_bound_asks_no_more_of_a_key_than_auto(
    gateway: Running, bound: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(gateway.app, "allow", lambda call, model, hold: seen.append(model))
    body = {"model": "auto", "messages": [{"role": "user", "content": "0.8 x"}], "max_tokens": 10, "sprat": bound}
    assert gateway.post("/v1/chat/completions", body)[1]["x-sprat-model"] == "small"
    assert seen == ["auto"]


def test_replies_are_kept_apart_by_the_quality_asked_for() -> None:
    from sprat.gateway.caching.cache import CacheSettings

    with Running(replace(served(), cache=CacheSettings(any_temperature=True))) as keeping:
        found = [ask(keeping, 0.5, q).headers for q in (0.65, 0.99, 0.65)]
    assert [h["x-sprat-model"] for h in found] == ["small", "large", "small"]
    assert [h["x-sprat-cache"] for h in found] == ["miss", "miss", "hit"]
