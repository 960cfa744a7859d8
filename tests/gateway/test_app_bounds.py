"""What a client may not do: hide its usage, end a stream by its text, understate its longest reply, stall the loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from running import HELLO, Running

from mock_server import MockServer
from sprat import openai, tiny
from sprat.aquarium import recordings
from sprat.core import Request
from sprat.gateway.served import longest_of
from sprat.gateway.upstreams.passthrough import Sniffer, call_of
from sprat.gateway.wire.asked import checked
from sprat.gateway.wire.problem import Problem


def test_usage_is_asked_for_whatever_the_client_says() -> None:
    asked = Request.of("hi", stream_options={"include_usage": False})
    body: Any = call_of(openai("m", "http://localhost:1/v1"), asked, True).body
    assert body["stream_options"]["include_usage"] is True


@pytest.mark.parametrize(
    ("event", "ends"),
    [(b"data: [DONE]\n\n", True), (b"data:[DONE]\n\n", True), (b'data: {"content": "data: [DONE]"}\n\n', False)],
)
def test_a_stream_ends_by_its_own_line_not_by_what_the_text_says(event: bytes, ends: bool) -> None:
    sniffer = Sniffer(keep_usage=True)
    sniffer.take(b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n' + event)
    assert sniffer.done is ends


def test_the_longest_of_two_limits_counts() -> None:
    assert longest_of({"max_completion_tokens": 1, "max_tokens": 10**9}) == 10**9


@pytest.mark.parametrize("options", [{"max_tokens": 10**400}, {"stream_options": [1]}])
def test_options_of_no_reasonable_kind_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Problem):
        checked(options)


def test_a_models_name_of_no_reasonable_length_is_refused_and_not_said_back() -> None:
    with Running(tiny("fry")) as gateway:
        status, _, body = gateway.post("/v1/chat/completions", {"model": "x" * 100_000, "messages": HELLO})
    assert status == 400
    assert len(str(body)) < 1000


def test_a_key_of_ours_that_does_not_hold_is_no_anonymous_one() -> None:
    with Running(tiny("fry")) as gateway:
        told = {"authorization": "Bearer sk-sprat-gone"}
        status, _, _ = gateway.post("/v1/chat/completions", {"model": "auto", "messages": HELLO}, **told)
    assert status == 401


def test_a_request_that_failed_after_a_model_was_asked_costs_an_unknown_amount() -> None:
    with MockServer(lambda _: "yes") as up, Running(openai("down", up.url, retries=0)) as gateway:
        up.faults.append({"status": 500})
        assert gateway.post("/v1/chat/completions", {"model": "auto", "messages": HELLO})[0] == 502
    assert gateway.kept[0].cost is None


def test_what_came_before_an_upstreams_error_is_not_lost() -> None:
    sniffer = Sniffer(keep_usage=True)
    said = b'data: {"choices": [{"delta": {"content": "kept"}}]}\n\n'
    assert sniffer.take(said + b'data: {"error": {"message": "broken"}}\n\n') == said
    assert sniffer.error == {"message": "broken"}


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_count_is_kept_back_however_the_upstream_ends_its_lines(end: bytes) -> None:
    sniffer = Sniffer(keep_usage=False)
    said = b'data: {"choices": [{"delta": {"content": "kept"}, "finish_reason": "stop"}]}' + end * 2
    count = b'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}' + end * 2
    out = sniffer.take(said + count + b"data: [DONE]" + end * 2)
    assert (b"kept" in out, b"usage" in out, sniffer.done) == (True, False, True)
    assert sniffer.usage[0] is not None


def test_events_with_either_end_of_line_are_let_through_as_soon_as_they_are_whole() -> None:
    sniffer = Sniffer(keep_usage=True)
    assert sniffer.take(b"data: {}\n\ndata: {}\r\n\r\ndata:") == b"data: {}\n\ndata: {}\n\n"


def test_a_model_whose_name_has_a_slash_can_be_looked_up() -> None:
    with Running(
        replace(tiny("fry"), name="org/fry", weights=str(recordings().parent / "weights/fry.safetensors"))
    ) as g:
        assert g.get("/v1/models/org/fry")[0] == g.get("/v1/models/org%2Ffry")[0] == 200
