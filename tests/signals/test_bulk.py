"""Judging many requests in one go is judging each."""

import numpy as np
import pytest
from by_hand import trusts
from test_routers_conformance import GROUPS, LESSONS, ROUTERS, TEXTS, E

from sprat import signals
from sprat.core import Request, Signal
from sprat.drivers import drive, drive_costed, drive_many
from sprat.errors import BadInput

every = pytest.mark.parametrize("name", sorted(ROUTERS))
# Some without a group, some of a group that was not seen.
ASKED = [
    Request(({"role": "user", "content": t},), group=g)
    for t, g in zip(TEXTS, [None, "new", *GROUPS[2:40], *[None] * 20], strict=True)
]


class Alone(Signal):
    """A router of someone else's, that judges one request at a time."""

    async def trust(self, request, reply=None):
        return 1.0 / (1.0 + len(request.text))

    def fit(self, lessons):
        return self


@every
def test_many_in_one_go_are_each_alone(name):
    fitted = ROUTERS[name]().fit(LESSONS)
    together = drive(fitted.trusts(ASKED, [None] * len(ASKED)))
    assert together.shape == (60,)
    assert together.dtype == np.float64
    assert np.allclose(together, drive_many([fitted.trust(r) for r in ASKED]), rtol=0, atol=1e-6)


@every
def test_none_and_one_are_many_too(name):
    fitted = ROUTERS[name]().fit(LESSONS)
    assert drive(fitted.trusts([], [])).shape == (0,)
    assert drive(fitted.trusts(ASKED[:1])) == pytest.approx([fitted(ASKED[0])], abs=1e-6)


@pytest.mark.parametrize("name", sorted(set(ROUTERS) - {"random"}))
def test_unfitted_it_says_so_in_bulk(name):
    with pytest.raises(BadInput, match="has not been fitted"):
        drive(ROUTERS[name]().trusts(ASKED))


def test_the_encoder_is_asked_once():
    fitted = ROUTERS["matrix_factorization"]().fit(LESSONS)
    ((_, node),) = drive_costed([fitted.trusts(ASKED)])
    assert [a.model for a in node.asks] == ["placed"]
    assert node.cost == 0


def test_parts_on_one_encoder_share_its_rows():
    fitted = signals.ensemble_router(signals.ridge_gain(**E), signals.hybrid(**E)).fit(LESSONS)
    ((_, node),) = drive_costed([fitted.trusts(ASKED)])
    assert [a.model for a in node.asks] == ["placed"]


@pytest.mark.parametrize("wrap", [lambda s: signals.known_groups(s, **E), signals.ensemble_router])
def test_a_part_that_judges_one_at_a_time_is_asked_so(wrap):
    fitted = wrap(Alone()).fit(LESSONS)
    assert drive(fitted.trusts(ASKED)) == pytest.approx(
        trusts(fitted, [r.text for r in ASKED], [r.group for r in ASKED])
    )
