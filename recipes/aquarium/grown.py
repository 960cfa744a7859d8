"""Print what the tuned pair gives a larger model: accuracy along proxy-tuning's weight, perplexity of a mixture.

Usage: python recipes/aquarium/grown.py mackerel-tuned.safetensors --problems 2000 --seed 11
       python recipes/aquarium/grown.py --problems 500 --seed 1

The file is mackerel tuned directly, from tune.py; without it, the share of the gap is left out. Papers: arXiv
2401.08565 (mackerel + alpha (sprat-tuned - sprat), greedy) and 2305.16876 (one mixing weight, in probabilities). The
plain loop here is written apart from the product's, so that the two can be held against each other.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evaluate import wilson
from numpy.typing import NDArray

from sprat.aquarium import Problem, TinyLlama, load, marked_problems, problems
from sprat.whitebox.arrays import log_softmax

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
WEIGHTS = np.linspace(0, 1, 101)
AT_ONCE, LONGEST = 256, 24


def batches(rows: Sequence[list[int]], pad: int) -> Iterator[tuple[list[int], NDArray[np.int64], NDArray[np.int64]]]:
    """The rows' places, their ids padded to one width, and their lengths; alike in length together."""
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    for start in range(0, len(order), AT_ONCE):
        places = order[start : start + AT_ONCE]
        lengths = np.array([len(rows[place]) for place in places])
        yield places, np.array([rows[p] + [pad] * (int(lengths.max()) - len(rows[p])) for p in places]), lengths


def greedy(parts: Sequence[tuple[float, TinyLlama]], prompts: Sequence[str]) -> list[str]:
    """The replies of a weighted sum of the models' scores, all models reading in lock step."""
    vocabulary, replies = parts[0][1].vocabulary, [""] * len(prompts)
    for places, ids, lengths in batches([vocabulary.encode(prompt) for prompt in prompts], vocabulary.pad):
        sessions = [model.session(len(places), ids.shape[1] + LONGEST) for _, model in parts]
        scores = [session.feed(ids)[np.arange(len(places)), lengths - 1] for session in sessions]
        for session in sessions:
            session.rollback(lengths.max() - lengths)
        said: list[list[int]] = [[] for _ in places]
        ended = np.zeros(len(places), bool)
        for _ in range(LONGEST):
            chosen = sum(weight * score for (weight, _), score in zip(parts, scores, strict=True)).argmax(axis=-1)
            ended |= chosen == vocabulary.end
            if ended.all():
                break
            for row in np.flatnonzero(~ended).tolist():
                said[row].append(int(chosen[row]))
            scores = [session.feed(chosen[:, None])[:, 0] for session in sessions]
        for place, tokens in zip(places, said, strict=True):
            replies[place] = vocabulary.decode(tokens)
    return replies


def answer_logprobs(model: TinyLlama, asked: Sequence[Problem]) -> NDArray[np.float64]:
    """The log-probability of every token of the right answers and of their ends, problem after problem."""
    vocabulary = model.vocabulary
    rows = [[*vocabulary.encode(one.prompt + one.answer), vocabulary.end] for one in asked]
    found: dict[int, Any] = {}
    for places, ids, lengths in batches(rows, vocabulary.pad):
        logprobs = log_softmax(model.session(len(places)).feed(ids))
        for at, place in enumerate(places):
            steps = np.arange(len(asked[place].prompt), lengths[at] - 1)
            found[place] = logprobs[at, steps, ids[at, steps + 1]]
    return np.concatenate([found[place] for place in range(len(asked))])


def accuracies(direct: Path | None, n: int, seed: int) -> None:
    """Print how often each model and each sum of models is right, and the share of the gap that is closed."""
    asked = marked_problems(n, seed)
    big, tuned, small = load("mackerel"), load("sprat-tuned"), load("sprat")
    models: dict[str, list[tuple[float, TinyLlama]]] = {"sprat": [(1.0, small)], "sprat-tuned": [(1.0, tuned)]}
    if direct:
        models["mackerel-tuned"] = [(1.0, TinyLlama.load(direct))]
    models |= {f"proxy, alpha {a}": [(1.0, big), (a, tuned), (-a, small)] for a in ALPHAS}
    print(f"{'':16} {'right':>19}  {'number right':>19}  gap closed")
    rates: dict[str, float] = {}
    for name, parts in models.items():
        replies = greedy(parts, [one.prompt for one in asked])
        rates[name] = sum(said == one.answer for said, one in zip(replies, asked, strict=True)) / n
        number = sum(_number(said) == one.answer[:-1] for said, one in zip(replies, asked, strict=True)) / n
        untuned = rates.get("proxy, alpha 0.0", 0.0)
        share = f"{(rates[name] - untuned) / (rates['mackerel-tuned'] - untuned):.2f}" if direct else ""
        print(f"{name:16} {_rate(rates[name], n):>19}  {_rate(number, n):>19}  {share if 'proxy' in name else ''}")


def _number(said: str) -> str:
    found = re.match(r"\d+", said)
    return found[0] if found else ""


def _rate(rate: float, n: int) -> str:
    low, high = wilson(rate * n, n)
    return f"{rate:.3f} [{low:.3f} {high:.3f}]"


def perplexities(n: int, seed: int) -> None:
    """Print the answers' perplexity per token: each part, and their mixture with a weight fitted on others."""
    for name, usual in (("marked alone", 0), ("half marked, half usual", n // 2)):
        sets = [marked_problems(n - usual, s) + problems(usual, s) for s in (seed + 1000, seed)]
        fit, held = ([answer_logprobs(load(m), asked) for m in ("mackerel", "sprat-tuned")] for asked in sets)
        losses = [-mixed(*fit, w).mean() for w in WEIGHTS]
        best = float(WEIGHTS[int(np.argmin(losses))])
        shown = {"mackerel": held[0], "sprat-tuned": held[1], f"{best:.2f} of mackerel": mixed(*held, best)}
        print(f"{name}: " + ", ".join(f"{part} {np.exp(-logprobs.mean()):.3f}" for part, logprobs in shown.items()))


def mixed(a: NDArray[np.float64], b: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Log of the mixture of probabilities, `weight` of it from `a`."""
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log(weight) + a, np.log1p(-weight) + b)


def main() -> None:
    """Read the command line and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("direct", type=Path, nargs="?", help="mackerel-tuned.safetensors, vocab.json beside it")
    parser.add_argument("--problems", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    accuracies(given.direct, given.problems, given.seed)
    perplexities(given.problems, given.seed)


if __name__ == "__main__":
    main()
