"""The tiny models' forward pass: the cache, the batch, the draws and what is refused."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprat.aquarium import NAMES, TinyLlama, load, problems
from sprat.aquarium.checkpoint import read_safetensors
from sprat.core import Request
from sprat.endpoints import tiny
from sprat.errors import BadInput

PROMPTS = [one.prompt for one in problems(40, 9)]


@given(st.text(st.sampled_from("abzAZ09 .,:?!+-*/=<>()'\"\n$%"), max_size=60))
def test_the_vocabulary_writes_back_what_it_read(text):
    vocabulary = load("fry").vocabulary
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_unknown_characters_are_named_in_one_sentence():
    with pytest.raises(BadInput, match=r"no token for 'é', '#'|no token for '#', 'é'"):
        tiny("fry")("caf\xe9 #1")


def test_an_unknown_name_is_met_with_the_nearest():
    with pytest.raises(BadInput, match="Did you mean 'mackerel'"):
        load("makerel")


def test_a_prompt_over_the_limit_is_refused():
    with pytest.raises(BadInput, match="129 tokens; fry reads at most 128"):
        tiny("fry")("a" * 128)


def test_the_longest_prompt_still_gets_a_token():
    assert tiny("fry")("a" * 127).usage.output_tokens == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_reply_does_not_depend_on_the_batch(name):
    together = tiny(name).batch(PROMPTS)
    alone = [tiny(name)(prompt) for prompt in PROMPTS]
    assert [reply.tokens for reply in together] == [reply.tokens for reply in alone]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-4)


def test_a_draw_does_not_depend_on_the_batch():
    asked = [Request.of(prompt, temperature=1.0, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    together = tiny("sprat").batch(asked)
    alone = [tiny("sprat")(request) for request in asked]
    assert [reply.text for reply in together] == [reply.text for reply in alone]


def test_the_same_seed_draws_the_same_and_others_differ():
    def draw(seed):
        return [reply.text for reply in tiny("fry").batch(PROMPTS, temperature=1.0, seed=seed)]

    assert draw(3) == draw(3) != draw(4)


def test_draws_follow_the_models_probabilities():
    model, n = tiny("fry"), 2000
    greedy = model("12+7=", max_tokens=1, top_logprobs=3)
    drawn = model.batch([Request.of("12+7=", max_tokens=1, temperature=1.0, seed=seed) for seed in range(n)])
    counts = Counter(reply.text for reply in drawn)
    for text, logprob in greedy.top_logprobs[0].items():
        rate = np.exp(logprob)
        assert abs(counts[text] / n - rate) < 4.5 * np.sqrt(rate * (1 - rate) / n)


def test_a_cut_reply_has_no_end():
    reply = tiny("sprat")("reverse shark:", max_tokens=3)
    assert (reply.text, reply.finish, reply.usage.output_tokens) == ("kra", "length", 3)


def test_a_reply_counts_its_end_token():
    reply = tiny("sprat")("reverse shark:")
    assert (reply.text, reply.usage.input_tokens, reply.usage.output_tokens) == ("krahs", 15, 6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(3, 85), min_size=2, max_size=30), st.data())
def test_reading_in_pieces_gives_the_logits_of_reading_at_once(ids, data):
    cut = data.draw(st.integers(1, len(ids) - 1))
    row = np.array([[1, *ids]])
    whole, pieces = load("fry").session(1), load("fry").session(1)
    expected = whole.feed(row)
    got = np.concatenate([pieces.feed(row[:, :cut]), pieces.feed(row[:, cut:])], axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_row_that_was_rolled_back_is_as_one_that_never_read_on():
    model = load("sprat")
    session = model.session(2)
    session.feed(np.array([[1, 20, 21, 22], [1, 30, 31, 32]]))
    session.rollback(np.array([2, 0]))
    after = session.feed(np.array([[40], [40]]))
    np.testing.assert_allclose(after[0, -1], model.session(1).feed(np.array([[1, 20, 40]]))[0, -1], atol=1e-4)
    np.testing.assert_allclose(after[1, -1], model.session(1).feed(np.array([[1, 30, 31, 32, 40]]))[0, -1], atol=1e-4)


def test_more_than_was_read_cannot_be_forgotten():
    with pytest.raises(BadInput, match="Cannot forget"):
        load("fry").session(1).rollback(1)


def test_a_full_session_says_so():
    with pytest.raises(BadInput, match="3 tokens do not fit into a session of 2"):
        load("fry").session(1, 2).feed(np.array([[1, 5, 5]]))


@pytest.mark.parametrize(("name", "size"), [("fry", 60528), ("sprat", 342432), ("mackerel", 2233920)])
def test_parameters_are_counted(name, size):
    assert load(name).weights.parameters == size


def test_bfloat16_and_float_tensors_are_read():
    values = np.array([1.5, -2.0], "<f4")
    half = (values.view("<u4") >> 16).astype("<u2").tobytes()
    entries = {"a": ("BF16", 0, 4), "b": ("F32", 4, 12), "c": ("F16", 12, 16)}
    header = json.dumps({k: {"dtype": t, "shape": [2], "data_offsets": [i, j]} for k, (t, i, j) in entries.items()})
    blob = (
        len(header).to_bytes(8, "little") + header.encode() + half + values.tobytes() + values.astype("<f2").tobytes()
    )
    tensors, _ = read_safetensors(blob)
    assert all(tensor.tolist() == [1.5, -2.0] for tensor in tensors.values())


@pytest.mark.parametrize(
    "content", [b"", b"not weights at all", (2).to_bytes(8, "little") + b"{}", b"\1" + b"\0" * 7 + b"5"]
)
def test_a_damaged_file_is_met_with_one_sentence(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    shutil.copy(_vocab(), tmp_path)
    with pytest.raises(BadInput, match=r"x\.safetensors is not a tiny model"):
        TinyLlama.load(tmp_path / "x.safetensors")


def test_a_missing_vocabulary_is_met_with_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="is not a vocabulary"):
        TinyLlama.load(tmp_path / "x.safetensors")


def _vocab():
    from sprat.aquarium import recordings

    return recordings().parent / "weights" / "vocab.json"
