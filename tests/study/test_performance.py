"""Foretelling a score: the splits keep what they say apart, intervals hold, and columns are read as they are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sprat.errors import BadInput
from sprat.study.performance import (
    Table,
    find_columns,
    foretell,
    foretell_new,
    owners,
    parts,
    table_of,
    worth_tuning,
)

LANGUAGES = [f"l{i}" for i in range(12)]


def made(n: int = 360, seed: int = 0, effect: float = 2.0) -> Table:
    """A score that a proxy tells, but for each language's own effect and some noise; English is in every row."""
    rng = np.random.default_rng(seed)
    own = rng.integers(0, 12, n)
    proxy, size = rng.uniform(0, 40, n), rng.uniform(0, 10, n)
    target = proxy + effect * rng.normal(size=12)[own] + rng.normal(size=n)
    told = tuple(frozenset({"eng", LANGUAGES[i]}) for i in own)
    return Table(target, np.column_stack([proxy, size]), ("proxy", "size"), told)


def test_a_hub_language_owns_no_row():
    table = made()
    assert set(owners(table, table.known)) == set(LANGUAGES)


def test_a_language_left_out_is_in_no_taught_row():
    rng = np.random.default_rng(0)
    told = tuple(frozenset(rng.choice(LANGUAGES, 2, replace=False).tolist()) for _ in range(300))
    table = Table(np.zeros(300), np.zeros((300, 1)), ("x",), told)
    own = owners(table, table.known)
    for taught, out in parts(table, table.known, "language", 0):
        (language,) = {own[i] for i in out}
        assert not any(language in told[i] for i in taught)


def test_every_row_is_foretold_once_at_random():
    table = made()
    assert sorted(np.concatenate([out for _, out in parts(table, table.known, "random", 0)])) == list(range(360))


def test_a_proxy_that_tells_the_score_beats_the_mean_by_far():
    found = foretell(made())
    assert found.rmse.value < found.mean_rmse / 3
    assert found.rmse.low < found.rmse.value < found.rmse.high


def test_intervals_hold_as_often_as_they_say_for_rows_like_these():
    found = [foretell(made(seed=i), confidence=0.8).coverage for i in range(3)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_a_new_language_needs_a_wider_interval():
    table = made(effect=6.0)
    random, language = foretell(table), foretell(table, "language")
    assert language.width > random.width
    assert language.rmse.value > random.rmse.value
    assert language.rmse.units == 12


def test_unknown_rows_get_the_interval_of_what_they_are():
    table = made(effect=6.0)
    target = table.target.copy()
    target[:2] = np.nan
    told = (frozenset({"eng", "unseen"}), *table.languages[1:])
    table = Table(target, table.features, table.names, told)
    random, language = foretell(table), foretell(table, "language")
    new, old = foretell_new(table, random, language)
    assert new["new language"]
    assert not old["new language"]
    assert new["high"] - new["low"] == pytest.approx(2 * language.half)
    assert old["high"] - old["low"] == pytest.approx(2 * random.half)


def test_tuning_is_worth_it_where_the_lower_end_gains_enough():
    said = worth_tuning(([20, 20, 11], [15, 12, 9], [25, 28, 11.5]), [10, 10, 10], 4)
    assert [s[0] for s in said] == ["yes", "unsure", "no"]
    assert said[0][1:] == (10, 5, 15)


HEADER = {"source_lang": "a", "nllb_ft_BLEU": 1, "nllb_noft_BLEU": 1, "trfm_BLEU": 1, "nllb_ft_TER": 1, "trfm_TER": 1,
          "genetic": 0.5, "corpus": "x"}  # fmt: skip


def test_columns_are_read_by_their_names():
    found = find_columns([HEADER], "nllb")
    assert found.target == "nllb_ft_BLEU"
    assert found.proxies == ("nllb_noft_BLEU", "trfm_BLEU")
    assert found.others == ("genetic",)
    assert found.languages == ("source_lang",)
    assert found.untuned == "nllb_noft_BLEU"


def test_only_the_named_proxies_are_used():
    found = find_columns([HEADER], "nllb_ft_TER", ["trfm"])
    assert (found.target, found.proxies) == ("nllb_ft_TER", ("trfm_TER",))


@pytest.mark.parametrize(("arguments", "said"), [
    (("nlb", (), ()), "nllb"), (("nllb", ("tfm",), ()), "trfm_BLEU"), (("nllb", (), ("lang",)), "source_lang"),
])  # fmt: skip
def test_a_name_that_no_column_has_is_refused_with_the_nearest(arguments: tuple, said: str):
    with pytest.raises(BadInput, match=said):
        find_columns([HEADER], *arguments)


def test_an_empty_cell_is_no_zero():
    table = table_of([HEADER, {**HEADER, "nllb_ft_BLEU": "", "genetic": ""}], find_columns([HEADER], "nllb"))
    assert np.isnan(table.target[1])
    assert np.isnan(table.features[1, -1])


def test_too_few_rows_are_refused_with_the_number():
    with pytest.raises(BadInput, match="at least 40 rows"):
        foretell(made(39))


def test_groups_are_left_out_whole():
    rng = np.random.default_rng(0)
    level = np.repeat([0.0, 10.0, 20.0, 30.0], 30)
    x = rng.normal(size=(120, 1))
    table = Table(level + x[:, 0], x, ("x",), (frozenset(),) * 120, tuple(f"g{int(v)}" for v in level))
    for taught, out in parts(table, table.known, "group", 0):
        assert not {table.groups[i] for i in taught} & {table.groups[i] for i in out}
    found = foretell(table, "group")
    assert found.rmse.value > 8  # nothing in the features tells a new group's level
    assert found.rmse.units == 4


@pytest.mark.parametrize("groups", [(), ("a", "b") * 60, ("a",) * 118 + ("b", "c")])
def test_too_few_groups_are_refused(groups: tuple[str, ...]):
    table = Table(np.arange(120.0), np.ones((120, 1)), ("x",), (frozenset(),) * 120, groups)
    with pytest.raises(BadInput, match="at least 3"):
        parts(table, table.known, "group", 0)


def test_a_group_that_a_row_lacks_is_said():
    with pytest.raises(BadInput, match="has no 'genre'"):
        table_of([HEADER], find_columns([HEADER], "nllb"), "genre")


def of_levels(groups: int, seed: int, rows: int = 12) -> Table:
    """Groups whose levels nothing tells; each has a number of its own among the features."""
    rng = np.random.default_rng(seed)
    own = np.repeat(np.arange(groups), rows)
    x = rng.normal(size=len(own))
    y = x + rng.normal(0, 5, groups)[own] + 0.3 * rng.normal(size=len(own))
    return Table(
        y,
        np.column_stack([x, own.astype(np.float64)]),
        ("x", "own"),
        (frozenset(),) * len(own),
        tuple(f"g{g}" for g in own),
    )


def test_an_unseen_groups_rows_get_the_half_width_of_groups_left_out():
    table = of_levels(11, 0)
    hidden = replace(table, target=np.where(np.array(table.groups) == "g10", np.nan, table.target))
    random, group = foretell(hidden), foretell(hidden, "group")
    found = foretell_new(hidden, random, None, group)
    assert all(line["new group"] for line in found)
    assert {round(line["high"] - line["foretold"], 9) for line in found} == {round(group.half, 9)}
    assert group.half > 4 * random.half


def test_a_new_language_whose_error_was_not_measured_has_no_interval():
    table = made()
    target = table.target.copy()
    target[0] = np.nan
    table = Table(target, table.features, table.names, (frozenset({"unseen"}), *table.languages[1:]))
    (line,) = foretell_new(table, foretell(table), None)
    assert (line["new language"], line["low"], line["high"]) == (True, -np.inf, np.inf)


def test_a_half_width_beyond_the_largest_error_is_infinite_and_the_rows_it_needs_are_said():
    # The next of k alike is beyond all of them with the chance 1 / (k + 1): 90 % needs 9, and one more to check it.
    eight, nine, ten = (foretell(of_levels(k, 0), "group") for k in (8, 9, 10))
    assert (eight.half, nine.width) == (np.inf, np.inf)
    assert "at least 9 groups, and to be checked those of 10; there are 8" in eight.note
    assert np.isfinite(nine.half)
    assert np.isfinite(ten.width)
    assert ten.note == ""
