"""Sentences and where they stand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.sentences import sentences, spans


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It rained. It was cold!", ["It rained.", "It was cold!"]),
        ("About 3.5 km, e.g. by foot.", ["About 3.5 km, e.g. by foot."]),
        ("One line\nand another", ["One line", "and another"]),
        ("“Yes.” He left.", ["“Yes.”", "He left."]),
        ("下雨了。很冷。", ["下雨了。", "很冷。"]),
        ("Он ушёл. Стало тихо.", ["Он ушёл.", "Стало тихо."]),
        ("他说：“你好！？”她走了。", ["他说：“你好！？”", "她走了。"]),
        ("これは一つ｡「二つ。」三つ", ["これは一つ｡", "「二つ。」", "三つ"]),
        ("圆周率约３．１４。", ["圆周率约３．１４。"]),
        ("यह पहला है। यह दूसरा है।", ["यह पहला है।", "यह दूसरा है।"]),
        ("هل هذا صحيح؟ نعم.", ["هل هذا صحيح؟", "نعم."]),
        ("", []),
    ],
)
def test_sentences_end_at_their_marks(text: str, wanted: list[str]) -> None:
    assert sentences(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["Dr. Lee met J. Smith in the U.S. Army.", "See No. 5 on St. Mark's Place.", "On 3 Jan. 2020 it rained."],
)
def test_what_a_full_stop_shortens_ends_no_sentence(text: str) -> None:
    assert sentences(text) == [text]


def test_an_hour_may_end_one() -> None:
    assert sentences("It began at 5 p.m. Nobody came.") == ["It began at 5 p.m.", "Nobody came."]


@given(st.text(alphabet='aB .!?\n。”؟"1', max_size=60))
def test_every_word_stands_in_one_sentence_in_order(text: str) -> None:
    found = spans(text)
    assert all(a < b for a, b in found)
    assert all(first[1] <= second[0] for first, second in pairwise(found))
    told = "".join(text[a:b] for a, b in found)
    assert [c for c in told if c.isalnum()] == [c for c in text if c.isalnum()]
