"""Contrastive decoding: both papers' forms by hand on four tokens, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as when
from hypothesis import strategies as st

from decoding_doubles import chances, given, scores, terms
from sprat.decoding import contrast
from sprat.errors import BadInput, CannotDo

EXPERT, AMATEUR = given("expert", [2, 1.5, 0, -3]), given("amateur", [2, 0, 1, -1])
ROW = st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4)
MINUS = -np.inf


def test_the_logit_form_by_hand() -> None:
    # The head ends at 2 + log .1 = -.30, so d is out; a: 1.5 * 2 - .5 * 2.
    assert scores(contrast(EXPERT, AMATEUR)) == pytest.approx([2.0, 2.25, -0.5, MINUS])


def test_the_log_ratio_form_by_hand() -> None:
    # log p_e = z - 2.558818, log p_a = z - 2.440190.
    assert scores(contrast(EXPERT, AMATEUR, form="log_ratio")) == pytest.approx(
        [-0.118628, 1.381372, -1.118628, MINUS], abs=1e-5
    )


def test_the_amateurs_temperature_by_hand() -> None:
    # At .5 the amateur's logits are 4, 0, 2, -2 and their log-sum-exp 4.145078.
    made = contrast(EXPERT, AMATEUR, form="log_ratio", amateur_temperature=0.5)
    assert scores(made) == pytest.approx([-0.41374, 3.08626, -0.41374, MINUS], abs=1e-5)


def test_the_expert_alone_would_have_chosen_otherwise() -> None:
    assert (scores(EXPERT).argmax(), scores(contrast(EXPERT, AMATEUR)).argmax()) == (0, 1)


@when(ROW, ROW)
def test_beta_0_is_the_expert_on_the_plausible_tokens(expert: list[float], amateur: list[float]) -> None:
    made = chances(contrast(given("e", expert), given("a", amateur), beta=0))
    alone = chances(given("e", expert))
    kept = made > 0
    assert made == pytest.approx(np.where(kept, alone, 0) / alone[kept].sum(), abs=1e-6)
    assert (alone[kept] >= 0.0999 * alone.max()).all()
    assert (alone[~kept] <= 0.1001 * alone.max()).all()


def test_beta_0_never_asks_the_amateur() -> None:
    asked = given("amateur", [0, 0, 0, 0])
    scores(contrast(EXPERT, asked, beta=0))
    assert asked.fed == []


@when(ROW, ROW)
def test_alpha_1_leaves_the_experts_own_choice(expert: list[float], amateur: list[float]) -> None:
    made = scores(contrast(given("e", expert), given("a", amateur), alpha=1))
    assert np.isfinite(made[int(np.argmax(np.float32(expert)))])
    assert (np.isfinite(made) == (np.float32(expert) == max(np.float32(expert)))).all()


@when(ROW)
def test_against_itself_the_logit_form_changes_nothing(row: list[float]) -> None:
    model = given("m", row)
    assert scores(contrast(model, model, alpha=0)) == pytest.approx(np.float32(row), abs=1e-4)


@when(ROW, ROW, st.floats(0, 3), st.sampled_from(["logits", "log_ratio"]))
def test_the_terms_add_up(expert: list[float], amateur: list[float], beta: float, form: str) -> None:
    made = contrast(given("e", expert), given("a", amateur), beta=beta, form=form)  # pyright: ignore[reportArgumentType]
    assert sum(term for _, term in terms(made)) == pytest.approx(scores(made), abs=1e-4)


def test_what_is_not_plausible_is_never_drawn_however_hot() -> None:
    made = contrast(given("e", [2, 1.5, 0, -3]), given("a", [2, 0, 1, -1]))
    drawn = [made("a", temperature=9.0, seed=seed, max_tokens=5).text for seed in range(40)]
    assert {letter for text in drawn for letter in text} == {"a", "b", "c"}


def test_beta_is_a_half_for_logits_and_one_for_the_log_ratio() -> None:
    assert (contrast(EXPERT, AMATEUR).beta, contrast(EXPERT, AMATEUR, form="log_ratio").beta) == (0.5, 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 1.5},
        {"alpha": -0.1},
        {"beta": -1},
        {"beta": float("nan")},
        {"form": "log-ratio"},
        {"amateur_temperature": 0.5},
        {"amateur_temperature": 0, "form": "log_ratio"},
    ],
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=r"Needed|Did you mean"):
        contrast(EXPERT, AMATEUR, **wrong)  # pyright: ignore[reportArgumentType]


def test_a_model_that_gives_text_alone_is_refused() -> None:
    from sprat import toy

    with pytest.raises(CannotDo, match="contrast needs logits from every part; 'words' gives text"):
        contrast(EXPERT, toy("words", lambda _: "a"))  # pyright: ignore[reportArgumentType]
