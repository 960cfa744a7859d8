"""What holds of every method that adds logits: libraries agree, tails are cut, terms add up, TOML keeps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sprat
from decoding_doubles import Given, Letters, given, pool_of, scores, terms
from sprat.config import dump, load
from sprat.decoding import contrast, dexperts, emulate, induce_contrast, proxy_tune, told
from sprat.whitebox.decoder import Decoder

Three = Callable[[Any, Any, Any], Decoder]
METHODS: dict[str, Three] = {
    "weighted": lambda a, b, c: a + 0.5 * (b - c),
    "contrast": lambda a, b, c: contrast(a + c, b),
    "log_ratio": lambda a, b, c: contrast(a, b, form="log_ratio", amateur_temperature=0.5) + 0 * c,
    "dexperts": lambda a, b, c: dexperts(a, expert=b, anti=c, alpha=0.7),
    "expert": lambda a, b, c: dexperts(a, expert=b) + 0.1 * c,
    "anti": lambda a, b, c: dexperts(a, anti=b) + 0.1 * c,
    "proxy_tune": lambda a, b, c: proxy_tune(a, tuned=b, untuned=c, alpha=0.5),
    "emulate": lambda a, b, c: emulate(a, tuned=(b, a), untuned=c, weights=(0.3, -0.2)),
    "conservative": lambda a, b, c: emulate(a, tuned=b, untuned=c, top_p=0.8),
    "induced": lambda a, b, c: induce_contrast(a, b + c),
    "relu": lambda a, b, c: induce_contrast(a, b, form="relu") + 0.1 * c,
    "told": lambda a, b, c: a + told(b, before="d") - told(told(b, last=1), system="c") + 0.2 * c,
    "nested": lambda a, b, c: contrast(proxy_tune(a, tuned=b, untuned=c), emulate(c, tuned=b, untuned=a)),
}
EVERY = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
TINY = tuple(sprat.tiny(name) for name in ("mackerel", "sprat", "fry"))
ASKED = ["12+7=", "sort 31 4 15:", "Mia has 9 figs, gives 4 and buys 3. How many?", "reverse shark:"]


def three(**more: Any) -> list[Given]:
    """Leaves whose logits depend on all that was read."""
    rng = np.random.default_rng(5)
    return [given(name, *rng.normal(0, 2, (4, 4)), noise=0.5, **more) for name in "xyz"]


@EVERY
def test_numpy_and_torch_agree(method: Three) -> None:
    pytest.importorskip("torch")
    here, there = method(*three()), method(*three(torch=True))
    assert scores(there).numpy() == pytest.approx(scores(here), abs=1e-5)


@EVERY
def test_parts_of_two_libraries_meet(method: Three) -> None:
    pytest.importorskip("torch")
    a, b, c = three()
    mixed = method(a, *three(torch=True)[1:])
    assert np.asarray(scores(mixed)) == pytest.approx(scores(method(a, b, c)), abs=1e-5)


@EVERY
def test_a_padded_tail_is_never_seen(method: Three) -> None:
    bare, padded = method(*three()), method(three()[0], *three(wide=3)[1:])
    assert scores(padded) == pytest.approx(scores(bare))


@EVERY
def test_an_id_that_only_some_have_is_given_up(method: Three) -> None:
    a, b, c = three()
    longer = given("y", *((*row, 50.0) for row in (*b.logits, b.logits[0])), letters=Letters(tuple("abcde")))
    assert scores(method(a, longer, c)).shape == (4,)


@EVERY
def test_different_vocabularies_are_refused_by_id(method: Three) -> None:
    a, b, c = three()
    other = given("y", *b.logits, letters=Letters(("a", "c", "b", "d")))
    (reply,) = method(a, other, c).batch(["a"])
    assert "2 ids differ (1: 'b' and 'c'; 2: 'c' and 'b')" in reply.error
    assert "sprat.search" in reply.error or "cascade" in reply.error


@EVERY
def test_the_terms_add_up_to_the_scores(method: Three) -> None:
    made = method(*three())
    with np.errstate(invalid="ignore"):  # masked in both
        gap = sum(term for _, term in terms(made)) - scores(made)
    assert np.ptp(gap[np.isfinite(gap)]) == pytest.approx(0, abs=1e-4)


@EVERY
def test_rows_together_are_rows_alone(method: Three) -> None:
    made = method(*three())
    together = pool_of(made, prompts=["a", "cab", "dd"]).scores(made)
    alone = [pool_of(made, prompts=[prompt]).scores(made)[0] for prompt in ("a", "cab", "dd")]
    assert np.stack(alone) == pytest.approx(together, abs=1e-5)


@EVERY
def test_a_block_is_its_tokens_one_by_one(method: Three) -> None:
    made = method(*three())
    pool, slow = pool_of(made), pool_of(made)
    steps = [slow.scores(made)[:, -1]]
    for token in (2, 0, 3):
        slow.write(np.array([[token]]))
        steps.append(slow.scores(made)[:, -1])
    pool.write(np.array([[2, 0, 3]]))
    assert pool.scores(made, 4) == pytest.approx(np.stack(steps, axis=1), abs=1e-5)


@EVERY
def test_huge_logits_give_numbers_or_masks(method: Three) -> None:
    rows = np.array([[1e4, -1e4, 3e3, 0.0], [-1e4, 1e4, 0.0, 1e4], [0.0, 0.0, 1e4, -1e4]])
    made = scores(method(*(given(name, row) for name, row in zip("xyz", rows, strict=True))))
    assert not np.isnan(made).any()
    assert np.isfinite(made.max())


@EVERY
def test_logits_that_are_no_numbers_are_an_error_in_one_sentence(method: Three) -> None:
    _, b, c = three()
    (reply,) = method(given("x", [float("nan")] * 4), b, c).batch(["a"])
    assert "not finite at token 1" in reply.error


@EVERY
def test_a_batch_writes_what_each_writes_alone(method: Three) -> None:
    made = method(*[sprat.tiny(model.name) for model in TINY]) if method is not METHODS["told"] else TINY[0] + TINY[1]
    assert [r.text for r in made.batch(ASKED, max_tokens=8)] == [made(a, max_tokens=8).text for a in ASKED]


@EVERY
def test_toml_keeps_it(method: Three, tmp_path: Path) -> None:
    made = method(*TINY)
    dump(made, tmp_path / "m.toml")
    assert load(tmp_path / "m.toml") == made


@EVERY
def test_every_token_is_explained(method: Three) -> None:
    made = method(*[sprat.tiny(model.name) for model in TINY])
    told_of = made("sort 31 4 15:", max_tokens=4).explain()
    for choice in told_of.choices:
        if np.isfinite(choice.margin):
            assert sum(choice.contributions) == pytest.approx(choice.margin, abs=1e-3)
