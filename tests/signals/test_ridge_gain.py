import numpy as np
from by_hand import PLACED, circle, plain, taught, trusts, written

from sprat.signals import ridge_gain
from sprat.signals.ridge_gain import ridge


def test_ridge_solves_the_normal_equations():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    x -= x.mean(axis=0)
    want = np.linalg.solve(x.T @ x + 20 * 0.5 * np.eye(3), x.T @ (y - y.mean()))
    assert np.allclose(ridge(x, y, (0.5,)), want)


def test_the_strength_is_the_one_that_predicts_rows_left_out_best():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 6))
    x -= x.mean(axis=0)
    y = x[:, 0] + rng.standard_normal(40)
    strengths = (0.01, 0.1, 1.0, 10.0)

    def left_out(s):
        off = 0.0
        for i in range(40):
            some = np.arange(40) != i
            wide = np.hstack([x[some], np.ones((39, 1))])
            beta = np.linalg.solve(wide.T @ wide + np.diag([40 * s] * 6 + [0]), wide.T @ y[some])
            off += (y[i] - np.append(x[i], 1) @ beta) ** 2
        return off

    assert np.allclose(ridge(x, y, strengths), ridge(x, y, (min(strengths, key=left_out),)))


def test_trust_falls_with_the_size_of_the_gain_not_only_with_its_odds():
    # Left, the large model is ahead by .2 every time; right, by 1 half of the time: odds send left, gain right.
    rows = np.repeat([[-1.0, 0.0], [1.0, 0.0]], 20, axis=0)
    large = np.concatenate([np.full(20, 0.2), np.tile([0.0, 1.0], 10)])
    texts, asked = written(rows), ["-1 0", "1 0"]
    left, right = trusts(ridge_gain(1e-6, 0.0, PLACED).fit(taught(texts, np.stack([0 * large, large], 1))), asked)
    assert np.allclose([left, right], [0.4, 0.25], atol=1e-3)
    keep = 1 - plain(texts, large > 0)(asked)
    assert keep[0] < keep[1]


def test_the_look_of_a_prompt_counts_beside_its_embedding():
    class Blind:
        name, dim = "blind", 2

        def encode(self, texts):
            return np.tile(np.float32([1, 0]), (len(texts), 1))

    texts = ["what is it?"] * 30 + ["solve 12 + 34 = 56 now"] * 30
    router = ridge_gain(0.1, encoder=Blind()).fit(taught(texts, np.repeat([[1, 1], [0, 1]], 30, axis=0)))
    easy, hard = trusts(router, [texts[0], texts[-1]])
    assert easy - hard > 0.3


def test_without_the_look_it_is_the_embedding_alone():
    router = ridge_gain(look=0.0, encoder=PLACED).fit(taught(written(circle(30)), np.eye(2)[np.arange(30) % 2]))
    assert router.seen is None
