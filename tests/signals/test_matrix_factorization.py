import numpy as np
import pytest
from by_hand import PLACED, circle, plain, predicted, taught, trusts, written
from scipy.optimize import check_grad

from sprat.errors import BadInput
from sprat.signals import matrix_factorization
from sprat.signals.matrix_factorization import slopes


def test_the_gradients_are_those_of_the_loss():
    rng = np.random.default_rng(0)
    shapes = [(3, 4), (4, 5), (4,), (4,)]
    sizes = [int(np.prod(s)) for s in shapes]
    q, a, b = rng.standard_normal((7, 5)), np.array([0, 0, 1, 1, 2, 2, 0]), np.array([1, 2, 0, 2, 0, 1, 1])
    won = rng.choice([0.0, 0.5, 1.0], 7)

    def parts(flat):
        return [p.reshape(s) for p, s in zip(np.split(flat, np.cumsum(sizes)[:-1]), shapes, strict=True)]

    def slope(flat):
        return np.concatenate([g.ravel() for g in slopes(parts(flat), q, a, b, won)[1]])

    start = rng.standard_normal(sum(sizes))
    assert check_grad(lambda f: slopes(parts(f), q, a, b, won)[0], slope, start) < 1e-5


def test_models_that_never_met_are_ranked_through_a_third():
    # m0 beats m1 and m1 beats m2, in rows apart: no row compares m0 with m2, so a classifier of them learns nothing.
    texts, gap = written(circle(120)), float("nan")
    scores = [[1, 0, gap] if i % 2 else [gap, 1, 0] for i in range(120)]
    router = matrix_factorization(8, 1500, noise=0.1, encoder=PLACED).fit(taught(texts, scores))
    assert (trusts(router, texts) > 0.9).all()
    assert list(np.argsort(predicted(router, texts[0]))) == [2, 1, 0]


def test_who_wins_depends_on_the_prompt():
    rows = circle(200)
    right = rows[:, 0] > 0
    router = matrix_factorization(8, 1500, noise=0.1, encoder=PLACED).fit(
        taught(written(rows), np.stack([right, ~right], axis=1))
    )
    assert trusts(router, ["1 0"])[0] > 0.8
    assert trusts(router, ["-1 0"])[0] < 0.2


def test_ties_are_left_out_unless_asked_for():
    texts = written(circle(100))
    mostly_even = np.array([[1.0, 1.0]] * 90 + [[1.0, 0.0]] * 10)
    without = matrix_factorization(8, 1500, encoder=PLACED).fit(taught(texts, mostly_even))
    halved = matrix_factorization(8, 1500, ties=True, encoder=PLACED).fit(taught(texts, mostly_even))
    assert trusts(without, texts).mean() > 0.85
    assert trusts(halved, texts).mean() < 0.7
    assert plain(texts, mostly_even[:, 0] > mostly_even[:, 1])(texts).mean() < 0.2


def test_ties_alone_teach_nothing():
    with pytest.raises(BadInput, match="compared"):
        matrix_factorization(8, encoder=PLACED).fit(taught(["1 0", "0 1"], [[1, 1], [0, 0]]))
