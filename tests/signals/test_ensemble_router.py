from math import exp

import numpy as np
from by_hand import PLACED, taught, trusts

from sprat.core import Signal
from sprat.drivers import drive_many
from sprat.signals import ensemble_router, knn, matrix_factorization
from sprat.signals.ensemble_router import EnsembleRouter


class Fixed(Signal):
    use, reads_reply = "fixed", False

    def __init__(self, by):
        self.by = by

    async def trust(self, request, reply=None):
        return self.by[request.text]

    def fit(self, lessons):
        return self


def test_the_standardised_trusts_are_averaged():
    # First part: mean .5, spread .3; second: mean .2, spread .1. At "a": +1 and -1; at "b": -1 and +1; at "c": 1 and 1.
    one, two = Fixed({"a": 0.8, "b": 0.2, "c": 0.8}), Fixed({"a": 0.1, "b": 0.3, "c": 0.3})
    router = ensemble_router(one, two).fit(taught(["a", "b"], [[1, 0], [0, 1]]))
    assert np.allclose(trusts(router, ["a", "b", "c"]), [0.5, 0.5, 1 / (1 + exp(-1))])


def test_parts_with_one_encoder_share_its_row():
    class Counting:
        name, dim, texts = "counting", 2, 0

        def encode(self, texts):
            Counting.texts += len(texts)
            return PLACED.encode(texts)

    shared = Counting()
    router = ensemble_router(knn(1, shared), matrix_factorization(4, 2, encoder=shared))
    fitted = router.fit(taught(["1 0", "0 1"], [[1, 0], [0, 1]]))
    Counting.texts = 0
    drive_many([fitted.trust(r) for r in taught(["1 0", "0 1"], [[1, 0], [0, 1]]).requests])
    assert Counting.texts == 2


def test_by_default_it_is_ridge_neighbours_and_factorization():
    assert isinstance(router := ensemble_router(encoder=PLACED), EnsembleRouter)
    assert [p.use for p in router.parts] == ["ridge_gain", "knn", "matrix_factorization"]
