"""What each token adds to the text, and stop strings that may begin in one token and end in another."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.whitebox.spelling import Speller, StopStrings


def bytes_vocabulary():
    """One token per byte, as byte-level tokenizers have for what they don't know."""
    return SimpleNamespace(decode=lambda ids: bytes(ids).decode("utf-8", errors="replace"))


def spell(vocabulary, ids):
    speller = Speller(vocabulary)
    return [*(speller.add(i) for i in ids), speller.rest()]


@given(st.text(st.characters(codec="utf-8", exclude_characters="�"), max_size=30))
def test_the_pieces_join_to_the_text_whatever_its_characters(text):
    assert "".join(spell(bytes_vocabulary(), text.encode())) == text


def test_a_character_of_several_tokens_comes_with_its_last():
    assert spell(bytes_vocabulary(), "a€".encode()) == ["a", "", "", "€", ""]


def test_bytes_that_never_become_a_character_are_not_lost():
    assert "".join(spell(bytes_vocabulary(), "a€".encode()[:-1])) == "a�"


def test_a_long_run_of_broken_bytes_does_not_hold_the_text_back():
    assert spell(bytes_vocabulary(), [0xE2, *[0x82] * 8, ord("a")])[-2].endswith("a")


def test_leading_spaces_follow_the_tokenizer():
    words = {1: "▁Hello", 2: "▁there"}
    joined = SimpleNamespace(decode=lambda ids: "".join(words[i] for i in ids).replace("▁", " ").lstrip(" "))
    assert spell(joined, [1, 2, 1]) == ["Hello", " there", " Hello", ""]


def test_what_follows_a_special_token_is_spelled_as_elsewhere():
    words = {0: "", 1: "▁hello", 2: "▁world"}
    joined = SimpleNamespace(decode=lambda ids: "".join(words[i] for i in ids).replace("▁", " ").lstrip(" "))
    assert "".join(spell(joined, [1, 0, 2])) == "hello world"
    assert "".join(spell(joined, [1, 2])) == "hello world"


def cut(stops, pieces):
    stopper = StopStrings(stops)
    shown = [stopper.add(p) for p in pieces]
    return "".join([*shown, stopper.rest()]), stopper.hit


@pytest.mark.parametrize(
    ("pieces", "text", "hit"),
    [
        (["a", "b", "END", "c"], "ab", True),
        (["aE", "N", "D"], "a", True),
        (["EN", "x"], "ENx", False),
        (["E"], "E", False),
    ],
)
def test_a_stop_string_ends_the_text_before_it(pieces, text, hit):
    assert cut(["END"], pieces) == (text, hit)


@given(st.text("ab", max_size=20), st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=3), st.data())
def test_the_cut_does_not_depend_on_how_the_text_is_pieced(text, stops, data):
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    ends = {at for s in stops if (at := text.find(s)) >= 0}
    got, hit = cut(stops, pieces)
    assert hit == bool(ends)
    assert text.startswith(got)
    if not hit:
        assert got == text


@given(st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=3))
def test_letter_by_letter_the_text_ends_where_the_first_stop_string_begins(text, stop):
    assert cut([stop], list(text))[0] == text.split(stop)[0]
