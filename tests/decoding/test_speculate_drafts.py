"""Drafts by lookup, by copy, and across vocabularies; the accept rule by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding_doubles import Letters, given
from sprat.decoding.acceptance import Counts, Uniforms, accept, padded
from sprat.decoding.drafts import Copied, Text, lookup
from sprat.decoding.speculate import speculate
from sprat.errors import BadInput
from sprat.whitebox.sampling import Sampling


class Fixed:
    """Uniform numbers that are given."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = list(numbers)

    def random(self, n: int) -> np.ndarray[Any, Any]:
        taken, self.numbers = self.numbers[:n], self.numbers[n:]
        return np.array(taken)


def drafter(draft: Any, read: list[int]) -> Any:
    return draft.begin(Text(read, [], Sampling(), Uniforms(np.random.default_rng()), frozenset(), 10))


def judged(p: list[list[float]], q: list[list[float]] | None, drafted: list[int], *numbers: float) -> tuple[int, int]:
    theirs = None if q is None else [np.array(row) for row in q]
    return accept(np.array(p), theirs, drafted, Uniforms(Fixed(*numbers)))  # pyright: ignore[reportArgumentType]


P, Q = [0.2, 0.3, 0.5], [0.5, 0.4, 0.1]


def test_a_token_stands_with_the_ratio_of_the_chances() -> None:
    assert judged([P, P], [Q], [0], 0.39, 0.1) == (1, 0)  # 0.39 < 0.2 / 0.5; then u = 0.1 draws from P: token 0
    assert judged([P, P], [Q], [0], 0.41, 0.0) == (0, 2)  # what P has more than Q is token 2 alone
    assert judged([P, P], [Q], [2], 0.99, 0.6) == (1, 2)  # P > Q: it always stands


def test_the_residual_is_normalised() -> None:
    p, q = [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]  # left: 0.4, 0.2, 0
    assert [judged([p, p], [q], [2], 0.9, u)[1] for u in (0.1, 0.66, 0.67, 0.99)] == [0, 0, 1, 1]


def test_without_chances_the_target_draws_and_compares() -> None:
    assert judged([P, P, P], None, [2, 1], 0.9, 0.1, 0.7) == (1, 0)
    numbers = Uniforms(Fixed(0.9, 0.1, 0.7))  # pyright: ignore[reportArgumentType]
    accept(np.array([P, P, P]), None, [2, 1], numbers)
    assert numbers.use(1) == [0.7]  # one number per token that is written


@pytest.mark.parametrize("seed", range(3))
def test_one_token_follows_the_targets_chances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5))
    numbers, seen = Uniforms(rng), np.zeros(5)
    for x in rng.choice(5, 20_000, p=q).tolist():
        stood, token = accept(np.array([p, p]), [q], [x], numbers)
        seen[x if stood else token] += 1
    expected = 20_000 * p
    assert ((seen - expected) ** 2 / expected).sum() < 23.5  # chi-square, 4 degrees of freedom, p = 1e-4


def test_chances_of_another_width() -> None:
    assert padded(np.array([0.5, 0.5]), 3).tolist() == [0.5, 0.5, 0.0]
    assert padded(np.array([0.4, 0.1, 0.5]), 2).tolist() == [0.8, 0.2]


def test_statistics_are_named_as_vllms() -> None:
    counts = Counts()
    for proposed, stood in ((3, 3), (3, 1), (1, 0), (0, 0)):
        counts.add(proposed, stood)
    told = counts.told()
    assert (told["num_drafts"], told["num_draft_tokens"], told["num_accepted_tokens"]) == (3, 7, 4)
    assert told["mean_acceptance_length"] == 1 + 4 / 3
    assert told["draft_acceptance_rate"] == 4 / 7
    assert told["acceptance_per_position"] == [2 / 3, 1 / 2, 1 / 2]
    assert told["alpha"] == 4 / 6


def test_lookup_continues_the_longest_ngram_at_its_latest_place() -> None:
    looking = drafter(lookup(2, 3), [1, 2, 3, 4, 1, 2, 5, 6, 9, 2])
    assert looking.propose(3)[0] == [5, 6, 9]  # (9, 2) is new; 2 was last followed by 5
    looking.learn([7, 1, 2])
    assert looking.propose(3)[0] == [5, 6, 9]  # (1, 2)
    looking.learn([8])
    assert looking.propose(3) == ([], None)


def test_lookup_repeats_what_repeats_itself() -> None:
    assert drafter(lookup(2, 5), [3, 1, 2, 1, 2]).propose(5)[0] == [1, 2, 1, 2, 1]


def test_a_copy_goes_on_after_what_differs() -> None:
    copying = drafter(Copied(tuple(range(10, 30)), anchor=2), [])
    assert copying.propose(3)[0] == [10, 11, 12]
    copying.learn([10, 11, 99])  # a substitution
    assert copying.propose(3)[0] == []
    copying.learn([13, 14])
    assert copying.propose(2)[0] == [15, 16]
    copying.learn([18])  # three left out
    assert copying.propose(2)[0] == [19, 20]
    copying.learn([77, 78, 19, 20])  # an insertion
    assert copying.propose(2)[0] == [21, 22]
    copying.learn(list(range(21, 30)))
    assert copying.propose(2)[0] == []


def test_an_unchanged_copy_costs_about_one_pass() -> None:
    target = given("big", [1, 2, 3, 0.5], noise=1.5)
    plain = target("abca", max_tokens=60)
    assert plain.decoded is not None
    reply = speculate(target, Copied(plain.decoded.ids), 64)("abca", max_tokens=60)
    assert reply.text == plain.text
    assert reply.decoded.told["speculative_decoding"]["num_drafts"] == 1
    assert reply.decoded.told["fed"] == {"big": 60}


PAIRS = ("ab", "bc", "cd", "da", "a", "b", "c", "d")


class Merged(Letters):
    """A vocabulary that writes the longest token it has."""

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        while text:
            token = next((t for t in sorted(self.tokens, key=len, reverse=True) if text.startswith(t)), None)
            if token is None:
                raise BadInput(f"'{text[0]}' has no token.")
            ids.append(self.tokens.index(token))
            text = text[len(token) :]
        return ids


@pytest.mark.parametrize("wide_draft", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_draft_of_another_vocabulary_is_translated(wide_draft: bool, temperature: float) -> None:
    single = given("single", [1, 2, 3, 0.5], noise=0.5)
    merged = given("merged", [1, 2, 3, 0.5, 2, 3, 1, 0], letters=Merged(PAIRS), noise=0.5)
    target, draft = (single, merged) if wide_draft else (merged, single)
    for seed in range(4):
        options = {"max_tokens": 20, "temperature": temperature, "seed": seed}
        reply = speculate(target, draft, 4)("abca", **options)
        assert reply.tokens == target("abca", **options).tokens
        told = reply.decoded.told["speculative_decoding"]
        assert told["translated"]
        assert told["num_draft_tokens"] > 0


def test_a_translated_draft_that_agrees_stands() -> None:
    chain = [[0, 9, 0, 0], [0, 0, 9, 0], [0, 0, 0, 9], [9, 0, 0, 0]]
    single = given("single", *chain)
    rows = [[9.0 * (t == after) for t in range(8)] for after in (2, 3, 0, 1, 1, 2, 3, 0)]
    merged = given("merged", *rows, letters=Merged(PAIRS))
    reply = speculate(single, merged, 6)("abcd", max_tokens=24)
    assert reply.text == "abcd" * 6
    assert reply.decoded.told["speculative_decoding"]["draft_acceptance_rate"] > 0.9
    assert reply.decoded.told["fed"]["merged"] > 0


def test_text_that_the_draft_can_not_write_is_left_to_the_target() -> None:
    target = given("target", [1, 2, 3, 4], noise=1.0)
    draft = given("draft", [1, 2, 3, 1, 1], letters=Merged(("a", "b", "c", "x", "y")), noise=1.0)
    reply = speculate(target, draft, 4)("abc", max_tokens=16)
    assert reply.text == target("abc", max_tokens=16).text
    assert "d" in (reply.text or "")


def test_drafts_below_one_are_refused() -> None:
    with pytest.raises(BadInput, match=">= 1"):
        lookup(0)
