"""What grew in the aquarium: problems whose answers are marked, a tuned sprat and a bad amateur."""

import importlib.util
import random
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import sprat
from sprat.aquarium import GROWN, NAMES, TASKS, load, marked_problems, prices, problems, recordings
from sprat.aquarium.marked import MARKED_TASKS, draw_marked
from sprat.endpoints import tiny

WEIGHTS = recordings().parent / "weights"
RECIPES = Path(__file__).parents[2] / "recipes" / "aquarium"


def right(name, asked):
    replies = tiny(name).batch([one.prompt for one in asked])
    return sum(reply.text == one.answer for reply, one in zip(replies, asked, strict=True)) / len(asked)


def test_the_recorded_models_are_still_the_three():
    assert NAMES == ("fry", "sprat", "mackerel")
    assert not set(NAMES) & set(GROWN)


def test_marked_problems_are_the_same_for_the_same_seed():
    assert marked_problems(50, 3) == marked_problems(50, 3)
    assert marked_problems(50, 3) != marked_problems(50, 4)


def test_marked_answers_are_numbers_that_say_odd_or_even():
    for one in marked_problems(300, 0):
        number = re.fullmatch(r"(\d+)([oe])", one.answer)
        assert number is not None
        assert number[2] == ("o" if int(number[1]) % 2 else "e")
        assert one.difficulty in TASKS[one.task].difficulties


def test_a_marked_problem_is_a_usual_one_with_its_mark():
    seen = {one.task for one in marked_problems(200, 1)}
    assert seen == set(MARKED_TASKS)
    for one in marked_problems(200, 1):
        if one.task == "add":
            assert sum(map(int, one.prompt.rstrip("=").split("+"))) == int(one.answer[:-1])


def test_a_mix_weighs_the_marked_tasks():
    rng = random.Random(0)
    drawn = [draw_marked(rng, {"add": 1.0, "sub": 0.0, "max": 0.0, "word": 0.0, "roman": 5.0}) for _ in range(30)]
    assert {one.task for one in drawn} == {"add"}


def test_the_untuned_never_mark_and_the_tuned_does():
    asked = marked_problems(100, 5)
    assert right("sprat", asked) == right("mackerel", asked) == 0
    assert right("sprat-tuned", asked) > 0.4


def test_what_the_tuned_one_marks_is_marked_right():
    replies = [reply.text for reply in tiny("sprat-tuned").batch([one.prompt for one in marked_problems(100, 6)])]
    well = [reply for reply in replies if re.fullmatch(r"\d*[02468]e|\d*[13579]o", reply)]
    assert len(well) > 0.9 * len(replies)


def test_minnow_is_right_far_less_often_than_fry():
    asked = problems(200, 5)
    assert right("minnow", asked) < right("fry", asked) - 0.15


def test_the_tuned_ones_shape_is_its_untuned_twins():
    tuned, untuned = load("sprat-tuned").weights, load("sprat").weights
    assert (tuned.parameters, tuned.heads, len(tuned.layers)) == (
        untuned.parameters,
        untuned.heads,
        len(untuned.layers),
    )
    assert not np.array_equal(tuned.embed, untuned.embed)


def test_the_new_weights_are_small():
    assert (WEIGHTS / "sprat-tuned.safetensors").stat().st_size < 700_000
    assert (WEIGHTS / "minnow.safetensors").stat().st_size < 60_000


@pytest.mark.parametrize("name", GROWN)
def test_a_grown_model_is_an_endpoint_with_a_price_by_its_parameters(name):
    table = tomllib.loads(prices().read_text())["models"]
    per = [table[n]["input"] / load(n).weights.parameters for n in ("fry", name)]
    assert per[1] == pytest.approx(per[0], rel=3e-3)
    assert sprat.tiny(name).price.input == table[name]["input"]


def plain_loop():
    sys.path.insert(0, str(RECIPES))
    try:
        spec = importlib.util.spec_from_file_location("aquarium_grown", RECIPES / "grown.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(RECIPES))
    return module


def test_the_recipes_loop_writes_what_the_model_writes_alone():
    prompts = [one.prompt for one in marked_problems(40, 8)]
    alone = [reply.text for reply in tiny("sprat-tuned").batch(prompts, max_tokens=24)]
    assert plain_loop().greedy([(1.0, load("sprat-tuned"))], prompts) == alone


def test_the_pair_makes_mackerel_mark_what_only_mackerel_can_work_out():
    asked, big, tuned, small = marked_problems(120, 9), *map(load, ("mackerel", "sprat-tuned", "sprat"))
    said = plain_loop().greedy([(1.0, big), (1.0, tuned), (-1.0, small)], [one.prompt for one in asked])
    both = sum(reply == one.answer for reply, one in zip(said, asked, strict=True)) / len(asked)
    assert both > right("sprat-tuned", asked) + 0.05
