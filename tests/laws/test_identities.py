"""Laws of the techniques: what each of them is at its limits."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from test_drivers_agree import outcome, tried
from trees import REQUESTS, Hunch, models, toys

from sprat.combine import best_of, cascade, fallback, route, vote
from sprat.core import Reply, Request
from sprat.drivers import batch


def paid(reply: Reply) -> float | None:
    costs = [leaf.cost for leaf in reply.leaves()]
    return None if None in costs else sum(c for c in costs if c is not None)


@given(models(), REQUESTS)
def test_a_combination_of_one_model_is_that_model(model: Any, request: Request) -> None:
    for combine in (cascade, route, vote, fallback):
        assert tried(combine(model), request) == tried(model, request)


@given(toys(), toys(), REQUESTS)
def test_a_cascade_at_least_0_is_the_first_unless_that_fails(a: Any, b: Any, request: Request) -> None:
    assert tried(cascade(a, b, at_least=0), request) == tried(fallback(a, b), request)


@given(toys(), toys(), REQUESTS)
def test_a_cascade_above_1_is_the_last(a: Any, b: Any, request: Request) -> None:
    assert tried(cascade(a, b, at_least=1.01), request) == tried(b, request)


@given(toys(), toys(), REQUESTS)
def test_a_route_at_least_0_is_the_first_unless_that_fails_and_above_1_the_last(
    a: Any, b: Any, request: Request
) -> None:
    ends = [tried(route(a, b, at_least=t), request) for t in (0, 1.01)]
    assert ends == [tried(fallback(a, b), request), tried(b, request)]


@given(models(), REQUESTS)
def test_best_of_one_draw_is_the_model(model: Any, request: Request) -> None:
    assert tried(best_of(model, trust=Hunch()), request) == tried(model, request)


@given(models(), REQUESTS)
def test_the_cost_is_the_sum_of_the_leaves_even_where_it_failed(model: Any, request: Request) -> None:
    reply = batch(model, [request])[0]
    assert reply.cost == paid(reply)


@given(models(until=False), REQUESTS)
def test_a_failed_combination_keeps_what_it_paid(model: Any, request: Request) -> None:
    reply = batch(fallback(model, model, model), [request])[0]
    assert reply.cost == paid(reply)


@given(models(), REQUESTS)
def test_affinity_is_a_function_of_the_opening(model: Any, request: Request) -> None:
    assume(request.thread != "")  # what stands alone has no turns
    turn = {"role": "assistant", "content": "41"}, {"role": "user", "content": "and now?"}
    later = Request((*request.messages, *turn), {"temperature": 1}, thread=request.thread)
    assert later.affinity == request.affinity == later.opening.affinity


@given(toys(failing=False), toys(failing=False), REQUESTS)
def test_a_route_sends_a_later_turn_where_the_opening_went(a: Any, b: Any, request: Request) -> None:
    assume(request.thread != "")
    model = route(a, b, trust=Hunch(3), at_least=0.5)
    turn = {"role": "assistant", "content": "41"}, {"role": "user", "content": "and now?"}
    later = Request((*request.messages, *turn), thread=request.thread)
    assert model(later).model == model(request).model


@given(models(), REQUESTS)
def test_the_same_request_gets_the_same_reply(model: Any, request: Request) -> None:
    assert outcome(batch(model, [request])[0]) == outcome(batch(model, [request])[0])
