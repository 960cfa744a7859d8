"""Energy of remote calls: EcoLogits' formula, ranges that hold what lies in them, and names that say a size."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.core import Reply, Request, Usage
from sprat.data import Call, Dataset, Example
from sprat.energy import Served, of_call, of_calls, of_tokens, parameters_in, total
from sprat.energy.amount import Energy
from sprat.energy.tokens import boards_for, joules
from sprat.errors import BadInput
from sprat.prices import Price, Prices


@pytest.mark.parametrize(
    ("active", "parameters", "batch", "expected"),
    [  # request_energy of ecologits 0.11.3, 1,000 tokens, PUE 1.2, in joules per token
        (8, 8, 64, 0.3209493043911194),
        (70, 70, 16, 5.117980410028793),
        (70, 70, 256, 1.1933943554106627),
        (3, 30, 64, 0.29910843429764883),
        (37, 671, 64, 14.32404322986395),
    ],
)
def test_the_formula_gives_what_ecologits_gives(active: float, parameters: float, batch: int, expected: float) -> None:
    assert joules(active, parameters, batch, 1.2) == pytest.approx(expected, rel=1e-12)


def test_one_case_by_hand() -> None:
    gpu = 3600 * (1.1665273170451914e-06 * math.exp(-0.011205921025579175 * 64) * 8 + 4.052928146734005e-05)
    seconds = 0.0006785088094353663 * 8 + 0.0003119310311688259 * 64 + 0.019473717579473387
    assert joules(8, 8, 64, 1.0) == pytest.approx(gpu + seconds * 1200 / 8 / 64)


@pytest.mark.parametrize(("billions", "boards"), [(8, 1), (33.3, 1), (34, 2), (70, 4), (671, 32)])
def test_boards_are_a_power_of_two_that_holds_the_model(billions: float, boards: int) -> None:
    assert boards_for(billions) == boards


sizes = st.floats(0.1, 2000)


@given(sizes, sizes, sizes, sizes, st.integers(16, 256), st.floats(1.09, 1.2), st.floats(0, 1))
def test_whatever_lies_within_the_assumptions_lies_within_the_range(
    a: float, b: float, c: float, d: float, batch: int, pue: float, at: float
) -> None:
    least, most, small, large = sorted((a, b, c, d))
    served = Served.of((least, most), (small, large))
    value, low, high = served.per_token
    inside = joules(least + at * (most - least), small + at * (large - small), batch, pue)
    assert low <= value <= high
    assert low <= inside * (1 + 1e-9)
    assert inside <= high * (1 + 1e-9)


def test_the_prompts_tokens_widen_the_range_upwards_only() -> None:
    served = Served.of(8.0)
    short, long = (of_tokens(served, Usage(n, 100)) for n in (0, 10_000))
    assert (short.joules, short.low) == (long.joules, long.low)
    assert short.high is not None
    assert long.high == pytest.approx(short.high + 1.2 * 10_000 * 8 * 2e9 * 700 / (0.4 * 989e12))


@pytest.mark.parametrize("usage", [None, Usage(5, None)])
def test_tokens_that_nobody_counted_are_unknown(usage: Usage | None) -> None:
    assert of_tokens(Served.of(8.0), usage).joules is None


@pytest.mark.parametrize(
    ("name", "active", "whole"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8, 8),
        ("Qwen3-30B-A3B", 3, 30),
        ("smollm2-360m", 0.36, 0.36),
        ("Mixtral-8x7B-Instruct-v0.1", 12.9, 46.7),
        ("qwen2.5-1.5b", 1.5, 1.5),
        ("llama-3.1-70b-8bit", 70, 70),
    ],
)
def test_a_size_in_a_name_is_read(name: str, active: float, whole: float) -> None:
    known = parameters_in(name)
    assert known is not None
    assert (known.active, known.total) == ((active, active), (whole, whole))


@pytest.mark.parametrize(
    "name", ["gpt-4o", "claude-3-5-sonnet", "mathstral", "a 7b judged by a 13b", "foo-4x9b", "o1", ""]
)
def test_a_name_that_does_not_say_one_size_says_none(name: str) -> None:
    assert parameters_in(name) is None


@pytest.mark.parametrize(
    "made",
    [
        lambda: Served.of((5.0, 3.0)),
        lambda: Served.of(8.0, 4.0),
        lambda: Served.of(0.0),
        lambda: Served.of(float("nan")),
        lambda: Served.of(8.0, batch=0),
        lambda: Served.of(8.0, pue=0.9),
        lambda: Energy.measured(1, "x").times(-1),
        lambda: Energy.measured(1, "x").carbon((60, 30)),
        lambda: total([]),
    ],
)
def test_what_cannot_be_is_refused(made: object) -> None:
    with pytest.raises(BadInput):
        made()  # type: ignore[operator]


def test_a_power_and_seconds_come_before_tokens() -> None:
    found = of_call(Reply("x", "llama-8b", usage=Usage(1, 10), seconds=2.0), Price(1, 1, watts=30))
    assert (found.joules, found.method) == (60, "watts x seconds, estimated")


def test_a_power_without_seconds_is_unknown() -> None:
    assert of_call(Reply("x", "llama-8b", usage=Usage(1, 10)), Price(1, 1, watts=30)).joules is None


def test_a_closed_models_size_is_not_guessed() -> None:
    assert of_call(Reply("x", "gpt-4o", usage=Usage(1, 10))).joules is None


def test_unknown_and_known_add_up_to_unknown() -> None:
    assert total([Energy.measured(3, "RAPL"), Energy.unknown("NVML")]).joules is None


def test_a_sum_is_as_sure_as_its_least_sure_part() -> None:
    both = total([Energy.measured(3, "RAPL"), Energy(1, 0.5, 2, "guess", "estimated")])
    assert (both.joules, both.low, both.high, both.confidence, both.method) == (4, 3.5, 5, "estimated", "RAPL + guess")


@pytest.mark.parametrize(
    ("joules", "said"), [(0.0, "0 J"), (0.002, "2 mJ"), (12.34, "12.3 J"), (6590, "6.59 kJ"), (3.6e6, "3.6 MJ")]
)
def test_an_amount_is_said_in_a_unit_that_fits(joules: float, said: str) -> None:
    assert str(Energy.measured(joules, "RAPL")) == f"{said} (RAPL, measured)"


def test_carbon_by_hand() -> None:
    grams = Energy(3.6e6, 1.8e6, 7.2e6, "x", "estimated").carbon((30, 60))
    assert grams == pytest.approx((45, 15, 120))


def _data(*replies: Reply) -> Dataset:
    return Dataset(
        tuple(Example(str(i), Request.of("q"), calls=(Call(r.model, r),)) for i, r in enumerate(replies)), "d"
    )


def test_calls_without_a_count_are_left_out_of_the_mean_and_told() -> None:
    told = Reply("x", "llama-8b", usage=Usage(0, 100))
    (drawn,) = of_calls(_data(told, told, Reply("y", "llama-8b")))
    assert (drawn.calls, drawn.known) == (3, 2)
    assert drawn.energy.joules == pytest.approx(1000 * 100 * joules(8, 8, 64, 1.14))


def test_a_price_may_say_the_parameters() -> None:
    prices = Prices({"gpt": Price(1, 1, active=(10, 20), parameters=(10, 100))})
    (drawn,) = of_calls(_data(Reply("x", "gpt", usage=Usage(0, 100))), prices)
    assert drawn.energy.low == pytest.approx(1000 * 100 * joules(10, 10, 256, 1.09))
