"""What a study writes for the gateway: every certified setting, its losses, and what requests are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sprat
from sprat.cli import main
from sprat.config import read
from sprat.shape import leaves
from sprat.study.job import Study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    rows = sprat.load("aquarium").take(range(600))
    found = sprat.study(rows, small="sprat", large="mackerel", keep=0.9, confidence=0.8)
    return found, found.save(tmp_path_factory.mktemp("served") / "study")


@pytest.fixture
def table(done: tuple[Study, Path]) -> dict[str, Any]:
    return dict(read(done[1] / "serve.toml").extra["promise"])


def test_the_settings_are_those_that_the_walk_passed_after_the_reference(done: Any, table: Any) -> None:
    certificate = done[0].certificate
    passed = [t.name for t in certificate.tried if t.p_value <= certificate.delta]
    certified = [s["name"] for s in table["settings"] if s.get("certified", True)]
    assert certified == ["mackerel alone", *passed[: passed.index(certificate.certified) + 1]]
    assert table["setting"] == certified[-1]


def test_what_is_not_certified_comes_last_and_says_so(table: Any) -> None:
    assert [s["name"] for s in table["settings"] if not s.get("certified", True)] == ["sprat alone"]
    assert table["settings"][-1]["name"] == "sprat alone"


def test_costs_and_harms_are_means_over_the_calibration_rows(done: Any, table: Any) -> None:
    found = done[0].evidence
    facts, outcome = found.facts.take(found.cut.calibration), found.on_calibration(found.passed)
    for j, setting in enumerate(table["settings"][1:-1]):
        assert setting["cost"] == pytest.approx(outcome.cost[:, j].mean())
        assert setting["harm"] == pytest.approx((facts.reference - outcome.score[:, j]).mean())
        assert setting["large"] == pytest.approx(outcome.large[:, j].mean())
    assert (table["settings"][0]["harm"], table["settings"][0]["large"]) == (0, 1)


def test_the_losses_are_the_certified_settings(done: Any, table: Any) -> None:
    evidence = done[0].certificate.evidence
    assert tuple(table["losses"]["values"]) == evidence.values
    assert tuple(table["losses"]["counts"]) == evidence.counts


def test_features_are_of_one_row_per_unit(done: Any, table: Any) -> None:
    found = done[0].evidence
    units = len(np.unique(found.facts.units[found.cut.calibration]))
    assert {len(v) for v in table["features"].values()} == {units}
    assert "characters" in table["features"]


def test_signals_that_settings_share_are_written_once(done: Any) -> None:
    path = done[1] / "serve.toml"
    saved = read(path)
    ways = [saved.model, *(saved.made(s["way"], "way") for s in saved.extra["promise"]["settings"] if "way" in s)]
    by_candidate = {s.candidate for s in done[0].evidence.passed}
    signals = {id(s) for way in ways for s in getattr(way, "trust", ())}
    assert len(signals) <= len(by_candidate)
    assert {m.name for m in leaves(tuple(ways)) if hasattr(m, "price")} == {"sprat", "mackerel"}


def test_another_threshold_of_a_certified_setting_is_found(done: Any) -> None:
    path = done[1] / "serve.toml"
    whole = path.read_text()
    assert main(["certify", "check", str(done[1])]) == 0
    at = whole.index("at_least = [\n    0.", whole.index("[[promise.settings]]"))
    path.write_text(whole[:at] + whole[at:].replace("at_least = [\n    0.", "at_least = [\n    0.9", 1))
    try:
        assert main(["certify", "check", str(done[1])]) == 1
    finally:
        path.write_text(whole)


def test_how_to_explore_may_be_added_without_breaking_the_certificate(done: Any) -> None:
    path = done[1] / "serve.toml"
    whole = path.read_text()
    path.write_text(whole.replace("[promise]\n", "[promise]\nexplore = 0.05\n"))
    try:
        assert main(["certify", "check", str(done[1])]) == 0
    finally:
        path.write_text(whole)


def test_where_nothing_is_certified_there_is_no_promise(tmp_path: Path) -> None:
    rows = sprat.load("aquarium").take(range(60))
    found = sprat.study(rows, small="sprat", large="mackerel", keep=0.999)
    assert found.certificate.certified is None
    assert "promise" not in read(found.save(tmp_path / "study") / "serve.toml").extra
