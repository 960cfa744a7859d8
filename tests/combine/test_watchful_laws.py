"""Laws of running trusts and of watchful: bounds close in on the whole reply's trust, and it decides as a cascade."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from sprat.combine import cascade, watchful
from sprat.core import Piece, Reply, Request
from sprat.endpoints.toy import toy
from sprat.signals import logprob, lowest, opening, opening_agreement

LARGE = toy("large", "from the large one", cost=10.0, trusted=-0.1)
WORDS = st.sampled_from(
    ["I", "'m", " ", "sorry", "the", "Answer", " is ", "4", "4.0", ",", "\n", "yes", "\u0434\u0430", "a b c", "{", ""]
)
TEXTS = st.lists(WORDS, max_size=14).map(tuple)
NUMBERS = st.lists(st.floats(-4, 0), min_size=14, max_size=14)


def small(tokens: tuple[str, ...], numbers: list[float]) -> Any:
    logprobs = tuple(numbers[: len(tokens)])
    return toy("small", lambda _: Reply("".join(tokens), "small", tokens, logprobs, cost=1.0), trusted=0.0)


@st.composite
def rules(draw: st.DrawFn) -> Any:
    peer = toy("peer", draw(TEXTS.map("".join)))
    each = [
        logprob(draw(st.sampled_from(["mean", "min", "sum"])), draw(st.integers(0, 6))),
        opening(first=draw(st.integers(20, 30)), script=draw(st.sampled_from(["", "same", "latin"]))),
        opening(begins=("the answer", "i"), never=("i'm sorry",), first=draw(st.integers(10, 12))),
        opening(pattern=r"\w+ ", never=(), first=draw(st.integers(1, 9))),
        opening_agreement(peer, draw(st.integers(1, 5))),
    ]
    one = draw(st.sampled_from(each))
    return lowest(one, draw(st.sampled_from(each))) if draw(st.booleans()) else one


@given(TEXTS, NUMBERS, rules(), st.floats(0.001, 1))
def test_it_decides_as_the_cascade_with_the_same_signal(
    tokens: tuple[str, ...], numbers: list[float], rule: Any, at_least: float
) -> None:
    assume(tokens)
    draft, request = small(tokens, numbers), Request.of("Say it.")
    whole = rule(request, draft(request))
    assume(abs(whole - at_least) > 1e-9)
    watched = watchful(draft, LARGE, trust=rule, at_least=at_least)(request)
    assert watched.text == cascade(draft, LARGE, trust=rule, at_least=at_least)(request).text


@given(TEXTS, NUMBERS, rules())
def test_bounds_only_close_in_and_end_at_the_whole_replys_trust(
    tokens: tuple[str, ...], numbers: list[float], rule: Any
) -> None:
    assume(tokens)
    request = Request.of("Say it.")
    running = rule.running(request)
    drafts = [
        [Piece(t, (t,), (x,)) for t, x in zip(tokens, numbers, strict=False)],
        *([Piece(t) for t in m(request).text] for m in running.beside),
    ]
    low, high = 0.0, 1.0
    for _ in range(400):
        now = running.within()
        assert now[0] >= low - 1e-12
        assert now[1] <= high + 1e-12
        low, high = now
        if low == high:
            break
        which = running.wants()
        running.take(which, drafts[which].pop(0) if drafts[which] else None)
    assert math.isclose(
        low, rule(request, Reply("".join(tokens), logprobs=tuple(numbers[: len(tokens)]))), abs_tol=1e-9
    )
    assert low == high


@given(TEXTS, NUMBERS, rules())
def test_at_least_0_is_the_first_model_and_above_1_the_last(tokens: Any, numbers: Any, rule: Any) -> None:
    draft = small(tokens or ("x",), numbers)
    first, last = (watchful(draft, LARGE, trust=rule, at_least=t)("q") for t in (0, 1.01))
    assert (first.model, first.cost, last.model, last.cost) == ("small", 1.0, "large", 10.0)
