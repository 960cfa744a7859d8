"""The circuit breaker by a clock that is set by hand, and over HTTP: an upstream that is down costs no waiting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from running import HELLO, Running

import sprat
from mock_server import MockServer
from sprat.endpoints.http import Call
from sprat.errors import EndpointError, Garbled, RateLimited, Refused, TimedOut, Unreachable
from sprat.gateway.telemetry.metrics import Metrics
from sprat.gateway.upstreams.breaker import Breakers, CircuitOpen, Rule

CHAT = "/v1/chat/completions"
CALL = Call("far", "http://there/v1/chat/completions", {"model": "m"})
OTHER = Call("far", "http://there/v1/chat/completions", {"model": "other"})
DOWN = Unreachable("No connection.")


class Clock:
    def __init__(self) -> None:
        self.now, self.breakers = 1000.0, Breakers(Rule(3, 30.0, 5.0), lambda: self.now)

    def fail(self, error: EndpointError = DOWN, call: Call = CALL) -> None:
        one = self.breakers.enter(call)
        one.failed(error)
        one.left()

    def answer(self, call: Call = CALL) -> None:
        one = self.breakers.enter(call)
        one.passed()
        one.left()

    @property
    def state(self) -> str:
        return self.breakers.status()[0]["state"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_opens_at_so_many_failures_that_are_half_of_the_calls(clock: Clock) -> None:
    for _ in range(3):
        clock.answer()
    for _ in range(2):
        clock.fail()
    assert clock.state == "closed"
    clock.fail(Garbled("?"))
    assert clock.state == "open"
    with pytest.raises(CircuitOpen, match="failed too often lately"):
        clock.answer()


def test_failures_before_the_window_do_not_count(clock: Clock) -> None:
    clock.fail()
    clock.fail()
    clock.now += 31
    clock.fail()
    assert clock.state == "closed"


def test_what_is_refused_is_an_answer(clock: Clock) -> None:
    for _ in range(9):
        clock.fail(Refused("Too long.", status=400))
    assert clock.state == "closed"


def test_another_model_of_the_same_upstream_is_asked(clock: Clock) -> None:
    for _ in range(3):
        clock.fail(TimedOut("late"))
    clock.answer(OTHER)


def opened(clock: Clock) -> None:
    for _ in range(3):
        clock.fail()


def test_it_is_asked_again_after_its_pause_one_probe_at_a_time(clock: Clock) -> None:
    opened(clock)
    clock.now += 5
    assert clock.state == "half-open"
    probe = clock.breakers.enter(CALL)
    with pytest.raises(CircuitOpen):
        clock.breakers.enter(CALL)
    probe.passed()
    assert clock.state == "closed"
    clock.answer()


def test_a_probe_that_fails_doubles_the_pause(clock: Clock) -> None:
    opened(clock)
    clock.now += 5
    clock.fail()
    assert clock.breakers.status()[0]["asked_in"] == 10
    clock.now += 10
    clock.fail()
    assert clock.breakers.status()[0]["asked_in"] == 20


def test_a_probe_whose_client_left_says_nothing(clock: Clock) -> None:
    opened(clock)
    clock.now += 5
    clock.breakers.enter(CALL).left()
    assert clock.state == "half-open"
    clock.answer()
    assert clock.state == "closed"


def test_a_probe_that_takes_long_does_not_keep_others_out(clock: Clock) -> None:
    opened(clock)
    clock.now += 5
    clock.breakers.enter(CALL)
    clock.now += 5
    clock.answer()
    assert clock.state == "closed"


def test_a_success_that_began_before_it_opened_does_not_close_it(clock: Clock) -> None:
    early = clock.breakers.enter(CALL)
    opened(clock)
    early.passed()
    assert clock.state == "open"


def test_it_stays_open_as_long_as_the_upstream_asked(clock: Clock) -> None:
    for _ in range(3):
        clock.fail(RateLimited("slow down", after=40.0))
    with pytest.raises(CircuitOpen) as caught:
        clock.answer()
    assert caught.value.after == 40


def test_streams_that_break_off_count_as_failures(clock: Clock) -> None:
    for _ in range(3):
        clock.answer()
        clock.breakers.broke(CALL, DOWN)
    assert clock.state == "open"


def test_switched_off_it_lets_all_through() -> None:
    clock = Clock()
    clock.breakers = Breakers(None, lambda: clock.now)
    for _ in range(99):
        clock.fail()
    clock.answer()


def test_a_new_rule_forgets_upstreams_that_are_gone(clock: Clock) -> None:
    opened(clock)
    clock.breakers.configure(Rule(), {"near"})
    assert clock.breakers.status() == []


# Over HTTP


@pytest.fixture
def up() -> Iterator[MockServer]:
    with MockServer() as made:
        yield made


def far(up: MockServer, name: str = "far", **more: Any) -> Any:
    return sprat.openai(name, up.url, "mock", **{"retries": 0, "timeout": 5.0, **more})


def ask(gateway: Running, stream: bool = False) -> tuple[int, Any, Any]:
    return gateway.post(CHAT, {"model": "auto", "messages": HELLO, "stream": stream})


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_is_down_is_not_asked_and_the_client_told_when(up: MockServer, stream: bool) -> None:
    up.faults += [{"status": 500}] * 3
    with Running(far(up), breaker_failures=3) as gateway:
        assert [ask(gateway, stream)[0] for _ in range(3)] == [502] * 3
        status, headers, said = ask(gateway, stream)
        page = gateway.get("/metrics")[2]
    assert (status, up.seen) == (503, 3)
    assert 1 <= int(headers["retry-after"]) <= 7
    assert "failed too often lately (its server failed)" in said["error"]["message"]
    assert 'sprat_upstream_open{upstream="far"} 1.0' in page


def test_retries_breaker_and_fallback_end_within_one_time(up: MockServer) -> None:
    import time

    up.faults += [{"status": 503, "after": "0"}] * 4
    both = sprat.fallback(far(up, "near", retries=9), far(up))
    with Running(both, breaker_failures=4) as gateway:
        began = time.monotonic()
        # Four attempts open the circuit, the fifth is not made; then the next model, under another name, is as dead.
        status, headers, _ = ask(gateway)
        took = time.monotonic() - began
        assert (status, up.seen) == (503, 4)
        assert headers["retry-after"]
        assert took < 5


def test_a_fallback_answers_at_once_where_the_first_is_known_to_be_down(up: MockServer) -> None:
    with MockServer() as dead:
        url = dead.url
    both = sprat.fallback(sprat.openai("near", url, "mock", retries=0), far(up))
    with Running(both, breaker_failures=2) as gateway:
        assert [ask(gateway)[0] for _ in range(3)] == [200] * 3
        states = {row["upstream"]: row["state"] for row in gateway.app.breakers.status()}
        assert states == {"near": "open", "far": "closed"}
        assert "too often lately" in str(gateway.kept[-1].card["asks"])


def test_an_upstream_that_begins_too_late_is_given_up(up: MockServer) -> None:
    up.faults.append({"stall": 30.0})
    with Running(sprat.fallback(far(up, "near", first_timeout=0.2), far(up))) as gateway:
        status, _, said = ask(gateway, stream=True)
    assert status == 200
    assert "[DONE]" in said
    assert "no answer in time" in str(gateway.kept[-1].card["asks"])


def test_openings_are_counted_in_the_metrics_and_never_taken_back() -> None:
    metrics = Metrics(["far"])
    row = {"upstream": "far", "state": "open", "opened": 3}
    metrics.upstreams([row])
    metrics.upstreams([row | {"opened": 1, "state": "closed"}])  # forgotten, and opened once since
    metrics.upstreams([row | {"opened": 2}, row | {"opened": 1, "state": "closed"}])
    page = metrics.page()[0].decode()
    assert 'sprat_upstream_opened_total{upstream="far"} 5.0' in page
    assert 'sprat_upstream_open{upstream="far"} 1.0' in page
