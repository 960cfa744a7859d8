"""A study's facts on small made-up data; above all, what its arrays say equals what a replay gives, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_calls import rows, write
from sprat.config import dump, load
from sprat.core import Reply, Request
from sprat.data import Dataset, Example
from sprat.reading import read
from sprat.replay import replay
from sprat.study import job, promises, run, workers
from sprat.study.certificate import check
from sprat.study.certify import Promise
from sprat.study.evidence import Evidence
from sprat.study.score import Outcome
from sprat.study.split import cut
from sprat.study.tried import Asked, Setting
from sprat.study.ways import built

THREE = ("small", "peer", "large")
SLOW = ("dual contrastive", "learned scorer", "distilled reward", "matrix factorization")
FEW = ("alone", "chance", "length", "ridge", "answer's features")


@dataclass(frozen=True)
class Studied:
    """A study with what it measured."""

    found: Evidence
    study: run.Study
    data: Dataset


def quick(name: str) -> bool:
    """Whether a candidate is fitted in less than a second."""
    return not any(s in name for s in SLOW)


def one_of_few(name: str) -> bool:
    """Whether a candidate is one of the few that fit at once."""
    return any(f in name for f in FEW)


def studied(data: Dataset, asked: Asked, which: Callable[[str], bool] = one_of_few, **context: Any) -> Studied:
    """Run the study with candidates of these names, and catch what it is worded from."""
    caught: list[Evidence] = []
    every, worded = run.propose, run.words.heading

    def heading(found: Evidence, *more: Any) -> Any:
        caught.append(found)
        return worded(found, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "propose", lambda *a: [c for c in every(*a) if which(c.name)])
        patch.setattr(run.words, "heading", heading)
        patch.setattr(promises, "rows_needed", lambda *_, **__: 250)
        done = run.study(data, asked, context=context)
    return Studied(caught[0], done, data)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three models and log-probabilities, so that every kind of candidate is tried; two rows to a unit."""
    made = rows(240, ("small", "peer", "third", "large"))
    for i, row in enumerate(made):
        row["unit"] = f"u{int(row['id']) // 2}"
        row["tokens"] = ["The", " answer"]
        row["logprobs"] = [-0.1, -0.05 - (i * 37 % 100) / 50]
    return read(write(tmp_path_factory.mktemp("run") / "calls.jsonl", made))


@pytest.fixture(scope="module")
def one(data: Dataset) -> Studied:
    return studied(data, Asked("small", "large", ("peer", "third"), Promise("keep", 0.9), 0.05), quick, earlier=3)


def settings(found: Evidence) -> Iterator[Setting]:
    """Of every candidate the strictest, a middle and the loosest setting."""
    for i in range(len(found.tried.candidates)):
        own = [s for s in found.tried.settings if s.candidate == i]
        yield from {id(s): s for s in (own[0], own[len(own) // 3], own[len(own) // 2], own[-1])}.values()


def test_every_kind_of_candidate_is_tried(one: Studied):
    kinds = {(c.kind, len(c.models)) for c in one.found.tried.candidates}
    assert kinds >= {("alone", 1), ("route", 2), ("cascade", 2), ("cascade", 3), ("assign", 4), ("fixed", 3)}
    asks_peers = [c for c in one.found.tried.candidates if "agreement" in c.name]
    assert len(asks_peers) == 3


def test_what_the_arrays_say_a_replay_gives_row_by_row(one: Studied):
    """Seconds only nearly: they hold what the encoder took, measured anew."""
    for setting in settings(one.found):
        outcome, replies = both(one.found, setting)
        np.testing.assert_allclose([r.seconds for r in replies], outcome.seconds[:, 0], atol=0.05, err_msg=setting.name)
        if one.found.tried.candidates[setting.candidate].kind in ("route", "cascade", "assign"):
            assert [r.leaves()[-1].model == "large" for r in replies] == outcome.large[:, 0].tolist(), setting.name


def both(found: Evidence, setting: Setting, path: Path | None = None) -> tuple[Outcome, list[Reply]]:
    """A setting's arrays and its replay (through a file, where a path is given), the same in score and cost."""
    model = built(found, setting, job.endpoints(found.data, found.asked, {}))
    if path is not None:
        dump(model, path)
        model = load(path)
    outcome, replies = found.on_shown([setting]), replay(model, found.data.take(found.cut.shown))
    assert [r.score for r in replies] == outcome.score[:, 0].tolist(), setting.name
    np.testing.assert_allclose([r.cost for r in replies], outcome.cost[:, 0], rtol=1e-9, err_msg=setting.name)
    return outcome, replies


def test_what_is_saved_and_loaded_replays_to_the_same_rows(one: Studied, tmp_path: Path):
    for i, _ in enumerate(one.found.tried.candidates):
        own = [s for s in one.found.tried.settings if s.candidate == i]
        both(one.found, own[len(own) // 2], tmp_path / f"{i}.toml")


@pytest.mark.slow
def test_the_slow_candidates_replay_to_the_same_rows_too(data: Dataset, one: Studied, tmp_path: Path):
    found = studied(data, one.found.asked, lambda _: True).found
    assert len(found.tried.candidates) == len(one.found.tried.candidates) + len(SLOW)
    for i, setting in enumerate(settings(found)):
        both(found, setting, tmp_path / f"{i}.toml")


def test_what_is_served_is_what_was_certified(one: Studied):
    certified = one.study.certificate.certified
    assert certified is not None
    assert one.found.chosen is not None
    assert one.found.chosen.name == certified
    way = one.study.result.ways[0]
    shown = one.found.data.take(one.found.cut.shown)
    replies = replay(one.study.model, shown)
    assert np.mean([r.score or 0.0 for r in replies]) == pytest.approx(way.quality.value)
    assert 1000 * np.mean([r.cost or 0.0 for r in replies]) == pytest.approx(way.cost.value)  # type: ignore[union-attr]


def test_the_certificate_is_verified_and_counts_earlier_studies(one: Studied):
    assert check(one.study.certificate) == []
    assert one.study.certificate.earlier_studies == 3
    assert one.study.certificate.units == len(np.unique(one.found.facts.units[one.found.cut.calibration]))


def test_no_unit_is_in_two_of_the_parts(one: Studied):
    units = one.found.facts.units
    parts = [set(units[p].tolist()) for p in one.found.cut if len(p)]
    assert not set.intersection(*parts)
    assert sum(map(len, one.found.cut)) == len(units)


def test_from_2000_units_a_half_tests_are_cut_and_no_unit_straddles():
    names = [f"u{i // 2}" for i in range(16000)]
    data = Dataset(tuple(Example(str(i), Request.of(f"q{i}"), unit=name) for i, name in enumerate(names)))
    parts = [{names[i] for i in part} for part in cut(data)]
    assert [len(p) for p in parts] == [3200, 2400, 2400]
    assert len(parts[0] | parts[1] | parts[2]) == 8000


def test_a_refused_router_or_a_baseline_is_not_in_the_list(one: Studied):
    tried = one.found.tried
    listed = {s.candidate for s in tried.listed}
    assert listed
    assert any(tried.refused)
    assert not any(tried.refused[i] or tried.candidates[i].baseline for i in listed)
    refused = {w.name for w in one.study.result.ways if w.status.startswith("refused")}
    assert refused == {c.name for c, why in zip(tried.candidates, tried.refused, strict=True) if why}


def test_the_same_data_give_the_same_study_twice(tmp_path: Path):
    data = read(write(tmp_path / "calls.jsonl", rows(120)))
    asked = Asked("small", "large", (), Promise("keep", 0.9), 0.05)
    first, second = (untimed(studied(data, asked).study.result.to_dict()) for _ in range(2))
    assert first == second


def untimed(value: Any) -> Any:
    """A result without the seconds, which hold what this machine's encoder took."""
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in ("p50", "p95", "p95_at_once")}
    return [untimed(v) for v in value] if isinstance(value, (list, tuple)) else repr(value)


def test_one_worker_finds_what_several_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = read(write(tmp_path / "calls.jsonl", rows(120)))
    asked = Asked("small", "large", (), Promise("keep", 0.9), 0.05)
    several = studied(data, asked).study.certificate
    monkeypatch.setattr(workers, "_cores", lambda: 1)
    assert studied(data, asked).study.certificate == several


def test_earlier_studies_of_the_same_file_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPRAT_CACHE", str(tmp_path))
    path = write(tmp_path / "calls.jsonl", rows(60, THREE))
    every = run.propose
    monkeypatch.setattr(run, "propose", lambda *a: every(*a)[:5])
    monkeypatch.setattr(promises, "rows_needed", lambda *_, **__: 250)
    counts = [job.study(path, small="small", large="large").certificate.earlier_studies for _ in range(2)]
    priced = job.study(path, small="peer", large="large", grade="regex:answer").certificate.earlier_studies
    assert [*counts, priced] == [0, 1, 2]


def test_nothing_slower_than_allowed_is_listed(data: Dataset, one: Studied):
    found = studied(data, replace(one.found.asked, max_p95=1.0)).found
    places = found.tried.list.places
    assert len(found.tried.allowed) < len(found.tried.settings) / 2
    slow = np.quantile(found.tried.outcome.seconds[:, list(places)], 0.95, axis=0, method="higher")
    assert (slow <= 1.0).all()


def test_with_unknown_prices_savings_are_calls_to_the_large_model(tmp_path: Path):
    data = read(write(tmp_path / "calls.jsonl", rows(120, cost=None)))
    found = studied(data, Asked("small", "large", (), Promise("keep", 0.9), 0.05)).found
    assert not found.tried.dollars
    np.testing.assert_allclose(found.tried.saving, 1 - found.tried.outcome.large.mean(axis=0))


def test_scores_are_moved_to_0_to_1_by_their_declared_bounds(tmp_path: Path):
    scaled = [{**r, "score": 1 + 9 * r["score"]} for r in rows(60)]
    data = read(write(tmp_path / "calls.jsonl", scaled), bounds=(1, 10))
    found = studied(data, Asked("small", "large", (), Promise("keep", 0.9), 0.05)).found
    np.testing.assert_allclose(found.facts.scores[:, 0], [r["score"] for r in rows(60) if r["model"] == "small"])
