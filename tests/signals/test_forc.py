import numpy as np
from by_hand import PLACED, circle, predicted, taught, written

from sprat.combine import assign
from sprat.endpoints.toy import toy
from sprat.signals import forc
from sprat.signals.forc import shared_ridge


def test_the_elimination_solves_the_stacked_normal_equations():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((30, 3))
    y[rng.random((30, 3)) < 0.3] = np.nan
    rows, targets = [], []
    for i, j in zip(*np.nonzero(np.isfinite(y)), strict=True):
        own, shift = np.zeros((3, 4)), np.zeros(3)
        own[j], shift[j] = x[i], 1.0
        rows.append(np.concatenate([x[i], own.ravel(), shift]))
        targets.append(y[i, j])
    design = np.array(rows)
    penalty = np.diag([30 * 0.2] * 4 + [30 * 0.2 / 0.5] * 12 + [1e-9 * 30] * 3)
    want = np.linalg.solve(design.T @ design + penalty, design.T @ np.array(targets))
    shared, own, shift = shared_ridge(x, y, 0.2, 0.5)
    assert np.allclose(np.concatenate([shared, own.T.ravel(), shift]), want, atol=1e-8)


def test_a_model_with_two_scores_leans_on_the_others():
    # m1's two scores are equal: alone they say nothing; what all prompts share says which is easy.
    rows = circle(100)
    scores = np.stack([rows[:, 0] > 0, np.full(100, np.nan)], axis=1).astype(float)
    scores[:2, 1] = 0.5
    router = forc(1e-3, apart=0.1, encoder=PLACED).fit(taught(written(rows), scores))
    assert predicted(router, "1 0")[1] - predicted(router, "-1 0")[1] > 0.3


def test_the_choice_weighs_the_predicted_score_against_the_price():
    rows = circle(100)
    scores = np.stack([rows[:, 0] > 0, np.ones(100)], axis=1).astype(float)
    router = forc(1e-3, encoder=PLACED).fit(taught(written(rows), scores))
    pool = assign(toy("cheap", "c"), toy("dear", "d"), predictor=router, prices=(0.0, 1.0), weight=0.3)
    assert pool("1 0").text == "c"
    assert pool("-1 0").text == "d"
