"""Rules against their definitions, computed by hand or word by word."""

from __future__ import annotations

import re
from collections import Counter
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.curate import c4, fineweb, gopher, judged, recipe, repetition
from sprat.curate.rules import Limit, judge
from sprat.curate.words import View, sentences
from sprat.errors import BadInput


def gophered(text: str, words: str = "whitespace") -> dict[str, float]:
    return gopher.RULE.measure(View(text, words)).scores


def test_gopher_counts_words_that_are_more_than_marks() -> None:
    assert gophered("one two -- three ...")["gopher.words"] == 3


def test_gopher_measures_letters_over_all_words() -> None:
    assert gophered("one 2 -- three")["gopher.alpha"] == 0.5


def test_gopher_means_the_length_of_solid_words() -> None:
    assert gophered("a bcd ---- efghi")["gopher.mean_word_length"] == 3


def test_gopher_counts_distinct_stop_words() -> None:
    assert gophered("the the and of The")["gopher.stop_words"] == 3


def test_gopher_reads_bullets_and_ellipses_by_line() -> None:
    found = gophered("- one\n  • two\nthree...\nfour")
    assert (found["gopher.bullet_lines"], found["gopher.ellipsis_lines"]) == (0.5, 0.25)


def test_gopher_divides_marks_by_words() -> None:
    found = gophered("# a #b c ... d…")
    assert (found["gopher.hashes"], found["gopher.ellipses"]) == (2 / 6, 2 / 6)


def test_punctuation_counts_as_words_where_spacy_splits_it_off() -> None:
    text = "Well, he said (twice): no."
    assert (gophered(text)["gopher.alpha"], gophered(text, "spacy-compatible")["gopher.alpha"]) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("stretch", "words"),
    [
        ("don't", ["do", "n't"]),
        ("(he's)", ["(", "he", "'s", ")"]),
        ("U.S.", ["U.S."]),
        ("well-known", ["well", "-", "known"]),
        ("end.", ["end", "."]),
        ("3.5%", ["3.5", "%"]),
        ("Mr.", ["Mr."]),
        ("a,b", ["a", ",", "b"]),
        ("https://a.org/b-c", ["https://a.org/b-c"]),
        ("cannot", ["can", "not"]),
        ("“Yes,”", ["“", "Yes", ",", "”"]),
    ],
)
def test_spacy_compatible_words(stretch: str, words: list[str]) -> None:
    from sprat.curate.words import split_apart

    assert split_apart(stretch) == words


def by_definition(text: str) -> dict[str, float]:
    """Table A1, word by word."""
    words, out = text.split(), dict[str, float]()
    for n in (2, 3, 4):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        most = Counter(grams).most_common(1)
        out[f"repetition.top_{n}_gram"] = len(most[0][0]) * most[0][1] / len(text) if most else 0.0
    for n in range(5, 11):
        seen, at, total = set[tuple[str, ...]](), 0, 0
        while at + n <= len(words):
            gram = tuple(words[at : at + n])
            if gram in seen:
                total += len("".join(gram))
                at += n
            else:
                seen.add(gram)
                at += 1
        out[f"repetition.repeated_{n}_grams"] = total / len(text)
    for name, pieces in (("paragraph", re.split(r"\n{2,}", text.strip())), ("line", re.split(r"\n+", text))):
        again = [p for i, p in enumerate(pieces) if p in pieces[:i]]
        out[f"repetition.{name}s"] = len(again) / len(pieces)
        out[f"repetition.{name}_characters"] = sum(map(len, again)) / len(text)
    return out


@given(st.lists(st.sampled_from(["a", "bb", "c", "\n", "\n\n", "dd."]), min_size=1, max_size=60).map(" ".join))
def test_repetition_is_what_its_table_says(text: str) -> None:
    assert repetition.RULE.measure(View(text)).scores == pytest.approx(by_definition(text))


def test_the_first_of_equally_frequent_n_grams_is_the_top_one() -> None:
    found = repetition.RULE.measure(View("aaaa b c d aaaa b c d")).scores
    assert found["repetition.top_2_gram"] == 2 * len("aaaa b") / 21


def test_c4_keeps_lines_that_end_like_sentences() -> None:
    text = (
        "Menu\nThis is a sentence.\nOk now.\nPlease enable JavaScript now.\nRead our cookie policy now.\nAnd so on..."
    )
    found = judge(text, [c4.RULE])
    assert found.text == "This is a sentence."
    assert [(e.line, e.why) for e in found.edits] == [
        (0, "c4.no_terminal_mark"),
        (2, "c4.few_words"),
        (3, "c4.javascript"),
        (4, "c4.policy"),
        (5, "c4.no_terminal_mark"),
    ]


def test_c4_cuts_citations_and_says_so() -> None:
    found = judge("It was so in 1999.[3] They said more.", [c4.RULE])
    assert found.text == "It was so in 1999. They said more."
    assert [e.why for e in found.edits] == ["c4.citation"]


def test_c4_drops_braces_and_too_few_sentences() -> None:
    assert judge("function f() { return a thing. }.", [c4.RULE]).reasons == ("c4.braces", "c4.sentences")


def test_a_line_is_named_by_its_place_in_the_text_as_it_came() -> None:
    found = judge("Menu\nShe said it all [1].\nTail", [c4.RULE, c4.RULE])
    assert [e.line for e in found.edits] == [0, 1, 2]


def test_fineweb_measures_lines() -> None:
    found = fineweb.RULE.measure(View("A line that ends well.\nshort\nshort\n")).scores
    assert found["fineweb.terminal_lines"] == pytest.approx(1 / 3)
    assert found["fineweb.short_lines"] == 1.0
    assert found["fineweb.repeated_characters"] == 5 / 32
    assert found["fineweb.new_lines"] == 3 / 7


@pytest.mark.parametrize("words", ["whitespace", "spacy-compatible"])
def test_sentences_are_counted(words: str) -> None:
    assert sentences("He came. She saw! Did they? Yes", words) == 4
    assert sentences("", words) == 0


def test_an_empty_text_is_dropped_for_its_words_alone() -> None:
    (found,) = judged([""], recipe("gopher"))
    assert "gopher.words" in found.reasons
    assert isnan(found.scores["gopher.alpha"])
    assert "gopher.alpha" not in found.reasons


def test_all_reasons_are_kept_not_the_first_alone() -> None:
    (found,) = judged(["# # #"], recipe("gopher"))
    assert {"gopher.words", "gopher.hashes", "gopher.stop_words"} <= set(found.reasons)


def test_a_limit_is_moved_by_a_recipe() -> None:
    made = recipe({"rule": [{"use": "gopher", "alpha": {"at_least": 0.2}, "words": False}]})
    assert Limit("gopher.alpha", 0.2) in made.limits
    assert Limit("gopher.words") in made.limits


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"rule": [{"use": "gophre"}]}, "Did you mean 'gopher'?"),
        ({"rule": [{"use": "gopher", "alhpa": False}]}, "Did you mean 'alpha'?"),
        ({"rule": [{"use": "gopher", "alpha": 0.2}]}, "table of at_least and at_most"),
        ({"rule": [{"use": "gopher", "alpha": {"at_least": 2, "at_most": 1}}]}, "the first no higher"),
        ({"rule": [{"use": "gopher"}, {"use": "gopher"}]}, "twice"),
        ({"rules": [{"use": "gopher"}]}, "Did you mean 'rule'?"),
        ({"rule": [{"use": "gopher"}], "words": "white"}, "Did you mean 'whitespace'?"),
        ({"rule": []}, "names no rule"),
    ],
)
def test_a_recipe_that_is_wrong_says_what_is_meant(table: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        recipe(table)
