"""The nine tasks: answers checked by other means than those that made them."""

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.aquarium import TASKS, load, problems
from sprat.aquarium.problems import draw_problem, roman

DRAWN = problems(3000, 1)


def of(task):
    return [one for one in DRAWN if one.task == task]


def numbers(text):
    return [int(found) for found in re.findall(r"\d+", text)]


def test_the_same_seed_draws_the_same_problems():
    assert problems(50, 3) == problems(50, 3) != problems(50, 4)


def test_every_task_comes_at_every_difficulty():
    seen = {(one.task, one.difficulty) for one in DRAWN}
    assert seen == {(name, d) for name, task in TASKS.items() for d in task.difficulties}


def test_tasks_come_evenly():
    counts = Counter(one.task for one in DRAWN)
    assert all(3000 / 9 * 0.75 < counts[name] < 3000 / 9 * 1.25 for name in TASKS)


def test_a_mix_draws_only_what_it_weighs():
    import random

    rng, mix = random.Random(0), {name: float(name == "read") for name in TASKS}
    assert {draw_problem(rng, mix).task for _ in range(50)} == {"read"}


def test_sums_add_up():
    for one in of("add"):
        a, b = numbers(one.prompt)
        assert one.answer == str(a + b)
        assert max(a, b) < 10**one.difficulty


def test_differences_add_back_and_are_never_negative():
    for one in of("sub"):
        large, small = numbers(one.prompt)
        assert int(one.answer) + small == large
        assert not one.answer.startswith("-")


def test_the_maximum_is_in_the_prompt_and_nothing_exceeds_it():
    for one in of("max"):
        given_numbers = numbers(one.prompt)
        assert int(one.answer) in given_numbers
        assert len(given_numbers) == one.difficulty
        assert all(number <= int(one.answer) for number in given_numbers)


def test_sorted_numbers_rise_and_are_those_of_the_prompt():
    for one in of("sort"):
        answer = numbers(one.answer)
        assert Counter(answer) == Counter(numbers(one.prompt))
        assert all(a <= b for a, b in pairwise(answer))


def test_a_reversed_word_reads_backwards():
    for one in of("reverse"):
        word = one.prompt.removeprefix("reverse ").removesuffix(":")
        assert len(word) == one.difficulty == len(one.answer)
        assert all(word[i] == one.answer[-1 - i] for i in range(len(word)))


def test_counted_letters_are_those_that_splitting_finds():
    for one in of("count"):
        letter, word = re.fullmatch(r"count (.) in (\w+):", one.prompt).groups()
        assert int(one.answer) == len(word.split(letter)) - 1


def test_what_was_read_is_what_the_person_likes():
    for one in of("read"):
        likes = dict(re.findall(r"(\w+) likes (\w+)\.", one.prompt))
        person = re.search(r"What does (\w+) like\?", one.prompt)[1]
        assert len(likes) == one.difficulty
        assert likes[person] == one.answer


def test_word_problems_give_before_they_buy_and_never_run_out():
    for one in of("word"):
        had, given_away, bought = numbers(one.prompt)
        assert had >= given_away
        assert int(one.answer) - bought + given_away == had


@pytest.mark.parametrize(
    ("number", "written"),
    [(1, "I"), (4, "IV"), (9, "IX"), (44, "XLIV"), (90, "XC"), (388, "CCCLXXXVIII"), (399, "CCCXCIX")],
)
def test_roman_numerals_known_by_hand(number, written):
    assert roman(number) == written


@given(st.integers(1, 399))
def test_roman_numerals_read_back(number):
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[sign] for sign in roman(number)]
    assert sum(-v if v < max(values[i:]) else v for i, v in enumerate(values)) == number


def test_every_prompt_and_answer_can_be_written_by_the_models():
    vocabulary = load("fry").vocabulary
    for one in DRAWN:
        assert vocabulary.decode(vocabulary.encode(one.prompt + one.answer)) == one.prompt + one.answer
        assert len(one.prompt) + len(one.answer) + 2 <= load("fry").weights.positions
