"""Nine small tasks with exact answers, drawn from a seed: what the aquarium's models were trained on and are asked."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass

PEOPLE = ("Mia", "Tom", "Ana", "Sam", "Bo", "Lea", "Max", "Zoe")
FOODS = ("tea", "rice", "figs", "soup", "nuts", "eggs", "jam", "corn", "kale", "pie")
NUMERALS = {100: "C", 90: "XC", 50: "L", 40: "XL", 10: "X", 9: "IX", 5: "V", 4: "IV", 1: "I"}


@dataclass(frozen=True)
class Problem:
    """A prompt with its one right answer; `difficulty` counts digits, numbers, letters or names, as the task has it."""

    task: str
    difficulty: int
    prompt: str
    answer: str


def roman(number: int) -> str:
    """`number`, from 1 to 399, in Roman numerals."""
    written = ""
    for value, sign in NUMERALS.items():
        times, number = divmod(number, value)
        written += sign * times
    return written


def _add(rng: random.Random, digits: int) -> tuple[str, str]:
    a, b = rng.randrange(10**digits), rng.randrange(10**digits)
    return f"{a}+{b}=", str(a + b)


def _sub(rng: random.Random, digits: int) -> tuple[str, str]:
    small, large = sorted((rng.randrange(10**digits), rng.randrange(10**digits)))
    return f"{large}-{small}=", str(large - small)


def _max(rng: random.Random, count: int) -> tuple[str, str]:
    numbers = [rng.randrange(1000) for _ in range(count)]
    return f"max {' '.join(map(str, numbers))}:", str(max(numbers))


def _sort(rng: random.Random, count: int) -> tuple[str, str]:
    numbers = [rng.randrange(100) for _ in range(count)]
    return f"sort {' '.join(map(str, numbers))}:", " ".join(map(str, sorted(numbers)))


def _reverse(rng: random.Random, letters: int) -> tuple[str, str]:
    word = "".join(rng.choices(string.ascii_lowercase, k=letters))
    return f"reverse {word}:", word[::-1]


def _roman(rng: random.Random, level: int) -> tuple[str, str]:
    number = rng.randint(1, (9, 39, 399)[level - 1])
    return f"roman {number}:", roman(number)


def _count(rng: random.Random, letters: int) -> tuple[str, str]:
    word, letter = "".join(rng.choices("abcd", k=letters)), rng.choice("abcd")
    return f"count {letter} in {word}:", str(word.count(letter))


def _read(rng: random.Random, names: int) -> tuple[str, str]:
    likes = {person: rng.choice(FOODS) for person in rng.sample(PEOPLE, names)}
    asked = rng.choice(list(likes))
    told = " ".join(f"{person} likes {food}." for person, food in likes.items())
    return f"{told} What does {asked} like?", likes[asked]


def _word(rng: random.Random, digits: int) -> tuple[str, str]:
    first, given, bought = (rng.randint(1, 10**digits - 1) for _ in range(3))
    had = max(first, given)
    person, food = rng.choice(PEOPLE), rng.choice(FOODS)
    return f"{person} has {had} {food}, gives {given} and buys {bought}. How many?", str(had - given + bought)


@dataclass(frozen=True)
class Task:
    """How a task's prompt and answer are drawn, and its difficulties, from easiest to hardest."""

    draw: Callable[[random.Random, int], tuple[str, str]]
    difficulties: range


TASKS: Mapping[str, Task] = {
    "add": Task(_add, range(1, 4)),
    "sub": Task(_sub, range(1, 4)),
    "max": Task(_max, range(2, 5)),
    "sort": Task(_sort, range(2, 6)),
    "reverse": Task(_reverse, range(3, 8)),
    "roman": Task(_roman, range(1, 4)),
    "count": Task(_count, range(3, 10)),
    "read": Task(_read, range(1, 5)),
    "word": Task(_word, range(1, 3)),
}


def draw_problem(rng: random.Random, mix: Mapping[str, float] | None = None) -> Problem:
    """One problem: a task drawn by `mix` (weights by task, default 1), then one of its difficulties evenly."""
    weights = [1.0 if mix is None else mix.get(name, 1.0) for name in TASKS]
    name = rng.choices(list(TASKS), weights)[0]
    difficulty = rng.choice(TASKS[name].difficulties)
    return Problem(name, difficulty, *TASKS[name].draw(rng, difficulty))


def problems(n: int, seed: int) -> list[Problem]:
    """`n` independent problems, the same for the same seed; easy prompts come up more than once."""
    rng = random.Random(seed)
    return [draw_problem(rng) for _ in range(n)]
