"""Passages found by words and by vectors."""

from __future__ import annotations

import json
from math import log
from pathlib import Path

import pytest

from sprat.encoders import TfidfEncoder
from sprat.errors import BadInput
from sprat.factuality.corpus import Bm25, Dense, Passage, passages_of, read_corpus


def test_bm25_is_the_sum_computed_by_hand() -> None:
    corpus = Bm25((Passage("a cat sat"), Passage("a dog sat down here now"), Passage("rain")))
    found = corpus.passages("cat sat")
    # lengths 3, 6, 1: mean 10/3; idf = ln(1 + (N - n + .5) / (n + .5))
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / (10 / 3))
    cat, sat = log(1 + 2.5 / 1.5), log(1 + 1.5 / 2.5)
    assert found[0].text == "a cat sat"
    assert found[0].score == pytest.approx((cat + sat) * 2.2 / (1 + norm))
    assert [p.text for p in found] == ["a cat sat", "a dog sat down here now"]  # what shares no word is left out


def test_a_title_confines_the_search_to_its_document() -> None:
    corpus = read_corpus({"Ada": "She wrote notes.", "Bob": "He wrote notes on engines."})
    assert {p.title for p in corpus.passages("engines", title="ada")} == {"Ada"}
    assert corpus.passages("engines", title="Carl")[0].title == "Bob"  # an unknown title confines nothing


def test_dense_ranks_by_the_encoder() -> None:
    corpus = Dense((Passage("cold rain"), Passage("a warm sun")), TfidfEncoder(dim=64, buckets=256))
    assert corpus.passages("the warm sun", k=1)[0].text == "a warm sun"


def test_passages_hold_whole_sentences_and_every_word() -> None:
    text = "One two three. Four five. Six seven eight nine."
    runs = passages_of(text, longest=5)
    assert [p.text for p in runs] == ["One two three. Four five.", "Six seven eight nine."]
    assert " ".join(p.text for p in passages_of("a " * 700, longest=256)).split() == ["a"] * 700


def test_a_corpus_is_read_from_a_folder_or_from_rows(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "Paris.txt").write_text("Paris lies on the Seine.")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"title": "Paris", "text": "Paris lies on the Seine."}) + "\n")
    assert read_corpus(tmp_path / "d").kept == read_corpus(rows).kept


def test_an_empty_corpus_is_refused() -> None:
    with pytest.raises(BadInput, match="no text"):
        read_corpus([" "])
