from __future__ import annotations

from math import cos, log, radians
from pathlib import Path

import numpy as np
import pytest
import tokens_by_hand
from hypothesis import given
from hypothesis import strategies as st
from tokens_by_hand import ByHand

from sprat.errors import BadInput
from sprat.similarity import Baseline, StaticTokens, baseline, bertscore

TEXTS = st.lists(st.sampled_from(tokens_by_hand.NAMES), max_size=12).map(" ".join)
C30, C20 = cos(radians(30)), cos(radians(20))


def test_precision_is_the_mean_over_the_texts_tokens_of_their_best_match() -> None:
    found = bertscore(["northeast west"], ["north"], ByHand())
    # The mark counts as a match: "west" is nearer to "north" (cosine 0) than to the mark in the east (-1).
    assert found.precision[0] == pytest.approx((C30 + 0) / 2, abs=1e-6)


def test_recall_is_the_mean_over_the_references_tokens() -> None:
    assert bertscore(["northeast west"], ["north"], ByHand()).recall[0] == pytest.approx(C30)


def test_f_is_the_harmonic_mean() -> None:
    found = bertscore(["northeast"], ["north east"], ByHand())
    p, r = found.precision[0], found.recall[0]
    assert r == pytest.approx((C30 + 1) / 2)  # "east" is as the mark of the text
    assert found.f[0] == pytest.approx(2 * p * r / (p + r))


def test_a_mark_is_matched_with_but_has_no_weight() -> None:
    assert bertscore(["east"], ["north"], ByHand()).precision[0] == pytest.approx(1.0)


def test_rarity_is_the_log_of_n_plus_1_by_the_texts_that_have_the_token_plus_1() -> None:
    found = bertscore(["north", "northeast east"], ["north", "north near-east"], ByHand(), idf=True)
    common, rare = log(3 / 3), log(3 / 2)  # "north" stands in both references, "near-east" in one
    assert common == 0
    assert found.recall[1] == pytest.approx((rare * C20 + common * C30) / rare)


def test_what_rarity_gives_no_weight_at_all_is_unknown() -> None:
    assert np.isnan(bertscore(["north", "east"], ["north", "north"], ByHand(), idf=True).recall[0])


def test_rarity_needs_two_references() -> None:
    with pytest.raises(BadInput, match="Rarity was asked for over 1 text"):
        bertscore(["north"], ["north"], ByHand(), idf=True)


def test_of_several_references_the_best_counts_for_each_of_the_three() -> None:
    several = bertscore(["northeast"], [["north", "near-east", "west"]], ByHand())
    each = bertscore(["northeast"] * 3, ["north", "near-east", "west"], ByHand())
    for what in ("precision", "recall", "f"):
        assert several.of(what)[0] == each.of(what).max()


def test_an_empty_text_scores_0_and_is_counted() -> None:
    found = bertscore(["", "north"], ["north", ""], ByHand())
    assert found.f.tolist() == found.precision.tolist() == [0.0, 0.0]
    assert found.empty == 2


def test_a_text_without_reference_is_named() -> None:
    with pytest.raises(BadInput, match="Text 1 has no reference"):
        bertscore(["north", "east"], [["north"], []], ByHand())


def test_texts_and_references_must_be_as_many() -> None:
    with pytest.raises(BadInput, match="2 texts and references for 1"):
        bertscore(["north", "east"], ["north"], ByHand())


def test_the_baseline_is_taken_off_and_the_rest_stretched_to_1() -> None:
    base = Baseline(0.2, 0.3, 0.25, 10, "by-hand")
    raw, found = (bertscore(["northeast"], ["north"], ByHand(), rescale=b) for b in (None, base))
    assert found.recall[0] == pytest.approx((raw.recall[0] - 0.3) / 0.7)
    assert bertscore(["north"], ["north"], ByHand(), rescale=base).f[0] == pytest.approx(1.0)


def test_another_encoders_baseline_is_refused() -> None:
    with pytest.raises(BadInput, match="baseline is that of the encoder other"):
        bertscore(["north"], ["north"], ByHand(), rescale=Baseline(0, 0, 0, 1, "other"))


def test_a_baseline_is_the_mean_of_pairs_of_different_texts() -> None:
    base = baseline(["north", "northeast", "north"], ByHand(), pairs=50)
    one, other = (bertscore([a], [b], ByHand()).recall[0] for a, b in (("north", "northeast"), ("northeast", "north")))
    assert min(one, other) - 1e-6 <= base.recall <= max(one, other) + 1e-6


def test_a_baseline_survives_its_file(tmp_path: Path) -> None:
    base = baseline(["north", "east", "west"], ByHand(), pairs=20)
    base.save(tmp_path / "base.json")
    assert Baseline.load(tmp_path / "base.json") == base


def test_what_is_no_baseline_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(BadInput, match="no saved baseline"):
        Baseline.load(tmp_path / "x.json")


def test_each_text_is_read_once() -> None:
    encoder = ByHand()
    bertscore(["north", "north", "east"], ["north", "east", "east"], encoder)
    assert sorted(encoder.asked) == ["east", "north"]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_a_pair_scores_alone_what_it_scores_among_others(pairs: list[tuple[str, str]]) -> None:
    together = bertscore([a for a, _ in pairs], [b for _, b in pairs], ByHand())
    alone = [bertscore([a], [b], ByHand()).f[0] for a, b in pairs]
    assert together.f == pytest.approx(alone, abs=1e-6)


@given(TEXTS, TEXTS)
def test_precision_and_recall_change_places_with_the_texts(a: str, b: str) -> None:
    there, back = bertscore([a], [b], ByHand()), bertscore([b], [a], ByHand())
    assert there.precision == pytest.approx(back.recall, abs=1e-6)


@given(st.text(max_size=60).filter(lambda t: bool(StaticTokens().tokens([t])[0].plain.any())))
def test_a_text_is_wholly_like_itself(text: str) -> None:
    assert bertscore([text], [text]).f[0] == pytest.approx(1.0, abs=1e-5)


def test_a_text_of_ten_thousand_tokens_is_compared_in_blocks() -> None:
    long = "north east west " * 3500
    assert bertscore([long], [long], ByHand()).f[0] == pytest.approx(1.0, abs=1e-5)
