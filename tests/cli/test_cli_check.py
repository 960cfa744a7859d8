"""`sprat check`: rows in, findings out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sprat.cli import main

DOCUMENT = "Ada Low taught chemistry in Bonn for twelve years. She was not paid. The mill burnt down in 1932."
ROWS = [
    {"summary": "Ada Low taught chemistry in Bonn for twelve years.", "document": DOCUMENT},
    {"summary": "Zoe Marsh sold 400 planes to Peru in 1999.", "document": DOCUMENT},
]


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


def test_it_finds_what_is_not_borne_out_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", written(tmp_path / "in.jsonl", ROWS), "--json"])
    told = json.loads(capsys.readouterr().out)
    good, bad = told["findings"]
    assert code == 1
    assert (good["unsupported"], good["rung"]) == (False, "verbatim")
    assert bad["unsupported"]
    assert "400" in bad["claim"][slice(*bad["spans"][-1])] or any("400" in bad["claim"][a:b] for a, b in bad["spans"])
    assert [line["rung"] for line in told["ledger"]] == ["verbatim", "unigram", "alignment", "nli"]


def test_it_says_what_the_checks_drew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "in.jsonl", ROWS[:1])
    assert main(["check", path, "--energy", "--json"]) == 0
    drawn = json.loads(capsys.readouterr().out)["energy"]
    assert drawn["confidence"] in ("measured", "estimated", "unknown")
    assert main(["check", path, "--energy"]) == 0
    assert "Energy of this machine's work:" in capsys.readouterr().out


def test_nothing_unsupported_is_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", written(tmp_path / "in.jsonl", ROWS[:1])]) == 0
    assert "0 of 1 claims are not borne out" in capsys.readouterr().out


def test_a_corpus_stands_in_for_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "ada.txt").write_text(DOCUMENT)
    path = written(tmp_path / "in.jsonl", [{"claim": "Ada Low taught chemistry in Bonn for twelve years."}])
    assert main(["check", path, "--corpus", str(tmp_path / "notes"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"][0]["evidence"].startswith("Ada Low taught")


def test_a_ladder_is_fitted_on_rows_of_ones_own_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"claim": f"It {'rained' if i % 2 else 'snowed'} on day {i}.", "document": f"Day {i}: it rained on day {i}.",
         "supported": bool(i % 2)}
        for i in range(60)
    ]  # fmt: skip
    fit, saved = written(tmp_path / "fit.jsonl", rows), str(tmp_path / "mine.toml")
    new = written(
        tmp_path / "in.jsonl", [{"claim": "So it snowed on day 3.", "document": "Day 3: it rained on day 3."}]
    )
    assert main(["check", new, "--with", "unigram", "--fit", fit, "--save", saved, "--json"]) == 1
    first = json.loads(capsys.readouterr().out)
    assert main(["check", new, "--ladder", saved, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["doubt"] == first["findings"][0]["doubt"] > 0.9


def test_the_page_marks_what_is_missing_and_escapes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"claim": "Zoe <b>Marsh</b> sold 400 planes to Peru in 1999.", "document": DOCUMENT}]
    page = tmp_path / "page.html"
    main(["check", written(tmp_path / "in.jsonl", rows), "--html", str(page)])
    text = page.read_text()
    assert "<mark>" in text
    assert "(cut 0." in text
    assert "<b>" not in text
    assert "&lt;" in text


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", written(tmp_path / "a.jsonl", [{"claim": "x y"}])]) == 2
    assert "row 1: there is no document" in capsys.readouterr().err
    assert main(["check", written(tmp_path / "b.jsonl", ROWS), "--with", "nli,unigram"]) == 2
    assert "unigram, alignment, nli" in capsys.readouterr().err


def test_each_fact_of_a_row_may_be_checked_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"claim": "Ada Low taught chemistry in Bonn; she sold 400 planes.", "document": DOCUMENT}]
    main(["check", written(tmp_path / "in.jsonl", rows), "--each", "fact", "--json"])
    told = json.loads(capsys.readouterr().out)["findings"]
    assert [(f["row"], f["claim"]) for f in told] == [
        (1, "Ada Low taught chemistry in Bonn"),
        (1, "she sold 400 planes."),
    ]
    assert told[0]["rung"] != "verbatim"  # a part of a sentence: the document may deny it


def labelled_rows(learnable: bool) -> list[dict[str, Any]]:
    """Rained is true and snowed is not; or as a coin that the claim does not show."""
    return [
        {"claim": f"It {'rained' if i % 2 else 'snowed'} on day {i}.", "document": f"Day {i}: it rained on day {i}.",
         "supported": bool(i % 2) if learnable else bool(i // 2 % 2)}
        for i in range(80)
    ]  # fmt: skip


def test_what_a_fitted_ladder_is_worth_is_told_out_of_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = written(tmp_path / "fit.jsonl", labelled_rows(True))
    main(["check", written(tmp_path / "in.jsonl", ROWS), "--with", "unigram", "--fit", fit])
    told = " ".join(capsys.readouterr().out.split())
    assert "On the rows of --fit, each judged by what the others taught (80, 40 not supported): AUROC 1.00" in told
    assert "Warning" not in told


def test_a_ladder_that_learnt_nothing_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = written(tmp_path / "fit.jsonl", labelled_rows(False))
    main(["check", written(tmp_path / "in.jsonl", ROWS), "--with", "unigram", "--fit", fit])
    assert "can't be told from chance" in capsys.readouterr().out


def test_labels_of_the_checked_rows_measure_it_but_not_those_that_taught_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = labelled_rows(True)
    fit, new = written(tmp_path / "fit.jsonl", rows[:60]), written(tmp_path / "in.jsonl", rows[50:])
    main(["check", new, "--with", "unigram", "--fit", fit, "--json"])
    worth = json.loads(capsys.readouterr().out)["worth"]
    assert (worth["fit"]["rows"], worth["checked"]["rows"]) == (60, 20)


def test_a_claim_that_says_nothing_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", written(tmp_path / "in.jsonl", [{"claim": " ", "document": DOCUMENT}]), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["doubt"], found["verdict"]) == (None, "nothing claimed")


def test_a_long_claim_is_cut_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", written(tmp_path / "in.jsonl", [{"claim": "Zoe sold 400 planes. " * 500, "document": DOCUMENT}])])
    told = capsys.readouterr().out
    assert "10,500 characters" in " ".join(told.split())
    assert len(told) < 3000


def test_one_document_gives_no_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [r | {"supported": i == 0} for i, r in enumerate(ROWS)]
    main(["check", written(tmp_path / "in.jsonl", rows)])
    assert "An interval needs labelled rows of 10 documents" in " ".join(capsys.readouterr().out.split())
