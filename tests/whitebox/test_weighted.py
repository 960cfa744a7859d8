"""Arithmetic on decoders: sums, nested and signed, printable; products refused; what is masked is never subtracted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as when
from hypothesis import strategies as st

import sprat
from sprat.core import Request
from sprat.decoding import contrast, proxy_tune
from sprat.errors import BadInput, CannotDo
from sprat.whitebox.pool import Pool
from sprat.whitebox.weighted import Weighted

BIG, SMALL, FRY = sprat.tiny("mackerel"), sprat.tiny("sprat"), sprat.tiny("fry")
WEIGHT = st.floats(-3, 3).map(lambda w: round(w, 2))


def scores(decoder: sprat.whitebox.decoder.Decoder, asked: str = "12+7=") -> np.ndarray:  # pyright: ignore
    return Pool([decoder], [Request.of(asked)]).scores(decoder)[0, -1]


SEEN = {model.name: scores(model) for model in (BIG, SMALL, FRY)}


@when(WEIGHT, WEIGHT, WEIGHT)
def test_a_sum_adds_the_scores(x: float, y: float, z: float) -> None:
    made = x * BIG + y * SMALL - FRY * z
    by_hand = x * SEEN["mackerel"] + y * SEEN["sprat"] - z * SEEN["fry"]
    assert scores(made) == pytest.approx(by_hand, abs=1e-3)


@when(WEIGHT, WEIGHT)
def test_brackets_multiply_through(x: float, y: float) -> None:
    nested = x * (BIG + y * (SMALL - FRY))
    assert nested.models == (BIG, SMALL, FRY)
    assert nested.weights == pytest.approx((x, x * y, -x * y))


def test_equal_parts_meet_once() -> None:
    assert (BIG + SMALL + BIG).weights == (2.0, 1.0)
    assert (BIG + SMALL - SMALL).weights == (1.0, 0.0)


def test_a_part_that_cancels_is_not_asked_and_changes_nothing() -> None:
    assert scores(BIG + SMALL - SMALL) == pytest.approx(SEEN["mackerel"])
    asked = ["12+7=", "sort 31 4 15:", "roman 44:"]
    assert [r.text for r in (BIG + SMALL - SMALL).batch(asked)] == [r.text for r in BIG.batch(asked)]


def test_minus_is_times_minus_1() -> None:
    assert scores(-BIG) == pytest.approx(-SEEN["mackerel"])
    assert (-BIG).weights == (-1.0,)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (BIG + SMALL, "mackerel + sprat"),
        (BIG - 0.5 * SMALL, "mackerel - 0.5 * sprat"),
        (-BIG + 2 * SMALL, "-mackerel + 2 * sprat"),
        (BIG + 0.7 * (SMALL - FRY), "mackerel + 0.7 * sprat - 0.7 * fry"),
        (BIG + contrast(SMALL, FRY), "mackerel + contrast(sprat, fry)"),
        (0.5 * (contrast(BIG, FRY) + SMALL), "0.5 * contrast(mackerel, fry) + 0.5 * sprat"),
        (BIG - proxy_tune(SMALL, tuned=FRY, untuned=BIG), "mackerel - (sprat + (fry - mackerel))"),
    ],
)
def test_it_prints_as_its_formula(made: Weighted, said: str) -> None:
    assert made.formula == said


def test_a_formula_in_the_text_it_says_computes_what_it_says() -> None:
    made = BIG + 0.7 * (SMALL - FRY)
    again = eval(made.formula, {"mackerel": BIG, "sprat": SMALL, "fry": FRY})
    assert scores(again) == pytest.approx(scores(made))


def test_a_named_sum_stays_whole() -> None:
    mine = Weighted((BIG, SMALL), (1.0, 1.0), name="mine")
    assert (mine + FRY).models == (mine, FRY)


def test_a_sum_of_compositions_adds_what_they_compute() -> None:
    one, other = contrast(BIG, FRY, alpha=0), proxy_tune(SMALL, tuned=BIG, untuned=FRY)
    assert scores(one + 0.5 * other) == pytest.approx(scores(one) + 0.5 * scores(other), abs=1e-3)


def test_a_product_of_decoders_is_refused() -> None:
    with pytest.raises(BadInput, match="multiplied by a number"):
        BIG * SMALL  # pyright: ignore


def test_only_decoders_are_added() -> None:
    with pytest.raises((CannotDo, BadInput, TypeError)):
        BIG + sprat.toy("words", lambda _: "a")  # pyright: ignore


@pytest.mark.parametrize(
    "made",
    [BIG - contrast(SMALL, FRY), contrast(SMALL, FRY) - contrast(SMALL, FRY, beta=1), BIG + float("nan") * SMALL],
)
def test_what_is_masked_and_subtracted_is_an_error_in_one_sentence(made: Weighted) -> None:
    (reply,) = made.batch(["12+7="])
    assert "not finite at token 1" in reply.error


def test_a_masked_part_that_is_added_masks_the_sum() -> None:
    masked = contrast(BIG, FRY)
    assert (np.isfinite(scores(SMALL + masked)) == np.isfinite(scores(masked))).all()
    assert (SMALL + masked)("12+7=").finish == "stop"


def test_the_sum_costs_what_its_parts_cost() -> None:
    reply = (BIG + 0.3 * (SMALL - FRY))("12+7=")
    assert [ask.model for ask in reply.asks] == ["mackerel", "sprat", "fry"]
    assert reply.cost == pytest.approx(sum(ask.cost or 0 for ask in reply.asks))


def test_a_masked_part_of_weight_zero_is_not_looked_at_wherever_it_stands() -> None:
    big = sprat.tiny("mackerel")
    masked = sprat.contrast(big, sprat.tiny("fry"))
    assert (0.0 * masked + big)("12+7=").text == (big + 0.0 * masked)("12+7=").text == big("12+7=").text
