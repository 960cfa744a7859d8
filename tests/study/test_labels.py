"""Labelling disagreements: the bound holds whenever labelling stops, and nothing is lost or asked in vain."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest
from labelling import WITHIN_5, Pool, labelled, planned

from sprat.core import Reply
from sprat.errors import BadInput
from sprat.study import certify, label_plan
from sprat.study.certificate import check, from_json, to_json
from sprat.study.certify import Promise, stop_at_failure
from sprat.study.label_file import LabelFile
from sprat.study.label_plan import plan
from sprat.study.labels import Plan, Standing, certificate, losses, outlook, runs, same, standing, swapped
from sprat.study.sequential import fewest_rows, wealth_path


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool(600, differ=0.3, worse=0.25, better=0.2, seed=2)


@pytest.fixture(scope="module")
def made(pool: Pool) -> Plan:
    made = planned(pool, np.arange(600))
    assert len(made.ways) > 5
    return made


@pytest.fixture(scope="module")
def truth(pool: Pool):
    return pool.truth(np.arange(600))


@pytest.fixture(scope="module")
def ended(made: Plan, truth: dict) -> tuple[Standing, dict]:
    return labelled(made, truth)


# The test


def test_without_the_keen_bet_the_wealth_is_that_of_certify():
    rng = np.random.default_rng(0)
    loss = rng.choice([0.95, -0.05, -1.05], (200, 5), p=[0.1, 0.7, 0.2])
    spread = np.full(5, 0.2)
    path = wealth_path(loss, 0.95, 0.1, spread, 200, keen=0)
    assert np.maximum(path.max(axis=0), 0) == pytest.approx(certify.log_wealth(loss, 0.95, 0.1, spread))


@pytest.mark.parametrize("law", [(0.3, 0.2), (0.1, 0.0), (0.55, 0.45)])
def test_wealth_passes_its_goal_no_more_often_than_delta_over_every_sequence_under_the_null(law: tuple[float, float]):
    worse, better = law  # E[L] = worse - better - .1 >= 0
    chance, values = np.array([worse, better, 1 - worse - better]), np.array([0.9, -1.1, -0.1])
    every = np.array(list(itertools.product(range(3), repeat=8))).T
    path = wealth_path(values[every], 0.9, 0.3, np.full(every.shape[1], 0.3), 8, keen=3)
    assert chance[every].prod(axis=0)[(path >= log(1 / 0.3)).any(axis=0)].sum() <= 0.3


def test_a_bet_depends_on_earlier_rows_alone():
    a = np.array([[-0.05, 0.95, -0.05, -1.05], [-0.05, 0.95, 0.95, 0.95]]).T
    path = wealth_path(a, 0.95, 0.1, np.full(2, 0.3), 40)
    assert path[:2, 0].tolist() == path[:2, 1].tolist()
    bets = (1 - np.exp(np.diff(path, axis=0)[1])) / a[2]
    assert bets[0] == pytest.approx(bets[1])


def test_an_unread_row_stops_the_wealth_and_what_follows_is_not_read():
    loss = np.array([-0.05, np.nan, -1.05])
    path = wealth_path(loss, 0.95, 0.1, 0.3, 3)
    assert path[0] > 0
    assert path[0] == path[1] == path[2]


def test_more_rows_than_the_horizon_are_refused():
    with pytest.raises(BadInput, match="horizon"):
        wealth_path([-0.1, -0.1], 0.9, 0.1, 0.3, 1)


def test_the_fewest_rows_that_can_certify_are_enough_without_any_loss_and_one_less_is_not():
    n = fewest_rows(0.98, 0.05, 0.02)
    reached = [wealth_path(np.full(m, -0.02), 0.98, 0.05, 1e-12, m).max() >= log(20) for m in (n, n - 1)]
    assert reached == [True, False]


# What is asked


def test_only_disagreements_that_the_first_open_setting_keeps_are_asked(made: Plan, ended: tuple):
    _, known = ended
    place = {made.example(int(r)).id: i for i, r in enumerate(made.rows)}
    assert known
    assert all(made.needs[place[name]].any() for name in known)


def test_the_row_asked_is_the_first_in_the_order_that_stops_the_open_setting(made: Plan, truth: dict):
    at, known = labelled(made, truth, most=5)
    loss, _ = losses(made, known)
    stop = int(np.isnan(loss[:, at.current]).argmax())
    assert at.row in made.units[stop]


def test_labels_in_another_order_give_the_same_standing(made: Plan, truth: dict):
    at, known = labelled(made, truth, most=12)
    again = standing(made, dict(sorted(known.items())))
    assert (again.row, again.certified, again.labels) == (at.row, at.certified, at.labels)


def test_with_every_label_it_is_the_walk_along_the_list(made: Plan, truth: dict):
    at = standing(made, truth)
    loss, _ = losses(made, truth)
    path = wealth_path(loss, made.promise.top, made.delta, made.spread, len(made.units))
    walk = stop_at_failure(np.exp(-np.maximum(path.max(axis=0), 0)).tolist(), made.delta)
    assert (at.certified, at.row) == (walk.certified, None)
    assert loss.mean(axis=0) == pytest.approx(WITHIN_5.losses(*_scores(made, truth)).mean(axis=0))


def _scores(made: Plan, truth: dict) -> tuple[np.ndarray, np.ndarray]:
    large = {"large": 1.0, "both": 1.0, "small": 0.0, "neither": 0.0}
    small = {"large": 0.0, "both": 1.0, "small": 1.0, "neither": 0.0}
    said = [truth[made.example(int(r)).id] if made.differs[r] else "both" for r in made.rows]
    ref, own = np.array([large[s] for s in said]), np.array([small[s] for s in said])
    return ref, np.where(made.kept[made.rows], own[:, None], ref[:, None])


def test_asking_ends_as_certified_as_with_every_label(made: Plan, truth: dict, ended: tuple):
    at, known = ended
    assert at.certified == standing(made, truth).certified
    assert len(known) < made.differs[made.rows].sum()


def test_the_pool_lets_something_be_certified(ended: tuple):
    assert ended[0].certified is not None


def test_rows_set_aside_are_never_read(made: Plan):
    assert len(made.rows) + made.aside == len(made.data)
    assert len(set(made.rows.tolist())) == len(made.rows)


def test_a_skip_counts_as_the_worst_case(made: Plan, truth: dict):
    skipped = dict.fromkeys(truth, "skip")
    worst = dict.fromkeys(truth, "large")
    assert np.array_equal(losses(made, skipped)[0], losses(made, worst)[0])


def test_units_give_one_loss_each_and_wait_for_all_their_labels(pool: Pool):
    data = pool.data(np.arange(600))
    paired = replace(data, examples=tuple(replace(e, unit=f"u{i // 2}") for i, e in enumerate(data)))
    made = plan(paired, "small", "large", (), WITHIN_5, 0.1)
    assert {len(u) for u in made.units} == {2}
    truth = pool.truth(np.arange(600))
    loss, _ = losses(made, truth)
    expected = WITHIN_5.losses(*_scores(made, truth)).reshape(len(made.units), 2, -1).mean(axis=1)
    assert loss == pytest.approx(expected)


def test_the_outlook_says_how_many_labels_are_left(made: Plan, truth: dict):
    at, known = labelled(made, truth, most=3)
    ahead = outlook(made, at, known)
    assert ahead is not None
    assert 0 <= ahead.chance <= 1
    assert 1 <= ahead.labels <= made.differs.sum()
    assert outlook(made, at, known) == ahead


# Refusals


def test_too_few_rows_are_refused_before_any_label(pool: Pool):
    with pytest.raises(BadInput, match="whatever their labels; it takes at least"):
        plan(pool.data(np.arange(60)), "small", "large", (), Promise("within", 0.02), 0.05)


def test_a_ratio_is_refused(pool: Pool):
    with pytest.raises(BadInput, match="not `keep`"):
        plan(pool.data(np.arange(60)), "small", "large", (), Promise("keep", 0.98), 0.05)


def test_replies_without_text_are_refused(pool: Pool):
    data = pool.data(np.arange(300))
    bare = [replace(e, calls=tuple(replace(c, reply=Reply(None)) for c in e.calls)) for e in data]
    with pytest.raises(BadInput, match="text of a reply"):
        plan(replace(data, examples=tuple(bare)), "small", "large", (), WITHIN_5, 0.1)


# Agreement, blindness


def test_the_same_number_at_the_end_of_two_essays_is_no_agreement_without_a_target():
    a = Reply("The treaty was signed after long talks in the spring of 1950")
    b = Reply("Nobody knows for sure but I would say roughly 1950")
    assert not same(a, b)
    assert same(a, b, target="1950")
    assert same(Reply("So the answer is 12"), Reply("we add both and get the answer 12 at last"))


def test_empty_replies_agree_with_nothing():
    assert not same(Reply(""), Reply(""))


def test_which_reply_is_a_is_shuffled_and_fixed(made: Plan):
    flips = [swapped(made.data.hash, e.id) for e in made.data]
    assert 0.4 < np.mean(flips) < 0.6
    assert flips == [swapped(made.data.hash, e.id) for e in made.data]


def test_a_key_means_the_reply_that_was_shown(made: Plan):
    for row in range(10):
        a, _ = made.shown(row)
        assert made.meant(row, "a") == a.model
        assert {made.meant(row, "a"), made.meant(row, "b")} == {"small", "large"}


# The file


def test_labels_are_there_after_a_crash_and_the_next_row_is_the_same(made: Plan, truth: dict, tmp_path: Path):
    at, known = labelled(made, truth, most=7)
    book = LabelFile.open(tmp_path / "labels", made)
    rows = {e.id: i for i, e in enumerate(made.data)}
    for name, verdict in known.items():
        book.add(rows[name], verdict)
    with open(book.path, "ab") as file:
        file.write(b'{"id": "3", "repl')  # killed in the middle of a line
    again = LabelFile.open(book.path, made)
    assert standing(made, again.verdicts).row == at.row
    again.add(at.row, "both")
    assert len(LabelFile.open(book.path, made).verdicts) == 8


def test_undo_takes_back_the_last_label_also_after_a_restart(made: Plan, tmp_path: Path):
    book = LabelFile.open(tmp_path / "labels", made)
    book.add(1, "small")
    book.add(2, "large")
    assert LabelFile.open(book.path, made).undo() == "2"
    assert LabelFile.open(book.path, made).verdicts == {"1": "small"}


def test_a_label_of_other_replies_is_not_used(made: Plan, tmp_path: Path):
    book = LabelFile.open(tmp_path / "labels", made)
    book.add(1, "small")
    line = json.loads(book.path.read_text())
    book.path.write_text(json.dumps(line | {"replies": [line["replies"][0], "0" * 16]}) + "\n")
    again = LabelFile.open(book.path, made)
    assert (again.verdicts, again.stale) == ({}, 1)


def test_a_label_with_the_models_swapped_is_mirrored(made: Plan, tmp_path: Path):
    book, row = LabelFile.open(tmp_path / "labels", made), int(made.differs.argmax())
    book.add(row, "small")
    assert LabelFile.open(book.path, replace(made, small="large", large="small")).verdicts == {str(row): "large"}


def test_a_folder_that_can_not_be_written_is_said_at_once(made: Plan, tmp_path: Path):
    with pytest.raises(BadInput, match="can't be written"):
        LabelFile.open(tmp_path / "none" / "labels", made)


# The certificate


def test_runs_are_short_and_whole():
    assert runs([0, 0, 0, 2, 1, 1]) == "0*3 2 1*2"
    assert runs([]) == ""


@pytest.mark.parametrize("most", [0, 3, 20])
def test_the_certificate_checks_wherever_labelling_stopped(made: Plan, truth: dict, most: int):
    found = certificate(made, labelled(made, truth, most)[0], date="2026-01-01")
    assert check(found) == []
    assert from_json(to_json(found)) == found


@pytest.mark.parametrize("field", ["read", "counts", "p_value", "log_wealth", "spread"])
def test_a_tampered_certificate_does_not_add_up(made: Plan, ended: tuple, field: str):
    found = certificate(made, ended[0], date="2026-01-01")
    first = found.tried[0]
    other = {
        "read": " ".join(reversed((first.read or "").split())),
        "counts": (first.counts[0] + 1, *first.counts[1:]),
        "p_value": first.p_value / 2,
        "log_wealth": first.log_wealth + 1,
        "spread": first.spread * 2,
    }
    assert check(replace(found, tried=(replace(first, **{field: other[field]}), *found.tried[1:])))


# Validity


@pytest.mark.slow
@pytest.mark.parametrize("law", [(0.4, 0.5, 0.2), (0.15, 0.6, 0.0)])
def test_the_promise_is_broken_no_more_often_than_delta_whenever_labelling_stops(
    law: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(label_plan, "ENOUGH", 10**9)  # thresholds on log-probabilities alone: their truth is known
    pool, delta, times, broken, shown, naive = Pool(3000, *law, seed=1), 0.1, 300, 0, 0, 0
    for seed in range(times):
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, 3000, 240)
        made = planned(pool, rows, delta)
        at = standing(made, pool.truth(rows))
        # Everything that was ever certified counts, wherever the one who labels would have stopped.
        broken += any(pool.loss(made, k) > 0.05 for k in range((-1 if at.certified is None else at.certified) + 1))
        shown += at.certified is not None
        kept = np.flatnonzero(losses(made, pool.truth(rows))[0].mean(axis=0) <= 0)
        naive += any(pool.loss(made, int(k)) > 0.05 for k in kept)
    assert naive / times > 2 * delta  # the control: every setting whose sample mean keeps the promise
    assert shown > times / 4
    print(f"{broken} of {times} broken, {shown} certified something; by the sample mean {naive} broken")
    assert broken / times <= delta + 2 * sqrt(delta * (1 - delta) / times)
