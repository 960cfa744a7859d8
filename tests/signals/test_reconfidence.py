"""Reconfidencing finds the groups in which a confidence is wrong, names them and mends it there."""

from __future__ import annotations

import numpy as np
import pytest

from sprat.errors import BadInput
from sprat.signals.calibrators import logit
from sprat.signals.reconfidence import Partition, Reconfidence, _shift, _shifts, partition

RNG = np.random.default_rng(3)
N = 3000
POPULAR = RNG.uniform(0, 1, N)
S = RNG.uniform(0.3, 0.7, N)
CHANCE = np.where(POPULAR > 0.5, S + 0.25, S - 0.25)
Y = (RNG.uniform(size=N) < CHANCE).astype(float)
X = np.column_stack([RNG.normal(size=N), POPULAR])


@pytest.fixture(scope="module", params=["shift", "isotonic"])
def fitted(request: pytest.FixtureRequest) -> Reconfidence:
    return Reconfidence(within=request.param, leaves=2).fit(S, Y, X, ("noise", "popularity"))


def test_the_groups_are_named_by_their_rule(fitted: Reconfidence):
    below, above = fitted.rules()
    assert below.startswith(("popularity <= 0.5", "popularity <= 0.49"))
    assert above.startswith(("popularity > 0.5", "popularity > 0.49"))


def test_each_group_gets_its_own_rate(fitted: Reconfidence):
    found = fitted.predict(S, X)
    for here in (POPULAR > 0.5, POPULAR <= 0.5):
        assert found[here].mean() == pytest.approx(CHANCE[here].mean(), abs=0.03)


def test_the_shift_solves_its_own_equation():
    found = Reconfidence(leaves=2).fit(S, Y, X)
    group = found.tree.groups(X)
    odds = logit(found.base.predict(S), found.edge)

    def pull(here: np.ndarray, moved: float) -> float:
        return np.sum(Y[here] - 1 / (1 + np.exp(-odds[here] - moved)))

    root = 0.0  # isotonic is right on average, so that the root's move is next to nothing
    for _ in range(20):
        root += (pull(group >= 0, root) - root) / (len(Y) / 4)
    for g, moved in enumerate(found.shifts):
        assert pull(group == g, moved) == pytest.approx(moved - root, abs=1e-4)


def test_a_leaf_that_knows_little_says_what_its_parent_does():
    # Under x <= 0 all is wrong; the leaf of 20 rows there should be nearly as low as the leaf of 400 beside it.
    x = np.repeat([[-1.0, 0.0], [-1.0, 1.0], [1.0, 0.0]], [400, 20, 400], axis=0)
    y = np.concatenate([np.zeros(420), np.tile([0.0, 1.0], 200)])
    tree = Partition(np.array([0, 1, 0, 0, 0]), np.array([0, 0.5, 0, 0, 0]), np.array([1, 2, 2, 3, 4]),
                     np.array([4, 3, 2, 3, 4]))  # fmt: skip
    large, small, _ = _shifts(tree, tree.groups(x), np.full(820, -1.0), y)
    alone = _shift(np.full(20, -1.0), np.zeros(20), 0.0)
    assert large < small < alone - 1.5


def test_a_group_s_shift_is_drawn_towards_none_where_rows_are_few():
    few = np.arange(N) < 120
    small = Reconfidence(leaves=2).fit(S[few], Y[few], X[few])
    large = Reconfidence(leaves=2).fit(S, Y, X)
    assert np.abs(small.shifts).max() < np.abs(large.shifts).max() + 0.3


def test_too_few_rows_for_two_groups_leave_one():
    found = Reconfidence(fewest=50).fit(S[:90], Y[:90], X[:90])
    assert found.rules() == ("all rows",)


def test_a_tree_s_groups_are_scikit_learns_leaves():
    from sklearn.tree import DecisionTreeRegressor

    mine = partition(X, Y, 6, 50)
    theirs = DecisionTreeRegressor(max_leaf_nodes=6, min_samples_leaf=50, random_state=0).fit(X, Y).apply(X)
    assert np.array_equal(mine.leaves[mine.groups(X)], theirs)


def test_a_rule_holds_for_its_own_rows_and_no_other():
    tree = partition(X, Y, 6, 50)
    names = ("a", "b")
    for g in range(len(tree.leaves)):
        rule = tree.rule(g, names)
        held = np.array([eval(rule, {}, {"a": a, "b": b}) for a, b in X.astype(np.float32)])
        # the rule is written with four digits, so that rows at the very edge may fall on the other side
        assert np.mean(held == (tree.groups(X) == g)) > 0.999


def test_one_group_alone_has_no_condition():
    assert Partition().rule(0, ()) == "all rows"


@pytest.mark.parametrize("x", [X[:5], np.full_like(X, np.nan), X[:, 0]])
def test_features_that_do_not_fit_are_refused(x: np.ndarray):
    with pytest.raises(BadInput):
        Reconfidence().fit(S, Y, x)
