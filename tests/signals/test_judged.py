"""A judging model as a trust, by hand: grades, and pairs in both orders against peers' replies."""

from __future__ import annotations

import re

import pytest

import sprat
from sprat.core import Reply, Request
from sprat.drivers import run
from sprat.errors import BadInput, CannotDo
from sprat.signals import judged


def by_reading(request: Request) -> str:
    """Prefers what says right; in equal pairs the first one."""
    a, b = ("right" in t for t in re.findall(r"\[reply [AB] \w+\]\n(.*?)\n\[end of", request.text, re.S))
    return "Verdict: " + ("A" if a >= b else "B")


def test_a_grade_is_the_trust() -> None:
    umpire = sprat.toy("umpire", lambda r: "Score: 9" if re.search(r"\[reply \w+\]\n4\n", r.text) else "Score: 1")
    assert (judged(umpire)("2+2?", "4"), judged(umpire)("2+2?", "5")) == (0.9, 0.1)


def test_draws_of_a_grade_are_averaged() -> None:
    umpire = sprat.toy("umpire", lambda r: f"Score: {2 + 4 * r.sample}")
    assert judged(umpire, draws=2)("q", "a") == pytest.approx(0.4)


def test_with_peers_it_is_the_share_that_it_beats_and_a_flip_is_half() -> None:
    umpire = sprat.toy("umpire", by_reading)
    peers = sprat.toy("p", "wrong"), sprat.toy("q", "right too")
    assert judged(umpire, *peers)("q", "right") == 0.75
    assert judged(umpire, *peers)("q", "no") == 0.25


def test_what_can_not_be_read_and_an_empty_reply_have_no_trust() -> None:
    assert judged(sprat.toy("umpire", "hm"))("q", "a") == 0.0
    assert judged(sprat.toy("umpire", "hm"), sprat.toy("p", "b"))("q", "a") == 0.0
    assert judged(sprat.toy("umpire", "Score: 10"))("q", Reply(" ")) == 0.0


def test_best_of_takes_the_better_graded_and_the_judge_is_paid_in_the_tree() -> None:
    umpire = sprat.toy("umpire", lambda r: "Score: 9" if "blue" in r.text else "Score: 2", cost=0.5)
    models = sprat.toy("one", "green"), sprat.toy("two", "blue")
    reply = run(sprat.best_of(*models, trust=judged(umpire), n=1), Request.of("q"))
    assert reply.text == "blue"
    assert reply.cost == 1.0


def test_how_often_the_judge_may_be_asked_is_told() -> None:
    umpire, peer = sprat.toy("umpire", "Score: 1"), sprat.toy("p", "x")
    assert [a.times for a in judged(umpire, draws=3).asks()] == [3]
    assert [a.times for a in judged(umpire, peer, peer, draws=3).asks()] == [1.0, 12]


def test_what_makes_no_sense_is_refused() -> None:
    umpire = sprat.toy("umpire", "Score: 1")
    with pytest.raises(BadInput):
        judged(umpire, draws=0)
    with pytest.raises(BadInput):
        judged(umpire, umpire, weighted=True)
    with pytest.raises(CannotDo, match="needs logprobs"):
        judged(umpire, weighted=True)
    with pytest.raises(CannotDo, match="judges a reply"):
        judged(umpire)("q")


def test_weighted_on_text_alone_names_the_line_that_declares_log_probabilities() -> None:
    with pytest.raises(CannotDo, match="logprobs = true"):
        judged(sprat.openai("m", "http://127.0.0.1:9/v1"), weighted=True)
