"""DSIR against a slow copy of its definition, and against weights computed by hand."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.curate import Settings, dsir
from sprat.curate.dsir import divergence, effective_sample_size
from sprat.curate.ngrams import Hasher
from sprat.errors import BadInput

SHORT = Settings(least_tokens=1)
RAW = ["the cat sat", "Stocks fell, the bank said.", "a cat and a cat", "bank of the river", "it's 3.5%"]
TARGET = ["the cat and the dog", "A CAT"]
texts = st.text(st.sampled_from("ab A.,!é1_ \n"), min_size=1, max_size=30)


def slow_features(text: str, buckets: int, n: int) -> Counter[int]:
    words = re.findall(r"\w+|[^\w\s]+", text.lower())
    grams = [" ".join(words[i : i + k]) for k in range(1, n + 1) for i in range(len(words) - k + 1)]
    return Counter(int(hashlib.sha256(g.encode()).hexdigest(), 16) % buckets for g in grams)


def slow_weights(raw: list[str], target: list[str], buckets: int, n: int) -> list[float]:
    bags = [slow_features(t, buckets, n) for t in raw]
    p, q = sum(bags, Counter[int]()), sum((slow_features(t, buckets, n) for t in target), Counter[int]())
    logs = {b: math.log(q[b] / q.total() + 1e-8) - math.log(p[b] / p.total() + 1e-8) for b in p}
    return [math.fsum(c * logs[b] for b, c in bag.items()) for bag in bags]


@given(st.lists(texts, min_size=2, max_size=6), st.lists(texts, min_size=1, max_size=3), st.integers(1, 3))
def test_weights_are_those_of_the_definition(raw: list[str], target: list[str], n: int) -> None:
    raw, target = [*raw, "a b"], [*target, "b a"]
    found = dsir(raw, target, 1, settings=Settings(buckets=50, ngrams=n, least_tokens=1))
    np.testing.assert_allclose(found.log_weights[:, 0], slow_weights(raw, target, 50, n), rtol=1e-9, atol=1e-9)


def test_a_weight_by_hand() -> None:
    # Raw: cat, dog; target: cat alone. A document of one cat weighs ln(1 / (1/2)); dog's bucket is not in the target.
    found = dsir(["cat", "dog"], ["cat"], 1, settings=Settings(ngrams=1, least_tokens=1, top=True))
    expected = [math.log(1 + 1e-8) - math.log(0.5 + 1e-8), math.log(1e-8) - math.log(0.5 + 1e-8)]
    np.testing.assert_allclose(found.log_weights[:, 0], expected)
    assert found.chosen.tolist() == [0]


def test_a_text_twice_as_long_weighs_twice_as_much() -> None:
    found = dsir(["cat", "cat cat", "dog"], ["cat"], 1, settings=Settings(ngrams=1, least_tokens=1))
    assert found.log_weights[1, 0] == pytest.approx(2 * found.log_weights[0, 0])


def test_a_pseudo_count_is_added_to_every_bucket_of_the_target() -> None:
    found = dsir(["cat", "dog"], ["cat"], 1, settings=Settings(ngrams=1, least_tokens=1, buckets=100, laplace=1))
    assert found.log_weights[1, 0] == pytest.approx(math.log(1 / 101) - math.log(0.5), abs=1e-5)


def test_the_seed_draws_what_numpys_global_seed_draws_in_the_authors_package() -> None:
    found = dsir(RAW, TARGET, 2, settings=Settings(least_tokens=1, seed=7))
    noise = np.random.RandomState(7).gumbel(size=len(RAW))
    keys = np.array(slow_weights(RAW, TARGET, 10_000, 2)) + noise
    assert found.chosen.tolist() == sorted(np.argsort(-keys)[:2].tolist())


def test_short_documents_are_neither_drawn_nor_given_noise() -> None:
    found = dsir(RAW, TARGET, 2, settings=Settings(least_tokens=4, seed=3))
    long = [i for i, t in enumerate(RAW) if len(re.findall(r"\w+|[^\w\s]+", t)) >= 4]
    keys = np.array(slow_weights(RAW, TARGET, 10_000, 2))[long] + np.random.RandomState(3).gumbel(size=len(long))
    assert found.short == len(RAW) - len(long)
    assert found.chosen.tolist() == sorted(np.array(long)[np.argsort(-keys)[:2]].tolist())


def test_draws_follow_the_weights() -> None:
    # Of two documents the first is drawn with probability w1 / (w1 + w2), here 2/3 : 2/5, by the Gumbel trick.
    raw, target = ["cat", "dog", "dog", "cat", "dog"], ["cat", "cat", "dog"]
    drawn = [dsir(raw, target, 1, settings=Settings(ngrams=1, least_tokens=1, seed=s)).chosen[0] for s in range(600)]
    weights = {"cat": (2 / 3) / (2 / 5), "dog": (1 / 3) / (3 / 5)}
    expected = 2 * weights["cat"] / (2 * weights["cat"] + 3 * weights["dog"])
    assert np.mean([raw[i] == "cat" for i in drawn]) == pytest.approx(expected, abs=0.06)


def test_each_target_has_its_quota_and_none_draws_what_another_has() -> None:
    raw = ["cat"] * 6 + ["dog"] * 6
    settings = Settings(ngrams=1, least_tokens=1, top=True)
    found = dsir(raw, {"cats": ["cat cat cat"], "dogs": ["dog"]}, 8, settings=settings)
    assert [t.drawn for t in found.towards] == [6, 2]
    assert sorted(found.chosen.tolist()) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_budget_of_tokens_is_not_passed() -> None:
    found = dsir(RAW, TARGET, tokens=9, settings=SHORT)
    assert 0 < found.tokens[found.chosen].sum() <= 9


@pytest.mark.parametrize("hash", ["sha256", "fast"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_features_do_not_depend_on_the_texts_beside(hash: str, n: int) -> None:
    some = [*RAW, "", "one"]
    together = Hasher(hash, 1000, n)(some)
    alone = [Hasher(hash, 1000, n)([t]) for t in some]
    assert together.buckets.tolist() == [b for f in alone for b in f.buckets.tolist()]
    assert together.ngrams.tolist() == [len(f.buckets) for f in alone]


def test_the_fast_hash_tells_the_order_of_words() -> None:
    of = Hasher("fast", 1 << 31, 2)
    assert sorted(of(["a b"]).buckets.tolist()) != sorted(of(["b a"]).buckets.tolist())


def test_the_fast_hash_fills_buckets_evenly() -> None:
    counts = np.bincount(Hasher("fast", 100, 2)([" ".join(map(str, range(20_000)))]).buckets, minlength=100)
    mean = counts.mean()
    assert ((counts - mean) ** 2 / mean).sum() < 160  # chi-square of 99 degrees: .9999


def test_the_effective_sample_size_counts_equal_weights() -> None:
    assert effective_sample_size(np.log([3.0, 3.0, 3.0])) == pytest.approx(3)
    assert effective_sample_size(np.array([0.0, -900.0])) == pytest.approx(1)


def test_divergence_by_hand() -> None:
    assert divergence(np.array([1, 1]), np.array([3, 1])) == pytest.approx(0.5 * math.log(4 / 3), abs=1e-6)


def test_the_draw_is_nearer_the_target_than_all() -> None:
    found = dsir(["cat"] * 5 + ["dog"] * 5, ["cat"], 5, settings=Settings(ngrams=1, least_tokens=1, top=True))
    (towards,) = found.towards
    assert towards.reduction == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize(
    ("raw", "target", "keep", "tokens", "said"),
    [
        (RAW, TARGET, None, None, "how many documents"),
        (RAW, TARGET, 1, 1, "not both"),
        (RAW, TARGET, 0, None, "at least one"),
        (RAW, TARGET, 6, None, "6 documents were asked for"),
        (RAW, TARGET, None, 10_000, "10,000 tokens were asked for"),
        (RAW, [" "], 1, None, "has no words"),
        ([], TARGET, 1, None, "none has 1 tokens"),
        (["cat cat cat"], TARGET, None, 1, "more than 1 tokens"),
    ],
)
def test_a_mistake_says_what_is_needed(
    raw: list[str], target: list[str], keep: int | None, tokens: int | None, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        dsir(raw, target, keep, tokens, settings=SHORT)


def test_an_unknown_hash_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="no hash 'sha'"):
        Settings(hash="sha")
