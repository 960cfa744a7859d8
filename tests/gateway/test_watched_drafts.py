"""Drafts that are stopped while they are written, watched for drift: one law in the study and in the gateway."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from foretold import table
from hypothesis import given
from hypothesis import strategies as st
from stored import wait_for
from watched import Watched

from mock_server import MockServer
from sprat import cascade, watchful
from sprat.combine import Watchful
from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.gateway import witness
from sprat.gateway.cards.flip import flips
from sprat.gateway.cards.predicted import evidence_of
from sprat.gateway.promise.promised import Promised
from sprat.gateway.promise.told_apart import at_hand, told_apart
from sprat.replay import Recorded, replay
from sprat.signals import logprob, opening_agreement

SIGNAL = logprob("min", first=20)
FILE = """
[way]
use = "watchful"
models = ["small", "large"]
trust = [{{use = "logprob", how = "min", first = 20}}]
at_least = [0.2]
[models.small]
url = "{url}"
model = "mock"
logprobs = true
[models.large]
url = "{url}"
model = "mock-large"
[promise]
kind = "within"
level = 0.05
delta = 0.1
reference = "large"
drift_rate = 1e9
features = {{logprob = {sample}}}
"""


def draft(rng: random.Random, hard: float = 0.4) -> list[float]:
    """The log-probabilities of a draft of 25 tokens; `hard` is the share of drafts with far less likely ones."""
    rate = 1.0 if rng.random() < hard else 8.0
    return [round(-rng.expovariate(rate), 6) for _ in range(25)]


def whole(numbers: Sequence[float]) -> float:
    """What the study writes: the trust in the whole draft."""
    return math.exp(min(numbers[:20]))


def noted(model: Any, numbers: Sequence[float]) -> list[tuple[str, float]]:
    """What the gateway's witness notes while the model answers, given the small one's draft."""
    small = Reply("x", "small", logprobs=tuple(numbers))
    data = Dataset((Example("1", Request.of("q"), None, (Call("small", small), Call("large", Reply("y", "large")))),))
    found: list[tuple[str, float]] = []
    mark = witness.seen.set(found)
    try:
        replay(witness.witnessed(model), data)
    finally:
        witness.seen.reset(mark)
    return found


def at(at_least: float, make: Any = watchful, trust: Any = SIGNAL) -> Any:
    return make(Recorded("small"), Recorded("large"), trust=trust, at_least=at_least)


def promised(*models: Any, **features: tuple[float, ...]) -> Promised:
    return told_apart(Promised("within", 0.05, 0.1, features=features), models)


@given(st.lists(st.floats(-3, 0), min_size=1, max_size=25), st.floats(0.05, 0.5), st.floats(0.5, 0.95))
def test_whatever_way_is_drawn_a_draft_has_the_value_that_the_study_gives_it(
    numbers: list[float], low: float, high: float
) -> None:
    asked = promised(at(low), at(high), logprob=(whole(numbers),))
    for model in (at(low), at(high), at(low, cascade)):
        assert at_hand(dict(noted(model, numbers)), asked) == {"logprob": asked.features["logprob"][0]}


def test_a_trust_that_is_not_known_where_a_draft_is_kept_is_not_watched() -> None:
    asked = promised(at(0.5, trust=opening_agreement(Recorded("small"))), opening_agreement=(0.1,) * 20)
    assert asked.features == {}
    assert "opening_agreement not, since drafts are kept before it is known" in asked.how


def test_all_stopped_drafts_have_one_rate() -> None:
    way = evidence_of(table("watchful"), "serve.toml").ways["by said at 0.6"]  # pyright: ignore[reportOptionalMemberAccess]
    assert way.levels[0].at(0.01, 0) == way.levels[0].at(0.6, 0)


def test_rates_by_trusts_that_no_stopped_draft_is_known_by_are_not_read() -> None:
    old = table("watchful")
    del old["ways"][0]["levels"][0]["least"]
    assert evidence_of(old, "serve.toml").ways["by said at 0.6"].levels == ()  # pyright: ignore[reportOptionalMemberAccess]


def test_a_threshold_above_those_of_the_study_has_no_rate_by_trust() -> None:
    way = evidence_of(table("watchful"), "serve.toml").ways["by said at 0.6"]  # pyright: ignore[reportOptionalMemberAccess]
    stricter = Watchful((Recorded("small"), Recorded("large")), (SIGNAL,), (0.9,))
    assert way.level(stricter, [("said", 0.85)]) is None


def test_of_a_stopped_draft_no_other_setting_is_said_to_keep_it() -> None:
    evidence = evidence_of(table("watchful"), "serve.toml")
    card: dict[str, Any] = {"model": "large", "setting": "by said at 0.8", "trusts": [{"signal": "said", "trust": 0.7}]}
    assert [f for f in flips(card, evidence) if f["by"] == "setting"] == []


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, dict[str, float]]]:
    """A certified watchful way, 1,000 calibration rows of the same law; the share of hard drafts can be changed."""
    rng, law = random.Random(1), {"hard": 0.4}
    at = tmp_path_factory.mktemp("watched")
    sample = [whole(draft(rng)) for _ in range(1000)]
    with MockServer(lambda _: " ".join(map(str, draft(rng, law["hard"]))), honours=False) as up:
        file = at / "serve.toml"
        file.write_text(FILE.format(url=up.url, sample=sample))
        with Watched(file, at / "ledger.db") as made:
            yield made, law


def looked_at(gateway: Watched, n: int) -> Any:
    wait_for(lambda: gateway.keeper.status()["requests"] >= n or gateway.keeper.state == "broken")
    return gateway.keeper.state


@pytest.mark.slow
def test_requests_of_the_certified_law_raise_no_alarm_and_others_do(gateway: Any) -> None:
    served, law = gateway
    served.ask(400, sure="said", stream=True)
    assert looked_at(served, 400) == "holding"
    law["hard"] = 0.9
    served.ask(200, sure="said", stream=True)
    assert looked_at(served, 600) == "broken"
