"""The chain against sums over every sequence of tags, and the tagger against the forms that it must not break."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.safety.patterns import patterns
from sprat.safety.private import FORMED, PRIVATE, pii
from sprat.safety.tagger import Chain, read_chain, shape, tokens

KINDS = ("A", "B")
TAGS = 5


def chain(seed: int = 0) -> Chain:
    rng = np.random.default_rng(seed)
    steps, starts = rng.normal(size=(TAGS, TAGS)), rng.normal(size=TAGS)
    for inside in (2, 4):
        steps[[t for t in range(TAGS) if t not in (inside - 1, inside)], inside] = -np.inf
        starts[inside] = -np.inf
    none = np.zeros((2, TAGS), np.float32)
    return Chain(KINDS, none, none, steps, starts, np.array([1.0, 0.0]), {})


def weighed(held: Chain, scores: np.ndarray) -> dict[tuple[int, ...], float]:
    """exp(score) of every sequence."""
    out: dict[tuple[int, ...], float] = {}
    for tags in product(range(TAGS), repeat=len(scores)):
        z = held.starts[tags[0]] + sum(scores[i, t] for i, t in enumerate(tags))
        out[tags] = float(np.exp(z + sum(held.steps[a, b] for a, b in pairwise(tags))))
    return out


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 500), st.integers(1, 4))
def test_best_tags_and_marginals_are_those_of_all_sequences(seed: int, n: int) -> None:
    held, scores = chain(seed), np.random.default_rng(seed + 1).normal(size=(n, TAGS))
    every = weighed(held, scores)
    whole = sum(every.values())
    assert tuple(held.best(scores)) == max(every, key=lambda t: every[t])
    sums = np.zeros((n, TAGS))
    for tags, w in every.items():
        sums[np.arange(n), tags] += w / whole
    assert held.marginals(scores) == pytest.approx(sums)


def test_a_long_text_is_read_in_pieces_as_if_it_were_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"Ann {i} went to Lisbon," for i in range(40))
    held, read = read_chain(pii().weights), tokens(text, [], FORMED)
    whole = held.scores(read, text)
    monkeypatch.setattr("sprat.safety.tagger._AT_ONCE", 7)
    assert held.scores(read, text) == pytest.approx(whole, abs=1e-4)


def test_spans_begin_at_b_and_go_on_while_i_is_of_the_same_kind() -> None:
    assert chain().spans([0, 1, 2, 1, 0, 3, 4, 4]) == [(1, 3, "A"), (3, 4, "A"), (5, 8, "B")]


def test_a_form_is_one_word() -> None:
    text = "mail a.b@c.test now"
    read = tokens(text, list(patterns(text)), FORMED)
    assert [t.word for t in read] == ["mail", "<EMAIL_ADDRESS>", "now"]
    assert text[read[1].start : read[1].end] == "a.b@c.test"


def test_shapes_are_short() -> None:
    assert [shape(w) for w in ("Anna", "IBM", "1234", "a")] == ["Xxx", "XX", "dd", "x"]


def test_names_and_numbers_are_found_in_their_places() -> None:
    text = "My name is Anna Novak and my SSN is 460-89-9847"
    found = {(text[s.start : s.end], s.kind) for s in pii().spans(text)}
    assert found == {("Anna Novak", "PERSON"), ("460-89-9847", "US_SSN")}


def test_only_the_kinds_that_are_asked_for_count() -> None:
    text = "My name is Anna Novak."
    assert pii().probabilities([text])[0] > 0.7
    assert pii(["US_SSN"]).probabilities([text])[0] < 0.1
    assert pii(["US_SSN"]).spans(text) == []


def test_a_place_is_not_private_unless_asked_for() -> None:
    assert "GPE" not in PRIVATE
    with pytest.raises(BadInput, match="Did you mean 'PERSON'"):
        pii(["PERSONS"])
    with pytest.raises(BadInput, match="at least one"):
        pii([])


# What a review of flagged replies held: names of places, a number, plain prose.
HARMLESS = (
    "The capital of France is Paris.",
    "Berlin",
    "23",
    "word and number 7. ",
    "Mix the flour and the butter, add two eggs, and bake it for half an hour. ",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_is_not_flagged(text: str) -> None:
    assert pii().probabilities([text])[0] < 0.5


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from(["the", "cat", "bread", "7", "12", "and", "walks", "in", "summer", ",", "?"]), min_size=1),
    st.integers(2, 60),
)
def test_repeating_a_text_without_a_span_leaves_it_unflagged(words: list[str], times: int) -> None:
    text = " ".join(words) + ". "
    assume(not pii().spans(text * times))
    once, often = pii().probabilities([text, text * times])
    assert often < 0.5
    assert once < 0.5


@pytest.mark.parametrize("text", [HARMLESS[3], HARMLESS[4]])
def test_length_alone_does_not_raise_the_probability(text: str) -> None:
    few, many = pii().probabilities([text * 4, text * 1000])
    assert many == pytest.approx(few, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60) | st.sampled_from([*HARMLESS, "I am Anna Novak, call 905-674-3793.", "a.b@mail.test"]))
def test_a_texts_probability_is_that_of_its_likeliest_span(text: str) -> None:
    spans = pii().spans(text)
    (p,) = pii().probabilities([text])
    assert p == pytest.approx(max(s.score for s in spans)) if spans else p < 0.5


def test_ordinary_words_around_private_ones_do_not_hide_them() -> None:
    text = HARMLESS[4] * 40
    assert pii().probabilities([f"{text} My SSN is 460-89-9847. {text}"])[0] == pytest.approx(0.99)


def test_empty_long_and_foreign_texts_have_a_probability() -> None:
    texts = ["", "\n ", "Привет 你好 مرحبا 🙂", "word " * 10_000, "4111 1111 1111 1111"]
    found = pii().probabilities(texts)
    assert ((found >= 0) & (found <= 1)).all()
    assert found[0] == 0.0
    assert found[-1] > 0.9


def test_no_text_is_refused() -> None:
    with pytest.raises(BadInput, match="Text 0 is a float"):
        pii().probabilities([float("nan")])  # pyright: ignore[reportArgumentType]
