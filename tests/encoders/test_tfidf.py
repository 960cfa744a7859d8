"""Hashed TF-IDF against a count by hand, and its laws."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprat.encoders import Encoder, TfidfEncoder, fit, load, save
from sprat.errors import BadInput

TEXTS = ["the cat sat", "the dog sat", "a theorem of algebra"]


def test_is_an_encoder() -> None:
    assert isinstance(TfidfEncoder(), Encoder)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=10))
@settings(max_examples=40, deadline=None)
def test_rows_have_length_one_and_stand_alone(texts: list[str]) -> None:
    encoder = fit(TfidfEncoder(dim=64), TEXTS)
    rows = encoder.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(rows, np.concatenate([encoder.encode([t]) for t in texts]))


def test_two_single_words_have_the_cosine_counted_by_hand() -> None:
    encoder = fit(TfidfEncoder(), ["cat", "cat", "dog"])
    rarity = {"cat": math.log(4 / 3) + 1, "dog": math.log(4 / 2) + 1, "pair": math.log(4 / 1) + 1}
    both, one = encoder.encode(["cat dog", "cat"])
    expected = rarity["cat"] / math.sqrt(sum(v * v for v in rarity.values()))
    assert float(both @ one) == pytest.approx(expected, abs=1e-6)


def test_a_word_seen_four_times_counts_one_plus_log_four() -> None:
    encoder = TfidfEncoder()
    row = encoder.encode(["cat cat cat cat"])[0]
    weights = [1 + math.log(4), 1 + math.log(3)]  # the word, and the pair it makes with itself
    expected = sorted(w / math.hypot(*weights) for w in weights)
    assert sorted(np.abs(row[row != 0]).tolist()) == pytest.approx(expected, abs=1e-6)


def test_rare_words_weigh_more_once_fitted() -> None:
    plain = TfidfEncoder().encode(["the theorem", "the cat"])
    fitted = fit(TfidfEncoder(), ["the"] * 50 + ["theorem", "cat"]).encode(["the theorem", "the cat"])
    assert fitted[0] @ fitted[1] < plain[0] @ plain[1]


def test_fitting_returns_another_encoder_with_another_name() -> None:
    before = TfidfEncoder()
    after = fit(before, TEXTS)
    assert before.name != after.name
    assert (before.rarity == 1).all()


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    encoder = fit(TfidfEncoder(dim=128), TEXTS)
    save(encoder, tmp_path / "t.npz")
    assert load(tmp_path / "t.npz").name == encoder.name
    np.testing.assert_array_equal(load(tmp_path / "t.npz").encode(TEXTS), encoder.encode(TEXTS))


def test_bad_options_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at most buckets"):
        TfidfEncoder(dim=10, buckets=5)
    with pytest.raises(BadInput, match="no texts"):
        fit(TfidfEncoder(), [])
    (tmp_path / "x.npz").write_bytes(b"nonsense")
    with pytest.raises(BadInput, match="not a saved"):
        load(tmp_path / "x.npz")
