"""Cards read later, of other ways, and from a real study's file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from foretold import CERTIFICATE, LARGE, SMALL, Said, served
from running import Running

import sprat
from sprat.endpoints import toy
from sprat.gateway.cards.foreseen import foreseen, uncovered
from sprat.gateway.served import load, of
from sprat.gateway.steering.policy import Read


class Remembering(Running):
    """A gateway whose store gives its exchanges back, as it would to another worker."""

    def exchange(self, number: str) -> Any:
        return next((e for e in self.kept if e.id == number), None)

    def forgotten(self, **body: Any) -> Any:
        """A decision's card once this worker does not hold it any more."""
        asked = {"model": "auto", "messages": [{"role": "user", "content": "0.5 the capital of Peru"}], **body}
        number = self.post("/v1/chat/completions", asked)[1]["x-sprat-id"]
        self.app.cards.clear()
        return self.get(f"/sprat/decisions/{number}")


def test_a_decision_of_another_worker_is_read_from_the_store() -> None:
    with Remembering(served()) as gateway:
        status, _, card = gateway.forgotten()
    assert (status, card["predicted"]["small"]["value"]) == (200, 0.7)
    assert "neighbours" not in card


def test_its_neighbours_are_known_where_prompts_are_stored() -> None:
    with Remembering(served(store_prompts=True)) as gateway:
        assert gateway.forgotten()[2]["neighbours"][0]["id"] == "peru"


def test_the_margin_of_a_vote_is_told() -> None:
    way = sprat.vote(toy("a", "1"), toy("b", "1"), toy("c", "2"), n=1)
    with Running(of(replace(way, enough=False))) as voting:
        body = {"model": "auto", "messages": [{"role": "user", "content": "x"}], "sprat": {"card": True}}
        card = voting.post("/v1/chat/completions", body)[2]["sprat"]
    assert card["votes"] == {"winner": 2, "next": 1, "of": 3}
    assert {"by": "votes", "margin": 1} in card["flip"]


def test_what_explores_is_predicted_by_the_trust_that_it_read() -> None:
    evidence = served().evidence
    found = foreseen(evidence, "by said at 0.8", Read(SMALL, Said()), "small", [("said", 0.5)])
    assert found.quality is not None
    assert (found.quality.value, found.quality.n) == (0.7, 200)


def test_another_signals_trust_is_not_taken_for_it() -> None:
    evidence, model = served().evidence, served().models["auto"]
    found = foreseen(evidence, "", model, "small", [("length", 0.5)])
    assert found.quality == evidence.overall("by said at 0.6")  # pyright: ignore[reportOptionalMemberAccess]


def test_the_samples_of_a_cascade_have_no_one_rate() -> None:
    way = served("cascade")
    found = foreseen(way.evidence, "", way.models["auto"], "small", [("said", 0.5), ("said", 0.5)], samples=2)
    assert found.quality is None
    assert "several samples" in found.unknown


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({}, ""),
        ({"promise": "broken"}, "the promise is broken"),
        ({"promise": "suspended"}, "the promise is suspended"),
        ({"certified": False}, "not certified"),
        ({"altered": True}, "not shown to be the one that was certified"),
        ({"samples": 2}, "several samples"),
        ({"kept": True}, "a kept reply"),
        ({"cheaper": True}, "maximum cost"),
    ],
)
def test_each_reason_that_nothing_covers_is_said(known: Any, why: str) -> None:
    found = uncovered(CERTIFICATE, **known)
    assert why in found
    assert bool(why) == bool(found)


def test_a_refused_certificate_covers_nothing() -> None:
    assert uncovered({"verdict": "not shown: no setting passed"}) == "the study could certify no setting"


def test_a_maximum_cost_that_takes_the_way_leaves_the_certificate() -> None:
    with Running(served()) as gateway:
        body = {"model": "auto", "messages": [{"role": "user", "content": "0.8 x"}], "max_tokens": 10}
        said = gateway.post("/v1/chat/completions", {**body, "sprat": {"max_cost": 0.01}})[1]
    assert said["x-sprat-certificate"] == "none; the request's maximum cost put another model in the way's place"
    assert LARGE.name != said["x-sprat-model"]


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = sprat.load("aquarium").take(range(600))
    found = sprat.study(rows, small="fry", large="mackerel", keep=0.8, confidence=0.8)
    return found.save(tmp_path_factory.mktemp("study") / "out")


@pytest.mark.slow
def test_what_a_study_saved_is_predicted_from(studied: Path) -> None:
    way = load(studied / "serve.toml")
    with Running(way) as gateway:
        body = {"model": "auto", "messages": [{"role": "user", "content": "sort 31 4 15:"}], "sprat": {"card": True}}
        _, said, made = gateway.post("/v1/chat/completions", body)
    card = made["sprat"]
    assert "low=" in said["x-sprat-quality"]
    assert set(card["predicted"]) == {"fry", "mackerel"}
    assert all(0 <= p["low"] <= p["value"] <= p["high"] <= 1 for p in card["predicted"].values())
    assert card["neighbours"][0]["id"].startswith("sort")
    assert "text" not in card["neighbours"][0]
    assert card["covered"]["by"] == "certificate"


@pytest.mark.slow
def test_a_threshold_changed_by_hand_shows_where_the_file_was_taken_alone(studied: Path, tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.with_suffix(".npz").write_bytes((studied / "serve.npz").read_bytes())
    whole = (studied / "serve.toml").read_text()
    path.write_text(whole)
    assert not load(path).altered
    path.write_text(whole.replace("at_least = [\n    0.", "at_least = [\n    0.9"))
    assert load(path).altered
    path.write_text("".join(line for line in whole.splitlines(True) if not line.startswith("served = ")))
    assert load(path).altered


@pytest.mark.slow
def test_a_threshold_changed_by_hand_leaves_the_certificate(studied: Path) -> None:
    path = studied / "serve.toml"
    whole = path.read_text()
    path.write_text(whole.replace("at_least = [\n    0.", "at_least = [\n    0.9"))
    try:
        assert load(path).altered
    finally:
        path.write_text(whole)
    assert not load(path).altered


@pytest.mark.slow
def test_the_levels_of_a_study_go_by_the_signals_that_are_served(tmp_path: Path) -> None:
    found = sprat.study(sprat.load("aquarium"), small="sprat", large="mackerel", keep=0.98)
    way = load(found.save(tmp_path / "out") / "serve.toml")
    trust = way.models["auto"].trust[0]
    predicted = foreseen(way.evidence, "", way.models["auto"], "sprat", [(trust.signal.use, 0.7)])
    assert predicted.quality != foreseen(way.evidence, "", way.models["auto"], "sprat", []).quality


@pytest.mark.slow
def test_agreement_is_called_agreement_not_a_right_reply(tmp_path: Path) -> None:
    rows = sprat.load("aquarium").take(range(400))
    found = sprat.study(rows, small="fry", large="mackerel", keep=0.5, confidence=0.8, grade="agreement")
    way = load(found.save(tmp_path / "out") / "serve.toml")
    with Running(way) as gateway:
        body = {"model": "auto", "messages": [{"role": "user", "content": "sort 31 4 15:"}], "sprat": {"card": True}}
        card = gateway.post("/v1/chat/completions", body)[2]["sprat"]
    assert card["evidence"].startswith("probability of agreement with mackerel, not correctness")
    assert "agrees" in card["drawing"]
    assert "right" not in card["drawing"]
