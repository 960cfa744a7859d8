from math import log

import numpy as np
import pytest

from sprat.core import Reply
from sprat.endpoints.toy import toy
from sprat.errors import BadInput, CannotDo
from sprat.signals import causal_lm


def rater(chances, trusted=-0.1):
    top = {token: log(p) for token, p in chances.items()}
    return toy("rater", lambda _: Reply("4", "rater", ("4",), (-0.1,), (top,), cost=0.0), trusted=trusted)


def test_trust_is_the_share_of_ratings_from_the_threshold_on():
    # " 5" and "5" are one rating; "good" is none: (.3 + .1 + .2) / (.3 + .1 + .2 + .1 + .1).
    model = rater({"4": 0.3, "5": 0.1, " 5": 0.2, "3": 0.1, "1": 0.1, "good": 0.2})
    assert np.isclose(causal_lm(model)("Why?"), 0.75)
    assert np.isclose(causal_lm(model, threshold=3)("Why?"), 0.875)


def test_the_likeliest_rating_alone_does_not_decide():
    assert causal_lm(rater({"3": 0.4, "4": 0.35, "5": 0.25}))("Why?") > 0.5


def test_without_a_rating_there_is_no_trust():
    assert causal_lm(rater({"Sure": 0.9}))("Why?") == 0.0


def test_the_question_stands_in_the_prompt_as_it_is():
    seen = []
    model = toy("m", lambda r: seen.append(r) or Reply("5", "m", ("5",), (-0.1,)), trusted=-0.1)
    assert causal_lm(model, prompt="Rate {question}: ")("{x} {question}") == 1.0
    assert seen[0].text == "Rate {x} {question}: "
    assert seen[0].options["logprobs"] is True


def test_a_model_without_log_probabilities_is_refused_when_built():
    with pytest.raises(CannotDo, match="causal_lm needs logprobs"):
        causal_lm(toy("plain", "5"))


def test_a_prompt_without_the_question_is_refused():
    with pytest.raises(BadInput, match="question"):
        causal_lm(rater({"5": 1.0}), prompt="Rate it.")
