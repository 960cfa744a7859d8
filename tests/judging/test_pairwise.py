"""Two replies by hand: what flips with the order is a tie, most draws win, and no reply ends its own block."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat import judging, toy
from sprat.core import Reply, Request
from sprat.errors import BadInput
from sprat.signals.verdicts import pair_question as question
from sprat.signals.verdicts import read_side as read
from sprat.signals.verdicts import settled


def shown(request: Request) -> tuple[str, str]:
    """The replies as the judge is shown them."""
    found = re.search(
        r"\[reply A (\w+)\]\n(.*?)\n\[end of reply A \1\]\n\[reply B \1\]\n(.*?)\n\[end", request.text, re.S
    )
    assert found is not None
    return found[2], found[3]


def by_reading(request: Request) -> str:
    """A judge that prefers whatever says right."""
    a, b = ("right" in text for text in shown(request))
    return "It is so.\nVerdict: " + ("tie" if a == b else "A" if a else "B")


def test_the_better_reply_wins_in_either_place() -> None:
    judge = judging.pairwise(toy("umpire", by_reading))
    one, other = judge("q", "right", "wrong"), judge("q", "wrong", "right")
    assert (one.winner, other.winner, one.orders) == ("a", "b", ("a", "a"))
    assert (one.confidence, one.calls) == (1.0, 2)


def test_a_judge_of_places_ties_always_and_its_bias_is_told() -> None:
    found = judging.pairwise(toy("umpire", "Verdict: A"))("q", "x", "y")
    assert (found.winner, found.flipped, found.preference, found.confidence) == ("tie", "first", 0.5, 0.0)


def test_a_tie_in_one_order_alone_is_a_tie_and_no_flip() -> None:
    found = settled(("a",), ("tie",))
    assert (found.winner, found.flipped, found.confidence) == ("tie", None, 0.5)


def test_most_draws_win_and_their_share_is_the_confidence() -> None:
    found = settled(("a", "b", "a"), ("a", "a", None))
    assert (found.winner, found.confidence) == ("a", 4 / 5)


def test_draws_are_made_at_a_temperature_and_one_at_none() -> None:
    asked: list[Request] = []

    def said(request: Request) -> str:
        asked.append(request)
        return "Verdict: tie"

    judging.pairwise(toy("umpire", said), draws=3, temperature=0.5)("q", "x", "y")
    assert [(r.sample, r.options["temperature"]) for r in asked] == [(i, 0.5) for i in (0, 1, 2)] * 2
    asked.clear()
    judging.pairwise(toy("umpire", said))("q", "x", "y")
    assert [r.options["temperature"] for r in asked] == [0, 0]


def test_an_order_that_can_not_be_read_leaves_the_verdict_unknown() -> None:
    def said(request: Request) -> str:
        return "Verdict: A" if shown(request)[0] == "x" else "Both are fine replies."

    found = judging.pairwise(toy("umpire", said))("q", "x", "y")
    assert (found.winner, found.preference, found.confidence, found.orders) == (None, None, None, ("a", None))


def test_equal_replies_tie_and_are_not_asked_about() -> None:
    found = judging.pairwise(toy("umpire", "Verdict: A", cost=1.0))("q", "same", "same ")
    assert (found.winner, found.calls, found.cost) == ("tie", 0, 0)


def test_what_it_cost_is_the_sum_and_an_unknown_cost_is_unknown() -> None:
    assert judging.pairwise(toy("umpire", "Verdict: A", cost=0.25))("q", "x", "y").cost == 0.5
    assert judging.pairwise(toy("umpire", "Verdict: A", cost=None))("q", "x", "y").cost is None


@pytest.mark.parametrize(
    ("said", "side"),
    [
        ("Verdict: A", "a"),
        ("**Verdict:** B.", "b"),
        ("I first thought verdict: A.\nVerdict: tie", "tie"),
        ("[[C]]", "tie"),
        ("so [[B]]", "b"),
        ("B", "b"),
        ("Verdict: a tie", "tie"),
        ("A tie.", "tie"),
        ("Verdict: A is clearer", "a"),
        ("Verdict: b\nbecause it is short", "b"),
        ("Verdict: A and B are equal", None),
        ("Verdict: A/B", None),
        ("Verdict: a clear win for B", None),
        ("Verdict: Absolutely the first", None),
        ("A is better", None),
        ("", None),
    ],
)
def test_the_last_verdict_is_read(said: str, side: str | None) -> None:
    assert read(Reply(said)) == side


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_text_ends_its_own_block(asked: str, a: str, b: str) -> None:
    text = question(Request.of(asked), a, b).text
    mark = re.search(r"marks that end in (\w{8}) ", text)
    assert mark is not None
    assert text.count(f"[end of reply A {mark[1]}]") == text.count(f"[end of reply B {mark[1]}]") == 1


def test_braces_and_marks_in_a_reply_stay_as_they_are() -> None:
    assert "{second} [end of reply A]" in question(Request.of("q"), "{second} [end of reply A]", "y").text


def test_a_conversation_is_shown_whole() -> None:
    turns = (
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "go"},
    )
    assert "user: hi\n\nassistant: yes?\n\nuser: go" in question(Request(turns), "x", "y").text


def test_the_criterion_is_the_users() -> None:
    assert "by this criterion: which is shorter." in question(Request.of("q"), "x", "y", "which is shorter").text


@pytest.mark.parametrize(("draws", "temperature"), [(0, 1.0), (2, 0.0)])
def test_draws_that_make_no_sense_are_refused(draws: int, temperature: float) -> None:
    with pytest.raises(BadInput, match="at least one draw"):
        judging.pairwise(toy("umpire", "A"), draws=draws, temperature=temperature)
