"""OpenAI's text completions and embeddings through the gateway, by the official client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from running import Running

import sprat
from sprat.encoders import StaticEncoder
from sprat.gateway.served import of
from sprat.gateway.wire.completions import Completions
from sprat.gateway.wire.problem import Problem


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with Running(replace(of(sprat.tiny("sprat")), encoders={"static": StaticEncoder()})) as made:
        yield made


def ask(gateway: Running, **more: Any) -> Any:
    return gateway.openai().completions.create(**{"model": "auto", "prompt": "sort 31 4 15:", **more})


def test_a_prompt_is_answered(gateway: Running) -> None:
    found = ask(gateway)
    assert (found.choices[0].text, found.choices[0].finish_reason, found.usage.completion_tokens) == (
        "4 15 31",
        "stop",
        8,
    )


def test_log_probabilities_are_in_the_old_shape(gateway: Running) -> None:
    found = ask(gateway, logprobs=2).choices[0].logprobs
    assert "".join(found.tokens) == "4 15 31"
    assert [len(t) for t in found.top_logprobs] == [2] * 7
    assert found.text_offset == list(range(7))


def test_a_stream_adds_up(gateway: Running) -> None:
    parts = list(ask(gateway, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.text for p in parts for c in p.choices) == "4 15 31"
    assert parts[-1].usage.total_tokens == 22


@pytest.mark.parametrize("more", [{"echo": True}, {"suffix": "x"}, {"best_of": 3}])
def test_what_a_chat_model_can_not_do_is_refused(gateway: Running, more: Any) -> None:
    assert gateway.post("/v1/completions", {"model": "auto", "prompt": "sort 1:", **more})[0] == 400


@pytest.mark.parametrize("prompt", [None, ["a", "b"], [[1, 2]], 3])
def test_one_prompt_is_asked_at_a_time(prompt: Any) -> None:
    with pytest.raises(Problem, match="one string"):
        Completions().read({"model": "m", "prompt": prompt})


def test_an_upstream_that_completes_text_is_asked_to() -> None:
    from sprat.gateway.upstreams.passthrough import Passed

    model = sprat.openai("m", "http://127.0.0.1:9/v1", "theirs", continues="completions")
    passed = Passed(model, True, False, ("completions", {"model": "auto", "prompt": "p", "echo": True}))
    call = passed._posted(*passed.route)  # type: ignore[misc]
    assert call.url == "http://127.0.0.1:9/v1/completions"
    told = {"model": "theirs", "prompt": "p", "echo": True, "stream_options": {"include_usage": True}}
    assert call.body == told


def test_embeddings_are_the_encoders(gateway: Running) -> None:
    found = gateway.openai().embeddings.create(model="static", input=["a cat", "a dog"])
    rows = np.array([d.embedding for d in found.data], np.float32)
    assert np.allclose(rows, StaticEncoder().encode(["a cat", "a dog"]))


def test_embeddings_come_as_numbers_too(gateway: Running) -> None:
    found = gateway.openai().embeddings.create(model="static", input="a cat", encoding_format="float")
    assert len(found.data[0].embedding) == StaticEncoder().dim


@pytest.mark.parametrize("more", [{"input": []}, {"input": [1, 2]}, {"dimensions": 3}, {"encoding_format": "x"}])
def test_bad_input_for_embeddings_is_named(gateway: Running, more: Any) -> None:
    status, _, said = gateway.post("/v1/embeddings", {"model": "static", "input": "x", **more})
    assert (status, said["error"]["param"]) == (400, next(iter(more)))


def test_embeddings_are_logged(gateway: Running) -> None:
    gateway.openai().embeddings.create(model="static", input="a cat")
    asyncio.run(asyncio.sleep(0.05))
    assert (gateway.kept[-1].dialect, gateway.kept[-1].model) == ("embeddings", "static")
