"""A product of policies is the softmax of the sum, its ends are what they should be, and it is saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sprat
from sprat import config
from sprat.core import Request
from sprat.decoding import product, steered
from sprat.errors import BadInput, CannotDo
from sprat.whitebox.arrays import softmax
from sprat.whitebox.pool import Pool

BASE, FRY = sprat.tiny("sprat"), sprat.tiny("fry")


def chances(decoder: Any, asked: str = "12+7=") -> Any:
    return softmax(Pool([decoder, BASE, FRY], [Request.of(asked)]).scores(decoder))[0, 0]


def test_a_product_multiplies_and_normalizes() -> None:
    by_hand = chances(BASE) * chances(FRY) ** 0.5
    np.testing.assert_allclose(chances(product(BASE, FRY, 0.5)), by_hand / by_hand.sum(), atol=1e-6)


def test_alpha_0_is_the_base() -> None:
    np.testing.assert_array_equal(chances(product(BASE, FRY, 0.0)), chances(BASE))


def test_terms_add_up_to_the_scores() -> None:
    model = product(BASE, steered(FRY, ["7"]), 1.3)
    step = Pool([model], [Request.of("12+7=")]).look()
    np.testing.assert_allclose(sum(s for _, s in model.terms(step)), step.of(model), atol=1e-5)


def test_a_steered_model_reads_its_tokens_first() -> None:
    assert steered(FRY, ["7", "="]).prompt(Request.of("1+1=")) == [
        FRY.vocabulary.tokens.index("7"),
        FRY.vocabulary.tokens.index("="),
        *FRY.prompt(Request.of("1+1=")),
    ]


def test_the_tokens_that_come_first_change_what_is_said() -> None:
    assert not np.allclose(chances(steered(FRY, ["7"])), chances(FRY))


def test_only_the_adapter_is_steered() -> None:
    pool = Pool([product(BASE, steered(FRY, ["7"]))], [Request.of("1+1=")])
    assert [len(prompts[0]) for prompts in pool.prompts] == [5, 6]


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    model = product(BASE, steered(FRY, ["7"]), 0.4)
    config.dump(model, tmp_path / "m.toml")
    assert config.load(tmp_path / "m.toml") == model


def test_a_token_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match="<reward-1>"):
        steered(FRY, ["<reward-1>"])("1+1=")


def test_a_combination_is_not_steered() -> None:
    with pytest.raises(BadInput, match="several"):
        steered(BASE + FRY, ["7"])  # type: ignore[arg-type]


def test_parts_without_logits_are_refused() -> None:
    with pytest.raises(CannotDo):
        product(BASE, sprat.toy("t", lambda _: ""))  # type: ignore[arg-type]
