import numpy as np
from by_hand import PLACED, circle, plain, taught, trusts, written
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from sprat.signals import similarity_weighted

TEXTS = ["1 0", "0 1"]


def test_two_battles_are_weighed_ten_to_one():
    # Cosines 1 and 0, weights 10 ** 2 and 10 ** 1: the small model wins 100 of 110.
    router = similarity_weighted(encoder=PLACED).fit(taught(TEXTS, [[1, 0], [0, 1]]))
    assert np.isclose(trusts(router, ["1 0"])[0], 100 / 110)
    assert not np.isclose(plain(TEXTS, [1, 0])(["1 0"])[0], 100 / 110, atol=0.05)


def test_a_tie_is_half_a_win():
    router = similarity_weighted(encoder=PLACED).fit(taught(TEXTS, [[1, 1], [0, 1]]))
    assert np.isclose(trusts(router, ["1 0"])[0], 50 / 110)


def test_similarities_are_measured_against_the_greatest():
    # Cosines .6 and .3: divided by .6 they are 1 and .5.
    router = similarity_weighted(encoder=PLACED).fit(taught(["0.6 0.8", "0.3 0.9539392"], [[1, 0], [0, 1]]))
    assert np.isclose(trusts(router, ["1 0"])[0], 10 / (10 + 10**0.5))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_closed_form_is_the_weighted_bradley_terry_optimum(seed):
    rng = np.random.default_rng(seed)
    rows, asked = circle(12, seed), circle(1, seed + 1)
    won = np.array([0.0, 1.0, *rng.choice([0.0, 0.5, 1.0], 10)])
    scores = np.stack([won, 0.5 * np.ones(12)], axis=1)
    texts = written(rows)
    kept, query = PLACED.encode(texts).astype(float), PLACED.encode(written(asked))[0].astype(float)
    cosines = kept @ query
    weights = 10 * 10 ** (cosines / cosines.max())

    def loss(apart):
        return float(np.sum(weights * (np.logaddexp(0, apart) - won * apart)))

    best = minimize_scalar(loss, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9}).x
    router = similarity_weighted(encoder=PLACED).fit(taught(texts, scores))
    assert np.isclose(trusts(router, written(asked))[0], 1 / (1 + np.exp(-best)), atol=1e-4)


def test_where_nothing_is_similar_all_battles_count_alike():
    router = similarity_weighted(encoder=PLACED).fit(taught(["-1 0", "-1 0"], [[1, 0], [0, 1]]))
    assert trusts(router, ["1 0"])[0] == 0.5
