"""What the ledger keeps of a served request: all that was said, in time, and good for the next study."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from running import SORT, Running

from mock_server import MockServer
from sprat import cascade, openai, route, signals, tiny
from sprat.gateway.ledger.exchange import Exchange
from sprat.gateway.ledger.study_rows import dataset

WAY = cascade(tiny("fry"), tiny("mackerel"), trust=signals.logprob(), at_least=0.9999)


def test_what_every_model_said_is_kept_for_a_study() -> None:
    with Running(WAY, store_prompts=True) as gateway:
        said = gateway.openai().chat.completions.create(model="auto", messages=SORT).choices[0].message.content
    (example,) = dataset(gateway.kept, [], "here").examples
    assert example.request.text == SORT[0]["content"]
    assert {call.model: call.reply.text for call in example.calls} == {
        "fry": tiny("fry")(SORT).text,
        "mackerel": said,
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("alone", [True, False])
def test_what_passed_as_bytes_is_kept_for_a_study_too(stream: bool, alone: bool) -> None:
    with MockServer() as server:
        one = openai("mock", server.url)
        way = one if alone else route(one, tiny("fry"), trust=signals.length(), at_least=0.0)
        with Running(way, store_prompts=True) as gateway:
            answer = gateway.openai().chat.completions.create(model="auto", messages=SORT, stream=stream)
            list(answer) if stream else answer
    (example,) = dataset(gateway.kept, [], "here").examples
    (call,) = example.calls
    assert (call.model, call.reply.text) == ("mock", "so: :51 4 13 tros")


def test_without_being_asked_to_it_keeps_no_prompt() -> None:
    with Running(WAY) as gateway:
        gateway.openai().chat.completions.create(model="auto", messages=SORT)
    assert gateway.kept[0].request is gateway.kept[0].reply is None


class Slow(Running):
    """A store whose commit waits until it is let go."""

    def __init__(self, model: Any, **settings: Any) -> None:
        super().__init__(model, **settings)
        self.commit, self.asked = threading.Event(), threading.Event()

    async def record(self, exchange: Exchange) -> bool:
        import asyncio

        self.asked.set()
        done = await asyncio.to_thread(self.commit.wait, 10)
        self.kept.append(exchange)
        return done


def test_a_durable_reply_does_not_end_before_its_commit() -> None:
    for stream in (False, True):
        with Slow(tiny("fry"), durable=True) as gateway:
            ended = threading.Event()

            def ask(gateway: Any = gateway, stream: bool = stream, ended: Any = ended) -> None:
                answer = gateway.openai().chat.completions.create(model="auto", messages=SORT, stream=stream)
                list(answer) if stream else answer
                ended.set()

            threading.Thread(target=ask, daemon=True).start()
            assert gateway.asked.wait(10)
            assert not ended.wait(0.2)
            gateway.commit.set()
            assert ended.wait(10)
            assert len(gateway.kept) == 1
