"""The OpenAI-compatible endpoint against a mock with scripted faults."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sprat.endpoints.http as http
from mock_server import MockServer, said_to
from sprat.core import Can, Piece, Reply
from sprat.endpoints import openai
from sprat.errors import BadInput, Garbled, RateLimited, Refused, ServerFailed, SpratError, TimedOut, Unreachable
from sprat.prices import Price

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
KEY = "sk-planted-0123456789"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.01)


def endpoint(server: MockServer, **options: object):
    return openai("small", server.url, "mock", **options)


def streamed(model: object, asked: str, **options: object) -> list[Piece]:
    async def collect() -> list[Piece]:
        return [p async for p in model.stream(asked, **options)]

    return asyncio.run(collect())


def test_a_call_gives_text_usage_and_seconds(server: MockServer) -> None:
    reply = endpoint(server)("abc")
    assert (reply.text, reply.finish, reply.model) == ("so: cba", "stop", "small")
    assert reply.usage.input_tokens == 1
    assert reply.usage.output_tokens == 2
    assert reply.seconds > 0


def test_cost_is_price_times_usage(server: MockServer) -> None:
    reply = endpoint(server, price=Price(1.0, 10.0, per_call=0.5))("abc")
    assert reply.cost == pytest.approx(0.5 + (1 * 1.0 + 2 * 10.0) / 1e6)


def test_an_unknown_price_is_an_unknown_cost(server: MockServer) -> None:
    assert endpoint(server)("abc").cost is None


def test_options_messages_and_tools_pass_through_untouched(server: MockServer) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "abc"}, image], "name": "eve"}]
    reply = endpoint(server, temperature=0.5)(asked, tools=[TOOL], made_up={"deep": [1]}, temperature=0)
    body = server.calls[0]["body"]
    assert body["messages"] == asked
    assert (body["tools"], body["made_up"], body["temperature"]) == ([TOOL], {"deep": [1]}, 0)
    assert reply.tool_calls[0]["function"]["name"] == "weather"
    assert reply.text is None


def test_tool_results_go_back_in_a_second_turn(server: MockServer) -> None:
    model = endpoint(server)
    call = model("abc", tools=[TOOL])
    result = {"role": "tool", "tool_call_id": call.tool_calls[0]["id"], "content": "4 degrees"}
    turn = [{"role": "user", "content": "abc"}, call.raw["choices"][0]["message"], result]
    assert model(turn, tools=[TOOL]).text == "so: " + "4 degrees"[::-1]


def test_logprobs_are_read_where_declared(server: MockServer) -> None:
    model = endpoint(server, logprobs=True, top_logprobs=1)
    reply = model("abc")
    assert model.can == Can.LOGPROBS
    assert reply.tokens == ("so:", " cba")
    assert reply.logprobs == (-0.25, -0.25)
    assert reply.top_logprobs == ({"x": -3.0},) * 2


def test_a_model_gives_text_alone_unless_declared(server: MockServer) -> None:
    assert endpoint(server).can == Can.TEXT
    assert endpoint(server)("abc").logprobs is None


@pytest.mark.parametrize("options", [{}, {"tools": [TOOL]}, {"max_tokens": 1}, {"logprobs": True, "top_logprobs": 1}])
def test_a_stream_comes_to_the_same_reply(server: MockServer, options: dict[str, object]) -> None:
    from dataclasses import replace

    pieces = streamed(endpoint(server), "abc déf", **options)
    reply, whole = pieces[-1].reply, endpoint(server)("abc déf", **options)
    assert replace(reply, seconds=None) == replace(whole, seconds=None)
    assert "".join(p.text for p in pieces) == (whole.text or "")


def test_a_stream_gives_the_servers_chunks(server: MockServer) -> None:
    raws = [p.raw for p in streamed(endpoint(server), "abc") if p.raw]
    assert [r["object"] for r in raws] == ["chat.completion.chunk"] * 5
    assert raws[-1]["usage"]["completion_tokens"] == 2


def test_a_line_separator_inside_a_chunk_does_not_break_the_stream() -> None:
    with MockServer(lambda body: "one\u2028two\u0085three four") as server:
        assert streamed(endpoint(server), "abc")[-1].reply.text == "one\u2028two\u0085three four"


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"status": 429, "after": "0.01"}, {"reset": True}])
def test_what_may_pass_is_retried(server: MockServer, fault: dict[str, object]) -> None:
    server.faults += [fault, fault]
    assert endpoint(server)("abc").text == "so: cba"
    assert server.seen == 3


def test_every_attempt_of_a_call_carries_one_idempotency_key(server: MockServer) -> None:
    server.faults += [{"reset": True}, {"reset": True}]
    endpoint(server)("abc")
    assert (server.seen, len(server.calls)) == (3, 1)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 500}, ServerFailed),
        ({"status": 429, "after": "0.02"}, RateLimited),
        ({"status": 429, "code": "insufficient_quota"}, Refused),
        ({"status": 400}, Refused),
        ({"garbage": True}, Garbled),
        ({"reset": True}, Unreachable),
        ({"stall": 0.5}, TimedOut),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_each_failure_is_its_own_error(
    server: MockServer, fault: dict[str, object], kind: type, streaming: bool
) -> None:
    server.faults += [fault] * 3
    model = endpoint(server, retries=0, timeout=0.3)
    with pytest.raises(kind, match="'small'"):
        streamed(model, "abc") if streaming else model("abc")


def test_a_refusal_is_not_retried(server: MockServer) -> None:
    server.faults += [{"status": 400}]
    with pytest.raises(Refused):
        endpoint(server)("abc")
    assert server.seen == 1


def test_retries_come_to_an_end(server: MockServer) -> None:
    server.faults += [{"status": 500}] * 9
    with pytest.raises(ServerFailed):
        endpoint(server, retries=2)("abc")
    assert server.seen == 3


def test_retry_after_reads_seconds_and_dates() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert http.retry_after("1.5") == 1.5
    assert 97 < http.retry_after(soon) <= 100
    assert http.retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert http.retry_after("soon") is None


@given(st.one_of(st.text(), st.from_regex(r"Mon, \d+ Jan \d+ \d\d:\d+:00( GMT| [+-]\d+)", fullmatch=True)))
def test_retry_after_says_seconds_or_nothing_whatever_stands_there(value: str) -> None:
    found = http.retry_after(value)
    assert found is None or 0 <= found < float("inf")


def test_retry_after_is_kept(server: MockServer) -> None:
    server.faults += [{"status": 429, "after": "0.2"}]
    began = time.perf_counter()
    endpoint(server)("abc")
    assert time.perf_counter() - began >= 0.2


def test_a_wait_longer_than_the_time_left_fails_at_once(server: MockServer) -> None:
    server.faults += [{"status": 429, "after": "60"}]
    with pytest.raises(RateLimited) as caught:
        endpoint(server, timeout=2)("abc")
    assert caught.value.after == 60


def test_nothing_is_retried_once_a_piece_has_come(server: MockServer) -> None:
    server.faults += [{"half": 3}]
    with pytest.raises(Unreachable):
        streamed(endpoint(server), "abc")
    assert server.seen == 1


def test_a_failure_before_the_first_piece_of_a_stream_is_retried(server: MockServer) -> None:
    server.faults += [{"status": 500}]
    assert streamed(endpoint(server), "abc")[-1].reply.text == "so: cba"


def test_a_404_names_the_model_and_lists_what_is_there(server: MockServer) -> None:
    with pytest.raises(Refused, match=r"'mok'; the server offers: mock, mock-large. Did you mean 'mock'"):
        openai("small", server.url, "mok")("abc")


def test_a_401_names_the_variable_and_never_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with MockServer(key="another") as server, pytest.raises(Refused, match="MY_KEY") as caught:
        endpoint(server, key_env="MY_KEY")("abc")
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_401_without_a_key_says_which_variable_to_set() -> None:
    with MockServer(key="another") as server, pytest.raises(Refused, match="Set the environment variable MY_KEY"):
        endpoint(server, key_env="MY_KEY")("abc")


def test_the_key_comes_from_the_environment_or_a_callable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with MockServer(key=KEY) as server:
        assert endpoint(server, key_env="MY_KEY")("abc").ok
        assert endpoint(server, key=lambda: KEY)("abc").ok


def test_openais_key_is_not_sent_to_another_server(server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    endpoint(server)("abc")
    assert "authorization" not in server.calls[0]["headers"]


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(server: MockServer) -> None:
    with pytest.raises(BadInput) as caught:
        endpoint(server, key=lambda: KEY + "\nx")("abc")
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_the_key_is_in_no_log_and_no_repr(
    monkeypatch: pytest.MonkeyPatch, server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    model = endpoint(server, key_env="MY_KEY")
    with caplog.at_level(logging.DEBUG):
        reply = model("abc")
        streamed(model, "abc")
    assert KEY not in caplog.text + repr(model) + repr(reply) + str(reply.raw)


def test_an_unreachable_server_is_said_in_a_sentence() -> None:
    with pytest.raises(Unreachable, match=r"'small' at http://127.0.0.1:9/v1/chat/completions can't be reached"):
        openai("small", "http://127.0.0.1:9/v1", retries=0)("abc")


def test_a_model_without_url_says_where_to_fill_it_in() -> None:
    from dataclasses import replace

    with pytest.raises(BadInput, match=r"Fill in its url in serve\.toml, line 3"):
        replace(openai("small"), where="serve.toml, line 3")("abc")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "http://user:pw@x/v1", "http://x/v1?key=1"])
def test_a_url_that_is_not_a_plain_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        openai("small", url)


def test_a_batch_gives_replies_and_errors_in_order(server: MockServer) -> None:
    with MockServer(lambda body: said_to(body), lacks=("bad",)) as picky:
        from sprat.core import Request

        many = [Request.of("ab"), Request.of("cd", bad=1), Request.of("ef")]
        first, second, third = endpoint(picky).answer_many(many)
    assert (first.text, third.text) == ("so: ba", "so: fe")
    assert isinstance(second, Refused)


def test_calls_share_connections(server: MockServer) -> None:
    model = endpoint(server)
    for _ in range(5):
        model("abc")
    assert server.connections == 1


def test_a_loop_of_its_own_has_its_own_client(server: MockServer) -> None:
    async def twice() -> list[Reply]:
        return [await endpoint(server).ask("abc") for _ in range(2)]

    assert [r.text for _ in range(2) for r in asyncio.run(twice())] == ["so: cba"] * 4


def test_samples_with_a_seed_have_their_own(server: MockServer) -> None:
    from sprat.core import Request

    endpoint(server).answer_many([Request.of("abc", seed=5).drawn(i) for i in range(2)])
    assert sorted(c["body"]["seed"] for c in server.calls) == [5, 6]


def test_a_server_that_does_not_stream_is_read_whole(server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from mock_wire import openai_completion

    def answer(writer: object, parts: object, half: object) -> object:
        return server._send(writer, 200, openai_completion("whole", {"messages": [], "model": "mock"}, 0))

    async def whole(writer: object, parts: object, half: object) -> object:
        return answer(writer, parts, half)

    monkeypatch.setattr(server, "_stream", whole)
    assert streamed(endpoint(server), "abc")[-1].reply.text == "whole"


def test_every_error_is_one_of_ours(server: MockServer) -> None:
    server.faults += [{"garbage": True}]
    with pytest.raises(SpratError, match="did not answer with JSON"):
        endpoint(server)("abc")
