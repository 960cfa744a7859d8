import itertools

import numpy as np
import pytest
from by_hand import PLACED, circle, plain, taught, trusts, written
from hypothesis import given
from hypothesis import strategies as st

from sprat.core import Reply
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput
from sprat.replay import Recording
from sprat.signals import hybrid
from sprat.signals.hybrid import differences, reaches, spread, spread_most

# H = q(small) - q(large) over draws; the large model is nearly always ahead.
APART = np.array([[-0.1, -0.3], [-0.2, -0.4], [-0.6, -0.8], [-0.7, -0.9]])


def test_the_three_labels_by_hand():
    assert reaches(np.array([[0.0], [-0.1], [0.2]]), 0.0).tolist() == [1, 0, 1]
    assert reaches(np.array([[0.1, -0.1, 0.0, -0.5]]), 0.0).tolist() == [0.5]
    assert reaches(APART, 0.3).tolist() == [1, 0.5, 0, 0]


def test_the_relaxation_is_the_one_that_spreads_the_labels_most():
    # At t = .4 the labels are 1 1 0 0; at 0 they are all 0 and teach nothing.
    assert spread_most(APART) == 0.4
    assert spread(reaches(APART, 0.0)) == 0.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_spread_is_the_mean_over_all_pairs(labels):
    pairs = [abs(a - b) for a, b in itertools.product(labels, labels)]
    assert np.isclose(spread(np.array(labels)), np.mean(pairs), atol=1e-9)


def test_where_the_large_model_is_always_ahead_only_the_transformed_labels_tell_prompts_apart():
    rows = circle(100)
    scores = np.stack([0.4 + 0.3 * rows[:, 0], np.full(100, 0.9)], axis=1)
    texts, asked = written(rows), ["1 0", "-1 0"]
    easy, hard = trusts(hybrid("transformed", 1e-3, PLACED).fit(taught(texts, scores)), asked)
    same, flat = trusts(hybrid("deterministic", 1e-3, PLACED).fit(taught(texts, scores)), asked)
    other = plain(texts, scores[:, 0] >= scores[:, 1])(asked)
    assert easy > 0.9
    assert hard < 0.1
    assert abs(same - flat) < 0.05
    assert abs(other[0] - other[1]) < 0.05


def recorded(draws):
    calls = tuple(Call(m, Reply("", score=s), i) for m, found in draws.items() for i, s in enumerate(found))
    lessons = taught(["1 0"], [[draws["m0"][0], draws["m1"][0]]])
    return lessons, Recording(Dataset((Example("1", lessons.requests[0], calls=calls),)))


def test_probabilities_come_from_all_pairs_of_recorded_draws():
    from dataclasses import replace

    lessons, recording = recorded({"m0": [0.0, 1.0], "m1": [1.0, 0.5]})
    apart = differences(replace(lessons, recording=recording), np.array([0]), np.array([[-1.0]]))
    assert sorted(apart[0]) == [-1.0, -0.5, 0.0, 0.5]
    assert reaches(apart, 0.0).tolist() == [0.5]


def test_an_unknown_variant_names_the_nearest():
    with pytest.raises(BadInput, match="transformed"):
        hybrid("transform")
