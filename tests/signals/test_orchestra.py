import numpy as np
import pytest
from by_hand import PLACED, plain, taught, trusts

from sprat.errors import BadInput
from sprat.signals import knn, orchestra

TEXTS = ["1 0", "0.98 0.2", "0.96 0.28", "0.8 0.6", "0 1"]


def test_the_nearest_experts_vote():
    # The nearest three: small, large, small.
    router = orchestra(3, encoder=PLACED).fit(taught(TEXTS, [[1, 1], [0, 1], [1, 0], [0, 1], [0, 1]]))
    assert np.isclose(trusts(router, ["1 0"])[0], 2 / 3)


def test_prompts_that_both_fail_are_in_no_pool():
    scores = [[0, 0], [0, 0], [0, 0], [1, 1], [0, 1]]
    lessons = taught(TEXTS, scores)
    assert trusts(orchestra(1, encoder=PLACED).fit(lessons), ["1 0"])[0] == 1.0
    assert trusts(knn(1, PLACED).fit(lessons), ["1 0"])[0] == 0.5
    assert plain(TEXTS, [a >= 0.5 for a, _ in scores])(["1 0"])[0] < 0.5


def test_a_prompt_that_both_get_right_is_the_small_model_s():
    assert trusts(orchestra(1, encoder=PLACED).fit(taught(["1 0"], [[1, 1]])), ["1 0"])[0] == 1.0


def test_pools_that_are_both_empty_are_refused():
    with pytest.raises(BadInput, match="got right"):
        orchestra(encoder=PLACED).fit(taught(["1 0"], [[0, 0]]))
