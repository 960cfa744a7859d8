import numpy as np
from by_hand import taught, trusts

from sprat.core import Request
from sprat.signals import category, length, random


def test_longer_prompts_are_trusted_less_where_the_gain_rises_with_length():
    texts = ["a" * n for n in range(1, 11)]
    harder = length().fit(taught(texts, [[1, 1]] * 5 + [[0, 1]] * 5))
    easier = length().fit(taught(texts, [[0, 1]] * 5 + [[1, 1]] * 5))
    assert (np.diff(trusts(harder, texts)) < 0).all()
    assert (np.diff(trusts(easier, texts)) > 0).all()


def test_a_length_s_trust_is_the_share_of_longer_prompts_with_ties_halved():
    texts = ["a", "bb", "cc", "dddd"]
    router = length().fit(taught(texts, [[1, 1], [1, 1], [0, 1], [0, 1]]))
    assert np.allclose(trusts(router, texts), [1 - 0.125, 0.5, 0.5, 0.125])


def test_a_group_s_trust_is_its_mean_gain_drawn_to_the_mean_of_all():
    # Gains: algebra 1, 1; history 0, 0. With two rows of prior at .5: (2 + 1) / 4 and (0 + 1) / 4.
    lessons = taught(
        ["a", "b", "c", "d"], [[0, 1], [0, 1], [1, 1], [0, 0]], ["algebra", "algebra", "history", "history"]
    )
    router = category(prior=2).fit(lessons)
    assert np.allclose(trusts(router, ["x", "y"], ["algebra", "history"]), [(1 - 0.75) / 2, (1 - 0.25) / 2])


def test_a_group_that_was_not_seen_is_not_trusted():
    router = category().fit(taught(["a"], [[1, 1]], ["algebra"]))
    assert trusts(router, ["x", "y"], ["law", None]).tolist() == [0, 0]


def test_the_coin_is_uniform_and_the_same_each_time():
    asked = [Request.of(str(i)) for i in range(2000)]
    first = np.array([random(3)(r) for r in asked])
    assert abs(first.mean() - 0.5) < 0.02
    assert abs(np.mean(first < 0.1) - 0.1) < 0.02
    assert [random(3)(r) for r in asked[:5]] == first[:5].tolist()
    assert [random(4)(r) for r in asked[:5]] != first[:5].tolist()
