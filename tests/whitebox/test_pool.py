"""The sessions that decoders share: each leaf fed once and late, taken back, selected, pruned; ragged rows as alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as when
from hypothesis import strategies as st

import sprat
from decoding_doubles import Given, Letters, given, pool_of
from sprat.decoding import told
from sprat.errors import BadInput, CannotDo

ROWS = np.random.default_rng(8).normal(0, 2, (4, 4))


def leaf(name: str, **more: object) -> Given:
    """A leaf whose logits depend on all that it has read."""
    return given(name, *ROWS, noise=1.0, **more)


def fed(model: Given) -> list[list[list[int]]]:
    return [seen for seen in model.fed if isinstance(seen, list)]


def ids(*rows: str) -> np.ndarray:  # pyright: ignore
    return np.array([["abcd".index(letter) for letter in row] for row in rows])


def alone(model: Given, text: str) -> np.ndarray:  # pyright: ignore
    return model.after(model.letters.encode(text))


def test_nothing_is_fed_before_somebody_looks() -> None:
    a, b = leaf("a"), leaf("b")
    pool = pool_of(a + b, prompts=["ab"])
    pool.write(ids("c"))
    assert a.fed == b.fed == []


def test_a_leaf_that_several_share_is_fed_once() -> None:
    shared, other = leaf("shared"), leaf("other")
    target, draft = other + shared, shared
    pool = pool_of(target, draft)
    for token in "bcd":
        pool.scores(draft)
        pool.write(ids(token))
    pool.scores(target, 4)
    assert fed(shared) == [[[0]], [[1]], [[2]], [[3]]]
    assert fed(other) == [[[0, 1, 2, 3]]]  # with its prompt, in one pass


def test_equal_leaves_share_a_session() -> None:
    a = leaf("a")
    pool = pool_of(a, leaf("a") + 2 * a)
    assert len(pool.tracks) == 1


def test_a_leaf_looked_at_late_catches_up_with_all_at_once() -> None:
    a, late = leaf("a"), leaf("late")
    pool = pool_of(a, late)
    pool.scores(a)
    pool.write(ids("bc"))
    pool.settle()
    pool.write(ids("d"))
    assert pool.scores(late, 2)[0] == pytest.approx(np.stack([alone(late, "abc"), alone(late, "abcd")]))
    assert fed(late) == [[[0, 1, 2, 3]]]


@when(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 6), st.lists(st.integers(0, 3), max_size=4))
def test_what_is_taken_back_was_never_there(first: list[int], gone: int, after: list[int]) -> None:
    model, kept = leaf("m"), first[: len(first) - min(gone, len(first))]
    pool = pool_of(model)
    pool.write(np.array([first]))
    pool.scores(model, len(first) + 1)
    pool.rollback(len(first) - len(kept))
    if after:
        pool.write(np.array([after]))
    assert pool.scores(model)[0, 0] == pytest.approx(model.after([0, *kept, *after]))


def test_only_what_a_leaf_has_read_is_taken_back_from_it() -> None:
    ahead, behind = leaf("ahead"), leaf("behind")
    pool = pool_of(ahead, behind)
    pool.scores(behind)
    pool.write(ids("bcd"))
    pool.scores(ahead)
    pool.rollback(2)
    assert ("rollback 2" in ahead.fed, "rollback 2" in behind.fed) == (True, False)
    assert pool.scores(behind)[0, 0] == pytest.approx(alone(behind, "ab"))


def test_more_than_was_written_is_not_taken_back() -> None:
    pool = pool_of(leaf("a"))
    pool.write(ids("bc"))
    with pytest.raises(BadInput, match="Cannot take back 3 tokens of 2"):
        pool.rollback(3)


def test_selected_rows_go_on_as_themselves_twice_too() -> None:
    read, late = leaf("read"), leaf("late")
    pool = pool_of(read, late, prompts=["a", "bcd", "cc"])
    pool.write(ids("a", "b", "c"))
    pool.scores(read, 2)
    pool.select(np.array([2, 1, 2]))
    pool.write(ids("d", "a", "b"))
    texts = ["cccd", "bcdba", "cccb"]
    for model in (read, late):
        assert pool.scores(model)[:, 0] == pytest.approx(np.stack([alone(model, text) for text in texts]))


def test_logits_of_before_a_selection_are_selected_too() -> None:
    model = leaf("m")
    pool = pool_of(model, prompts=["a", "bb"])
    pool.write(ids("c", "d"))
    pool.scores(model, 2)
    pool.select(np.array([1]))
    assert pool.scores(model, 2)[0] == pytest.approx(np.stack([alone(model, "bb"), alone(model, "bbd")]))


def test_what_is_settled_is_forgotten() -> None:
    model = leaf("m")
    pool = pool_of(model)
    for token in "bcda":
        pool.scores(model)
        pool.write(ids(token))
        pool.settle()
    pool.scores(model)
    assert [at for at, _ in pool.track(model).blocks] == [4]


def test_what_is_not_settled_is_kept() -> None:
    model = leaf("m")
    pool = pool_of(model)
    for token in "bc":
        pool.scores(model)
        pool.write(ids(token))
    assert pool.scores(model, 3)[0] == pytest.approx(np.stack([alone(model, text) for text in ("a", "ab", "abc")]))
    assert fed(model) == [[[0]], [[1]], [[2]]]


def test_ragged_prompts_differ_from_leaf_to_leaf_and_equal_rows_alone() -> None:
    model = leaf("m")
    wordy, short = told(model, before="ddd"), told(model, last=1)
    prompts = ["a", "bcab", "cc"]
    pool = pool_of(model + wordy + short, prompts=prompts)
    pool.write(ids("ab", "cd", "aa"))
    for part, read in ((model, prompts), (wordy, ["ddda", "dddbcab", "dddcc"]), (short, ["a", "b", "c"])):
        texts = [text + more for text, more in zip(read, ("ab", "cd", "aa"), strict=True)]
        assert pool.scores(part)[:, 0] == pytest.approx(np.stack([alone(model, text) for text in texts]))


def test_tiny_models_in_ragged_rows_equal_rows_alone() -> None:
    big, small = sprat.tiny("mackerel"), sprat.tiny("sprat")
    mixed = big + 0.5 * told(small, before="reverse ")
    asked = ["12+7=", "sort 31 4 15:", "max 1 2:"]
    together = pool_of(mixed, prompts=asked).scores(mixed)
    single = np.concatenate([pool_of(mixed, prompts=[one]).scores(mixed) for one in asked])
    assert together == pytest.approx(single, abs=1e-3)


def test_room_is_what_the_tightest_leaf_leaves() -> None:
    a, b = leaf("a", most=9), leaf("b", most=7)
    pool = pool_of(a, told(b, before="dd"), prompts=["a", "abc"])
    assert pool.room.tolist() == [5, 3]


def test_a_prompt_that_one_leaf_cannot_read_is_refused_by_its_name() -> None:
    with pytest.raises(BadInput, match="has 4 tokens; b reads at most 3"):
        pool_of(leaf("a"), leaf("b", most=3), prompts=["abcd"])


def test_different_vocabularies_are_refused_by_id() -> None:
    other = given("other", *ROWS, letters=Letters(("a", "b", "d", "c")))
    with pytest.raises(CannotDo, match="2 ids differ \\(2: 'c' and 'd'; 3: 'd' and 'c'\\)"):
        pool_of(leaf("a"), other)


def test_a_model_with_fewer_logits_than_tokens_is_refused() -> None:
    narrow = given("narrow", *ROWS[:, :3], letters=Letters())
    pool = pool_of(narrow)
    with pytest.raises(BadInput, match="gives 3 logits, its vocabulary has 4 tokens"):
        pool.scores(narrow)


def test_closing_closes_what_was_opened() -> None:
    used, unused = leaf("used"), leaf("unused")
    pool = pool_of(used, unused)
    pool.scores(used)
    pool.close()
    assert (used.fed[-1], unused.fed) == ("close", [])
