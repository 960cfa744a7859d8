"""What a reply is charged: remote parts by their calls, wherever they are; parts that were never looked at nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tiny_server import TinyServer

import sprat
from sprat import decoding
from sprat.core import Reply, Request
from sprat.errors import Refused, ServerFailed
from sprat.prices import Price
from sprat.whitebox.writing import streamed

BIG, SMALL, FRY = (sprat.tiny(name) for name in ("mackerel", "sprat", "fry"))
PRICED = Price(1.0, 1.0)


@pytest.fixture(scope="module")
def server() -> Iterator[TinyServer]:
    with TinyServer() as made:
        yield made


def tuned(large: Any, alpha: float = 0.5) -> Any:
    return decoding.proxy_tune(large, tuned=SMALL, untuned=FRY, alpha=alpha)


WAYS: dict[str, Callable[[Any], Any]] = {
    "speculate": lambda far: decoding.speculate(tuned(far), FRY, 3),
    "draft apart": lambda far: decoding.speculate(BIG, decoding.told(far, name="draft"), 3),
    "choose": lambda far: decoding.choose(tuned(far), ["19", "20"]),
    "pmi": lambda far: decoding.choose(far, ["19", "20"], by="pmi"),
    "search": lambda far: decoding.search(tuned(far), tuned=SMALL, untuned=FRY, beams=2, samples=2, chunk=2),
    "pair": lambda far: decoding.search(BIG, tuned=far, untuned=FRY, beams=2, samples=2, chunk=2),
    "steered": lambda far: decoding.steered(far, ["1"], name="steered"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_call_of_a_remote_part_is_counted(way: str, server: TinyServer) -> None:
    server.calls.clear()
    reply = WAYS[way](decoding.remote(server.endpoint(price=PRICED), BIG))("12+7=")
    (paid,) = reply.decoded.told["paid"].values()
    assert paid["calls"] == len(server.calls) > 0
    tokens = sum(len(body["prompt"]) + 1 for _, body in server.calls)
    assert paid["cost"] == pytest.approx(tokens / 1e6)
    assert any(part.cost == paid["cost"] for part in reply.asks or (reply,))


@pytest.mark.parametrize("way", ["speculate", "choose", "search"])
def test_the_rung_is_said_and_what_it_cost(way: str, server: TinyServer) -> None:
    reply = WAYS[way](server.remote())("12+7=")
    assert (reply.decoded.told["rung"], len(reply.decoded.told["lost"])) == ("logprobs", 2)
    assert "share a floor" in reply.because


def test_how_a_draft_is_asked_costs_no_guarantee(server: TinyServer) -> None:
    reply = decoding.speculate(BIG, server.remote(), 3)("12+7=")
    assert not {"rung", "lost", "because"} & set(reply.decoded.told)


class Failing(TinyServer):
    """Answers twice, then no more."""

    status = 500

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return super().answer(path, body) if len(self.calls) < 3 else (self.status, {"error": {"message": "down"}})


@pytest.mark.parametrize(("price", "cost"), [(PRICED, 15e-6), (None, None)])
def test_what_was_answered_before_a_failure_is_paid(price: Price | None, cost: float | None) -> None:
    with Failing() as server:
        far = decoding.remote(server.endpoint(price=price), BIG)
        reply = sprat.fallback(tuned(far), BIG)("12+7=")
        assert (reply.text, reply.asks[0].cost) == ("19", cost and pytest.approx(cost))


def test_so_it_is_in_a_stream() -> None:
    with Failing() as server:
        far = tuned(decoding.remote(server.endpoint(price=PRICED), BIG))
        with pytest.raises(ServerFailed) as caught:
            list(streamed(far, Request.of("12+7=")))
        assert caught.value.spent == pytest.approx(15e-6)


def test_an_error_before_any_call_cost_nothing() -> None:
    with Failing() as server:
        server.calls = [("", {})] * 3
        server.status = 400
        with pytest.raises(Refused) as caught:
            decoding.remote(server.endpoint(), BIG)("12+7=")
        assert caught.value.spent == 0.0


def test_an_explanation_says_what_asking_again_took(server: TinyServer) -> None:
    reply = tuned(decoding.remote(server.endpoint(price=PRICED), BIG))("12+7=")
    server.calls.clear()
    paid = reply.explain().paid["far-top20"]
    assert (paid["calls"], paid["cost"]) == (len(server.calls), reply.asks[0].cost)
    assert reply.explain().row()["paid"] == {"far-top20": paid}
    assert "paid" not in BIG("12+7=").explain().row()


def charged(reply: Reply) -> dict[str, tuple[int | None, int | None]]:
    parts = reply.asks or (reply,)
    return {p.model: (p.usage.input_tokens, p.usage.output_tokens) if p.usage else (None, None) for p in parts}


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (tuned(BIG, 0.0), {"mackerel"}),
        (tuned(BIG, 1.0), {"mackerel", "sprat", "fry"}),
        (BIG + 0.0 * FRY, {"mackerel"}),
        (0.0 * FRY + BIG, {"mackerel"}),
        (decoding.choose(tuned(BIG, 0.0), ["19", "20"]), {"mackerel"}),
    ],
)  # fmt: skip
def test_parts_that_are_not_looked_at_are_not_charged(model: Any, asked: set[str]) -> None:
    reply = model("12+7=")
    assert {name for name, usage in charged(reply).items() if usage != (0, 0)} == asked
    assert reply.cost == pytest.approx(sum(part.cost for part in reply.asks))
    assert reply.usage.input_tokens == BIG("12+7=").usage.input_tokens


def test_a_draft_that_rests_is_not_charged() -> None:
    fast = decoding.speculate(BIG, FRY)
    fast.pace.off, fast.pace.due = True, 10**6
    reply, plain = fast("12+7="), BIG("12+7=")
    assert (charged(reply)["fry"], reply.cost) == ((0, 0), plain.cost)


def test_nor_is_one_in_a_batch() -> None:
    for reply, plain in zip(
        decoding.speculate(BIG, FRY).batch(["12+7=", "9-3="]), BIG.batch(["12+7=", "9-3="]), strict=True
    ):
        assert (charged(reply)["fry"], reply.cost) == ((0, 0), plain.cost)


def test_a_part_that_is_asked_late_is_charged_what_it_read(server: TinyServer) -> None:
    model = decoding.cogenesis(server.endpoint(price=PRICED), SMALL, "logits", schedule=(0, 1, 0))
    reply = model("<private></private>12+7=")
    assert charged(reply)["far-top10"] == (0, 0)
    assert reply.cost == SMALL("12+7=").cost


def test_rows_of_a_batch_are_each_charged_their_own_tokens() -> None:
    replies = tuned(BIG).batch(["12+7=", "reverse shark:", "1+1="])
    assert all({usage[1] for usage in charged(r).values()} == {r.usage.output_tokens} for r in replies)
