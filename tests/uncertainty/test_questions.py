"""SelfCheckGPT by questions: the authors' formulas by hand, and questions with a gap."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sprat
from sprat.core import Reply, Request
from sprat.encoders import StaticEncoder
from sprat.errors import BadInput
from sprat.signals import self_check
from sprat.uncertainty.questions import (
    GAP,
    Answer,
    Question,
    answer_prompt,
    bayes,
    bayes_with_alpha,
    counting,
    gap_answers,
    gap_questions,
    read_answer,
    read_questions,
)

YES, NO = Answer(0, 1.0), Answer(1, 1.0)
DRAWS = ["Ada was born in 1906 in Bonn.", "Ada was born in 1906.", "Ada was born in 1906 in Ulm."]


def test_bayes_is_that_of_the_authors() -> None:
    # b1 = b2 = .8: both factors are 4; two agree, one differs
    assert bayes_with_alpha(YES, [YES, YES, NO]) == pytest.approx(4**1 / (4**2 + 4**1))
    assert bayes_with_alpha(YES, [YES, NO], b1=0.6, b2=0.9) == pytest.approx(6.0 / (2.25 + 6.0))


def test_an_answer_counts_as_far_as_the_context_gives_it() -> None:
    assert bayes_with_alpha(YES, [Answer(1, 0.5)]) == pytest.approx(4**0.5 / (1 + 4**0.5))
    assert bayes_with_alpha(YES, [Answer(1, 0.0)]) == 0.5


def test_with_a_threshold_what_is_above_counts_fully_and_the_rest_not_at_all() -> None:
    assert bayes(YES, [Answer(1, 0.6), Answer(1, 0.4)]) == pytest.approx(4 / 5)
    assert bayes(Answer(0, 0.4), [NO]) == 0.5


def test_counting_is_the_share_that_differs() -> None:
    assert counting(YES, [YES, NO, NO, Answer(0, 0.1)]) == pytest.approx(2 / 3)
    assert counting(YES, [Answer(1, 0.1)]) == 0.5


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), max_size=30))
def test_agreement_and_difference_mirror_each_other(draws: list[tuple[int, float]]) -> None:
    told = [Answer(o, a) for o, a in draws]
    turned = [Answer(0 if o else 1, a) for o, a in draws]
    assert bayes_with_alpha(YES, told) + bayes_with_alpha(YES, turned) == pytest.approx(1.0)


def test_many_draws_do_not_overflow() -> None:
    assert bayes_with_alpha(YES, [NO] * 2000) == pytest.approx(1.0)
    assert bayes_with_alpha(YES, [YES] * 400) == pytest.approx(0.0)


def test_a_chance_of_one_is_refused() -> None:
    with pytest.raises(BadInput, match="between 0 and 1"):
        bayes_with_alpha(YES, [], b1=1.0)


def test_a_gap_is_a_number_first_and_its_options_are_what_the_contexts_say() -> None:
    first = gap_questions("Ada was born in 1901 in Bonn.", DRAWS)[0]
    assert first == Question(f"Ada was born in {GAP} in Bonn.", ("1901", "1906"))


def test_where_nothing_else_is_said_the_option_is_something_else() -> None:
    assert gap_questions("Rain fell.", ["Rain fell."])[0].options == ("Rain", "something else")
    assert gap_questions("It is so.", ["It is."]) == []


def test_a_context_fills_the_gap_with_what_stands_in_its_nearest_sentence() -> None:
    question = Question(f"Ada was born in {GAP} in Bonn.", ("1901", "1906"))
    told = gap_answers(question, ["Ada was born in 1906. It rained.", "It rained.", ""], StaticEncoder())
    assert told[0].option == 1
    assert told[0].answerable > 0.5
    assert [t.answerable for t in told[1:]] == [0.0, 0.0]


def test_questions_are_read_in_the_form_that_was_asked_for() -> None:
    text = "Q: Where?\nA) Bonn\nB) Ulm\nC) Rome\nD) Oslo\nQ: Only one\nA) x\n"
    assert read_questions(text, 5) == [Question("Where?", ("Bonn", "Ulm", "Rome", "Oslo"))]


def test_the_last_option_says_that_the_context_does_not_say() -> None:
    assert answer_prompt(Question("Where?", ("Bonn", "Ulm")), "It rained.").count("C) The context does not say.") == 1
    assert read_answer(Reply("C"), 2).answerable == 0.0
    assert read_answer(Reply("B) Ulm"), 2) == Answer(1, 1.0)
    assert read_answer(Reply("Nobody knows"), 2).answerable == 0.0


def test_probabilities_of_the_letters_say_how_far_the_context_answers() -> None:
    top = ({"A": log(0.1), " B": log(0.5), "C": log(0.2), "x": log(0.2)},)
    found = read_answer(Reply("B", top_logprobs=top), 2)
    assert (found.option, found.answerable) == (1, pytest.approx(0.75))


def test_the_signal_doubts_what_the_draws_say_otherwise() -> None:
    model = sprat.toy("m", lambda r: DRAWS[r.sample - 1])
    signal = self_check(model, samples=3, how="qa")
    assert signal("q", "Ada was born in 1901.") < 0.5  # of two questions, one
    assert signal("q", "Ada was born in 1906.") > 0.9


def test_a_model_may_write_the_questions_and_another_answer_them() -> None:
    writer = sprat.toy("w", "Q: When was Ada born?\nA) 1901\nB) 1906\n")

    def answers(request: Request) -> str:
        context = request.text.split("Question:")[0]
        return "A" if "1901" in context else "B" if "1906" in context else "C"

    model = sprat.toy("m", lambda r: DRAWS[r.sample - 1], cost=1.0)
    signal = self_check(model, samples=3, how="qa", generator=writer, answerer=sprat.toy("a", answers))
    assert signal("q", "Ada was born in 1901.") == pytest.approx(1 - 4**3 / (1 + 4**3))


def test_other_ways_take_no_writer_of_questions() -> None:
    with pytest.raises(BadInput, match="generator"):
        self_check(sprat.toy("m", "x"), generator=sprat.toy("w", "x"))
