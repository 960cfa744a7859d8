"""SummaC-Conv: histograms by hand, and a case that zero-shot cannot tell apart."""

from __future__ import annotations

import numpy as np
import pytest
from nli_by_hand import ByHand

from sprat.errors import BadInput
from sprat.nli.summac import summac
from sprat.nli.summac_conv import summac_conv

SAID = {f"Piece {i} of it here.": i for i in range(4)}


def column(*entailed: float) -> dict[tuple[str, str], tuple[float, float, float]]:
    claim = f"Claim {' '.join(map(str, entailed))} here."
    return {(piece, claim): (entailed[i], 1 - entailed[i], 0.0) for piece, i in SAID.items()}


# Of both the best sentence entails at .9; in the one the others half agree too, in the other nothing does.
ECHOED, ALONE = column(0.9, 0.5, 0.5, 0.5), column(0.9, 0.1, 0.1, 0.1)
NLI = ByHand({**ECHOED, **ALONE, **column(1.0, 0.0, 0.19, 0.2)})
DOCUMENT = " ".join(SAID)
PAIRS = [(DOCUMENT, next(iter(c))[1]) for c in (ECHOED, ALONE)]


def test_the_histogram_counts_a_column() -> None:
    (counts,) = summac_conv(NLI, bins=5).histograms([(DOCUMENT, "Claim 1.0 0.0 0.19 0.2 here.")])
    assert counts.tolist() == [[2.0, 1.0, 0.0, 0.0, 1.0]]


def test_each_class_has_bins_of_its_own() -> None:
    (counts,) = summac_conv(NLI, bins=2, classes="ec").histograms(PAIRS[:1])
    assert counts.tolist() == [[0.0, 4.0, 4.0, 0.0]]


def test_it_tells_apart_what_zero_shot_cannot() -> None:
    zero_shot = [c.score for c in summac(NLI).check(PAIRS)]
    assert zero_shot[0] == pytest.approx(zero_shot[1])
    fitted = summac_conv(NLI, bins=10).fit(PAIRS * 10, [1, 0] * 10)
    echoed, alone = fitted.check(PAIRS)
    assert echoed.support > 0.9 > 0.1 > alone.support


def test_the_weights_are_where_the_slope_of_the_loss_is_nothing() -> None:
    y = np.array([1, 0, 0])
    pairs = [*PAIRS, PAIRS[0]]
    fitted = summac_conv(NLI, bins=10).fit(pairs, y, penalty=0.5)
    assert fitted.weights is not None
    x = np.array([h.mean(axis=0) for h in fitted.histograms(pairs)])
    p = np.array([c.support for c in fitted.check(pairs)])
    assert x.T @ (p - y) + 0.5 * fitted.weights[:-1] == pytest.approx(np.zeros(10), abs=1e-6)


def test_a_text_of_two_sentences_has_the_mean_of_their_log_odds() -> None:
    fitted = summac_conv(NLI, bins=10).fit(PAIRS * 10, [1, 0] * 10)
    one, other, both = fitted.check([*PAIRS, (DOCUMENT, f"{PAIRS[0][1]} {PAIRS[1][1]}")])
    assert both.score == pytest.approx((one.score + other.score) / 2)


def test_before_it_learnt_it_says_so() -> None:
    with pytest.raises(BadInput, match="has not learnt"):
        summac_conv(NLI).check(PAIRS)


def test_pairs_of_one_kind_teach_nothing() -> None:
    with pytest.raises(BadInput, match="some are consistent"):
        summac_conv(NLI).fit(PAIRS, [1, 1])


def test_weights_of_another_model_are_refused() -> None:
    fitted = summac_conv(NLI, bins=10).fit(PAIRS * 10, [1, 0] * 10)
    other = type(fitted)(ByHand({}, name="another"), 10, weights=fitted.weights, fitted_to=fitted.fitted_to)
    with pytest.raises(BadInput, match="belong to 'by-hand'"):
        other.check(PAIRS)
