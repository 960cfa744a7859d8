import dataclasses
import json

import numpy as np
import pytest
from by_hand import PLACED, circle, taught, trusts, written

from sprat import signals
from sprat.core import Request
from sprat.errors import BadInput

E = {"encoder": PLACED}
ROUTERS = {
    "category": lambda: signals.category(),
    "classifier": lambda: signals.classifier(**E),
    "ensemble_router": lambda: signals.ensemble_router(signals.knn(5, **E), signals.length()),
    "forc": lambda: signals.forc(**E),
    "hybrid": lambda: signals.hybrid(**E),
    "knn": lambda: signals.knn(5, **E),
    "known_groups": lambda: signals.known_groups(signals.knn(5, **E)),
    "length": lambda: signals.length(),
    "matrix_factorization": lambda: signals.matrix_factorization(8, 2, **E),
    "orchestra": lambda: signals.orchestra(**E),
    "random": lambda: signals.random(),
    "ridge_gain": lambda: signals.ridge_gain(**E),
    "routerdc": lambda: signals.routerdc(8, 20, **E),
    "similarity_weighted": lambda: signals.similarity_weighted(**E),
    "zooter": lambda: signals.zooter(**E),
}
PREDICT = ("forc", "knn", "matrix_factorization", "routerdc", "zooter")
TEXTS = written(circle(60))
SCORES = np.random.default_rng(1).integers(0, 2, (60, 3)).astype(float)
GROUPS = [f"g{i % 3}" for i in range(60)]
LESSONS = taught(TEXTS, SCORES, GROUPS, seed=5)
every = pytest.mark.parametrize("name", sorted(ROUTERS))


@every
def test_trust_lies_between_zero_and_one_also_for_an_empty_prompts_group(name):
    found = trusts(ROUTERS[name]().fit(LESSONS), TEXTS, [None, *GROUPS[1:]])
    assert found.shape == (60,)
    assert ((found >= 0) & (found <= 1)).all()


@every
def test_a_fit_is_deterministic_and_leaves_the_router_as_it_was(name):
    router = ROUTERS[name]()
    before = repr(router)
    first, second = router.fit(LESSONS), router.fit(LESSONS)
    assert np.array_equal(trusts(first, TEXTS, GROUPS), trusts(second, TEXTS, GROUPS))
    assert repr(router) == before


@every
def test_one_at_a_time_and_many_together_agree(name):
    fitted = ROUTERS[name]().fit(LESSONS)
    many = trusts(fitted, TEXTS[:7], GROUPS[:7])
    alone = [fitted(r) for r in LESSONS.requests[:7]]
    assert np.allclose(many, alone, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(ROUTERS) - {"random"}))
def test_an_unfitted_router_says_to_fit_it(name):
    with pytest.raises(BadInput, match="has not been fitted") as caught:
        ROUTERS[name]()("1 0")
    assert "fit(lessons)" in caught.value.hint


@every
def test_what_is_learnt_is_arrays_and_plain_values(name):
    def check(value):
        if dataclasses.is_dataclass(value):
            for f in dataclasses.fields(value):
                if f.name != "encoder":
                    check(getattr(value, f.name))
        elif isinstance(value, np.ndarray):
            assert value.dtype.kind in "fbi"
        elif isinstance(value, tuple):
            for part in value:
                check(part)
        else:
            json.dumps(value)

    check(ROUTERS[name]().fit(LESSONS))


@pytest.mark.parametrize("name", sorted(set(ROUTERS) - {"random", "known_groups"}))
def test_without_any_score_it_says_so(name):
    with pytest.raises(BadInput):
        ROUTERS[name]().fit(taught(TEXTS[:3], np.full((3, 2), np.nan), GROUPS[:3]))


@pytest.mark.parametrize("name", PREDICT)
def test_a_predictor_gives_a_number_for_every_model(name):
    fitted = ROUTERS[name]().fit(LESSONS)
    from sprat.drivers import drive

    found = drive(fitted.predict(Request.of(TEXTS[0])))
    assert found.shape == (3,)
    assert np.isfinite(found).all()


@every
def test_a_router_does_not_read_replies(name):
    assert ROUTERS[name]().reads_reply is False


def test_the_default_encoder_is_one_object_so_that_asks_go_together():
    assert signals.knn().encoder is signals.ridge_gain().encoder
    assert repr(signals.knn()) == "knn()"
