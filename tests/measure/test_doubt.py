from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sprat.cli import main
from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput
from sprat.measure.doubt import doubts


def dataset(n: int = 40, logprobs: bool = False) -> Dataset:
    """Right answers are drawn four times of four, wrong ones once: agreement tells them apart wholly."""
    rows: list[Example] = []
    for i in range(n):
        right = i % 2 == 0
        texts = ["yes"] * 4 if right else ["no", "yes", "maybe", "never"]
        lp = (-0.1 if right else -2.0,)
        calls = [
            Call("m", Reply(t, "m", logprobs=lp if logprobs else None, score=float(right)), s)
            for s, t in enumerate(texts)
        ]
        rows.append(Example(str(i), Request.of(f"question {i}"), "yes", tuple(calls)))
    return Dataset(tuple(rows))


def test_agreement_that_tells_all_apart_has_an_auroc_of_1() -> None:
    found = {(m.name, m.level): m for m in doubts(dataset(), "m", times=50).measured}
    best = found["disagreement, exact", "answer"]
    assert best.auroc is not None
    assert best.auroc.value == best.auroc.low == best.auroc.high == 1
    assert best.prr is not None
    assert best.prr.value == pytest.approx(1)


def test_estimators_that_read_log_probabilities_are_left_out_without_them() -> None:
    found = doubts(dataset(), "m", times=50)
    assert not any("perplexity" in m.name for m in found.measured)
    assert any("left out" in note for note in found.notes)
    told = doubts(dataset(logprobs=True), "m", times=50)
    assert {"log-perplexity", "semantic entropy, rao"} <= {m.name for m in told.measured}


def test_the_first_draw_is_judged_and_so_many_are_used() -> None:
    found = doubts(dataset(), "m", most=2, times=50)
    assert found.values["disagreement, exact", "answer"].tolist()[:2] == [0, 1]


def test_an_empty_answer_is_neither_consistent_nor_not() -> None:
    draws = [Call("m", Reply(t, "m"), i) for i, t in enumerate(["", "Paris is it.", "Paris it is."])]
    values = doubts(Dataset((Example("1", Request.of("q"), "a", tuple(draws)),)), "m", nli="small").values
    checked = {name: v for (name, _), v in values.items() if name.startswith("self-check")}
    assert len(checked) == 3
    assert all(np.isnan(v).all() for v in checked.values())


def test_outcomes_that_are_all_the_same_tell_nothing() -> None:
    same = Dataset(tuple(e for e in dataset() if e.calls[0].reply.score == 1))
    assert all(m.auroc is None and m.aurc is None for m in doubts(same, "m").measured)


def test_one_draw_each_is_said() -> None:
    one = Dataset((Example("1", Request.of("q"), "a", (Call("m", Reply("a", "m")),)),))
    with pytest.raises(BadInput, match="No question has two draws of 'm'"):
        doubts(one, "m")


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    rows = [
        {"id": e.id, "prompt": e.request.text, "model": "m", "reply": c.reply.text, "target": "yes", "sample": c.sample}
        for e in dataset()
        for c in e.calls
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_the_command_measures_every_estimator(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uncertainty", str(calls), "--json", "--scores", str(tmp_path / "s.jsonl")]) == 0
    told = json.loads(capsys.readouterr().out)
    best = next(e for e in told["estimators"] if e["estimator"] == "disagreement, exact")
    assert best["auroc"] == [1, 1, 1]
    first = json.loads((tmp_path / "s.jsonl").read_text().splitlines()[0])
    assert first["answer: disagreement, exact"] == 0


def test_the_command_goes_by_inference_where_it_is_told(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uncertainty", str(calls), "--nli", "small", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "self-check, NLI" in {e["estimator"] for e in told["estimators"]}


def test_the_command_shows_a_table(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uncertainty", str(calls), "--samples", "3"]) == 0
    assert "AUROC of wrong answers" in capsys.readouterr().out


@pytest.mark.parametrize("more", [["--samples", "1"], ["--at-least", "1.5"], ["--model", "other"], ["--nli", "tall"]])
def test_mistakes_are_one_sentence(calls: Path, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uncertainty", str(calls), *more]) == 2
    assert capsys.readouterr().err.startswith("sprat: ")


def test_by_inference_there_are_five_more_estimators_which_tell_what_they_are_worth() -> None:
    found = doubts(dataset(), "m", times=50, nli="small")
    names = {m.name for m in found.measured}
    assert {"semantic entropy, nli strict", "disagreement, nli", "self-check, NLI", "degree, nli"} <= names
    best = next(m for m in found.measured if m.name == "disagreement, nli strict")
    assert best.auroc is not None
    assert best.auroc.value > 0.9
    assert any(note.startswith("Inference is by nli-small-") for note in found.notes)
    assert not names & {m.name for m in doubts(dataset(), "m", times=50).measured if "nli" in m.name.lower()}
