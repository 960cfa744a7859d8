"""Which setting answers: drawn as said, logged with its exact probability; the reference alone once it is broken."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promised import TOY, Short, asking
from running import Running

import sprat
from sprat import signals
from sprat.core import Request
from sprat.errors import BadInput
from sprat.gateway.served import load
from sprat.gateway.steering.policy import Policy
from sprat.gateway.steering.ways import Way, asked
from sprat.gateway.witness import Witness

SMALL, LARGE = sprat.toy("small"), sprat.toy("large")
SHORT = Witness(Short())
BROKEN, HOLDING = SimpleNamespace(state="broken"), SimpleNamespace(state="holding")


def at(threshold: float) -> Way:
    return Way(f"at {threshold}", sprat.route(SMALL, LARGE, trust=SHORT, at_least=threshold))


def policy(thresholds: list[float], explore: float) -> Policy:
    ways = (Way("reference alone", LARGE), *map(at, thresholds))
    return Policy(ways[-1], ways, explore)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5, unique=True), st.floats(0, 1), st.floats(0.01, 1))
def test_the_propensity_is_the_sum_over_the_settings_that_would_have_done_the_same(
    thresholds: list[float], trust: float, explore: float
) -> None:
    choosing = policy(thresholds, explore)
    mixture = choosing.choose(None, Request.of("x"), 0.0).mixture
    small = sum(p for way, p in mixture if way.name != "reference alone" and trust >= float(way.name[3:]))
    for way, _ in mixture:
        said = choosing._run(way, mixture).propensity([("short", trust)])  # pyright: ignore[reportPrivateUsage]
        done = asked(way.model, trust)
        assert said == (pytest.approx(small if done is SMALL else 1 - small, abs=1e-12), "action")


def test_settings_are_drawn_as_often_as_said() -> None:
    choosing, n = policy([0.8, 0.4], 0.3), 3000
    drawn = Counter(choosing.choose(None, Request.of(f"prompt {i}"), 0.0).setting for i in range(n))
    for name, p in {"reference alone": 0.1, "at 0.8": 0.1, "at 0.4": 0.8}.items():
        assert abs(drawn[name] / n - p) < 4 * (p * (1 - p) / n) ** 0.5


def test_all_processes_draw_alike_and_all_turns_of_a_conversation_too() -> None:
    first, second = policy([0.8, 0.4], 1.0), policy([0.8, 0.4], 1.0)
    second.salt = first.salt
    for i in range(20):
        opening = Request.of([{"role": "user", "content": f"hello {i}"}])
        later = Request.of(
            [*opening.messages, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "x"}]
        )
        settings = {p.choose(None, r, 0.0).setting for p in (first, second) for r in (opening, later)}
        assert len(settings) == 1


def test_without_exploration_the_way_answers_with_certainty() -> None:
    choice = policy([0.8, 0.4], 0.0).choose(None, Request.of("x"), 0.0)
    assert (choice.setting, choice.propensity([("short", 0.9)])) == ("at 0.4", (1.0, "action"))


def test_where_settings_share_no_signal_the_propensity_is_the_settings() -> None:
    other = Way("other", sprat.route(SMALL, LARGE, trust=Witness(signals.random()), at_least=0.5))
    ways = (Way("reference alone", LARGE), other, at(0.5))
    choosing = Policy(ways[-1], ways, 0.3)
    found = {c.setting: c.propensity([("short", 0.9)]) for c in _choices(choosing, 200)}
    assert {kind for _, kind in found.values()} == {"setting"}
    expected = {"reference alone": 0.1, "other": 0.1, "at 0.5": 0.8}
    assert {name: p for name, (p, _) in found.items()} == pytest.approx(expected)


def test_a_broken_promise_leaves_the_reference_alone_with_and_without_exploration() -> None:
    for explore in (0.0, 0.5):
        choosing = policy([0.8, 0.4], explore)
        choices = [choosing.choose(None, Request.of(f"p {i}"), 0.0, BROKEN) for i in range(20)]
        assert {c.model.name for c in choices} == {"large"}
        assert choosing.choose(None, Request.of("x"), 0.0, HOLDING).why == ""


def test_what_is_not_certified_is_never_drawn() -> None:
    ways = (Way("reference alone", LARGE), at(0.5), Way("small alone", SMALL, certified=False))
    drawn = {c.setting for c in _choices(Policy(ways[1], ways, 1.0), 200)}
    assert drawn == {"reference alone", "at 0.5"}


def test_exploring_needs_something_to_explore() -> None:
    with pytest.raises(BadInput, match="at least two certified settings"):
        Policy(at(0.5), (), 0.1)


def _choices(choosing: Policy, n: int) -> list[Any]:
    return [choosing.choose(None, Request.of(f"prompt {i}"), 0.0) for i in range(n)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "serve.toml"
    path.write_text(TOY)
    return path


def test_over_http_every_request_is_logged_with_setting_propensity_and_trust(file: Path) -> None:
    with Running(load(file)) as gateway:
        for i in range(60):
            body = {"model": "auto", "messages": asking((i % 10) / 10, chr(97 + i // 10))}
            assert gateway.post("/v1/chat/completions", body)[0] == 200
        kept = gateway.kept
    assert {e.setting for e in kept} >= {"reference alone", "at .2"}
    for e in kept:
        trust = e.trusts["short"]
        small = (0.1 if trust >= 0.6 else 0.0) + (0.8 if trust >= 0.2 else 0.0)
        assert e.drawn == "action"
        assert e.propensity == pytest.approx(small if e.model == "small" else 1 - small)


def test_a_pinned_model_is_not_drawn(file: Path) -> None:
    with Running(load(file)) as gateway:
        body = {"model": "small", "messages": asking(0.5)}
        gateway.post("/v1/chat/completions", body)
        assert (gateway.kept[0].setting, gateway.kept[0].propensity) == ("", None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('reference = "large"', 'reference = "lrage"', "no model of"),
        ("explore = 0.3", "explore = 2.0", "between 0 and 1"),
        ('name = "at .6"', 'name = "at .2"', "a name of its own"),
        ("\ncost = 0.006", '\ncost = "much"', "is .much."),
        ('name = "at .6"', 'name = "at .6"\ncertified = false', "come last"),
    ],
)
def test_what_a_promise_table_lacks_is_said(file: Path, old: str, new: str, said: str) -> None:
    file.write_text(TOY.replace(old, new))
    with pytest.raises(BadInput, match=said):
        Running(load(file))
