"""fallback: which model answers when one fails before or after its first words; what is streamed is returned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.combine import fallback
from sprat.core import Endpoint, Piece, Reply, Request
from sprat.drivers import stream
from sprat.errors import EndpointError, Refused, Unreachable

Q = Request.of("q", max_tokens=9)
WORDS = ("one ", "two ", "three ", "four")


@dataclass(frozen=True, repr=False)
class Breaks(Endpoint):
    """Says WORDS, from where the last message ends if it is an assistant's, and breaks after `holds` words."""

    name: str
    holds: int = 99
    continues: str = "prefill"

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        said = [self._left(r) for r in requests]
        return [Reply("".join(s), self.name) if self.holds > len(s) else Unreachable("It broke.") for s in said]

    def _left(self, request: Request) -> tuple[str, ...]:
        last = request.messages[-1]
        begun = last["content"] if last["role"] == "assistant" else ""
        assert "".join(WORDS).startswith(begun)
        return WORDS[len(begun.split()) :]

    async def pieces(self, request: Request) -> AsyncGenerator[Piece, None]:
        for i, word in enumerate(self._left(request)):
            if i == self.holds:
                raise Unreachable("It broke.", billable=True)
            yield Piece(word, (word,))
        yield Piece(reply=Reply("".join(self._left(request)), self.name, tokens=WORDS, cost=1.0))


async def streamed(model: Any, request: Request = Q) -> tuple[str, Reply | None, EndpointError | None]:
    text, last = "", None
    try:
        async for piece in stream(model, request):
            text, last = text + piece.text, piece.reply
    except EndpointError as error:
        return text, None, error
    return text, last, None


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["", "prefill", "chat"])), min_size=1, max_size=4))
def test_the_stream_is_the_reply_and_never_two_models_answers(parts: list[tuple[int, str]]) -> None:
    models = [Breaks(f"m{i}", n if n < 4 else 99, how) for i, (n, how) in enumerate(parts)]
    text, reply, error = asyncio.run(streamed(fallback(*models)))
    assert "".join(WORDS).startswith(text)
    if error is None:
        assert reply is not None
        assert reply.text == text == "".join(WORDS)
    else:
        assert not any(m.holds == 99 and m.continues == "chat" for m in models)


def test_while_the_first_answers_it_is_that_model() -> None:
    first, reply, _ = asyncio.run(streamed(fallback(Breaks("a"), Breaks("b"))))
    assert (first, reply.model if reply else "", len(reply.asks) if reply else 0) == ("".join(WORDS), "a", 1)


def test_a_failure_before_the_first_word_goes_to_the_next_model() -> None:
    text, reply, _ = asyncio.run(streamed(fallback(Breaks("a", 0, ""), Breaks("b", 99, ""))))
    assert (text, reply.model if reply else "") == ("".join(WORDS), "b")


def test_after_the_first_word_the_next_model_that_can_goes_on() -> None:
    text, reply, _ = asyncio.run(streamed(fallback(Breaks("a", 2), Breaks("b", 99, ""), Breaks("c", 99, "chat"))))
    assert reply is not None
    assert (text, reply.model, [a.model for a in reply.asks]) == ("".join(WORDS), "c", ["a", "c"])
    assert reply.asks[1].because.endswith("It goes on after 2 pieces of 'a'.")
    assert reply.cost is None  # what broke off may have been billed


def test_where_none_can_go_on_the_failure_is_the_end() -> None:
    text, _, error = asyncio.run(streamed(fallback(Breaks("a", 2), Breaks("b", 99, ""))))
    assert text == "one two "
    assert isinstance(error, Unreachable)


def test_a_prefill_that_would_end_in_a_space_is_not_tried() -> None:
    _, _, error = asyncio.run(streamed(fallback(Breaks("a", 2), Breaks("b", 99, "prefill"))))
    assert isinstance(error, Unreachable)


def test_it_can_break_twice() -> None:
    model = fallback(Breaks("a", 1), Breaks("b", 1, "chat"), Breaks("c", 99, "chat"))
    text, reply, _ = asyncio.run(streamed(fallback(model)))
    assert (text, reply.text if reply else "") == ("".join(WORDS), "".join(WORDS))


def test_a_fallback_within_a_fallback_keeps_what_was_seen() -> None:
    text, reply, _ = asyncio.run(
        streamed(fallback(fallback(Breaks("a", 1), Breaks("b", 1, "chat")), Breaks("c", 99, "chat")))
    )
    assert (text, reply.model if reply else "") == ("".join(WORDS), "c")


def test_the_rest_is_asked_with_the_rest_of_the_limit_and_told_to_go_on() -> None:
    from sprat.combine.going_on import going_on

    asked = going_on(Breaks("a", 99, "chat"), Q, [Piece("one "), Piece("two ", ("t", "wo "))])
    assert asked.messages[-1] == {"role": "assistant", "content": "one two "}
    told = {"continue_final_message": True, "add_generation_prompt": False}
    assert asked.options == {"max_tokens": 6, **told}


@pytest.mark.parametrize("options", [{"tools": [{}]}, {"response_format": {"type": "json_object"}}])
def test_tools_and_json_are_never_gone_on_with(options: dict[str, Any]) -> None:
    model = fallback(Breaks("a", 2), Breaks("b", 99, "chat"))
    text, _, error = asyncio.run(streamed(model, Request.of(Q, **options)))
    assert text == "one two "
    assert error is not None


def test_a_refusal_goes_to_the_next_model_too() -> None:
    @dataclass(frozen=True, repr=False)
    class Refuses(Breaks):
        async def pieces(self, request: Request) -> AsyncGenerator[Piece, None]:
            raise Refused("Too long.", status=400)
            yield

    assert asyncio.run(streamed(fallback(Refuses("a"), Breaks("b"))))[0] == "".join(WORDS)


def test_a_reply_that_two_models_wrote_is_not_the_last_ones_own() -> None:
    from sprat.gateway.promise.pairs import is_own

    model = fallback(Breaks("a", 2), Breaks("c", 99, "chat"))
    _, both, _ = asyncio.run(streamed(model))
    _, own, _ = asyncio.run(streamed(fallback(Breaks("c", 99, "chat"))))
    assert both is not None
    assert own is not None
    assert (is_own(model, both, "c"), is_own(model, own, "c")) == (False, True)
