"""Prices: hand-computed costs, unknown stays unknown, and the user's table wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from sprat.core import Reply, Request, Usage
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput
from sprat.prices import Price, Prices, built_in, cost, priced, read_prices


def test_cost_by_hand() -> None:
    price = Price(2.0, 8.0, cached=0.5, cache_write=2.5, per_call=0.01)
    assert cost(price, Usage(1000, 100)) == pytest.approx(0.002 + 0.0008 + 0.01)
    assert cost(price, Usage(1000, 100), 400, 100) == pytest.approx(
        (500 * 2 + 400 * 0.5 + 100 * 2.5 + 800) / 1e6 + 0.01
    )


@pytest.mark.parametrize(("price", "usage"), [(None, Usage(1, 1)), (Price(1, 1), None), (Price(1, 1), Usage(1, None))])
def test_unknown_stays_unknown(price: Price | None, usage: Usage | None) -> None:
    assert cost(price, usage) is None


def test_a_table_is_read_with_its_date(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('date = 2026-11-01\nnote = "list"\n[models.a]\ninput = 1\noutput = 2.5\n')
    table = read_prices(path)
    assert table.of("a") == Price(1, 2.5, date="2026-11-01")
    assert (table.of("b"), table.unknown(("a", "b"))) == (None, ("b",))


def test_a_range_of_parameters_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text("[models.a]\ninput = 1\noutput = 1\nactive = [10, 20]\nparameters = 100\n")
    price = read_prices(path).of("a")
    assert price is not None
    assert (price.active, price.parameters) == ((10, 20), 100)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.a]\ninptu = 1\noutput = 2", "Did you mean 'input'"),
        ("[models.a]\ninput = 1", "lacks 'output'"),
        ("[model.a]\ninput = 1", "Did you mean 'models'"),
        ("[models.a]\ninput = -1\noutput = 1", "0 or more"),
        ("[models.a]\ninput = 'x'\noutput = 1", "0 or more"),
        ("[models.a]\ninput = 1\noutput = 1\nactive = -3", "billions of parameters"),
        ("[models.a]\ninput = 1\noutput = 1\nactive = [1, 2, 3]", "billions of parameters"),
        ("models = 3", "not a table"),
        ("[models", "not TOML"),
    ],
)
def test_a_bad_table_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        read_prices(path)


def test_a_missing_table_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_prices(tmp_path / "none.toml")


def test_the_users_table_wins_over_the_built_in() -> None:
    mine = Prices({"fry": Price(9, 9)})
    table = mine.over(built_in())
    assert table.of("fry") == Price(9, 9)
    assert table.of("sprat") == built_in().of("sprat")


def rows(*replies: Reply) -> Dataset:
    calls = tuple(Call(r.model, r) for r in replies)
    return Dataset((Example("1", Request.of("abcdefgh"), calls=calls),))


def test_a_dataset_is_priced_from_usage_where_cost_was_missing() -> None:
    data = priced(
        rows(Reply("x", "a", usage=Usage(10, 5)), Reply("x", "b", cost=3.0)),
        Prices({"a": Price(1, 2), "b": Price(1, 1)}),
    )
    assert data.costs(["a", "b"]).tolist() == [[pytest.approx(2e-5), 3.0]]


def test_lengths_are_used_only_when_asked_and_then_labelled() -> None:
    data, table = rows(Reply("abcd", "a")), Prices({"a": Price(1, 2)})
    assert priced(data, table).examples[0].calls[0].reply.cost is None
    mended = priced(data, table, chars_per_token=4)
    assert mended.examples[0].calls[0].reply.cost == pytest.approx((2 * 1 + 1 * 2) / 1e6)
    assert "estimated at 4 characters per token" in mended.notes[0]


def test_models_without_a_price_are_named() -> None:
    assert priced(rows(Reply("x", "a", usage=Usage(1, 1))), Prices()).notes == (
        "'a' has no price: its cost is unknown",
    )
