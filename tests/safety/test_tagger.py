"""The chain against sums over every sequence of tags, and the tagger against the forms that it must not break."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.safety.patterns import patterns
from sprat.safety.private import FORMED, PRIVATE, pii
from sprat.safety.tagger import Chain, shape, tokens

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
def test_sums_best_tags_and_marginals_are_those_of_all_sequences(seed: int, n: int) -> None:
    held, scores = chain(seed), np.random.default_rng(seed + 1).normal(size=(n, TAGS))
    every = weighed(held, scores)
    whole = sum(every.values())
    assert held.total(scores) == pytest.approx(np.log(whole))
    assert tuple(held.best(scores)) == max(every, key=lambda t: every[t])
    sums = np.zeros((n, TAGS))
    for tags, w in every.items():
        sums[np.arange(n), tags] += w / whole
    assert held.marginals(scores) == pytest.approx(sums)


def test_the_chance_of_none_of_a_kind_is_the_share_of_sequences_without_it() -> None:
    held, scores = chain(3), np.random.default_rng(4).normal(size=(3, TAGS))
    every = weighed(held, scores)
    without = sum(w for tags, w in every.items() if not {1, 2} & set(tags))
    assert held.without(scores, ["A"]) == pytest.approx(without / sum(every.values()))
    assert held.without(scores, []) == pytest.approx(1.0)


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
    assert pii().probabilities([text])[0] > 0.9
    assert pii(["US_SSN"]).probabilities([text])[0] < 0.1
    assert pii(["US_SSN"]).spans(text) == []


def test_a_place_is_not_private_unless_asked_for() -> None:
    assert "GPE" not in PRIVATE
    with pytest.raises(BadInput, match="Did you mean 'PERSON'"):
        pii(["PERSONS"])
    with pytest.raises(BadInput, match="at least one"):
        pii([])


def test_empty_long_and_foreign_texts_have_a_probability() -> None:
    texts = ["", "\n ", "Привет 你好 مرحبا 🙂", "word " * 10_000, "4111 1111 1111 1111"]
    found = pii().probabilities(texts)
    assert ((found >= 0) & (found <= 1)).all()
    assert found[0] == 0.0
    assert found[-1] > 0.9


def test_no_text_is_refused() -> None:
    with pytest.raises(BadInput, match="Text 0 is a float"):
        pii().probabilities([float("nan")])  # pyright: ignore[reportArgumentType]
