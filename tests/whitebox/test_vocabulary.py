"""Vocabularies are compared id by id, also where models share a name."""

import pytest

from decoding_doubles import Letters, given
from sprat.errors import CannotDo
from sprat.whitebox.vocabulary import common_size

ONE = given("final", [0, 1, 2], letters=Letters(("a", "b", "c")))


def test_equal_names_do_not_hide_unequal_vocabularies():
    other = given("final", [0, 1, 2], letters=Letters(("c", "b", "a")))
    with pytest.raises(CannotDo, match=r"2 ids differ \(0: 'a' and 'c'; 2: 'c' and 'a'\)"):
        (ONE + other)("a")


def test_a_longer_tail_is_given_up():
    longer = given("long", [0, 1, 2, 3], letters=Letters(("a", "b", "c", "d")))
    assert common_size([longer, ONE]) == 3
