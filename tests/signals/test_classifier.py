import numpy as np
import pytest
from by_hand import PLACED, circle, plain, taught, trusts, written

from sprat.signals import classifier

# Left: the small model wins; middle: it loses; right: a tie. P(loss) rises and falls again.
PLACES = np.repeat([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], 20, axis=0)
SCORES = np.repeat([[1, 0], [0, 1], [1, 1]], 20, axis=0)
TEXTS = written(PLACES)
ASKED = ["-1 0", "0 0", "1 0"]


def test_losses_between_wins_and_ties_are_found():
    left, middle, right = trusts(classifier(1e-4, encoder=PLACED).fit(taught(TEXTS, SCORES)), ASKED)
    assert middle < 0.1 < 0.9 < min(left, right)


def test_a_plain_logistic_regression_cannot_find_them():
    left, middle, right = plain(TEXTS, SCORES[:, 0] >= SCORES[:, 1])(ASKED)
    assert not middle < min(left, right)


def test_the_three_classes_agree_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(3)
    rows = circle(300)
    scores = (rng.random((300, 2)) < 0.5 + 0.4 * rows).astype(float)
    router = classifier(0.05, encoder=PLACED).fit(taught(written(rows), scores))
    scale = float(np.sqrt(np.mean(np.square(rows - rows.mean(axis=0)))))
    theirs = linear_model.LogisticRegression(C=1 / (0.05 * 300), tol=1e-8)
    theirs.fit(rows / scale, 1 - np.sign(scores[:, 0] - scores[:, 1]))
    assert np.allclose(trusts(router, written(rows)), 1 - theirs.predict_proba(rows / scale)[:, 2], atol=5e-3)
