"""Recorded replies against their documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sprat.cli import main
from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput
from sprat.measure.consistency import consistencies, documents
from sprat.measure.evaluation import evaluated
from sprat.nli.chunks import minicheck

DOCUMENT = "Jeff joined Microsoft in 1992. He left in 2001 and moved to Oslo."
SAID = ["Jeff joined Microsoft. He moved to Oslo.", "Jeff joined Microsoft. He moved to Paris in 1955."]


def dataset(where: str = "prompt") -> Dataset:
    rows: list[Example] = []
    for i, text in enumerate(SAID):
        prompt = DOCUMENT if where == "prompt" else "Summarise it."
        meta = {"document": DOCUMENT} if where == "document" else {}
        target = DOCUMENT if where == "target" else None
        call = Call("m", Reply(text, "m"))
        rows.append(Example(str(i), Request.of(f"{prompt}"), target, (call,), meta=meta))
    return Dataset(tuple(rows))


@pytest.mark.parametrize("where", ["prompt", "target", "document"])
def test_the_scores_are_the_checkers_wherever_the_document_stands(where: str) -> None:
    ((model, places, checks),) = consistencies(dataset(where), "minicheck", where=where)
    assert (model, places.tolist()) == ("m", [0, 1])
    assert [c.score for c in checks] == [c.score for c in minicheck().check([(DOCUMENT, t) for t in SAID])]


def test_a_document_in_the_rows_meta_goes_before_the_prompt() -> None:
    assert documents(dataset("document"))[0] == [DOCUMENT, DOCUMENT]
    assert documents(dataset("prompt"))[0] == [DOCUMENT, DOCUMENT]


def test_rows_without_a_document_are_left_out_and_none_at_all_is_said() -> None:
    with pytest.raises(BadInput, match="No row has a document under 'target'"):
        documents(dataset("prompt"), "target")


def test_an_evaluation_shows_the_sentence_that_nothing_bears_out() -> None:
    found = evaluated(dataset(), ["minicheck", "summac"], spans=1)
    assert [line.measure for line in found.lines] == ["minicheck", "summac"]
    low = found.lowest[0]
    (told,) = low["unsupported"]
    assert low["id"] == "1"
    assert SAID[1][slice(*told["span"])] == told["text"] == "He moved to Paris in 1955."


def test_another_checker_is_refused() -> None:
    with pytest.raises(BadInput, match="no checker 'rouge'"):
        list(consistencies(dataset(), "rouge"))


def test_the_command_gives_scores_and_spans_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"id": str(i), "article": DOCUMENT, "model": "m", "reply": t} for i, t in enumerate(SAID)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    main(["evaluate", str(path), "--with", "alignscore", "--columns", "prompt=article", "--spans", "1", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["scores"][0]["measure"] == "alignscore"
    assert told["lowest"][0]["unsupported"][0]["text"] == "He moved to Paris in 1955."


def test_a_model_of_inference_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": DOCUMENT, "model": "m", "reply": SAID[0]}) + "\n")
    assert main(["evaluate", str(path), "--with", "summac", "--nli", "tall"]) != 0
    assert "no inference model 'tall'" in capsys.readouterr().err
