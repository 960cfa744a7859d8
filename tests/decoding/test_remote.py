"""A remote part over real HTTP on loopback, against the same compositions over the same model's own logits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_server import TinyServer

import sprat
from sprat import config, decoding
from sprat.core import Request
from sprat.decoding.remote import Remote, floor_of, remote
from sprat.decoding.spelled import spelled
from sprat.decoding.verify import verify
from sprat.endpoints.completions import Named
from sprat.errors import BadInput, CannotDo, Garbled, Refused
from sprat.whitebox.arrays import log_softmax
from sprat.whitebox.pool import Pool
from sprat.whitebox.scoring import logprobs

BIG, SMALL, FRY = (sprat.tiny(name) for name in ("mackerel", "sprat", "fry"))
PROMPTS = ["12+7=", "sort 31 4 15:", "reverse shark:", "max 7 120 43:", "roman 44:"]

COMPOSED = {
    "alone": lambda large: large,
    "proxy_tune": lambda large: decoding.proxy_tune(large, tuned=SMALL, untuned=FRY, alpha=0.5),
    "contrast": lambda large: decoding.contrast(large, FRY),
    "mix": lambda large: decoding.mix(large, SMALL, 0.7),
    "dexperts": lambda large: decoding.dexperts(large, expert=SMALL, anti=FRY, alpha=0.5),
}


@pytest.fixture(scope="module")
def server() -> Iterator[TinyServer]:
    with TinyServer() as made:
        yield made


def test_the_floor_by_hand() -> None:
    # .5 + .3 named of 6 tokens: .2 over 4 others is .05 each, less than .3.
    assert floor_of(np.log([0.5, 0.3]), 6) == pytest.approx(math.log(0.05))
    # .4 + .1 named of 4: .5 over 2 others would be .25, more than the least named.
    assert floor_of(np.log([0.4, 0.1]), 4) == pytest.approx(math.log(0.1))


def test_where_nothing_is_left_the_floor_is_finite() -> None:
    assert floor_of(np.log([0.75, 0.25]), 4) == pytest.approx(math.log(1e-6 / 2))
    assert math.isfinite(floor_of(np.log([1.0]), 1))


def test_an_unnamed_token_never_beats_a_named_one(server: TinyServer) -> None:
    session = server.remote(top=3).open(1)
    scores = session.feed(np.array([BIG.vocabulary.prompt(Request.of("12+7=").messages)]), keep=1)[0, 0]
    assert scores.argmax() == server.after(BIG.prompt(Request.of("12+7="))).argmax()
    assert np.sort(scores)[-4] <= np.sort(scores)[-3] < 0
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", COMPOSED)
def test_with_every_token_named_it_is_the_local_composition(name: str, server: TinyServer) -> None:
    far, near = COMPOSED[name](server.remote(top=-1)), COMPOSED[name](BIG)
    assert [far(p).text for p in PROMPTS] == [near(p).text for p in PROMPTS]


def test_sampled_too_where_the_base_is_local(server: TinyServer) -> None:
    far, near = decoding.mix(SMALL, server.remote(top=-1), 0.3), decoding.mix(SMALL, BIG, 0.3)
    options = {"temperature": 1.0, "seed": 3}
    assert [far(p, **options).text for p in PROMPTS] == [near(p, **options).text for p in PROMPTS]


def test_the_logits_agree_at_every_place(server: TinyServer) -> None:
    ids = np.array([BIG.prompt(Request.of("12+7=19"))])
    far, near = server.remote(top=-1).open(1).feed(ids), log_softmax(BIG.open(1).feed(ids))
    assert np.abs(far - near).max() < 1e-4


@pytest.mark.parametrize("more", [{"by": "chat"}, {"sends": "text"}, {"echo": True}])
def test_every_way_of_asking_says_the_same(more: dict[str, Any], server: TinyServer) -> None:
    assert [server.remote(**more)(p).text for p in PROMPTS] == [server.remote()(p).text for p in PROMPTS]


def test_a_place_is_paid_once_also_after_a_rollback(server: TinyServer) -> None:
    session, before = server.remote().open(1), len(server.calls)
    ids = np.array([BIG.prompt(Request.of("12+7="))])
    first = session.feed(ids, keep=2)
    session.rollback(1)
    again = session.feed(ids[:, -1:])
    assert len(server.calls) - before == 2
    assert (first[0, -1] == again[0, -1]).all()


def test_with_echo_several_places_are_one_call(server: TinyServer) -> None:
    ids, before = np.array([BIG.prompt(Request.of("12+7="))]), len(server.calls)
    one = server.remote(echo=True).open(1).feed(ids)
    assert len(server.calls) - before == 1
    assert np.allclose(one, server.remote().open(1).feed(ids))


def test_rows_are_picked_and_may_be_ragged(server: TinyServer) -> None:
    a, b = (BIG.prompt(Request.of(p)) for p in ("1+2=", "12+7="))
    session = server.remote().open(2)
    session.feed(np.array([[0] * (len(b) - len(a)) + a, b]), np.array([len(a), len(b)]), keep=1)
    session.select(np.array([1, 1, 0]))
    assert session.lengths.tolist() == [len(b), len(b), len(a)]


def test_the_reply_counts_its_calls_and_says_the_rung(server: TinyServer) -> None:
    priced = remote(server.endpoint(price=sprat.Price(1.0, 10.0)), BIG, top=5)
    before = len(server.calls)
    reply = decoding.proxy_tune(priced, tuned=SMALL, untuned=FRY)("12+7=")
    calls = len(server.calls) - before
    assert reply.asks[0].usage.output_tokens == calls == reply.decoded.told["paid"]["far-top5"]["calls"]
    assert reply.asks[0].cost == pytest.approx((reply.asks[0].usage.input_tokens + 10 * calls) / 1e6)
    assert reply.decoded.told["rung"] == "logprobs"
    assert "share a floor" in reply.tree()


def test_told_something_else_its_calls_are_counted_too(server: TinyServer) -> None:
    before = len(server.calls)
    reply = decoding.mix(SMALL, decoding.told(server.remote(), before=" "), 0.5)("12+7=")
    assert reply.asks[1].usage.output_tokens == len(server.calls) - before


def test_tokens_are_spelled_as_their_kind_of_vocabulary_has_it() -> None:
    class Pieces:
        tokens = ("</s>", "<0x0A>", "<0x41>", "A", "▁the", "é")

    class Bytes:
        tokens = ("Ġthe", "Ċ", "Ã©", "ä½", "<|end|>")

    assert [spelled(Pieces())[b] for b in (b"</s>", b"\n", b"A", b" the", "é".encode())] == [0, 1, 3, 4, 5]  # type: ignore[arg-type]
    assert [spelled(Bytes())[b] for b in (b" the", b"\n", "é".encode(), b"\xe4\xbd", b"<|end|>")] == [0, 1, 2, 3, 4]  # type: ignore[arg-type]


def test_a_batch_is_each_alone(server: TinyServer) -> None:
    mixed = decoding.mix(server.remote(), SMALL, 0.7)
    assert [r.text for r in mixed.batch(PROMPTS)] == [mixed(p).text for p in PROMPTS]


def test_it_is_explained(server: TinyServer) -> None:
    assert decoding.contrast(server.remote(), FRY)("12+7=").explain()


def test_an_endpoint_without_logprobs_is_refused(server: TinyServer) -> None:
    with pytest.raises(CannotDo, match="needs logprobs"):
        remote(sprat.openai("far", server.url), BIG)
    with pytest.raises(BadInput):
        server.remote(top=0)


def test_a_server_that_gives_fewer_says_so() -> None:
    with TinyServer(most=5) as strict:
        assert strict.remote(top=5)("12+7=").ok
        with pytest.raises(Refused, match="at most 5"):
            strict.remote(top=6)("12+7=")
        with pytest.raises((Garbled, Refused)):
            replace(strict.remote(top=5), extra={"logprobs": 0})("12+7=")


def test_foreign_tokens_are_refused(server: TinyServer) -> None:
    with pytest.raises(CannotDo, match="shared vocabulary lacks"):
        server.remote().known((Named("Größe", -0.1), Named("1", -2.5)))


def test_a_token_is_found_by_id_bytes_or_text(server: TinyServer) -> None:
    leaf = server.remote()
    seven = spelled(BIG.vocabulary)[b"7"]
    assert [leaf.id_of(t) for t in (Named("x", 0, seven), Named("?", 0, None, b"7"), Named("7", 0))] == [seven] * 3
    assert leaf.id_of(Named("</s>", 0)) in BIG.vocabulary.ends


def test_a_drawn_token_beyond_the_top_is_left_out(server: TinyServer) -> None:
    ids, _, _ = server.remote(top=2).known((Named("1", -1.0), Named("2", -1.5), Named("3", -4.0)))
    assert len(ids) == 2


@pytest.mark.parametrize("by", ["completions", "chat"])
def test_replies_are_scored_as_the_model_scores_them(by: Any, server: TinyServer) -> None:
    far, near = (logprobs(m, [Request.of("12+7=")], ["19"])[0] for m in (server.remote(top=-1, by=by), BIG))
    assert far == pytest.approx(near, abs=1e-4)


def test_what_was_written_before_the_first_look_is_no_prompt(server: TinyServer) -> None:
    pool = Pool([server.remote(by="chat")], [Request.of("12+7=")])
    pool.write(np.array([BIG.vocabulary.encode("19")]))
    server.calls.clear()
    pool.look().of(pool.leaves[0])
    asked = sorted([m["content"] for m in body["messages"]] for _, body in server.calls)
    assert asked == [["12+7="], ["12+7=", "1"], ["12+7=", "19"]]


MARKED = "<private>7788</private> 12+7="


@pytest.mark.parametrize(
    "made",
    [
        lambda guarded, far: far,
        lambda guarded, far: guarded + 0.1 * far,
        lambda guarded, far: decoding.contrast(guarded, far),
        lambda guarded, far: decoding.mix(guarded, decoding.told(far, before=" "), 0.5),
        lambda guarded, far: decoding.mix(guarded, decoding.steered(far, ["1"]), 0.5),
        lambda guarded, far: decoding.search(guarded, tuned=far, untuned=FRY, beams=1, samples=1),
    ],
)
@pytest.mark.parametrize("by", ["completions", "chat"])
def test_a_request_that_marks_what_is_private_is_not_read_whole(made: Any, by: Any, server: TinyServer) -> None:
    guarded = decoding.cogenesis(server.endpoint(), SMALL, "logits", schedule=(0, 0, 1), hidden="x")
    server.calls.clear()
    with pytest.raises(BadInput, match="marks what is private"):
        made(guarded, server.remote(by=by))(MARKED, max_tokens=3)
    assert not server.calls


def test_nor_by_a_remote_draft(server: TinyServer) -> None:
    guarded = decoding.cogenesis(server.endpoint(), SMALL, "logits", schedule=(0, 0, 1), hidden="x")
    server.calls.clear()
    reply = decoding.speculate(guarded, server.remote(), 2)(MARKED, max_tokens=5)
    assert "marks what is private" in reply.decoded.told["speculative_decoding"]["off"]
    assert not any("7788" in BIG.vocabulary.decode(body["prompt"]) for _, body in server.calls)


def test_a_session_of_marked_requests_is_not_opened(server: TinyServer) -> None:
    with pytest.raises(BadInput, match="marks what is private"):
        server.remote().opened([Request.of("\uff1cPrivate\uff1e7788")], [{}])


def test_equal_parts_hash_alike(server: TinyServer) -> None:
    a, b = (server.remote(extra={"logprobs": [1]}) for _ in range(2))
    assert (a == b, hash(a) == hash(b), len({a, b, server.remote()})) == (True, True, 2)


def test_a_composition_with_it_is_verified(server: TinyServer) -> None:
    assert verify(server.remote(), FRY, ["12+7="], samples=20, lengths=(2,), tokens=2).unequal == ()


def test_it_survives_its_toml(server: TinyServer, tmp_path: Any) -> None:
    made = decoding.mix(server.remote(top=7, echo=True), SMALL, 0.7)
    config.dump(made, tmp_path / "m.toml")
    (far,) = [leaf for leaf in config.load(tmp_path / "m.toml").leaves if isinstance(leaf, Remote)]
    assert (far.top, far.echo, far.endpoint.name, far.shares) == (7, True, "far", BIG)
