"""Forms and check digits, against numbers that the standards' own examples give."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.safety.patterns import iban, luhn, patterns


def kinds(text: str) -> list[tuple[str, str]]:
    return sorted((f.kind, text[f.start : f.end]) for f in patterns(text))


@given(st.text("0123456789", min_size=1, max_size=18))
def test_one_check_digit_in_ten_passes_luhn(digits: str) -> None:
    assert sum(luhn(digits + d) for d in "0123456789") == 1


@given(st.text("0123456789", min_size=2, max_size=18), st.integers(0, 17), st.integers(1, 9))
def test_no_single_wrong_digit_passes_luhn(digits: str, at: int, by: int) -> None:
    right = next(digits + d for d in "0123456789" if luhn(digits + d))
    at %= len(right)
    wrong = right[:at] + str((int(right[at]) + by) % 10) + right[at + 1 :]
    assert not luhn(wrong)


def test_luhn_takes_the_standards_example_and_not_its_neighbour() -> None:
    assert luhn("79927398713")
    assert not luhn("79927398710")


@pytest.mark.parametrize("number", ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "NO9386011117947"])
def test_account_numbers_of_the_registry_pass(number: str) -> None:
    assert iban(number)


def test_an_account_number_of_another_length_or_with_swapped_digits_fails() -> None:
    assert not iban("DE8937040044053201300")
    assert not iban("DE98370400440532013000")


def test_every_kind_is_found_where_it_stands() -> None:
    text = "Ann, a.b@mail.test, card 4111 1111 1111 1111, GB82WEST12345698765432, 10.0.0.7, "
    text += "SSN 460-89-9847, +1 905-674-3793"
    assert kinds(text) == [
        ("CREDIT_CARD", "4111 1111 1111 1111"),
        ("EMAIL_ADDRESS", "a.b@mail.test"),
        ("IBAN_CODE", "GB82WEST12345698765432"),
        ("IP_ADDRESS", "10.0.0.7"),
        ("PHONE_NUMBER", "+1 905-674-3793"),
        ("US_SSN", "460-89-9847"),
    ]


@pytest.mark.parametrize(
    "text",
    ["4111 1111 1111 1112", "0000 0000 0000 0000", "999.1.1.1", "000-12-3456", "666-12-3456", "900-12-3456",
     "2000-04-16", "16/04/2000", "1998-2004", "version 1.2.3", "a@b", "", "@", "::"],
)  # fmt: skip
def test_what_only_looks_alike_is_left(text: str) -> None:
    assert kinds(text) == []


@given(st.text(max_size=80))
def test_what_is_found_lies_in_the_text_and_does_not_overlap(text: str) -> None:
    found = sorted(patterns(text))
    assert all(0 <= f.start < f.end <= len(text) for f in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
