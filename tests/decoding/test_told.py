"""The same weights told something else: what they read, that they share a vocabulary, and that tellings nest."""

from __future__ import annotations

import pytest

import sprat
from decoding_doubles import Letters, given, pool_of
from sprat.core import Request
from sprat.decoding import told
from sprat.errors import BadInput, CannotDo

MODEL = given("m", [0] * 8, letters=Letters(tuple("abcdefgh")))
TALK = [
    {"role": "system", "content": "a"},
    {"role": "user", "content": "b"},
    {"role": "assistant", "content": "c"},
    {"role": "user", "content": "d"},
]


def read(model: sprat.Endpoint, asked: object = TALK) -> str:
    """What a leaf reads of a conversation, as letters."""
    return MODEL.letters.decode(model.prompt(Request.of(asked)))  # pyright: ignore


@pytest.mark.parametrize(
    ("how", "reads"),
    [
        ({}, "abcd"),
        ({"system": "h"}, "hbcd"),
        ({"system": "h", "replaces": False}, "habcd"),
        ({"system": ""}, "bcd"),
        ({"before": "f", "after": "g"}, "abcfdg"),
        ({"examples": [("e", "f"), ("g", "h")]}, "aefghbcd"),
        ({"examples": [("e", "f")], "after": "g", "system": "h"}, "hegfbcdg"),
        ({"last": 2}, "cd"),
        ({"last": 99}, "abcd"),
    ],
)
def test_what_it_reads(how: dict[str, object], reads: str) -> None:
    assert read(told(MODEL, **how)) == reads  # pyright: ignore[reportArgumentType]


def test_an_answer_that_was_begun_stays_last() -> None:
    begun = [*TALK, {"role": "assistant", "content": "e"}]
    assert read(told(MODEL, system="h", before="f"), begun) == "hbcfde"


def test_tellings_nest_the_outer_first() -> None:
    assert read(told(told(MODEL, before="e"), before="f")) == "abcefd"
    assert read(told(told(MODEL, system="g"), system="h")) == "gbcd"


def test_weights_vocabulary_and_limits_are_the_models() -> None:
    model = sprat.tiny("sprat")
    made = told(model, before="x")
    same = ("vocabulary", "positions", "at_once", "fingerprint", "price", "max_tokens")
    assert [getattr(made, name) for name in same] == [getattr(model, name) for name in same]


def test_told_nothing_it_writes_what_the_model_writes() -> None:
    model = sprat.tiny("sprat")
    assert told(model)("sort 31 4 15:").text == model("sort 31 4 15:").text


def test_told_the_words_around_a_question_it_answers_that() -> None:
    model = sprat.tiny("sprat")
    assert told(model, before="reverse ", after=":")("shark").text == model("reverse shark:").text == "krahs"


def test_beside_its_own_model_it_has_a_session_of_its_own() -> None:
    model = given("m", [0, 1, 2, 3])
    pool = pool_of(model, told(model, last=1), prompts=["abc"])
    pool.scores(told(model, last=1) + model)
    assert [fed for fed in model.fed if isinstance(fed, list)] == [[[2]], [[0, 1, 2]]]


def test_it_is_named_by_its_model_unless_it_has_a_name() -> None:
    assert (told(MODEL).name, told(MODEL, name="wary").formula) == ("told(m)", "wary")
    assert told(MODEL, system="", after="a" * 99, last=2).name == f"told(m, system='', after='{'a' * 29}...', last=2)"


def test_a_combination_is_not_told() -> None:
    with pytest.raises(BadInput, match="made of several models"):
        told(MODEL + MODEL * 2)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CannotDo, match="'words' gives text"):
        told(sprat.toy("words", lambda _: "a"))  # pyright: ignore[reportArgumentType]


def test_it_reads_at_least_one_token() -> None:
    with pytest.raises(BadInput, match="last is 0"):
        told(MODEL, last=0)
