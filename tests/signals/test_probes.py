"""Probes by hand: the split of entropies, what each of the two learns, and where they must differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sprat
from sprat.core import Reply, Request
from sprat.data import Lessons
from sprat.errors import BadInput, CannotDo
from sprat.signals import entropy_probe, p_ik
from sprat.signals.entropy_probe import best_split
from sprat.signals.probing import fit_probe
from sprat.whitebox.decoder import Leaf

KINDS = ("known", "unsure", "mistaken")  # right; right or wrong, it varies; wrong, always the same


class Session:
    def __init__(self, batch: int) -> None:
        self.batch = batch

    def states(self, ids: Any, counts: Any = None) -> Any:
        """One layer of noise, and one that shows the kind, which is the last token but one, beside noise."""
        noise = np.stack([np.random.default_rng(int(row[-1])).normal(size=4) for row in ids])
        kind = np.eye(3)[[int(row[-2]) for row in ids]] * 3
        return np.stack([noise, np.concatenate([kind, noise[:, :1]], axis=1)], axis=1)

    def close(self) -> None:
        pass


class Words:
    ends = frozenset((0,))

    def prompt(self, messages: Any) -> list[int]:
        kind, number = messages[-1]["content"].split()
        return [KINDS.index(kind), int(number)]

    def encode(self, text: str) -> list[int]:
        return []


class Confident(Leaf):
    """It is right on known, varies on unsure, and always says the same wrong thing on mistaken."""

    name = "confident"
    use = "confident"
    offline = True

    @property
    def vocabulary(self) -> Any:
        return Words()

    def open(self, batch: int) -> Any:
        return Session(batch)

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        return [Reply(self.said(r), self.name, cost=0.0) for r in requests]

    def said(self, request: Request) -> str:
        kind, number = request.text.split()
        if kind != "unsure":
            return "right" if kind == "known" else "wrong"
        return "right" if (int(number) + request.sample) % 2 else f"other {request.sample}"


MODEL = Confident()
REQUESTS = tuple(Request.of(f"{kind} {i}") for i in range(40) for kind in KINDS)


def lessons() -> Lessons:
    replies = tuple(Reply(MODEL.said(r), "confident") for r in REQUESTS)
    scores = np.array([[float(r.text == "right")] for r in replies])
    return Lessons(REQUESTS, ("confident",), scores, np.zeros((len(REQUESTS), 1)), {"confident": replies})


def test_a_probe_of_entropy_trusts_a_confident_mistake_and_p_ik_does_not() -> None:
    sure, knows = entropy_probe(MODEL, samples=6).fit(lessons()), p_ik(MODEL).fit(lessons())
    new = {kind: f"{kind} 1000" for kind in KINDS}
    assert min(sure(new["known"]), sure(new["mistaken"])) > 0.8 > 0.2 > sure(new["unsure"])
    assert knows(new["known"]) > 0.8 > 0.2 > knows(new["mistaken"])
    assert knows(new["unsure"]) == pytest.approx(0.5, abs=0.2)


def test_the_layer_that_shows_it_is_chosen() -> None:
    assert p_ik(MODEL).fit(lessons()).layers == (1,)
    assert p_ik(MODEL, layers=(0, -1)).fit(lessons()).layers == (0, 1)


def test_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match=r"layers 0 \(the embedding\) to 1"):
        p_ik(MODEL, layers=(2,)).fit(lessons())


def test_the_probe_of_entropy_does_not_look_at_scores() -> None:
    given_ = lessons()
    blind = Lessons(given_.requests, given_.models, np.full_like(given_.scores, np.nan), given_.costs, given_.replies)
    one, other = (entropy_probe(MODEL, samples=4).fit(x) for x in (given_, blind))
    assert one("unsure 7") == other("unsure 7")


def test_entropy_is_of_the_draws_alone() -> None:
    from sprat.drivers import drive

    # Draws 1 to 4 of "unsure 0": right, other 2, right, other 4: shares 1/2, 1/4, 1/4.
    found = drive(entropy_probe(MODEL, samples=4).entropy(Request.of("unsure 0")))
    assert found == pytest.approx(1.5 * np.log(2))


def test_the_split_by_hand() -> None:
    # Within {0, 0, .2} and {1, 1.2}: .0267 + .02; a cut at the median, within {0, 0} and {.2, 1, 1.2}, leaves .56.
    assert best_split([0, 1.2, 0.2, 0, 1]) == pytest.approx(0.6)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=12).filter(lambda v: len(set(v)) > 1))
def test_no_other_threshold_leaves_less_within(values: list[int]) -> None:
    v = np.array(values, float)

    def within(t: float) -> float:
        return sum(float(np.square(s - s.mean()).sum()) for s in (v[v < t], v[v >= t]) if len(s))

    assert within(best_split(v)) == pytest.approx(min(within(t) for t in np.arange(0.5, 6.5)))


def test_equal_entropies_can_not_be_split() -> None:
    with pytest.raises(BadInput, match="no high and low"):
        best_split([0.7, 0.7])


def test_wide_rows_are_learnt_as_narrow_ones_are() -> None:
    # The same rows with 200 more columns of nothing, turned: the same head, reached through the rows' span.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    y = (x[:, 0] + 0.3 * rng.normal(size=60) > 0).astype(float)
    turn = np.linalg.qr(rng.normal(size=(203, 203)))[0][:3]
    narrow, _ = fit_probe(np.hstack([x, np.zeros((60, 0))])[:, None], y, (0,), 0)
    wide, _ = fit_probe((x @ turn)[:, None], y, (0,), 0)
    assert wide.predict(x @ turn) == pytest.approx(narrow.predict(x), abs=0.02)


def test_an_encoder_will_do_for_p_ik_and_not_for_entropy() -> None:
    class Kinds:
        name, dim = "kinds", 3

        def encode(self, texts: Sequence[str]) -> Any:
            return np.eye(3, dtype=np.float32)[[KINDS.index(t.split()[0]) for t in texts]]

    assert p_ik(Kinds()).fit(lessons())("known 77") > 0.8
    with pytest.raises(CannotDo):
        entropy_probe(Kinds())
    with pytest.raises(BadInput, match="reads the request alone"):
        p_ik(Kinds(), at="end")


def test_at_the_end_of_a_reply_it_reads_the_reply() -> None:
    signal = p_ik(sprat.tiny("fry"), at="end")
    assert signal.reads_reply
    assert not p_ik(sprat.tiny("fry")).reads_reply
    sums = [(a, b) for a in range(10) for b in range(10)]
    said = [a + b + (i % 2) for i, (a, b) in enumerate(sums)]
    replies = tuple(Reply(str(s), "fry") for s in said)
    scores = np.array([[float(s % 2)] for s in said])
    requests = tuple(Request.of(f"{a}+{b}=") for a, b in sums)
    fitted = signal.fit(Lessons(requests, ("fry",), scores, np.zeros((100, 1)), {"fry": replies}))
    assert fitted("3+4=", "7") != fitted("3+4=", "8")
    with pytest.raises(CannotDo, match="needs the reply"):
        fitted("3+4=")


def test_a_trust_reads_the_prompt_once_and_draws_nothing() -> None:
    from sprat.drivers import run

    fry = sprat.tiny("fry")
    requests = tuple(Request.of(f"{i}+{i}=") for i in range(40))
    replies = tuple(fry(r) for r in requests)
    scores = np.array([[float(i % 3 > 0)] for i in range(40)])
    given_ = Lessons(requests, ("fry",), scores, np.zeros((40, 1)), {"fry": replies})
    fitted = p_ik(fry).fit(given_)
    reply = run(sprat.route(fry, sprat.toy("large", "4"), trust=fitted, at_least=0.01), Request.of("2+2="))
    states, answer = reply.asks
    assert states.model == "states of fry"
    assert states.usage is not None
    assert (states.usage.output_tokens, answer.model) == (0, "fry")
    assert fitted.asks() == []


@pytest.mark.parametrize("how", [{"samples": 1}, {"temperature": 0.0}, {"convention": "x"}, {"at": "middle"}])
def test_what_makes_no_sense_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        entropy_probe(MODEL, **how)


def test_few_rows_and_no_fit_are_said() -> None:
    with pytest.raises(BadInput, match="19 can be used, 20 are needed"):
        p_ik(MODEL).fit(lessons().take(range(19)))
    with pytest.raises(BadInput, match="has not learned yet"):
        p_ik(MODEL)("known 1")
    with pytest.raises(CannotDo, match="no hidden states"):
        entropy_probe(sprat.toy("t", "x"))
