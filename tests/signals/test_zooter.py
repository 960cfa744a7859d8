import numpy as np
from by_hand import PLACED, plain, predicted, taught
from hypothesis import given
from hypothesis import strategies as st

from sprat.signals import zooter
from sprat.signals.zooter import enhanced

TEXTS = ["1 0", "0 1"] * 10


def test_rewards_are_distilled_not_the_winner():
    # softmax((.5, .3, .1) / .2) = e^2.5, e^1.5, e^.5 over their sum; a classifier of the winner would say 1.
    router = zooter(strength=1e-6, encoder=PLACED).fit(taught(TEXTS, [[0.5, 0.3, 0.1], [0.2, 0.2, 0.2]] * 10))
    want = np.exp([2.5, 1.5, 0.5]) / np.exp([2.5, 1.5, 0.5]).sum()
    assert np.allclose(predicted(router, "1 0"), want, atol=5e-3)
    assert np.allclose(predicted(router, "0 1"), 1 / 3, atol=5e-3)
    assert plain(TEXTS, [1, 0] * 10)(["1 0"])[0] > 0.95


def test_a_score_is_mixed_with_its_tag_s_mean():
    scores = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    found = enhanced(scores, ["algebra", "algebra", None], 0.3)
    assert np.allclose(found, [[0.3 + 0.7 * 0.5, 0.0], [0.7 * 0.5, 0.0], [1.0, 1.0]])


@given(st.floats(0, 1))
def test_mixing_keeps_each_tag_s_mean(beta):
    scores = np.random.default_rng(0).random((12, 3))
    assert np.allclose(enhanced(scores, ["a"] * 12, beta).mean(axis=0), scores.mean(axis=0))
