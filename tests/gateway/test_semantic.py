"""Semantic hits: off unless asked for, given only on evidence, watched, and stopped by guards; over real HTTP."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import Running

from mock_server import MockServer
from sprat import openai
from sprat.cli import main
from sprat.gateway.caching import semantic
from sprat.gateway.caching.cache import CacheSettings, settings_of
from sprat.gateway.caching.false_hits import FalseHits, clopper_pearson
from sprat.gateway.caching.guards import differs
from sprat.gateway.caching.semantic import question_of
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import of
from sprat.prices import Price

ONE, OTHER = "How do I activate my new card?", "How do I activate my card?"
NUMBERED = "How do I activate my 2 new cards?"


def caching(server: MockServer, **settings: Any) -> Running:
    model = openai("mock", server.url, price=Price(1.0, 2.0), retries=0)
    return Running(replace(of(model), cache=CacheSettings(semantic=0.8, **settings)))


def asked(gateway: Running, text: str, **more: Any) -> tuple[str, str]:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "temperature": 0, **more}
    status, headers, said = gateway.post("/v1/chat/completions", body)
    assert status == 200
    return headers["x-sprat-cache"].split(";")[0], said["choices"][0]["message"]["content"]


def open_up(gateway: Running) -> FalseHits:
    index = gateway.app.cached.semantic
    assert index is not None
    while not index.evidence.open:
        index.evidence.add(False)
    index.settings = replace(index.settings, verify=0.0)
    return index.evidence


def test_at_first_a_would_be_hit_is_asked_and_compared() -> None:
    with MockServer(lambda _: "the same") as server, caching(server) as gateway:
        assert [asked(gateway, t)[0] for t in (ONE, OTHER)] == ["miss", "miss"]
        assert len(server.calls) == 2
        evidence = gateway.app.cached.semantic.evidence  # type: ignore[union-attr]
        assert (evidence.verified, evidence.false, evidence.open) == (1, 0, False)
        assert "to verify" in gateway.kept[1].card["facts"]["cache"]


def test_answers_that_differ_are_counted_as_false_hits() -> None:
    with MockServer() as server, caching(server) as gateway:
        asked(gateway, ONE), asked(gateway, OTHER)
        evidence = gateway.app.cached.semantic.evidence  # type: ignore[union-attr]
        assert (evidence.verified, evidence.false) == (1, 1)


def test_with_enough_evidence_the_hit_is_given_and_says_how_sure_that_is() -> None:
    with MockServer() as server, caching(server) as gateway:
        said = asked(gateway, ONE)
        evidence = open_up(gateway)
        body = {"model": "auto", "messages": [{"role": "user", "content": OTHER}], "temperature": 0}
        _, headers, found = gateway.post("/v1/chat/completions", body)
        assert headers["x-sprat-cache"].startswith("semantic; cosine=0.9")
        assert f"false-hits=0/{evidence.verified}; interval=0.0000-0.00" in headers["x-sprat-cache"]
        assert found["choices"][0]["message"]["content"] == said[1]
        assert len(server.calls) == 1
        assert gateway.kept[1].cost == 0
        assert "95 % interval" in gateway.kept[1].card["facts"]["cache"]


def test_an_open_cache_that_turns_out_false_suspends_itself() -> None:
    with MockServer() as server, caching(server) as gateway:
        asked(gateway, ONE)
        evidence = open_up(gateway)
        while evidence.open:
            evidence.add(True)
        assert asked(gateway, OTHER)[0] == "miss"


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (NUMBERED, {}),
        (OTHER, {"max_tokens": 99}),
        (OTHER, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}),
        (OTHER, {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": OTHER}]}),
        (OTHER, {"messages": [*({"role": r, "content": "hm"} for r in ("user", "assistant")),
                              {"role": "user", "content": OTHER}]}),
        ("Tell me a story about whales.", {}),
    ],
)  # fmt: skip
def test_what_is_another_question_is_asked(text: str, more: dict[str, Any]) -> None:
    with MockServer() as server, caching(server) as gateway:
        asked(gateway, ONE)
        open_up(gateway)
        gateway.post(
            "/v1/chat/completions",
            {"model": "auto", "messages": [{"role": "user", "content": text}], "temperature": 0, **more},
        )
        assert len(server.calls) == 2


def test_metrics_show_the_rate_with_its_interval() -> None:
    with MockServer(lambda _: "the same") as server, caching(server) as gateway:
        asked(gateway, ONE), asked(gateway, OTHER), asked(gateway, OTHER)
        page = gateway.get("/metrics")[2]
        high = clopper_pearson(0, 1)[1]
        assert 'sprat_cache_semantic_verified{of="all"} 1.0' in page
        assert f'sprat_cache_semantic_high{{of="all"}} {high}' in page
        assert 'sprat_cache_requests_total{result="hit"} 1.0' in page


def test_a_judge_says_whether_free_texts_agree() -> None:
    verdicts = {"mock": None, "mock-large": "Same: yes"}
    with MockServer(lambda b: verdicts[b["model"]] or f"As to {b['messages'][-1]['content']}") as server:
        models = [openai(name, server.url, price=Price(1.0, 2.0), retries=0) for name in verdicts]
        served = of(models[0])
        served = replace(served, models={**served.models, "mock-large": models[1]})
        with Running(replace(served, cache=CacheSettings(semantic=0.8, judge="mock-large"))) as gateway:
            asked(gateway, ONE), asked(gateway, OTHER)
            index = gateway.app.cached.semantic
            assert index is not None
            for _ in range(200):
                if index.evidence.verified:
                    break
                gateway.get("/healthz")
            assert (index.evidence.verified, index.evidence.false) == (1, 0)
            assert index.evidence.dollars > 0
            assert ONE in server.calls[-1]["body"]["messages"][0]["content"] or OTHER in str(server.calls[-1]["body"])


def test_the_counts_of_several_workers_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sprat.db"
    with Store.read(file, create=True) as store:
        mine = FalseHits("a", 0.02, 0.05)
        semantic.write(store.engine, mine, [(False, 0.0)] * 30)
        found = semantic.write(store.engine, mine, [(True, 0.5)])
        assert (found.verified, found.false, found.dollars) == (31, 1, 0.5)
        assert semantic.write(store.engine, FalseHits("b", 0.02, 0.05), []).verified == 0
        semantic.write(store.engine, mine, [(False, 0.0)] * 3)
    assert main(["cache", "status", "--store", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["semantic"]
    assert (told["verified"], told["false"], told["state"]) == (3, 0, "suspended")
    assert main(["cache", "status", "--store", str(file)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "0 of 3 verified hits were false" in shown
    assert "more right ones are needed" in shown


def test_the_gateway_keeps_the_counts_in_its_store(tmp_path: Path) -> None:
    file = tmp_path / "sprat.db"
    with MockServer(lambda _: "the same") as server:
        gateway = caching(server)

        async def opening() -> Any:
            return gateway.app.keys, await Store.open(file)

        gateway.app.opening = opening
        with gateway:
            asked(gateway, ONE), asked(gateway, OTHER)
            for _ in range(200):
                with Store.read(file) as store:
                    if text := store.setting(semantic.SETTING):
                        break
    assert text is not None
    assert json.loads(text)["verified"] == 1


@pytest.mark.parametrize(
    ("a", "b", "guard"),
    [
        ("What is 3 plus 5?", "What is 3 plus 6?", "numbers"),
        ("a room for two people", "a room for three people", "numbers"),
        ("from 3 to 5", "from 5 to 3", "numbers"),
        ("Can I get a refund?", "Why can't I get a refund?", "negation"),
        ("How far is it to Paris, France?", "How far is it to London, France?", "names"),
        ("how far is it to paris", "how far is it to oslo", "exchanged"),
        ("Turn the lights on please", "Turn the lights off please", "opposites"),
        ("How do I activate it in the app", "How do I deactivate it in the app", "opposites"),
        ("who wrote the odyssey", "who wrote the iliad", "exchanged"),
        ("What is 12 * 4?", "What is 12 / 4?", "signs"),
        ("Solve x > 3", "Solve x < 3", "signs"),
        ("Is -5 even?", "Is 5 even?", "signs"),
        ("the sum of -3 and 5", "the sum of 3 and -5", "signs"),
        ("Convert 5 % to a fraction", "Convert 5 to a fraction", "signs"),
        ("what is (2 + 3) * 4", "what is 2 + (3 * 4)", "signs"),
        ("what is 5!", "what is 5?", "signs"),
        ("Python list in C++", "Python list in C#", "signs"),
        ("Alice owes Bob 5", "Bob owes Alice 5", "order"),
        ("Is a man older than a boy?", "Is a boy older than a man?", "order"),
        ("now alice owes bob money, right", "bob owes alice money, right", "order"),
        ("trains from here to there", "trains to here from there", "order"),
        ("the dog and the dog saw the cat", "the dog saw the cat and the dog", "order"),
        ("Thanks! Where is my card?", "thanks, where is my card", ""),
        ("my low-cost card", "my low-cost card.", ""),
        ("How do I activate my new card?", "How do I activate my card?", ""),
        ("Who is Bob Dylan?", "who is bob dylan", ""),
        ("I paid 1,200 dollars", "I paid 1200 dollars", ""),
    ],
)
def test_a_guard_sees_what_an_embedding_does_not(a: str, b: str, guard: str) -> None:
    assert differs(a, b) == differs(b, a) == guard


@given(st.text(max_size=200))
def test_no_guard_finds_a_prompt_different_from_itself(text: str) -> None:
    assert differs(text, text) == ""


def test_how_many_right_hits_are_needed_is_what_opens_it() -> None:
    evidence = FalseHits("a", 0.02, 0.05)
    needed = evidence.needed
    assert needed is not None
    for i in range(needed):
        assert not evidence.open, i
        evidence.add(False)
    assert evidence.open
    assert evidence.needed == 0


def test_a_cache_at_its_limit_rarely_opens() -> None:
    opened = 0
    for seed in range(100):
        draw, evidence = random.Random(seed), FalseHits("a", 0.05, 0.1)
        for _ in range(1500):
            evidence.add(draw.random() < 0.05)
            if evidence.open:
                opened += 1
                break
    assert opened <= 18  # at most 10 % are expected: 18 of 100 has a probability of .005


def test_a_state_comes_back_whole() -> None:
    evidence = FalseHits("a", 0.02, 0.05)
    for i in range(500):
        evidence.add(i % 97 == 5, 0.25)
    again = FalseHits.restored(json.loads(json.dumps(evidence.state())))
    assert again.state() == evidence.state()
    assert again.needed == evidence.needed


@given(st.integers(1, 300), st.data())
def test_the_interval_is_clopper_and_pearsons(n: int, data: st.DataObject) -> None:
    stats = pytest.importorskip("scipy.stats")
    k = data.draw(st.integers(0, n))
    low = 0.0 if k == 0 else stats.beta.ppf(0.025, k, n - k + 1)
    high = 1.0 if k == n else stats.beta.ppf(0.975, k + 1, n - k)
    assert clopper_pearson(k, n) == pytest.approx((low, high), abs=1e-9)


def test_an_encoder_or_a_judge_that_is_not_there_is_named() -> None:
    for table in ({"encoder": "big"}, {"judge": "big"}):
        with pytest.raises(Exception, match="'big'"):
            settings_of(table, "serve.toml", (), ("auto",))


def test_a_long_prompt_has_no_semantic_hit() -> None:
    from sprat.core import Request

    assert question_of(Request.of("word " * 100), "", "", 1) is not None
    assert question_of(Request.of("word " * 1000), "", "", 1) is None


@given(st.lists(st.sampled_from(["cat", "dog", "not", "Paris", "5", "+", "(", "to", "!", "up"]), max_size=12))
def test_a_prompt_is_the_question_that_it_is(parts: list[str]) -> None:
    assert differs(" ".join(parts), "  ".join(parts)) == ""
