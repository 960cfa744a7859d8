"""What every decoder must do; the rows are in decoder_rows.py."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoder_rows import BIG, DECODERS, PROMPTS, WRITERS, built

import sprat
from sprat import config, decoding
from sprat.core import Can, Reply
from sprat.methods import factories
from sprat.whitebox.decoder import Decoder

every = pytest.mark.parametrize("name", DECODERS)
WAYS = [{}, {"temperature": 1.0, "seed": 3}]
ELSEWHERE = {
    "aligner": "a technique: test_aligner.py",
    "cogenesis": "asks a server: test_cogenesis.py",
    "ladder": "asks a server: test_ladder.py",
    "log_ratio": "an endpoint that scores: test_search.py",
    "lookup": "a draft: test_drafts.py",
    "remote": "asks a server: test_remote.py",
}


def told(reply: Reply) -> Any:
    return (reply.text, reply.model, reply.finish, reply.usage)


def test_every_public_decoder_has_a_row() -> None:
    assert set(factories("decoding")) - ELSEWHERE.keys() == set(DECODERS)


@every
def test_it_is_a_model_that_gives_logits(name: str) -> None:
    assert isinstance(built(name), Decoder)
    assert built(name).can == Can.LOGITS


@every
def test_it_is_frozen(name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        built(name).name = "another"


@every
def test_its_repr_is_the_recipe_that_makes_it(name: str) -> None:
    public = {n: getattr(decoding, n) for n in decoding.__all__} | {"tiny": sprat.tiny}
    assert eval(repr(built(name)), {}, public) == built(name)


@every
@pytest.mark.parametrize("options", WAYS)
def test_it_streams_what_it_returns(name: str, options: dict[str, Any]) -> None:
    async def streamed() -> list[Any]:
        return [p async for p in built(name).stream(PROMPTS[0], **options)]

    pieces = asyncio.run(streamed())
    assert "".join(p.text for p in pieces) == pieces[-1].reply.text == built(name)(PROMPTS[0], **options).text


@every
@pytest.mark.parametrize("options", WAYS)
def test_a_batch_is_each_alone(name: str, options: dict[str, Any]) -> None:
    together = built(name).batch(PROMPTS, **options)
    assert [told(r) for r in together] == [told(built(name)(p, **options)) for p in PROMPTS]


@every
def test_it_costs_what_its_parts_cost(name: str) -> None:
    for reply in built(name).batch(PROMPTS[:2]):
        assert reply.cost == pytest.approx(sum(part.cost for part in reply.asks) if reply.asks else reply.cost)
        assert reply.cost is not None


@every
def test_it_survives_its_toml(name: str, tmp_path: Path) -> None:
    config.dump(built(name), tmp_path / "m.toml")
    again = config.load(tmp_path / "m.toml")
    assert repr(again) == repr(built(name))
    assert again.formula == built(name).formula
    assert [told(r) for r in again.batch(PROMPTS[:3])] == [told(r) for r in built(name).batch(PROMPTS[:3])]


@every
def test_under_a_name_it_is_one_of_the_models_of_a_file(name: str, tmp_path: Path) -> None:
    mine = built(name).named("mine")
    cascade = sprat.cascade(sprat.tiny("fry"), mine, trust=sprat.signals.logprob(), at_least=1.1)
    config.dump(cascade, tmp_path / "m.toml")
    found = config.read(tmp_path / "m.toml")
    assert "mine" in found.models
    reply = found.model(PROMPTS[0])
    assert (reply.text, reply.model) == (mine(PROMPTS[0]).text, "mine")


@every
def test_its_explanation_adds_up(name: str) -> None:
    reply = built(name)(PROMPTS[1])
    why = reply.explain()
    assert len(why.choices) == reply.usage.output_tokens
    for choice in why.choices:
        if np.isfinite(choice.margin):
            assert sum(choice.contributions) == pytest.approx(choice.margin, abs=1e-3)


@pytest.mark.parametrize("name", sorted(DECODERS.keys() - WRITERS.keys()))
def test_it_nests_in_a_sum(name: str) -> None:
    whole = 0.5 * built(name) + 0.5 * built(name)
    assert [r.text for r in whole.batch(PROMPTS[:3])] == [r.text for r in built(name).batch(PROMPTS[:3])]


@every
def test_its_formula_names_its_leaves(name: str) -> None:
    assert BIG.name in built(name).formula


@every
def test_stop_strings_and_limits_are_kept(name: str) -> None:
    whole = built(name)(PROMPTS[3]).text
    if name != "choose":  # an option is said whole
        assert built(name)(PROMPTS[3], max_tokens=2).text == whole[:2]
    assert built(name)(PROMPTS[3], stop=whole[2]).text == whole[: whole.index(whole[2])]
