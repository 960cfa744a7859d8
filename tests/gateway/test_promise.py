"""The promise under watch: holds, breaks within the predicted delay, says what restores it, and is renewed."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from sprat.errors import BadInput
from sprat.gateway.promise.e_process import Law
from sprat.gateway.promise.watch import Promise

LAW = Law((-1.05, 0.95, -0.05), (0.05, 0.05, 0.9))


def promise(rng: np.random.Generator, **options: object) -> Promise:
    """Within .05, with a drift test on 200 trusts."""
    given = {"share": 0.1, "restore_share": 0.1, "law": LAW, "samples": {"trust": rng.random(200)}, **options}
    return Promise("within", 0.05, 0.1, 0.0, **given)  # type: ignore[arg-type]


def serve(p: Promise, rng: np.random.Generator, n: int, worse: float, moved: float = 1.0, start: int = 0) -> int:
    """n requests, of which the policy fails a share `worse` more than it wins; pairs seen until it broke, or all."""
    pairs = 0
    for i in range(n):
        p.observe_request(start + i, {"trust": float(rng.random() ** moved)}, rng.random())
        drawn = p.shadow(rng.random())
        if drawn.taken:
            u, pairs = rng.random(), pairs + 1
            scores = (0.0, 1.0) if u < 0.05 else (1.0, 0.0) if u < 0.1 + worse else (1.0, 1.0)
            p.observe_pair(start + i, *scores, drawn.propensity)
        if p.state == "broken":
            return pairs
    return pairs


def broken(rng: np.random.Generator) -> Promise:
    p = promise(rng)
    serve(p, rng, 20_000, worse=0.4)
    assert p.state == "broken"
    return p


def test_false_alarms_of_both_tests_together_are_at_most_delta():
    rng, months = np.random.default_rng(1), 60
    false = 0
    for _ in range(months):
        p = promise(rng)
        serve(p, rng, 800, worse=0.05)
        false += p.state == "broken"
    assert false / months <= 0.1 + 2 * sqrt(0.09 / months)


def test_it_breaks_within_the_predicted_delay_and_says_when():
    rng = np.random.default_rng(2)
    p = promise(rng, share=1.0)
    serve(p, rng, 500, worse=0)
    predicted = p.watch.delay(LAW.worse(0.3, 0.95), 0.9)
    assert serve(p, rng, 2000, worse=0.3, start=500) <= predicted
    assert p.status().why.startswith("the loss on shadowed")
    assert 500 < p.status().since < 2500


def test_a_larger_fall_is_found_sooner():
    p = promise(np.random.default_rng(15))
    assert p.delay(0.1) > p.delay(0.3) > 0
    assert p.delay(0.01) is None  # the promise would still hold


def test_it_breaks_when_the_requests_change_and_names_what_moved():
    rng = np.random.default_rng(3)
    p = promise(rng)
    serve(p, rng, 1500, worse=0, moved=3.0)
    assert p.state == "broken"
    assert "'trust' has moved" in p.status().sentence


def test_broken_says_how_many_pairs_restore_it():
    p = broken(np.random.default_rng(4))
    status = p.status()
    assert status.pairs_needed is not None
    assert f"About {status.pairs_needed} more labelled pairs" in status.sentence


def test_while_the_loss_stays_high_nothing_restores_it():
    rng = np.random.default_rng(5)
    p = broken(rng)
    for i in range(100):
        p.observe_pair(30_000 + i, 1.0, float(rng.random() < 0.7), 0.1)
    assert p.status().pairs_needed is None
    assert "choose a safer setting" in p.status().sentence


def test_it_is_renewed_by_about_the_pairs_it_asked_for_and_not_before():
    rng = np.random.default_rng(6)
    p = broken(rng)
    needed = p.status().pairs_needed
    with pytest.raises(BadInput, match="cannot be renewed yet"):
        p.renew(1.0)
    for i in range(2 * needed):
        u = rng.random()
        p.observe_pair(30_000 + i, float(u >= 0.05), float(not 0.05 <= u < 0.1), 0.1)
    assert p.status().restorable
    p.renew(1e6)
    assert (p.state, p.since, p.renewals, p.watch.seen) == ("holding", 1e6, 1, 0)


def test_a_judge_that_sees_no_fault_is_corrected_by_marks():
    rng = np.random.default_rng(7)
    p = promise(rng, marks=0.3, samples=None, share=1.0)
    for i in range(4000):
        marked = (1.0, float(rng.random() < 0.6)) if p.mark(rng.random()).taken else None
        p.observe_pair(i, 1.0, 1.0, 1.0, marked=marked)
    assert p.state == "broken"
    assert p.status().mean_loss is not None


def test_a_pair_from_before_the_alarm_that_comes_in_late_is_not_counted():
    p = broken(np.random.default_rng(13))
    p.observe_pair(p.since - 1, 1.0, 1.0, 0.1)
    assert p.status().pairs == 0


def test_pairs_seen_while_suspended_are_not_counted():
    p = promise(np.random.default_rng(8))
    p.suspend(1.0, "the budget allows uncertified settings.")
    p.observe_pair(2.0, 1.0, 0.0, 0.1)
    assert p.status().sentence == "Suspended: the budget allows uncertified settings."
    p.resume(3.0)
    assert (p.state, p.watch.seen) == ("holding", 0)


def test_requests_seen_while_suspended_are_not_counted():
    p = Promise("keep", 0.95, 0.1, 0.0, samples={"characters": range(100)})
    p.suspend(1.0, "a load test")
    for i in range(200):
        p.observe_request(2.0 + i, {"characters": 400.0}, 0.5)
    p.resume(300.0)
    p.observe_request(299.0, {"characters": 400.0}, 0.5)  # came while it was suspended, and late
    assert (p.state, p.status().requests) == ("holding", 0)


def test_a_broken_promise_cannot_be_suspended():
    p = broken(np.random.default_rng(9))
    p.suspend(1.0, "by hand")
    assert p.state == "broken"


def test_draws_say_their_probability():
    p = promise(np.random.default_rng(10), restore_share=0.5)
    assert p.shadow(0.05) == p.shadow(0.09)
    assert (p.shadow(0.05).propensity, p.shadow(0.2).taken) == (0.1, False)


def test_the_state_goes_through_json_and_continues_the_same():
    rng = np.random.default_rng(11)
    one, two = promise(rng, marks=0.5), promise(rng, marks=0.5)
    serve(one, rng, 300, worse=0.1)
    two.restore(one.to_json())
    for p in (one, two):
        p.observe_pair(1.0, 1.0, 0.0, 0.1, marked=(1.0, 0.0))
    assert two.to_json() == one.to_json()
    assert two.status() == one.status()
    assert len(one.to_json()) < 5000


def test_the_state_of_another_promise_is_refused():
    rng = np.random.default_rng(12)
    with pytest.raises(BadInput, match="another promise"):
        promise(rng).restore(promise(rng, share=0.2).to_json())


@pytest.mark.slow
def test_false_alarms_of_both_tests_over_a_thousand_months():
    rng, months = np.random.default_rng(14), 1000
    false = 0
    for _ in range(months):
        p = promise(rng)
        serve(p, rng, 2000, worse=0.05)
        false += p.state == "broken"
    assert false / months <= 0.1 + 2 * sqrt(0.09 / months)
