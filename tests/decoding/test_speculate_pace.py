"""The pace of speculation, with a made-up clock: the length that pays, and an end of drafting where it loses."""

from __future__ import annotations

import pytest

from sprat.decoding.pace import GRANT, Pace


def run(pace: Pace, tokens: int, *, draft: float, alpha: float, block: float = 0.1, first: int = 4) -> float:
    """Seconds that so many tokens take, where a plain step takes 1; `alpha` of the drafted tokens stand, in turn."""
    clock, written, due = 0.0, 0, 0.0
    while written < tokens:
        if rest := pace.rest():
            pace.rested(rest)
            clock, written = clock + rest, written + rest
            continue
        k = pace.length(first, 16)
        if not k:
            pace.stepped(1.0, False)
            clock, written = clock + 1, written + 1
            continue
        stood = 0
        while stood < k and (due := due + alpha) >= 1:
            due, stood = due - 1, stood + 1
        pace.drafted(k, stood, k * draft, 1 + k * block, False, False)
        clock, written = clock + k * draft + 1 + k * block, written + stood + 1
    return clock / written


def test_a_good_draft_is_kept_and_speeds_up() -> None:
    pace = Pace()
    assert run(pace, 2000, draft=0.1, alpha=0.9) < 0.5
    assert not pace.off


def test_a_draft_that_never_agrees_costs_little() -> None:
    pace = Pace()
    assert run(pace, 3000, draft=0.3, alpha=0.0) < 1.015
    assert pace.off


def test_a_draft_that_costs_too_much_is_given_up() -> None:
    assert run(Pace(), 3000, draft=1.5, alpha=0.9) < 1.015


def test_it_takes_drafts_up_again_when_they_begin_to_pay() -> None:
    pace = Pace()
    run(pace, 1500, draft=0.1, alpha=0.0)
    assert pace.off
    assert run(pace, 6000, draft=0.1, alpha=0.9) < 0.65


def test_cheap_agreeing_drafts_are_long_and_others_short() -> None:
    lengths: list[int] = []
    for alpha in (0.5, 0.95):
        pace = Pace()
        run(pace, 800, draft=0.02, alpha=alpha)
        lengths.append(pace.best(16)[0])
    assert lengths[0] < 5 < lengths[1]


@pytest.mark.parametrize("a", [0.0, 0.5, 0.8, 1.0])
def test_the_predicted_gain_is_leviathans(a: float) -> None:
    pace = Pace()
    pace.stepped(1.0, False)
    pace.drafted(3, 3, 0.6, 1.0, False, False)
    pace.alpha = a
    tokens = 1 + a + a**2 + a**3
    assert pace.gain(3) == pytest.approx(tokens / (0.6 + 1.0), rel=2e-2)


def test_an_outlier_does_not_end_it() -> None:
    pace = Pace()
    run(pace, 300, draft=0.1, alpha=0.9)
    pace.drafted(4, 3, 0.4, 500.0, False, False)
    assert run(pace, 500, draft=0.1, alpha=0.9) < 0.6


def test_blocks_between_measured_ones_are_interpolated() -> None:
    pace = Pace()
    pace.stepped(1.0, False)
    pace.drafted(4, 0, 0.0, 2.0, False, False)
    assert (pace.block(2), pace.block(8)) == (1.5, 3.0)
    assert pace.account < GRANT


@pytest.mark.filterwarnings("ignore:A token of the draft")  # whether it is said depends on the clock
def test_replies_written_at_once_do_not_share_a_pace() -> None:
    from concurrent.futures import ThreadPoolExecutor

    import sprat

    fast = sprat.speculate(sprat.tiny("sprat"), sprat.tiny("fry"))
    with ThreadPoolExecutor(6) as threads:
        texts = list(threads.map(lambda _: fast("reverse shark:", ignore_eos=True, max_tokens=30).text, range(24)))
    assert set(texts) == {sprat.tiny("sprat")("reverse shark:", ignore_eos=True, max_tokens=30).text}
