"""What is refused, in which words, in which dialect; and that no word is a secret."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import pytest
from running import HELLO, SORT, Running

import sprat
from sprat.gateway.wire.problem import problem_of

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with Running(sprat.tiny("sprat"), body_limit=10_000, header_limit=4_000) as made:
        yield made


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"stop": [1]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"model": 3}, "model"),
        ({"sprat": {"modle": "x"}}, "sprat.modle"),
        ({"sprat": []}, "sprat"),
        ({"sprat": {"max_cost": -1}}, "sprat.max_cost"),
        ({"sprat": {"max_cost": 1e-12}}, "sprat.max_cost"),
        ({"sprat": {"min_quality": 0.9}}, "sprat.min_quality"),
    ],
)
def test_a_bad_field_is_named(gateway: Running, change: Any, param: str) -> None:
    status, _, said = gateway.post(CHAT, {"model": "auto", "messages": SORT, **change})
    assert (status, said["error"]["param"]) == (400, param)


def test_a_body_that_is_no_json_is_refused(gateway: Running) -> None:
    assert gateway.post(CHAT, b"{nope")[0] == 400
    assert gateway.post(CHAT, b"[]")[0] == 400
    assert gateway.post(CHAT, b"[" * 5000)[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        rb'{"model": "auto", "user": "\ud800"}',
        rb'{"model": "auto", "user": NaN}',
        rb'{"model": "auto", "metadata": {"a": [-1e999]}}',
    ],
)
def test_a_body_that_can_not_be_handed_on_is_refused(gateway: Running, body: bytes) -> None:
    assert gateway.post(CHAT, body[:-1] + rb', "messages": [{"role": "user", "content": "sort 1:"}]}')[0] == 400


def test_a_whole_character_may_be_escaped(gateway: Running) -> None:
    assert (
        gateway.post(
            CHAT, rb'{"model": "auto", "user": "\ud83d\ude00", "messages": [{"role":"user","content":"sort 1:"}]}'
        )[0]
        == 200
    )


def test_a_model_that_is_not_served_is_404(gateway: Running) -> None:
    import openai

    with pytest.raises(openai.NotFoundError, match=r"There is no model 'auot'\. Did you mean 'auto'"):
        gateway.openai().chat.completions.create(model="auot", messages=HELLO)


def test_an_address_that_is_not_there_is_404(gateway: Running) -> None:
    assert gateway.get("/v2/anything")[0] == 404


def test_a_wrong_method_is_405(gateway: Running) -> None:
    assert gateway.get(CHAT)[0] == 405


def test_a_long_body_is_413(gateway: Running) -> None:
    assert gateway.post(CHAT, b" " * 20_000)[0] == 413


def test_a_long_body_that_hides_its_length_is_413(gateway: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.at, timeout=10)
    connection.request("POST", CHAT, body=iter([b" " * 8000] * 3), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_long_headers_are_431(gateway: Running) -> None:
    assert gateway.post(CHAT, {}, x_long="x" * 5000)[0] == 431


def test_a_web_page_needs_a_key(gateway: Running) -> None:
    assert gateway.post(CHAT, {"model": "auto", "messages": SORT}, origin="http://evil.example")[0] == 401


def test_a_text_that_a_model_can_not_read_is_the_clients_fault(gateway: Running) -> None:
    status, _, said = gateway.post(CHAT, {"model": "auto", "messages": [{"role": "user", "content": "привет"}]})
    assert (status, said["error"]["type"]) == (400, "invalid_request_error")


def test_tools_are_refused_by_a_model_that_has_none(gateway: Running) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert gateway.post(CHAT, {"model": "auto", "messages": SORT, "tools": tools})[0] == 400


def test_too_many_at_once_are_turned_away(gateway: Running) -> None:
    gateway.app.working = 10**6
    status, headers, _ = gateway.post(CHAT, {"model": "auto", "messages": SORT})
    gateway.app.working = 0
    assert (status, headers["retry-after"]) == (429, "2")


def test_readyz_says_that_it_drains(gateway: Running) -> None:
    assert gateway.get("/readyz")[0] == 200
    gateway.app.draining = True
    assert gateway.get("/readyz")[0] == 503
    assert gateway.post(CHAT, {"model": "auto", "messages": SORT})[0] == 503
    gateway.app.draining = False
    assert gateway.get("/healthz")[2] == "ok\n"


def test_a_fault_of_the_gateway_tells_nothing() -> None:
    problem = problem_of(ValueError("the password is 12345"))
    assert problem.status == 500
    assert "12345" not in problem.message
