import numpy as np
from by_hand import PLACED, taught, trusts

from sprat.signals import knn, known_groups


def near_the_axis(n):
    angles = np.linspace(-0.1, 0.1, n)
    return [f"{np.cos(a)} {np.sin(a)}" for a in angles]


TEXTS = near_the_axis(41)
ROUTER = known_groups(knn(3, PLACED)).fit(taught(TEXTS, [[1, 0]] * 41, ["algebra"] * 41))


def test_a_request_of_a_group_that_was_not_seen_is_not_trusted():
    assert trusts(ROUTER, ["1 0", "1 0"], ["algebra", "law"]).tolist() == [1, 0]


def test_without_a_group_a_request_far_from_all_fit_prompts_is_not_trusted():
    assert trusts(ROUTER, ["1 0", "0 1"]).tolist() == [1, 0]


def test_the_floor_is_a_low_quantile_of_each_fit_prompt_s_nearest_other():
    # All neighbours lie .005 apart, so that each prompt's nearest other has the cosine of .005.
    assert np.isclose(ROUTER.floor, np.cos(0.005), atol=1e-6)


def test_a_known_request_has_the_inner_trust():
    inner = knn(3, PLACED).fit(taught(TEXTS, [[1, 0]] * 41))
    assert trusts(ROUTER, TEXTS[:3], ["algebra"] * 3).tolist() == trusts(inner, TEXTS[:3]).tolist()
