"""The recorded calls: real, replayable, scored as said, small."""

import random
import tomllib
from collections import Counter, defaultdict

import numpy as np
import pytest

from sprat.aquarium import NAMES, TASKS, load, prices, recorded, recordings
from sprat.core import Request
from sprat.endpoints import tiny

ROWS = list(recorded())
GREEDY = [row for row in ROWS if "options" not in row]
SAMPLED = [row for row in ROWS if "options" in row]


def test_the_file_is_at_most_two_megabytes():
    assert recordings().stat().st_size <= 2_000_000


def test_every_problem_was_put_to_every_model_once():
    asked = defaultdict(list)
    for row in GREEDY:
        asked[row["id"]].append(row["model"])
    assert len(asked) == 2400
    assert all(models == list(NAMES) for models in asked.values())


def test_an_id_has_one_prompt_and_a_prompt_one_id():
    pairs = {(row["id"], row["prompt"]) for row in ROWS}
    assert len(pairs) == len({key for key, _ in pairs}) == len({prompt for _, prompt in pairs})


def test_sampled_problems_have_six_draws_of_fry_and_sprat():
    draws = defaultdict(list)
    for row in SAMPLED:
        draws[row["id"], row["model"]].append(row["sample"])
    assert len(draws) == 800
    assert all(samples == [0, 1, 2, 3, 4, 5] for samples in draws.values())


def test_a_models_greedy_call_comes_before_its_draws():
    first = {}
    for row in ROWS:
        first.setdefault((row["id"], row["model"]), row)
    assert all("options" not in row for row in first.values())


def test_scores_are_exact_matches():
    assert all(row["score"] == int(row["reply"] == row["target"]) for row in ROWS)


def test_there_is_one_log_probability_per_character_and_one_more_token_for_the_end():
    for row in ROWS:
        assert len(row["logprobs"]) == len(row["reply"])
        assert row["usage"] == {"input_tokens": len(row["prompt"]) + 1, "output_tokens": len(row["reply"]) + 1}
        assert all(logprob <= 0 for logprob in row["logprobs"])


def test_the_seconds_were_measured():
    assert all(row["seconds"] > 0 for row in ROWS)
    median = {name: np.median([row["seconds"] for row in GREEDY if row["model"] == name]) for name in NAMES}
    assert median["fry"] < median["sprat"] < median["mackerel"]


def test_groups_are_the_tasks():
    assert set(Counter(row["group"] for row in ROWS)) == set(TASKS)


@pytest.mark.parametrize("name", NAMES)
def test_greedy_calls_replay(name):
    rows = random.Random(0).sample([row for row in GREEDY if row["model"] == name], 60)
    replies = tiny(name).batch([row["prompt"] for row in rows])
    assert [reply.text for reply in replies] == [row["reply"] for row in rows]
    for reply, row in zip(replies, rows, strict=True):
        np.testing.assert_allclose(reply.logprobs, row["logprobs"], atol=1e-3)


@pytest.mark.parametrize("name", ["fry", "sprat"])
def test_sampled_calls_replay_with_their_samples_number_as_the_seed(name):
    rows = random.Random(0).sample([row for row in SAMPLED if row["model"] == name], 60)
    replies = tiny(name).batch([Request.of(r["prompt"], temperature=0.7, seed=r["sample"]) for r in rows])
    assert [reply.text for reply in replies] == [row["reply"] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_greedy_call_replays(name):
    rows = [row for row in GREEDY if row["model"] == name]
    replies = tiny(name).batch([row["prompt"] for row in rows])
    assert [reply.text for reply in replies] == [row["reply"] for row in rows]


@pytest.mark.parametrize(("name", "right"), [("fry", 933), ("sprat", 1621), ("mackerel", 2014)])
def test_the_published_accuracies_are_those_of_the_recordings(name, right):
    assert sum(row["score"] for row in GREEDY if row["model"] == name) == right


def test_prices_are_proportional_to_parameters_and_called_notional():
    table = tomllib.loads(prices().read_text())
    assert "notional" in table["note"].lower()
    per = [
        table["models"][n][way] / load(n).weights.parameters / (1 + 2 * (way == "output"))
        for n in NAMES
        for way in ("input", "output")
    ]
    np.testing.assert_allclose(per, per[0], rtol=1e-3)
