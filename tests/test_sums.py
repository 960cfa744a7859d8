"""Sums: what is read of a text, and exact values."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.sums import calculate, equations


@pytest.mark.parametrize(
    ("formula", "value"),
    [("(1 + 2) * 3", 9), ("1,200 / 4 - 0.5", Fraction(599, 2)), ("3 x 4", 12), ("2^10", 1024), ("50 * 10%", 5)],
)
def test_a_formula_is_computed_exactly(formula: str, value: Fraction) -> None:
    assert calculate(formula) == value


@pytest.mark.parametrize(
    "evil", ["__import__('os')", "2 ** 9 ** 9", "9 ** 9999", "a + 1", "(1", "1 if 1 else 2", "'a' * 9"]
)
def test_nothing_but_arithmetic_is_evaluated(evil: str) -> None:
    with pytest.raises(BadInput, match="no formula"):
        calculate(evil)


def test_a_division_by_zero_is_said() -> None:
    with pytest.raises(BadInput, match="divides by zero"):
        calculate("1 / (2 - 2)")


@given(st.integers(-999, 999), st.integers(-999, 999), st.integers(1, 99))
def test_it_agrees_with_fractions(a: int, b: int, c: int) -> None:
    assert calculate(f"({a} + {b}) * 2 / {c}") == Fraction((a + b) * 2, c)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("So 3 * 4 = 12 apples and 1,000 + 1 = 1,001.", [("3 * 4", "12"), ("1,000 + 1", "1001")]),
        ("In 2020, 3 + 4 = 7.", [("3 + 4", "7")]),
        ("1. 3 + 4 = 7\n- 2 + 2 = 4", [("3 + 4", "7"), ("2 + 2", "4")]),
        ("3 boxes (2 + 1 = 3), so $3 x 4 = $12", [("2 + 1", "3"), ("$3 x 4", "12")]),
        ("so\n-3 + 5 = 2", [("-3 + 5", "2")]),
        ("3 * 4 = 12 + 1 = 13", [("12 + 1", "13")]),
        ("In 1990 = good", []),
    ],
)
def test_a_formula_is_read_with_what_is_said_of_it(text: str, wanted: list[tuple[str, str]]) -> None:
    assert equations(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "She waits 20 minutes + 10 + 5 = 35 in all.",
        "He had 5 boxes - 2 - 1 = 2 left.",
        "The total is 3 dozen x 2 + 4 = 76.",
        "5 times 3 + 2 = 17",
    ],
)
def test_a_formula_that_begins_in_words_is_left_out(text: str) -> None:
    assert equations(text) == []


@given(st.text(alphabet="0123456789.,%$+-*/x^()= a\n", max_size=80))
def test_no_row_of_signs_breaks_the_reader(text: str) -> None:
    for formula, said in equations(text):
        Fraction(said)
        with suppress(BadInput):
            calculate(formula)
