"""CoGenesis: the fusion by hand, its laws, its gate, and the sketch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_server import TinyServer

import sprat
from sprat import config, decoding
from sprat.core import Request
from sprat.decoding.cogenesis import CoGenesis, cogenesis, due, floored
from sprat.decoding.cogenesis_gate import begun, fitted, loss
from sprat.errors import BadInput, CannotDo
from sprat.whitebox.arrays import log_softmax
from sprat.whitebox.pool import Pool

BIG, SMALL, FRY = (sprat.tiny(name) for name in ("mackerel", "sprat", "fry"))
WORD = "<private>Mia</private> has 12 <private>figs</private>, gives 3 and buys 5. How many?"
STAND_INS = ("Zoe", "tea")


@pytest.fixture(scope="module")
def server() -> Iterator[TinyServer]:
    with TinyServer() as made:
        yield made


def made(server: TinyServer, **more: Any) -> CoGenesis:
    return cogenesis(server.endpoint(), SMALL, "logits", hidden=STAND_INS, **more)  # type: ignore[return-value]


def test_the_places_that_are_due_are_those_of_the_authors() -> None:
    assert [p for p in range(30) if due(p, (5, 10, 3))] == [0, 1, 2, 3, 4, 11, 12, 13, 24, 25, 26]
    assert all(due(p, (0, 0, 1)) for p in range(9))
    assert not any(due(p, (0, 1, 0)) for p in range(9))


def test_what_is_not_among_the_likeliest_is_floored_not_0() -> None:
    # .6 + .3 kept; .1 over two others is .05 each.
    found = floored(np.log(np.array([[0.6, 0.06, 0.3, 0.04]])), 2)
    assert np.exp(found)[0].tolist() == pytest.approx([0.6, 0.05, 0.3, 0.05])


def test_the_fused_scores_by_hand(server: TinyServer) -> None:
    model = made(server, weight=0.25, top=3)
    pool = Pool([model], [Request.of(WORD)])
    got = pool.scores(model)[0, 0]
    whole, public = (log_softmax(m.open(1).feed(np.array([m.prompt(Request.of(t))]), keep=1))[0, 0].astype(float)
                     for m, t in ((SMALL, "Mia has 12 figs, gives 3 and buys 5. How many?"),
                                  (BIG, "Zoe has 12 tea, gives 3 and buys 5. How many?")))  # fmt: skip
    both = []
    for line in (whole, public):
        best = np.argsort(-line)[:3]
        rest = math.log((1 - np.exp(line[best]).sum()) / (len(line) - 3))
        both.append(np.where(np.isin(np.arange(len(line)), best), line, rest))
    assert got == pytest.approx(0.25 * both[0] + 0.75 * both[1], abs=1e-3)


def test_the_remote_model_is_asked_at_the_due_places_alone(server: TinyServer) -> None:
    model, before = made(server, schedule=(1, 2, 1)), len(server.calls)
    reply = model("<private></private>reverse abcdefgh:")
    places = [p for p in range(reply.usage.output_tokens) if due(p, (1, 2, 1))]
    assert len(server.calls) - before == len(places) == reply.decoded.told["cogenesis"]["asked"]


def test_never_asked_it_is_the_local_model(server: TinyServer) -> None:
    before = len(server.calls)
    reply = made(server, schedule=(0, 1, 0))(WORD)
    assert reply.text == SMALL("Mia has 12 figs, gives 3 and buys 5. How many?").text
    assert len(server.calls) == before


@pytest.mark.parametrize("options", [{}, {"temperature": 1.0, "seed": 4}])
def test_with_weight_1_over_every_token_it_is_the_local_model(server: TinyServer, options: Any) -> None:
    model = made(server, weight=1.0, top=500)
    assert model(WORD, **options).text == SMALL("Mia has 12 figs, gives 3 and buys 5. How many?", **options).text


def test_with_weight_0_and_nothing_private_it_is_the_large_model(server: TinyServer) -> None:
    model = made(server, weight=0.0, schedule=(0, 0, 1))
    assert model("<private></private>12+7=").text == BIG("12+7=").text


def test_the_local_part_may_be_a_composition(server: TinyServer) -> None:
    both = cogenesis(server.endpoint(), decoding.mix(SMALL, FRY, 0.5), "logits", hidden=STAND_INS, schedule=(0, 1, 0))
    assert both(WORD).text == decoding.mix(SMALL, FRY, 0.5)("Mia has 12 figs, gives 3 and buys 5. How many?").text


def test_it_says_what_it_cost_and_explains_itself(server: TinyServer) -> None:
    reply = made(server)(WORD)
    assert reply.decoded.told["paid"]["far-top10"]["calls"] == reply.decoded.told["cogenesis"]["asked"] > 0
    assert reply.explain()


def test_batches_are_each_alone(server: TinyServer) -> None:
    model, asked = made(server), [WORD, "<private></private>12+7=", WORD.replace("Mia", "Tom")]
    assert [r.text for r in model.batch(asked)] == [model(a).text for a in asked]


def test_unmarked_requests_reach_nobody(server: TinyServer) -> None:
    before = len(server.calls)
    for mode in ("sketch", "logits"):
        with pytest.raises(BadInput, match="marked"):
            cogenesis(server.endpoint(), SMALL, mode)("12+7=")
    assert len(server.calls) == before


def test_the_gates_slopes_are_those_of_its_loss() -> None:
    rng = np.random.default_rng(1)
    near, far = (np.log(rng.dirichlet(np.ones(4), 6)) for _ in range(2))
    labels, layers = rng.integers(0, 4, 6), begun(4, (5, 3), 2)
    layers[4] = rng.normal(size=(3, 1)).astype(np.float32)
    _, slopes = loss(layers, near, far, labels)
    for i, layer in enumerate(layers):
        moved = [w.astype(np.float64) for w in layers]
        at = np.unravel_index(int(np.abs(slopes[i]).argmax()), layer.shape)
        ups = []
        for step in (1e-4, -1e-4):
            moved[i] = layer.astype(np.float64)
            moved[i][at] += step
            ups.append(loss(moved, near, far, labels)[0])
        assert (ups[0] - ups[1]) / 2e-4 == pytest.approx(slopes[i][at], rel=2e-2, abs=1e-5)


def test_a_gate_learns_which_of_the_two_is_right() -> None:
    rng = np.random.default_rng(0)
    labels, n = rng.integers(0, 5, 400), np.arange(400)
    near, far = (np.full((400, 5), math.log(0.1)) for _ in range(2))
    right = labels < 3  # the local model knows the tokens 0 to 2, the other one the rest; each shows that it is sure
    near[n, np.where(right, labels, 0)] = np.where(right, math.log(0.6), math.log(0.1))
    far[n, labels] = np.where(right, math.log(0.1), math.log(0.6))
    weights = fitted(near, far, labels, hidden=(16, 4), epochs=30, rate=1e-2)(near, far)[:, 0]
    assert weights[right].mean() > 0.75 > 0.25 > weights[~right].mean()


def test_a_fitted_gate_lowers_the_loss_and_survives_toml(server: TinyServer, tmp_path: Any) -> None:
    heard: list[float] = []
    model = made(server).fit(
        [(WORD, "14"), ("<private></private>12+7=", "19")], epochs=8, tell=lambda _, x: heard.append(x)
    )
    config.dump(model, tmp_path / "m.toml")
    assert heard[-1] < heard[0]
    assert config.load(tmp_path / "m.toml")(WORD).text == model(WORD).text


def test_a_sketch_is_outlined_by_the_one_and_written_by_the_other() -> None:
    seen: list[str] = []
    large = sprat.toy("large", lambda r: seen.append(r.text) or "1. Greet [hidden 1]", cost=2.0)
    small = sprat.toy("small", lambda r: seen.append(r.text) or "Dear Mia", cost=1.0)
    reply = cogenesis(large, small)("Greet <private>Mia</private>.")
    assert (reply.text, reply.cost, len(reply.asks)) == ("Dear Mia", 3.0, 2)
    assert "Mia" not in seen[0]
    assert "Greet Mia." in seen[1]
    assert "1. Greet [hidden 1]" in seen[1]


@pytest.mark.parametrize("mode", ["sketch", "logits"])
def test_it_survives_its_toml(mode: Any, server: TinyServer, tmp_path: Any) -> None:
    model = cogenesis(server.endpoint(), SMALL, mode, strict=True, hidden=STAND_INS)
    config.dump(model, tmp_path / "m.toml")
    assert repr(config.load(tmp_path / "m.toml")) == repr(model)


SERVED = {
    "remote": lambda far: far,
    "told": lambda far: decoding.told(far, before=" "),
    "proxy_tune": lambda far: decoding.proxy_tune(SMALL, tuned=far, untuned=FRY),
    "ladder": lambda far: decoding.ladder(far, tuned=SMALL, untuned=FRY),
    "draft": lambda far: decoding.speculate(SMALL, far, 2),
    "sum": lambda far: SMALL + 0.0 * far,
    "search": lambda far: decoding.search(SMALL, tuned=far, untuned=FRY),
}


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("mode", ["sketch", "logits"])
def test_a_local_part_with_a_server_in_it_is_refused(name: str, mode: Any, server: TinyServer) -> None:
    with pytest.raises(CannotDo, match="is a server's model"):
        cogenesis(server.endpoint(), SERVED[name](server.remote()), mode)


@pytest.mark.parametrize("local", [sprat.openai("far", "https://example.org/v1"), sprat.anthropic("far")])
def test_nor_does_a_sketch_go_to_a_server(local: Any) -> None:
    for one in (local, sprat.fallback(SMALL, local), sprat.vote(SMALL, local)):
        for loopback in (False, True):
            with pytest.raises(CannotDo, match="is a server's model"):
                cogenesis(BIG, one, loopback=loopback)


@pytest.mark.parametrize(
    "where", ["http://127.0.0.1.example.org/v1", "http://10.0.0.1/v1", "https://localhost.a.org/v1"]
)
def test_an_address_that_only_looks_like_this_machines_is_refused(where: str) -> None:
    with pytest.raises(CannotDo, match="is a server's model"):
        cogenesis(BIG, sprat.openai("far", where), loopback=True)


def test_a_server_on_this_machine_may_be_the_local_part_if_it_is_said(server: TinyServer, tmp_path: Any) -> None:
    both = cogenesis(
        server.endpoint(), server.remote(top=-1), "logits", hidden=STAND_INS, schedule=(0, 1, 0), loopback=True
    )
    assert both(WORD).text == BIG("Mia has 12 figs, gives 3 and buys 5. How many?").text
    config.dump(both, tmp_path / "m.toml")
    assert config.load(tmp_path / "m.toml").loopback
    assert cogenesis(BIG, server.endpoint(), loopback=True).local == server.endpoint()


def test_what_cannot_be_is_refused(server: TinyServer) -> None:
    with pytest.raises(CannotDo, match="mix"):
        cogenesis(BIG, SMALL, "logits")
    with pytest.raises(CannotDo):
        cogenesis(server.endpoint(), sprat.toy("x", "y"), "logits")
    for wrong in ({"weight": 2.0}, {"schedule": (0, 0, 0)}, {"top": 0}):
        with pytest.raises(BadInput):
            made(server, **wrong)
    with pytest.raises(BadInput, match="outline"):
        cogenesis(BIG, SMALL, expand="{task}")
    with pytest.raises(CannotDo, match="tools"):
        cogenesis(BIG, SMALL)(WORD, tools=[{}])
    talk = [{"role": "user", "content": WORD}, {"role": "assistant", "content": "1"}]
    chat = cogenesis(replace(server.endpoint(), continues="chat"), SMALL, "logits", hidden=STAND_INS)
    with pytest.raises(CannotDo, match="assistant"):
        chat(talk)
