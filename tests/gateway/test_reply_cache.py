"""The exact cache over real HTTP: when a kept reply is given, to whom, in whose words, and what is never kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import HELLO, TOOLS, Running

from mock_server import MockServer
from sprat import Reply, cascade, openai, signals, tiny
from sprat.config import dump
from sprat.core import Usage
from sprat.endpoints import Toy
from sprat.errors import BadInput
from sprat.gateway.access import keys
from sprat.gateway.caching.cache import Cache, CacheSettings, fingerprint, read, settings_of
from sprat.gateway.ledger.store import Store
from sprat.gateway.ledger.study_rows import dataset
from sprat.gateway.served import load, of
from sprat.prices import Price

PRICE = Price(1.0, 2.0)


def caching(model: Any, **settings: Any) -> Running:
    return Running(replace(of(model), cache=CacheSettings(**settings)))


def upstream(server: MockServer, **more: Any) -> Any:
    return openai("mock", server.url, price=PRICE, retries=0, **more)


def said(gateway: Running, **more: Any) -> tuple[str, str | None, Any]:
    """Text, the cache's header, and the body of a chat completion at temperature 0 unless told otherwise."""
    asked: dict[str, Any] = {"model": "auto", "messages": HELLO, "temperature": 0, **more}
    answer = gateway.openai().chat.completions.with_raw_response.create(**asked)
    body = answer.parse()
    return body.choices[0].message.content, answer.headers.get("x-sprat-cache"), body


def test_a_second_equal_request_is_answered_without_the_upstream() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        first, second = said(gateway), said(gateway)
        assert (first[1], second[1], len(server.calls)) == ("miss", "hit", 1)
        assert first[0] == second[0]


def test_a_hit_has_an_id_of_its_own_and_keeps_usage() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        first, second = said(gateway)[2], said(gateway)[2]
        assert first.id != second.id
        assert first.usage == second.usage


def test_a_hit_costs_nothing_and_the_card_says_what_it_saved() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        said(gateway), said(gateway)
        paid, hit = gateway.kept
        assert paid.cost > 0
        assert hit.cost == 0
        assert f"${paid.cost:.3g} saved" in hit.card["facts"]["cache"]
        assert hit.model == "mock"


@pytest.mark.parametrize("asked", [{"temperature": 0.7}, {"n": 2}, {"top_p": 0.9, "temperature": None}])
def test_a_request_that_wants_variety_is_always_asked(asked: dict[str, Any]) -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        assert [said(gateway, **asked)[1] for _ in range(2)] == [None, None]
        assert len(server.calls) == 2


@pytest.mark.parametrize("asked", [{"temperature": 0.7, "seed": 3}, {"n": 2, "seed": 3}, {"temperature": 0, "seed": 0}])
def test_a_seed_makes_a_request_repeatable(asked: dict[str, Any]) -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        bodies = [said(gateway, **asked) for _ in range(2)]
        assert bodies[1][1] == "hit"
        assert bodies[0][2].choices == bodies[1][2].choices
        assert bodies[0][2].usage == bodies[1][2].usage


def test_any_temperature_is_the_operators_word() -> None:
    with MockServer() as server, caching(upstream(server), any_temperature=True) as gateway:
        assert [said(gateway, temperature=1)[1] for _ in range(2)] == ["miss", "hit"]


def test_an_endpoints_own_temperature_0_counts() -> None:
    with MockServer() as server, caching(upstream(server, temperature=0)) as gateway:
        gateway.openai().chat.completions.create(model="auto", messages=HELLO)
        gateway.openai().chat.completions.create(model="auto", messages=HELLO)
        assert len(server.calls) == 1


def test_without_a_cache_table_nothing_is_kept() -> None:
    with MockServer() as server, Running(upstream(server)) as gateway:
        assert [said(gateway)[1] for _ in range(2)] == [None, None]
        assert len(server.calls) == 2


def test_other_messages_options_or_models_are_other_requests() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        said(gateway)
        assert said(gateway, messages=[{"role": "user", "content": "hello you!"}])[1] == "miss"
        assert said(gateway, max_tokens=99)[1] == "miss"
        assert said(gateway, model="mock")[1] == "hit"  # auto is this very model


def test_what_says_nothing_does_not_count() -> None:
    wrapped = [{"role": "user", "content": [{"type": "text", "text": HELLO[0]["content"]}]}]
    with MockServer() as server, caching(upstream(server)) as gateway:
        said(gateway)
        assert said(gateway, messages=wrapped, n=1, stop=None, user="somebody", metadata={"a": "b"})[1] == "hit"


def streamed(gateway: Running, **more: Any) -> tuple[str, str | None, list[Any]]:
    client = gateway.openai().chat.completions.with_streaming_response
    with client.create(model="auto", messages=HELLO, temperature=0, stream=True, **more) as answer:
        chunks = list(answer.parse())
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        return text, answer.headers.get("x-sprat-cache"), chunks


def test_a_kept_whole_reply_can_be_streamed_and_the_other_way_round() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        whole, stream = said(gateway), streamed(gateway)
        assert (whole[0], "hit") == stream[:2]
    with MockServer() as server, caching(upstream(server)) as gateway:
        stream, whole = streamed(gateway), said(gateway)
        assert (stream[0], "hit") == whole[:2]
        assert whole[2].usage.completion_tokens > 0


def test_a_recorded_stream_is_a_valid_one_with_fresh_ids() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        first = streamed(gateway, stream_options={"include_usage": True}, logprobs=True)
        second = streamed(gateway, stream_options={"include_usage": True}, logprobs=True)
        assert first[0] == second[0]
        assert second[1] == "hit"
        assert {c.id for c in first[2]} & {c.id for c in second[2]} == set()
        assert first[2][-1].usage == second[2][-1].usage
        assert [c.choices[0].finish_reason for c in second[2] if c.choices][-1] == "stop"
        tokens = [[t.token for c in s if c.choices and c.choices[0].logprobs for t in c.choices[0].logprobs.content]
                  for s in (first[2], second[2])]  # fmt: skip
        assert tokens[0] == tokens[1] != []


def test_fields_that_only_the_upstream_knows_are_kept_in_a_stream() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        said(gateway, tools=TOOLS)
        _, cached, chunks = streamed(gateway, tools=TOOLS)
        calls = [t for c in chunks if c.choices for t in c.choices[0].delta.tool_calls or ()]
        assert cached == "hit"
        assert [c.function.arguments for c in calls] == ['{"city": "Oslo"}']


def test_a_reply_from_chat_is_given_to_anthropics_clients() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        text = said(gateway, max_tokens=50)[0]
        asked: Any = {"model": "auto", "messages": HELLO, "max_tokens": 50, "extra_body": {"temperature": 0}}
        message = gateway.anthropic().messages.create(**asked)
        with gateway.anthropic().messages.stream(**asked) as stream:
            assert stream.get_final_text() == text
        assert message.content[0].text == text
        assert len(server.calls) == 1


def test_a_client_can_go_past_it() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        said(gateway)
        assert said(gateway, extra_body={"sprat": {"cache": False}})[1] is None
        assert said(gateway, extra_headers={"cache-control": "no-store"})[1] is None
        assert said(gateway, extra_body={"sprat": {"cache": "refresh"}})[1] == "miss"
        assert said(gateway, extra_headers={"cache-control": "no-cache"})[1] == "miss"
        assert said(gateway)[1] == "hit"
        assert len(server.calls) == 5


def test_refresh_replaces_what_was_kept() -> None:
    answers = iter(["one", "two"])
    with MockServer(lambda _: next(answers)) as server, caching(upstream(server)) as gateway:
        said(gateway)
        said(gateway, extra_body={"sprat": {"cache": "refresh"}})
        assert said(gateway)[:2] == ("two", "hit")


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_that_was_cut_is_not_kept(stream: bool) -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        for _ in range(2):
            (streamed if stream else said)(gateway, max_tokens=1)
        assert len(server.calls) == 2


def test_an_error_is_not_kept() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        server.faults.append({"status": 500})
        status, _, _ = gateway.post("/v1/chat/completions", {"model": "auto", "messages": HELLO, "temperature": 0})
        assert status == 502
        assert said(gateway)[1] == "miss"


def test_half_a_stream_is_not_kept() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        server.faults.append({"half": 2})
        body = {"model": "auto", "messages": HELLO, "temperature": 0, "stream": True}
        assert "[DONE]" not in gateway.post("/v1/chat/completions", body)[2]
        assert said(gateway)[1] == "miss"


def test_a_techniques_reply_is_kept_without_what_it_took() -> None:
    way = cascade(
        Toy("small", "no", 0.1, trusted=-5.0), Toy("large", "yes", 1.0), trust=signals.logprob(), at_least=0.9
    )
    with caching(way) as gateway:
        first, second = said(gateway), said(gateway)
        assert (first[0], second[:2]) == ("yes", ("yes", "hit"))
        assert gateway.kept[1].trusts == {}
        assert "$1.1 saved" in gateway.kept[1].card["facts"]["cache"]


def test_a_hit_is_no_call_for_the_next_study() -> None:
    with MockServer() as server:
        served = of(upstream(server), store_prompts=True)
        with Running(replace(served, cache=CacheSettings())) as gateway:
            said(gateway), said(gateway)
    (example,) = dataset(gateway.kept, [], "here").examples
    assert [c.reply.cost for c in example.calls] == [gateway.kept[0].cost]


def test_the_same_file_read_again_has_the_same_fingerprints(tmp_path: Path) -> None:
    way = cascade(tiny("fry"), openai("m", "http://h/v1"), trust=signals.logprob(), at_least=0.5)
    dump(way, tmp_path / "serve.toml")
    marks = [{n: fingerprint(m) for n, m in load(tmp_path / "serve.toml").models.items()} for _ in range(2)]
    assert marks[0] == marks[1]


def test_too_old_a_reply_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with MockServer() as server, caching(upstream(server), ttl=60) as gateway:
        said(gateway)
        now = time.monotonic
        monkeypatch.setattr("sprat.gateway.caching.cache.time.monotonic", lambda: now() + 61)
        assert said(gateway)[1] == "miss"


@pytest.mark.parametrize(
    ("table", "named"),
    [({"exakt": True}, "exakt"), ({"ttl": 0}, "ttl"), ({"exact": 1}, "exact"), ({"semantic": 1.2}, "semantic")],
)
def test_a_wrong_cache_table_is_named(table: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=rf"serve\.toml, \[cache\].*{named}"):
        settings_of(table, "serve.toml")


def test_a_table_switches_the_exact_cache_on_and_the_semantic_one_not() -> None:
    found = settings_of({}, "serve.toml")
    assert found is not None
    assert (found.exact, found.semantic) == (True, 0.0)
    assert settings_of(None, "serve.toml") is None


def keyed(tmp_path: Path, server: MockServer, **settings: Any) -> tuple[Running, list[str]]:
    file = tmp_path / "sprat.db"
    with Store.read(file, create=True) as made:
        secrets = [keys.create(made.engine, name)[1] for name in ("a", "b")]
    gateway = caching(upstream(server), **settings)

    async def opening() -> Any:
        store = await Store.open(file)
        return await keys.Keys.open(store), store

    gateway.app.opening, gateway.app.open_keys = opening, False
    return gateway, secrets


@pytest.mark.parametrize(("shared", "found"), [(False, "miss"), (True, "hit")])
def test_keys_share_replies_only_where_they_are_told_to(tmp_path: Path, shared: bool, found: str) -> None:
    with MockServer() as server:
        gateway, (one, other) = keyed(tmp_path, server, shared=shared)
        with gateway:
            body = {"model": "auto", "messages": HELLO, "temperature": 0}
            heard = [
                gateway.post("/v1/chat/completions", body, authorization=f"Bearer {k}")[1]["x-sprat-cache"]
                for k in (one, other, one)
            ]
    assert heard == ["miss", found, "hit"]


def test_a_reload_with_other_models_forgets_what_they_answered() -> None:
    with MockServer() as server, caching(upstream(server)) as gateway:
        said(gateway)
        gateway.app.served = replace(of(upstream(server)), cache=CacheSettings())
        assert said(gateway)[1] == "hit"  # another object, the same model
        gateway.app.served = replace(of(upstream(server, top_p=0.5)), cache=CacheSettings())
        assert said(gateway)[1] == "miss"
        cache = gateway.app.cached.of(gateway.app.served)
        assert cache is not None
        assert len(cache.rows) == 1


def reply(text: str) -> Reply:
    return Reply(text, "m", finish="stop", cost=1.0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60_000)), max_size=60))
def test_it_never_holds_more_than_its_bound(puts: list[tuple[int, int]]) -> None:
    cache = Cache(CacheSettings(size_mb=0.25))
    for key, size in puts:
        cache.put(bytes([key]), "m", [reply("x" * size)])
        assert cache.size <= cache.most
        assert cache.size == sum(len(e.data) + 600 for e in cache.rows.values())


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = Cache(CacheSettings(size_mb=0.25))
    for key in b"abcdefghij":
        cache.put(bytes([key]), "m", [reply("x" * 30_000)])
        cache.get(b"a")
    assert cache.get(b"a") is not None
    assert cache.get(b"b") is None


def test_a_replys_words_come_back_as_they_were() -> None:
    cache = Cache(CacheSettings())
    one = Reply("hé", "m", ("h", "é"), (-0.5, -1.0), ({"h": -0.5}, {}), ({"id": "c"},), "stop", Usage(3, None), 0.5)
    entry = cache.put(b"k", "m", [one])
    assert entry is not None
    (found,) = read(entry)
    assert replace(found, cost=0.5, seconds=None, by="", because="") == one


def test_models_differ_by_their_weights_and_by_nothing_that_is_secret() -> None:
    a, b = openai("m", "http://h/v1", key=lambda: "one"), openai("m", "http://h/v1", key=lambda: "two")
    assert fingerprint(a) == fingerprint(b) != fingerprint(openai("m", "http://h/v2"))
    assert fingerprint(tiny("fry")) == fingerprint(tiny("fry")) != fingerprint(tiny("sprat"))


def test_the_tables_are_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    tables: dict[str, Any] = {"cache": {"ttl": 60, "semantic": 0.97}, "otel": {"endpoint": "http://h/v1/traces"}}
    dump(openai("m", "http://h/v1"), file, tables)
    found = load(file)
    assert found.cache == CacheSettings(ttl=60, semantic=0.97)
    assert found.otel is not None
    dump(openai("m", "http://h/v1"), file)
    assert load(file).cache is None
