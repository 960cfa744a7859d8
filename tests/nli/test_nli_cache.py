"""Probabilities kept by content."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from nli_by_hand import ByHand

from sprat.errors import BadInput
from sprat.nli import cached, small

PAIRS = [("a", "b"), ("b", "a"), ("a", "b"), ("ab", "")]
KNOWN = {("a", "b"): (0.1, 0.2, 0.7), ("b", "a"): (1 / 3, 1 / 3, 1 / 3)}


def test_a_pair_is_judged_once_and_a_hit_is_the_miss_to_the_bit(tmp_path: Path) -> None:
    nli = ByHand(KNOWN)
    first = cached(nli, tmp_path / "c.sqlite").probabilities(PAIRS)
    again = cached(nli, tmp_path / "c.sqlite").probabilities(PAIRS)
    assert first.tolist() == again.tolist() == ByHand(KNOWN).probabilities(PAIRS).tolist()
    assert nli.asked == [[("a", "b"), ("b", "a"), ("ab", "")]]


def test_no_two_pairs_share_a_row(tmp_path: Path) -> None:
    nli = cached(ByHand({("1 a", "b"): (1.0, 0.0, 0.0)}), tmp_path / "c.sqlite")
    assert nli.probabilities([("1 a", "b"), ("1 ", "ab"), ("1", " ab")])[:, 0].tolist() == [1.0, 0.0, 0.0]


def test_another_model_finds_nothing(tmp_path: Path) -> None:
    cached(ByHand(KNOWN), tmp_path / "c.sqlite").probabilities(PAIRS)
    other = ByHand({}, name="another")
    cached(other, tmp_path / "c.sqlite").probabilities(PAIRS)
    assert len(other.asked) == 1


def test_no_text_is_stored(tmp_path: Path) -> None:
    cached(ByHand({}), tmp_path / "c.sqlite").probabilities([("northeast", "southwest")])
    assert b"northeast" not in (tmp_path / "c.sqlite").read_bytes()


def test_a_row_that_is_cut_short_counts_as_absent(tmp_path: Path) -> None:
    nli = ByHand(KNOWN)
    cached(nli, tmp_path / "c.sqlite").probabilities(PAIRS[:1])
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        db.execute("UPDATE kept SET row = x'00'")
    db.close()
    assert cached(nli, tmp_path / "c.sqlite").probabilities(PAIRS[:1]).tolist() == [[0.1, 0.2, 0.7]]


def test_it_says_what_the_model_says_of_itself(tmp_path: Path) -> None:
    nli = cached(small(), tmp_path / "c.sqlite")
    assert (nli.name, nli.worth) == (small().name, small().worth)


def test_no_pairs_have_no_probabilities(tmp_path: Path) -> None:
    assert cached(ByHand({}), tmp_path / "c.sqlite").probabilities([]).shape == (0, 3)


def test_what_is_not_two_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Pair 1"):
        cached(ByHand({}), tmp_path / "c.sqlite").probabilities([("a", "b"), ("a", None)])  # type: ignore[list-item]
