"""Bounds on features as people read them."""

import numpy as np

from sprat.signals.reply_features import in_words


def test_a_logarithm_is_said_in_its_original_unit() -> None:
    assert in_words("prompt's largest number", True, float(np.log1p(316))) == "prompt's largest number > 316"


def test_yes_or_no_is_said_so() -> None:
    assert in_words("ran out", False, 0.5) == "not: it ran out of tokens"


def test_a_bound_between_two_counts_is_said_as_the_lower_one() -> None:
    assert in_words("log numbers", True, float(np.log1p(2.4))) == "numbers > 2"


def test_a_plain_number_stays() -> None:
    assert in_words("share of digits", True, 0.25) == "share of digits > 0.25"
