"""What an upstream answers that is JSON but of another shape: never the gateway's own failure, whatever the dialect."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import HELLO, SORT, TOOLS, Running

import sprat
from mock_server import MockServer
from mock_wire import anthropic_event_bodies, anthropic_message, openai_chunk_bodies, openai_completion
from sprat.prices import Price

ASKED: dict[str, Any] = {"model": "mock", "messages": HELLO, "logprobs": True, "top_logprobs": 1}
CALLED: dict[str, Any] = {**ASKED, "tools": TOOLS}
COUNTED = {"stream_options": {"include_usage": True}}
WHOLE: dict[str, list[Any]] = {
    "openai": [openai_completion("a b", ASKED, 1), openai_completion("a b", CALLED, 1)],
    "anthropic": [anthropic_message("a b", ASKED, 1), anthropic_message("a b", CALLED, 1)],
}
STREAMS: dict[str, list[list[Any]]] = {
    "openai": [openai_chunk_bodies("a b", {**body, **COUNTED}, 1) for body in (ASKED, CALLED)],
    "anthropic": [anthropic_event_bodies("a b", body, 1) for body in (ASKED, CALLED)],
}
DIALECTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO, "logprobs": True, "sprat": {"card": True}},
    "/v1/messages": {"messages": HELLO, "max_tokens": 9},
    "/v1/responses": {"input": "hello you"},
    "/v1/completions": {"prompt": "hello you", "logprobs": 1},
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-5, 7, 2000, 10**9, 10**400, 1.5, 1e308, "", "x", "9" * 5000, "\ud800", "[" * 5000, "[1]"]),
    st.recursive(
        st.one_of(st.none(), st.integers(-2, 2), st.text(max_size=2)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=2),
            st.dictionaries(st.sampled_from(["index", "text", "type", "id", "function", "content"]), inner, max_size=2),
        ),
        max_leaves=3,
    ),
)


def places(found: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a document."""
    if at:
        yield at
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for name, value in inner:
        yield from places(value, (*at, name))


def mutated(draw: Any, found: Any) -> Any:
    """The document with one value exchanged."""
    made = copy.deepcopy(found)
    *way, last = draw(st.sampled_from(list(places(made))))
    holder = made
    for step in way:
        holder = holder[step]
    holder[last] = draw(ODD)
    return made


@st.composite
def answers(draw: Any, kind: str) -> dict[str, Any]:
    """What a server of this kind answers, a value in it exchanged: whole, or as a stream where one is asked for."""
    one = draw(st.sampled_from([0, 1]))
    events = [json.dumps(e) for e in mutated(draw, STREAMS[kind][one])]
    ended = ["data: [DONE]\n\n"] if kind == "openai" else []
    return {"body": mutated(draw, WHOLE[kind][one]), "events": [f"data: {e}\n\n" for e in events] + ended}


class Odd:
    """A gateway whose first model answers what a test says, and whose second one answers well."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> Odd:
        self.bad, self.good = MockServer(), MockServer()
        self.bad.__enter__()
        self.good.__enter__()
        made: Any = sprat.openai if self.kind == "openai" else sprat.anthropic
        first = made("a", self.bad.url, "mock", retries=0, price=Price(1.0, 1.0), timeout=5.0)
        model = sprat.fallback(first, sprat.openai("mock", self.good.url))
        self.gateway = Running(model, breaker=False).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.__exit__()
        self.bad.__exit__()
        self.good.__exit__()

    def ask(self, fault: dict[str, Any], path: str, stream: bool) -> tuple[int, str]:
        self.bad.faults[:] = [fault]
        lacks = ("logprobs",) if self.kind == "anthropic" else ()
        body = {k: v for k, v in {"model": "auto", "stream": stream, **DIALECTS[path]}.items() if k not in lacks}
        status, _, said = self.gateway.post(path, body)
        return status, str(said)


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def odd(request: pytest.FixtureRequest) -> Iterator[Odd]:
    with Odd(request.param) as made:
        yield made


@given(data=st.data())
def test_whatever_an_upstream_answers_is_no_failure_of_the_gateways(odd: Odd, data: st.DataObject) -> None:
    fault = data.draw(answers(odd.kind))
    path, stream = data.draw(st.sampled_from(list(DIALECTS))), data.draw(st.booleans())
    status, said = odd.ask(fault, path, stream)
    # A stream of which a part was seen can't be begun anew: it ends in the upstream's error.
    assert status == 200 or (stream and status == 502)
    assert "internal_error" not in said
    assert "The gateway failed" not in said


CHOICE: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": "bad"}, "finish_reason": "stop"}


def said(**more: Any) -> dict[str, Any]:
    return {"choices": [{**CHOICE, "message": {"role": "assistant", "content": "bad", **more}}]}


@pytest.mark.parametrize(
    "body",
    [
        said(content=5),
        said(content={}),
        said(content=[1]),
        said(refusal=5),
        said(tool_calls=[1]),
        said(tool_calls="abc"),
        said(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"a": 1}}}]),
        {"choices": [{**CHOICE, "finish_reason": ["a"]}]},
        {"choices": [{**CHOICE, "logprobs": {"content": [{"token": "a", "logprob": "x"}]}}]},
    ],
)
@pytest.mark.parametrize("odd", ["openai"], indirect=True)
def test_the_next_model_answers_where_one_answers_in_another_shape(odd: Odd, body: dict[str, Any]) -> None:
    assert "uoy olleh" in odd.ask({"body": body}, "/v1/messages", False)[1]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("body", [said(content=5), {"choices": []}])
def test_answers_of_another_shape_open_the_circuit(path: str, body: dict[str, Any]) -> None:
    with MockServer() as up, Running(sprat.openai("a", up.url, "mock", retries=0)) as gateway:
        up.faults += [{"body": body}] * 6
        asked = {"model": "auto", **DIALECTS[path]}
        for _ in range(6):
            gateway.post(path, asked)
        assert gateway.app.breakers.status()[0]["opened"] == 1


def test_a_stream_of_another_shape_counts_against_its_server() -> None:
    with MockServer() as up, Running(sprat.openai("a", up.url, "mock", retries=0)) as gateway:
        up.faults += [{"events": ['data: {"choices": [{"index": 0, "delta": {"content": 5}}]}\n\n']}] * 6
        for _ in range(6):
            gateway.post("/v1/messages", {"model": "auto", "stream": True, **DIALECTS["/v1/messages"]})
        assert gateway.app.breakers.status()[0]["opened"] == 1


@pytest.mark.parametrize("count", [10**400, 2**53, True, "5", 1.5, -1])
def test_what_is_no_count_of_tokens_is_unknown_in_the_ledger(count: Any) -> None:
    body = {"choices": [CHOICE], "usage": {"prompt_tokens": count, "completion_tokens": 1}}
    with MockServer() as up, Running(sprat.openai("a", up.url, "mock", retries=0, price=Price(1.0, 1.0))) as gateway:
        up.faults.append({"body": body})
        gateway.post("/v1/chat/completions", {"model": "auto", "messages": SORT})
        assert (gateway.kept[0].status, gateway.kept[0].input_tokens, gateway.kept[0].cost) == (200, None, None)


def test_a_server_that_has_moved_is_said_to_have_moved() -> None:
    with MockServer() as up, Running(sprat.openai("a", up.url, "mock", retries=0)) as gateway:
        up.faults.append({"status": 302})
        found = gateway.post("/v1/chat/completions", {"model": "auto", "messages": SORT})[2]
    assert found["error"]["message"] == "'a' has moved."
