"""Scores to tokens: each option against its definition and against transformers' own processors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sprat.errors import BadInput
from sprat.whitebox.sampling import Sampling, adjusted, choose, draw, likeliest, logprobs_of, probabilities

SCORES = np.log(np.array([[0.5, 0.3, 0.15, 0.05]]))
some_scores = arrays(np.float32, (3, 7), elements=st.floats(-8, 8, width=32), unique=True)


def close(got, expected):
    np.testing.assert_allclose(got, np.array([expected]), atol=1e-6)


def test_a_temperature_is_a_power_of_the_probabilities():
    powers = np.array([0.5, 0.3, 0.15, 0.05]) ** 2
    close(probabilities(SCORES, Sampling(temperature=0.5)), powers / powers.sum())


def test_top_k_keeps_k_tokens():
    close(probabilities(SCORES, Sampling(1.0, top_k=2)), [0.625, 0.375, 0, 0])


def test_top_p_keeps_the_fewest_tokens_that_hold_p():
    close(probabilities(SCORES, Sampling(1.0, top_p=0.79)), [0.625, 0.375, 0, 0])
    close(probabilities(SCORES, Sampling(1.0, top_p=0.81)), np.array([0.5, 0.3, 0.15, 0]) / 0.95)


def test_top_p_always_keeps_the_likeliest():
    close(probabilities(SCORES, Sampling(1.0, top_p=1e-9)), [1, 0, 0, 0])


def test_min_p_is_a_share_of_the_likeliest():
    close(probabilities(SCORES, Sampling(1.0, min_p=0.4)), [0.625, 0.375, 0, 0])


def test_greedy_gives_all_to_the_likeliest():
    close(probabilities(SCORES, Sampling()), [1, 0, 0, 0])


@pytest.mark.parametrize(
    ("seen", "expected"), [([0], [2.0, -1.0, 0.5]), ([1], [4.0, -2.0, 0.5]), ([], [4.0, -1.0, 0.5])]
)
def test_a_repetition_penalty_divides_positive_and_multiplies_negative_scores(seen, expected):
    scores = np.array([[4.0, -1.0, 0.5]])
    np.testing.assert_allclose(adjusted(scores, Sampling(repetition_penalty=2.0), [seen], [[]])[0], expected)


def test_presence_and_frequency_count_what_was_written():
    sampling = Sampling(presence_penalty=0.5, frequency_penalty=0.25)
    got = adjusted(np.zeros((1, 3), np.float32), sampling, [[2, 2]], [[0, 0, 1]])
    np.testing.assert_allclose(got[0], [-1.0, -0.75, 0.0])


def test_a_logit_bias_is_added():
    sampling = Sampling.of({"logit_bias": {"1": -100}})
    np.testing.assert_allclose(adjusted(np.zeros((1, 2), np.float32), sampling, [[]], [[]])[0], [0, -100])


def test_adjusting_leaves_the_scores_it_was_given():
    scores = np.ones((1, 2), np.float32)
    adjusted(scores, Sampling(repetition_penalty=2.0), [[0]], [[]])
    assert scores.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "options",
    [{"temperature": -1}, {"top_p": 0}, {"top_k": -1}, {"min_p": 2}, {"repetition_penalty": 0}, {"top_k": "x"}],
)
def test_options_out_of_range_are_refused_in_a_sentence(options):
    with pytest.raises(BadInput):
        Sampling.of(options)


@given(some_scores, st.floats(0, 1, exclude_max=True))
def test_a_draw_is_the_first_token_whose_cumulated_chance_exceeds_the_number(scores, uniform):
    chances = probabilities(scores, Sampling(1.0))
    got = draw(chances, [uniform] * 3)
    heights = np.cumsum(chances.astype(float), axis=1)
    for row, token in enumerate(got):
        assert heights[row, token] > uniform * heights[row, -1] or token == 6
        assert token == 0 or heights[row, token - 1] <= uniform * heights[row, -1]


def test_draws_follow_the_distribution():
    n = 20_000
    got = draw(np.repeat([[0.7, 0.2, 0.1]], n, axis=0), np.random.default_rng(0).random(n))
    np.testing.assert_allclose(np.bincount(got) / n, [0.7, 0.2, 0.1], atol=0.015)


def test_log_probabilities_are_those_before_any_option():
    np.testing.assert_allclose(logprobs_of(SCORES + 3, np.array([1])), np.log([0.3]))


def test_the_likeliest_are_listed_from_the_top():
    assert [i for i, _ in likeliest(SCORES, 3)[0]] == [0, 1, 2]


SETTINGS = [
    Sampling(0.7), Sampling(1.3, top_k=3), Sampling(1.0, top_p=0.6), Sampling(1.0, min_p=0.2),
    Sampling(0.8, top_k=5, top_p=0.9, min_p=0.05),
]  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(some_scores, st.sampled_from(SETTINGS))
def test_torch_tensors_are_treated_as_arrays_are(scores, sampling):
    torch = pytest.importorskip("torch")
    ours, theirs = probabilities(scores, sampling), probabilities(torch.tensor(scores), sampling)
    np.testing.assert_allclose(theirs.numpy(), ours, atol=1e-5)
    uniforms = [0.1, 0.5, 0.9]
    assert choose(torch.tensor(scores), Sampling(), uniforms).tolist() == choose(scores, Sampling(), uniforms).tolist()


@settings(max_examples=30, deadline=None)
@given(some_scores, st.sampled_from(SETTINGS))
def test_the_distribution_is_that_of_transformers_processors(scores, sampling):
    torch = pytest.importorskip("torch")
    process = pytest.importorskip("transformers.generation.logits_process")
    steps = [process.TemperatureLogitsWarper(sampling.temperature)]
    steps += [process.TopKLogitsWarper(sampling.top_k)] if sampling.top_k else []
    steps += [process.TopPLogitsWarper(sampling.top_p)] if sampling.top_p < 1 else []
    steps += [process.MinPLogitsWarper(sampling.min_p)] if sampling.min_p else []
    theirs = torch.tensor(scores)
    for step in steps:
        theirs = step(None, theirs)
    np.testing.assert_allclose(probabilities(scores, sampling), theirs.softmax(-1).numpy(), atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(some_scores, st.floats(0.5, 2.0))
def test_the_repetition_penalty_is_that_of_transformers(scores, penalty):
    torch = pytest.importorskip("torch")
    process = pytest.importorskip("transformers.generation.logits_process")
    seen = [[0, 3, 3], [1, 2, 4], [5, 5, 5]]
    theirs = process.RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor(seen), torch.tensor(scores))
    ours = adjusted(scores, Sampling(repetition_penalty=penalty), seen, [[]] * 3)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
