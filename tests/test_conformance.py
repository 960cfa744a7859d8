"""What every technique, signal, endpoint and encoder must do; the rows are in catalogue.py."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import catalogue
import sprat
from sprat import config, signals
from sprat.core import Reply, Request
from sprat.drivers import batch
from sprat.endpoints import Onnx, Seq2Seq, Transformers
from sprat.methods import factories
from sprat.replay import replay

ROWS = {
    "combine": catalogue.TECHNIQUES,
    "signals": catalogue.SIGNALS,
    "endpoints": catalogue.ENDPOINTS,
    "encoders": catalogue.ENCODERS,
}
REQUESTS = [e.request for e in catalogue.data()][::7]

every = pytest.mark.parametrize("row", catalogue.MODELS.values(), ids=catalogue.MODELS)
every_part = pytest.mark.parametrize(
    "row", [r for rows in ROWS.values() for r in rows.values()], ids=[n for rows in ROWS.values() for n in rows]
)
Row = Callable[[], Any]


@pytest.fixture(autouse=True)
def cache_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPRAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def told(reply: Reply) -> Any:
    return (reply.text, reply.model, reply.cost, reply.because)


def fitted(row: Row) -> Any:
    return catalogue.learnt(row())


@pytest.mark.parametrize("folder", ROWS)
def test_every_public_method_has_a_row(folder: str) -> None:
    assert set(factories(folder)) == set(ROWS[folder])


@every_part
def test_it_is_frozen(row: Row) -> None:
    made = row()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(made)[0].name, None)


@pytest.mark.parametrize("name", [*catalogue.TECHNIQUES, *catalogue.SIGNALS, *catalogue.ENDPOINTS])
def test_its_repr_is_the_recipe_that_makes_it(name: str) -> None:
    rows = catalogue.TECHNIQUES | catalogue.SIGNALS | catalogue.ENDPOINTS
    made = rows[name]()
    public = {n: getattr(signals, n) for n in signals.__all__} | {n: getattr(sprat, n) for n in sprat.__all__}
    public |= factories("encoders") | {"onnx": Onnx, "seq2seq": Seq2Seq, "transformers": Transformers}
    if name == "frugal_cascade":
        pytest.skip("its recipe is a fitted cascade: arrays are shown by their shape")
    assert repr(eval(repr(made), {}, public)) == repr(made)


@every
def test_it_streams_what_it_returns(row: Row) -> None:
    async def streamed(request: Request) -> tuple[str, Reply | None]:
        found = [p async for p in model.stream(request)]
        return "".join(p.text for p in found), found[-1].reply

    model = fitted(row)
    for request in REQUESTS:
        text, reply = asyncio.run(streamed(request))
        assert reply is not None
        assert text == reply.text == model(request).text


@every
def test_it_costs_what_its_asks_cost(row: Row) -> None:
    for reply in batch(fitted(row), REQUESTS):
        costs = [leaf.cost for leaf in reply.leaves()]
        assert reply.cost == (None if None in costs else pytest.approx(sum(c for c in costs if c is not None)))


@every
def test_it_is_deterministic_and_a_batch_is_each_alone(row: Row) -> None:
    one, other = fitted(row), fitted(row)
    assert [told(r) for r in batch(one, REQUESTS)] == [told(other(r)) for r in REQUESTS]


@every
def test_it_survives_its_toml(row: Row, tmp_path: Path) -> None:
    model = fitted(row)
    config.dump(model, tmp_path / "model.toml")
    again = config.load(tmp_path / "model.toml")
    assert repr(again) == repr(model)
    assert [told(r) for r in batch(again, REQUESTS)] == [told(r) for r in batch(model, REQUESTS)]


@every
def test_unfitted_it_survives_its_toml(row: Row, tmp_path: Path) -> None:
    config.dump(row(), tmp_path / "model.toml")
    assert repr(config.load(tmp_path / "model.toml")) == repr(row())


@every
def test_fitting_leaves_it_as_it_was(row: Row, tmp_path: Path) -> None:
    made = row()
    config.dump(made, tmp_path / "before.toml")
    catalogue.learnt(made)
    config.dump(made, tmp_path / "after.toml")
    before, after = ((tmp_path / f"{when}.toml").read_text() for when in ("before", "after"))
    assert before.replace("before", "after") == after  # it names the arrays' hash


@every
def test_a_tool_call_reaches_a_model_untouched(row: Row) -> None:
    tools = [{"type": "function", "function": {"name": "f", "x_unknown": 1}}]
    reply = fitted(row)(REQUESTS[0], tools=tools, x_new="kept")
    assert reply.ok


@every
def test_a_replay_answers_or_says_which_call_is_missing(row: Row) -> None:
    for reply in replay(fitted(row), catalogue.data().take(range(0, 48, 7))):
        assert reply.ok or reply.error.startswith(("No call of", "'"))
