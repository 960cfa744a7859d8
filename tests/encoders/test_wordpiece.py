"""The tokenizer: greedy, and the same pieces as the one it follows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sprat.encoders.static import EMBEDDED, _read
from sprat.encoders.wordpiece import WordPieces

SMALL = WordPieces(["un", "##aff", "##able", "unaff", ",", "a", "日"], buckets=4)


def test_the_longest_piece_goes_first() -> None:
    assert SMALL.ids("unaffable") == [3, 2]


def test_marks_and_cjk_characters_stand_alone() -> None:
    assert SMALL.ids("a,日日") == [5, 4, 6, 6]


def test_an_unknown_word_gets_one_bucket_and_keeps_it() -> None:
    first = SMALL.ids("zebra")
    assert len(first) == 1
    assert 7 <= first[0] < 11
    assert SMALL.ids("Zebra") == first


def test_an_endless_word_is_one_bucket() -> None:
    assert len(SMALL.ids("a" * 5000)) == 1


@pytest.mark.data
def test_pieces_match_bert_base_uncased() -> None:
    if "SPRAT_DATA" not in os.environ:
        pytest.skip("needs SPRAT_DATA")
    tokenizers = pytest.importorskip("tokenizers")
    path = Path(os.environ["SPRAT_DATA"]) / "models/tokenizers/bert-base-uncased/tokenizer.json"
    bert = tokenizers.Tokenizer.from_file(str(path))
    ours = _read(EMBEDDED).tokens
    for text in (
        "Don't stop: naïve café-goers re-tokenized 3.14 µm!",
        "x_y = f(a)[0] // 2 -> None",
        "photosynthesising",
    ):
        pieces = [ours.vocabulary[i] for i in ours.ids(text)]
        assert pieces == bert.encode(text, add_special_tokens=False).tokens
