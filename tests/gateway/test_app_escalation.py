"""A draft that is watched behind the gateway: stopped at the upstream, replaced within the same stream, counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from running import HELLO, TOOLS, Running

import sprat
from mock_server import MockServer
from sprat.prices import Price
from sprat.signals import logprob

CHAT = "/v1/chat/completions"


def says(body: dict[str, Any]) -> str:
    return "from the large one" if body["model"] == "mock-large" else "a small draft of six words"


@pytest.fixture(scope="module")
def up() -> Iterator[MockServer]:
    with MockServer(says) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(up: MockServer) -> Iterator[Running]:
    told: dict[str, Any] = {"retries": 0, "timeout": 10.0}
    small = sprat.openai("small", up.url, "mock", price=Price(1.0, 2.0), logprobs=True, continuous_usage=True, **told)
    large = sprat.openai("large", up.url, "mock-large", price=Price(10.0, 20.0), **told)
    with Running(sprat.watchful(small, large, trust=logprob(first=3), at_least=0.5)) as made:
        yield made


def doubted(up: MockServer) -> dict[str, Any]:
    """What a client adds so that the mock's small model doubts, its stream held after two tokens."""
    up.faults.append({"hold": 3})
    return {"sure": -3.0}


def chat(gateway: Running, **more: Any) -> str:
    chunks = list(gateway.openai().chat.completions.create(model="auto", messages=HELLO, stream=True, extra_body=more))
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def messages(gateway: Running, **more: Any) -> str:
    with gateway.anthropic().messages.stream(model="auto", messages=HELLO, max_tokens=50, extra_body=more) as stream:
        return "".join(stream.text_stream)


def responses(gateway: Running, **more: Any) -> str:
    with gateway.openai().responses.stream(model="auto", input="hello you", extra_body=more) as stream:
        return stream.get_final_response().output_text if [*stream] else ""


@pytest.mark.parametrize("ask", [chat, messages, responses])
def test_on_doubt_the_large_model_takes_over_within_the_stream(gateway: Running, up: MockServer, ask: Any) -> None:
    assert ask(gateway, **doubted(up)) == "from the large one"
    assert up.left.acquire(timeout=5)  # the small one's connection was closed, not read to its end
    assert gateway.last.model == "large"


@pytest.mark.parametrize("ask", [chat, messages, responses])
def test_a_draft_that_is_trusted_is_streamed(gateway: Running, ask: Any) -> None:
    assert ask(gateway) == "a small draft of six words"
    assert gateway.last.model == "small"


def test_what_a_stopped_draft_took_is_counted(gateway: Running, up: MockServer) -> None:
    chat(gateway, **doubted(up))
    up.left.acquire(timeout=5)
    # Two tokens read by each; the small one had written one of six when it was doubted, the large one wrote four.
    paid = (2 * 1.0 + 1 * 2.0 + 2 * 10.0 + 4 * 20.0) / 1e6
    assert gateway.last.cost == pytest.approx(paid)


def test_the_card_says_why(gateway: Running, up: MockServer) -> None:
    chat(gateway, **doubted(up))
    up.left.acquire(timeout=5)
    said = gateway.last.card["facts"]["escalation"]
    assert said.startswith("small was stopped at $4e-06: logprob at most")
    assert said.endswith("large took over.")
    assert gateway.last.trusts["logprob"] < 0.5


def test_a_client_sees_the_first_byte_before_the_draft_ends(gateway: Running, up: MockServer) -> None:
    up.faults.append({"hold": 5})
    stream = gateway.openai().chat.completions.create(model="auto", messages=HELLO, stream=True)
    said = [next(stream).choices[0].delta.content or "" for _ in range(5)]
    assert "".join(said) == "a small draft of"
    stream.close()
    assert up.left.acquire(timeout=5)  # whoever leaves ends the draft too


def test_nothing_of_a_stopped_draft_is_sent(gateway: Running, up: MockServer) -> None:
    _, _, said = gateway.post(CHAT, {"model": "auto", "messages": HELLO, "stream": True, **doubted(up)})
    up.left.acquire(timeout=5)
    assert "small" not in said
    assert said.count("[DONE]") == 1


@pytest.mark.parametrize(
    "more", [{"tools": TOOLS}, {"response_format": {"type": "json_object"}}, {"n": 2}], ids=["tools", "json", "n"]
)
def test_with_tools_json_or_several_choices_nothing_is_watched(gateway: Running, up: MockServer, more: Any) -> None:
    before = len(up.calls)
    chat(gateway, sure=-3.0, **more)
    small = [c["body"] for c in up.calls[before:] if c["body"]["model"] == "mock"]
    assert small
    assert not any(body.get("stream") for body in small)
