from math import exp, log

import numpy as np
from by_hand import PLACED, circle, predicted, taught, trusts, written
from scipy.optimize import check_grad

from sprat.signals import routerdc
from sprat.signals.routerdc import contrasts, kmeans, losses, partners


def test_the_gradients_are_those_of_both_losses():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 5))
    positive, negative = contrasts(rng.random((6, 4)), 2, 2)
    mate, rest = partners(np.array([0, 0, 1, 1, 2, 2]), 3, rng)

    def both(flat):
        given = (flat[:15].reshape(3, 5), flat[15:].reshape(4, 3))
        loss, slopes = losses(*given, x, positive, negative, mate, rest, 0.7, 0.5)
        return loss, np.concatenate([s.ravel() for s in slopes])

    assert check_grad(lambda f: both(f)[0], lambda f: both(f)[1], rng.standard_normal(27)) < 1e-5


def test_the_loss_of_one_prompt_by_hand():
    # The prompt lies on model 0 and at right angles to model 1: e / (e + 1). Alone, it has no others to be told from.
    place, models = np.eye(2), np.array([[2.0, 0.0], [0.0, 3.0]])
    good, bad = np.array([[True, False]]), np.array([[False, True]])
    given = (np.array([[1.0, 0.0]]), good, bad, np.array([0]), np.array([[-1]]), 1.0, 1.0)
    assert np.isclose(losses(place, models, *given)[0], -log(exp(1) / (exp(1) + 1)))


def test_good_models_are_never_negatives_and_failed_ones_never_positives():
    positive, negative = contrasts(np.array([[0.9, 0.8, 0.7], [0.0, 0.0, 0.0], [1.0, 0.2, 0.6]]), 2, 2)
    assert positive.tolist() == [[True, True, False], [False, False, False], [True, False, True]]
    assert negative.tolist() == [[False, False, False], [False, True, True], [False, True, False]]


def test_two_equally_good_models_are_both_preferred_where_a_classifier_of_the_winner_picks_the_first():
    rows = circle(200)
    side = rows[:, 0] > 0
    scores = np.stack([side, side, ~side], axis=1).astype(float)
    router = routerdc(8, 300, top=2, bottom=2, clusters=2, weight=0.1, encoder=PLACED).fit(
        taught(written(rows), scores)
    )
    first, second, third = predicted(router, "1 0")
    assert min(first, second) > 10 * third


def test_the_router_learns_which_side_is_easy():
    rows = circle(200)
    scores = np.stack([rows[:, 0] > 0, rows[:, 0] < 0], axis=1).astype(float)
    router = routerdc(8, 300, encoder=PLACED).fit(taught(written(rows), scores))
    easy, hard = trusts(router, ["1 0", "-1 0"])
    assert easy > 0.8
    assert hard < 0.2


def test_partners_are_of_the_same_cluster_and_the_others_are_not():
    kinds = np.array([0, 0, 1, 1, 1, 2])
    mate, rest = partners(kinds, 2, np.random.default_rng(0))
    assert (kinds[mate] == kinds).all()
    assert mate[5] == 5
    assert (kinds[rest] != kinds[:, None]).all()


def test_kmeans_finds_clusters_that_lie_apart():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(c, 0.1, (20, 2)) for c in (0.0, 5.0, 10.0)])
    kinds = kmeans(x, 3, rng)
    assert [len(set(kinds[i : i + 20])) for i in (0, 20, 40)] == [1, 1, 1]
    assert len(set(kinds)) == 3
