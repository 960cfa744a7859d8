"""The page of `sprat evaluate --out`: marks in place, what is private, and what is escaped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sprat.cli import main
from sprat.safety import named
from sprat.study.report.evaluation_page import marked
from sprat.study.report.markup import join

pytest.importorskip("altair")

REPLIES = ["Rain fell <script>alert(1)</script> all night.", "Write to ann@example.com today.", "He bought a car."]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    rows = [
        {"id": f"{i}", "prompt": f"Question {i}?", "target": "Rain fell all night.", "model": m, "reply": f"{r} {m}"}
        for i, r in enumerate(REPLIES)
        for m in ("small", "large")
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def written(calls: Path, measures: str) -> str:
    out = calls.parent / "out"
    assert main(["evaluate", str(calls), "--with", measures, "--spans", "3", "--out", str(out)]) == 0
    return (out / "index.html").read_text()


def test_a_reply_with_markup_is_shown_as_text(calls: Path) -> None:
    page = written(calls, "bertscore")
    assert "<script" not in page
    assert "alert" in page


def test_the_folder_holds_the_charts_and_the_numbers(calls: Path) -> None:
    written(calls, "f1")
    out = calls.parent / "out"
    assert {p.name for p in (out / "charts").iterdir()} == {
        f"{n}.{kind}" for n in ("means", "spread") for kind in ("svg", "png")
    }
    assert len(json.loads((out / "evaluation.json").read_text())["scores"]) == 2


def test_private_words_are_not_on_the_page_even_among_the_lowest_rows_of_another_measure(calls: Path) -> None:
    page = written(calls, "bertscore,pii")
    assert "EMAIL_ADDRESS" in page
    assert "ann@example.com" not in page


def test_private_words_are_not_in_the_folders_json(calls: Path) -> None:
    written(calls, "bertscore,pii")
    assert '"ann"' not in (calls.parent / "out" / "evaluation.json").read_text()


def test_the_page_asks_for_nothing_from_the_network(calls: Path) -> None:
    page = written(calls, "f1")
    assert "default-src &#x27;none&#x27;" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_span_is_marked_where_it_stands() -> None:
    assert join(marked("a < b and c", [(2, 5)])) == "a <mark>&lt; b</mark> and c"


def test_spans_that_overlap_keep_every_character_once() -> None:
    assert join(marked("abcdef", [(0, 4), (2, 6)])).replace("<mark>", "").replace("</mark>", "") == "abcdef"


def test_what_is_hidden_is_replaced_by_its_kind() -> None:
    text = "Write to ann@example.com today."
    assert "ann@" not in join(marked(text, [(9, 15)], named("pii").spans))


def test_pairs_of_models_have_no_page(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["evaluate", str(calls), "--judge", "longer", "--pairwise", "small,large", "--out", str(tmp_path / "o")]
    assert main(asked) != 0
    assert "--out" in capsys.readouterr().err
