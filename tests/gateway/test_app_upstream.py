"""A real upstream behind the gateway: what passes, what is kept back, what its faults become."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from running import HELLO, TOOLS, Running

import sprat
from mock_server import MockServer
from sprat.prices import Price
from sprat.signals import random

CHAT = "/v1/chat/completions"
SECRET = "sk-upstream-secret"


@pytest.fixture(scope="module")
def up() -> Iterator[MockServer]:
    with MockServer(key=SECRET) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(up: MockServer) -> Iterator[Running]:
    told: dict[str, Any] = {"key": lambda: SECRET, "retries": 0, "timeout": 5.0}
    small = sprat.openai("small", up.url, "mock", price=Price(1.0, 2.0), **told)
    large = sprat.openai("large", up.url, "mock-large", price=Price(10.0, 20.0), **told)
    with Running(
        sprat.route(small, large, trust=random()), breaker=False
    ) as made:  # its faults are one after the other
        yield made


def body_at(up: MockServer) -> dict[str, Any]:
    return up.calls[-1]["body"]


def test_unknown_fields_are_kept_and_the_gateways_own_are_not(gateway: Running, up: MockServer) -> None:
    sent = {"model": "small", "messages": HELLO, "nucleus": {"deep": [1]}, "sprat": {"thread": "t"}}
    gateway.post(CHAT, sent)
    assert body_at(up) == {"model": "mock", "messages": HELLO, "nucleus": {"deep": [1]}}


def test_a_whole_reply_passes_byte_by_byte(gateway: Running, up: MockServer) -> None:
    _, _, said = gateway.post(CHAT, {"model": "small", "messages": HELLO})
    assert said["id"] == f"chatcmpl-{up.calls[-1]['number']}"
    assert gateway.kept[-1].cost == pytest.approx((2 * 1.0 + 3 * 2.0) / 1e6)


def test_auto_passes_bytes_too_and_knows_what_they_cost(gateway: Running) -> None:
    _, headers, said = gateway.post(CHAT, {"model": "auto", "messages": HELLO})
    assert said["id"].startswith("chatcmpl-")
    assert len(said["id"]) < 16
    assert headers["x-sprat-model"] in ("small", "large")
    assert float(headers["x-sprat-cost"]) > 0


def test_images_are_not_touched(gateway: Running, up: MockServer) -> None:
    parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    gateway.post(CHAT, {"model": "auto", "messages": [{"role": "user", "content": parts}]})
    assert body_at(up)["messages"][0]["content"] == parts


def test_a_stream_is_the_upstreams_own_without_the_count(gateway: Running, up: MockServer) -> None:
    chunks = list(gateway.openai().chat.completions.create(model="small", messages=HELLO, stream=True))
    assert body_at(up)["stream_options"] == {"include_usage": True}
    assert all(c.choices for c in chunks)
    assert (gateway.kept[-1].input_tokens, gateway.kept[-1].output_tokens) == (2, 3)


def test_a_stream_keeps_the_count_where_the_client_asked(gateway: Running) -> None:
    told = {"stream": True, "stream_options": {"include_usage": True}}
    *_, last = gateway.openai().chat.completions.create(model="auto", messages=HELLO, **told)
    assert last.usage.completion_tokens == 3


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called(gateway: Running, stream: bool) -> None:
    asked = {"model": "auto", "messages": HELLO, "tools": TOOLS}
    if stream:
        with gateway.openai().chat.completions.stream(**asked) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = gateway.openai().chat.completions.create(**asked).choices[0].message
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Oslo"}


def test_tool_results_and_formats_go_on(gateway: Running, up: MockServer) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    turns = [*HELLO, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "5"}]
    asked = {"messages": turns, "response_format": {"type": "json_object"}, "seed": 7, "stop": ["x"], "logprobs": True}
    gateway.post(CHAT, {"model": "auto", **asked})
    assert {k: body_at(up)[k] for k in asked} == asked


def test_several_samples_of_a_pinned_model_are_the_upstreams(gateway: Running, up: MockServer) -> None:
    before = len(up.calls)
    _, _, said = gateway.post(CHAT, {"model": "small", "messages": HELLO, "n": 2})
    assert (len(said["choices"]), len(up.calls) - before) == (2, 1)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"status": 500}, 502),
        ({"status": 503}, 503),
        ({"status": 400, "said": "too long"}, 400),
        ({"status": 401}, 502),
        ({"status": 404}, 502),
        ({"garbage": True}, 502),
        ({"reset": True}, 502),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_fault_has_its_status(
    gateway: Running, up: MockServer, fault: Any, status: int, stream: bool
) -> None:
    up.faults.append(fault)
    found, _, said = gateway.post(CHAT, {"model": "small", "messages": HELLO, "stream": stream})
    assert (found, set(said["error"])) == (status, {"message", "type", "param", "code"})
    assert gateway.kept[-1].status == status


def test_an_upstreams_words_to_the_client_are_kept(gateway: Running, up: MockServer) -> None:
    up.faults.append({"status": 400, "said": "context too long"})
    assert "context too long" in gateway.post(CHAT, {"model": "small", "messages": HELLO})[2]["error"]["message"]


def test_a_limited_upstream_says_when_to_come_back(gateway: Running, up: MockServer) -> None:
    up.faults.append({"status": 429, "after": "7"})
    status, headers, said = gateway.post(CHAT, {"model": "small", "messages": HELLO})
    assert (status, int(headers["retry-after"]) >= 7, said["error"]["type"]) == (429, True, "rate_limit_error")


def test_a_stream_that_breaks_says_so_within(gateway: Running, up: MockServer) -> None:
    import openai

    up.faults.append({"half": 3})
    stream = gateway.openai().chat.completions.create(model="small", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match=r"broke|ended"):
        list(stream)


def test_a_client_that_leaves_ends_the_call(gateway: Running, up: MockServer) -> None:
    up.faults.append({"stall": 3.0})
    connection = http.client.HTTPConnection("127.0.0.1", gateway.at)
    connection.request("POST", CHAT, json.dumps({"model": "small", "messages": HELLO}))
    time.sleep(0.2)
    connection.close()
    until = time.monotonic() + 2
    while gateway.kept[-1].status != 499 and time.monotonic() < until:
        time.sleep(0.01)
    assert (gateway.kept[-1].status, gateway.app.working) == (499, 0)


def test_no_error_holds_the_upstreams_key_or_address(gateway: Running, up: MockServer) -> None:
    up.faults += [{"status": s, "said": f"wrong key {SECRET} at host"} for s in (400, 401, 429, 500)]
    for _ in range(4):
        said = str(gateway.post(CHAT, {"model": "small", "messages": HELLO})[2])
        assert SECRET not in said
        assert str(up.port) not in said


def test_what_an_upstream_refused_is_told_to_the_operator_alone(
    up: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    up.faults += [{"status": 404, "said": f"The model mistyped does not exist; key {SECRET}"}] * 2
    far = sprat.openai("far", up.url, "mistyped", key=lambda: SECRET, retries=0)
    with Running(far) as gateway:
        for _ in range(2):
            assert "mistyped" not in str(gateway.post(CHAT, {"model": "auto", "messages": HELLO})[2])
    assert "HTTP 404: The model mistyped does not exist" in gateway.kept[-1].error
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert ["HTTP 404: The model mistyped does not exist" in line for line in told] == [True]  # once in a minute
    assert SECRET not in gateway.kept[-1].error + told[0]


def test_what_never_was_sent_costs_nothing() -> None:
    nobody = sprat.openai("nobody", "http://127.0.0.1:9/v1", "mock", retries=0)
    with Running(nobody, breaker_failures=1) as gateway:
        found = [gateway.post(CHAT, {"model": "auto", "messages": HELLO})[0] for _ in range(2)]
    assert found == [502, 503]
    assert [e.cost for e in gateway.kept] == [0.0, 0.0]


def test_the_cost_of_an_attempt_before_the_circuit_opened_stays_unknown(up: MockServer) -> None:
    up.faults.append({"status": 500, "after": "0"})
    far = sprat.openai("far", up.url, "mock", key=lambda: SECRET, retries=3)
    with Running(far, breaker_failures=1) as gateway:
        assert gateway.post(CHAT, {"model": "auto", "messages": HELLO})[0] == 503
    assert gateway.kept[0].cost is None


def test_embeddings_of_a_model_that_has_none_are_refused(gateway: Running) -> None:
    assert gateway.post("/v1/embeddings", {"model": "auto", "input": "x"})[0] == 404
