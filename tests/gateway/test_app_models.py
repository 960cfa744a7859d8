"""Models of the aquarium through the gateway, asked by the official client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from running import SORT, Running

import sprat
from sprat.signals import logprob


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    way = sprat.cascade(sprat.tiny("sprat"), sprat.tiny("mackerel"), trust=logprob(), at_least=0.9)
    with Running(way) as made:
        yield made


def chat(gateway: Running, **more: Any) -> Any:
    return gateway.openai().chat.completions.create(**{"model": "auto", "messages": SORT, **more})


def test_a_reply_is_that_of_the_model_itself(gateway: Running) -> None:
    assert chat(gateway, model="mackerel").choices[0].message.content == sprat.tiny("mackerel")(SORT).text


def test_the_way_is_called_auto(gateway: Running) -> None:
    found = chat(gateway)
    assert (found.model, found.choices[0].message.content) == ("sprat", "4 15 31")


def test_a_whole_reply_fits_the_official_type(gateway: Running) -> None:
    from openai.types.chat import ChatCompletion

    body = {"model": "auto", "messages": SORT, "logprobs": True, "top_logprobs": 2}
    made = ChatCompletion.model_validate(gateway.post("/v1/chat/completions", body)[2], strict=True)
    assert made.choices[0].logprobs is not None


def test_a_stream_says_the_role_first_and_why_it_ends_last(gateway: Running) -> None:
    chunks = list(chat(gateway, model="sprat", stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "4 15 31"


def test_a_stream_comes_in_pieces(gateway: Running) -> None:
    assert sum(bool(c.choices[0].delta.content) for c in chat(gateway, model="sprat", stream=True)) > 3


def test_a_stream_counts_tokens_where_asked_to(gateway: Running) -> None:
    *_, last = chat(gateway, stream=True, stream_options={"include_usage": True})
    assert (last.choices, last.usage.total_tokens) == ([], 22)


def test_several_samples_are_several_choices(gateway: Running) -> None:
    found = chat(gateway, n=3, temperature=1.5, seed=5)
    alone = [sprat.tiny("sprat")(sprat.Request.of(SORT, temperature=1.5, seed=5).drawn(i)).text for i in range(3)]
    assert [c.index for c in found.choices] == [0, 1, 2]
    assert len({c.message.content for c in found.choices} | set(alone)) <= 6


def test_several_samples_stream_by_their_index(gateway: Running) -> None:
    chunks = list(chat(gateway, n=2, stream=True))
    assert {c.choices[0].index for c in chunks if c.choices[0].finish_reason} == {0, 1}


def test_stop_ends_a_reply(gateway: Running) -> None:
    assert chat(gateway, stop=" 15").choices[0].message.content == "4"


def test_the_longest_reply_is_kept(gateway: Running) -> None:
    found = chat(gateway, max_tokens=2)
    assert (found.choices[0].finish_reason, found.usage.completion_tokens) == ("length", 2)


def test_the_decision_is_in_the_headers(gateway: Running) -> None:
    raw = gateway.openai().chat.completions.with_raw_response.create(model="auto", messages=SORT)
    assert raw.headers["x-sprat-model"] == "sprat"
    assert raw.headers["x-sprat-decision"].startswith("cascade; logprob=0.99")
    assert float(raw.headers["x-sprat-cost"]) > 0


def test_a_card_comes_with_the_reply_on_request(gateway: Running) -> None:
    card = chat(gateway, extra_body={"sprat": {"card": True}}).sprat
    assert set(card["options"]) == {"sprat", "mackerel"}
    assert card["trusts"][0]["signal"] == "logprob"
    assert card["drawing"].startswith("cascade → sprat")


def test_a_card_comes_with_a_stream_on_request(gateway: Running) -> None:
    chunks = list(chat(gateway, stream=True, extra_body={"sprat": {"card": True}}))
    assert chunks[-1].sprat["way"] == "cascade"


def test_a_decision_can_be_read_later_without_the_text(gateway: Running) -> None:
    number = (
        gateway.openai().chat.completions.with_raw_response.create(model="auto", messages=SORT).headers["x-sprat-id"]
    )
    status, _, card = gateway.get(f"/sprat/decisions/{number}")
    assert (status, card["id"]) == (200, number)
    assert "4 15 31" not in str(card)
    assert "└─ sprat" in gateway.get(f"/sprat/decisions/{number}", accept="text/plain")[2]


def test_a_pinned_model_answers(gateway: Running) -> None:
    assert chat(gateway, extra_body={"sprat": {"model": "mackerel"}}).model == "mackerel"


def test_a_maximum_cost_keeps_to_what_is_sure(gateway: Running) -> None:
    most = {"sprat": {"max_cost": 3e-5}}
    assert chat(gateway, max_tokens=8, extra_body=most).model == "sprat"


def test_a_request_is_logged_with_its_trusts_and_without_its_prompt(gateway: Running) -> None:
    chat(gateway)
    last = gateway.kept[-1]
    assert (last.model, last.way, last.dialect, last.output_tokens) == ("sprat", "cascade", "chat", 8)
    assert 0.9 < last.trusts["logprob"] < 1
    assert last.request is None
    assert last.reference_cost > last.cost
    assert "31" not in str(last.card["asks"].get("text"))


def test_models_are_listed_in_both_dialects(gateway: Running) -> None:
    assert [m.id for m in gateway.openai().models.list()] == ["auto", "sprat", "mackerel"]
    assert [m.id for m in gateway.anthropic().models.list()] == ["auto", "sprat", "mackerel"]
    assert gateway.openai().models.retrieve("sprat").id == "sprat"


def test_metrics_count_by_model_and_bound_their_labels(gateway: Running) -> None:
    gateway.post("/v1/chat/completions", {"model": "no-such-model", "messages": SORT})
    chat(gateway)
    page = gateway.get("/metrics")[2]
    assert 'sprat_requests_total{dialect="chat",model="sprat",status="200"}' in page
    assert "no-such-model" not in page
    assert 'model="other"' in page
