"""One composition over a large model that gives less and less."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tiny_server import TinyServer

import sprat
from decoding_doubles import given
from sprat import config, decoding
from sprat.decoding.ladder import ALIGNER, best_rung, ladder
from sprat.errors import BadInput, CannotDo

BIG, SMALL, FRY = (sprat.tiny(name) for name in ("mackerel", "sprat", "fry"))
PAIR: dict[str, Any] = {"tuned": SMALL, "untuned": FRY}
PROMPTS = ["12+7=", "sort 31 4 15:", "roman 44:"]


@pytest.fixture(scope="module")
def server() -> Iterator[TinyServer]:
    with TinyServer() as made:
        yield made


def test_the_best_rung_is_what_the_model_gives(server: TinyServer) -> None:
    far = server.endpoint
    assert best_rung(BIG, SMALL) == "logits"
    assert best_rung(server.remote(top=-1), SMALL) == "logits"
    assert best_rung(server.remote(top=5), SMALL) == "logprobs"
    assert best_rung(far(continues="completions"), SMALL) == "logprobs"
    assert best_rung(far(continues="chat", logprobs=False), SMALL) == "chunks"
    assert best_rung(far(), SMALL) == "rewrite"
    assert best_rung(far(continues="chat"), sprat.toy("tuned", "x")) == "rewrite"


def test_nothing_is_asked_to_find_it(server: TinyServer) -> None:
    before = len(server.calls)
    ladder(server.endpoint(continues="completions"), **PAIR)
    assert len(server.calls) == before


def test_on_logits_it_is_proxy_tuning_and_nothing_is_lost() -> None:
    made, same = ladder(BIG, **PAIR, alpha=0.5), decoding.proxy_tune(BIG, **PAIR, alpha=0.5)
    replies = [made(p) for p in PROMPTS]
    assert [r.text for r in replies] == [same(p).text for p in PROMPTS]
    assert replies[0].decoded.told["lost"] == []
    assert "rung logits" in replies[0].tree()


def test_alpha_0_is_the_large_model_on_both_token_rungs(server: TinyServer) -> None:
    far = server.endpoint(continues="completions")
    for large in (BIG, far):
        assert [ladder(large, **PAIR, alpha=0)(p).text for p in PROMPTS] == [BIG(p).text for p in PROMPTS]


def test_with_every_token_named_the_rungs_agree(server: TinyServer) -> None:
    far = ladder(server.endpoint(continues="completions"), **PAIR, alpha=0.5, top=-1)
    replies = [far(p) for p in PROMPTS]
    assert [r.text for r in replies] == [ladder(BIG, **PAIR, alpha=0.5)(p).text for p in PROMPTS]
    assert replies[0].decoded.told["rung"] == "logits"
    assert len(replies[0].decoded.told["lost"]) == 1


def test_with_few_named_the_reply_says_what_was_lost(server: TinyServer) -> None:
    reply = ladder(server.endpoint(continues="completions"), **PAIR, top=5)("12+7=")
    assert reply.decoded.told["rung"] == "logprobs"
    assert "top-5" in reply.tree()
    assert "share a floor" in reply.tree()


def test_its_json_says_the_rung(server: TinyServer) -> None:
    from sprat.cli.ask import told

    for large in (server.endpoint(continues="completions"), server.endpoint(continues="chat", logprobs=False)):
        assert "rung" in json.dumps(told(ladder(large, **PAIR)("12+7=", max_tokens=4)), default=str)


def test_on_chunks_it_is_the_search(server: TinyServer) -> None:
    far = server.endpoint(continues="chat", logprobs=False)
    reply = ladder(far, **PAIR, beams=1, samples=2, chunk=2)("12+7=", max_tokens=6)
    assert reply.ok
    assert "rung chunks" in reply.tree()
    assert "alpha has no say" in reply.tree()


def test_another_vocabulary_is_searched_in_chunks() -> None:
    other = given("other", [0.0, 0.0, 0.0])
    assert best_rung(other, SMALL) == "chunks"


def test_on_text_the_small_model_rewrites_the_large_ones_answer() -> None:
    large, tuned = sprat.toy("large", "four", cost=2.0), sprat.toy("tuned", lambda r: r.text.upper(), cost=1.0)
    reply = ladder(large, tuned=tuned, template=ALIGNER)("2+2? {answer}")
    assert reply.text == "##QUESTION: 2+2? {ANSWER}\n##ANSWER: FOUR\n##CORRECTION: "
    assert reply.cost == 3.0
    assert "rung rewrite" in reply.tree()


def test_it_streams_the_rewriting() -> None:
    made = ladder(sprat.toy("large", "four"), tuned=sprat.toy("tuned", "4"))

    async def said() -> str:
        return "".join([p.text async for p in made.stream("2+2?")])

    assert asyncio.run(said()) == "4"


def test_a_rung_that_is_too_high_is_refused(server: TinyServer) -> None:
    with pytest.raises(CannotDo):
        ladder(server.endpoint(), **PAIR, rung="logits")
    with pytest.raises(CannotDo):
        ladder(sprat.toy("large", "x"), **PAIR, rung="logprobs")
    with pytest.raises(BadInput, match="no rung"):
        ladder(BIG, **PAIR, rung="roof")
    with pytest.raises(BadInput, match="untuned"):
        ladder(BIG, tuned=SMALL)
    with pytest.raises(BadInput, match="question"):
        ladder(BIG, tuned=SMALL, rung="rewrite", template="x")


def test_proxy_tuning_a_server_points_to_the_ladder(server: TinyServer) -> None:
    with pytest.raises(CannotDo, match="ladder"):
        decoding.proxy_tune(server.endpoint(), **PAIR)


@pytest.mark.parametrize("rung", ["logits", "chunks", "rewrite"])
def test_it_survives_its_toml(rung: Any, tmp_path: Any) -> None:
    made = ladder(BIG, **PAIR, rung=rung)
    config.dump(made, tmp_path / "m.toml")
    assert repr(config.load(tmp_path / "m.toml")) == repr(made)
